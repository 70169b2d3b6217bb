//! The version of a hypervisor's program: asked for, read and compared.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;

use crate::machine::deadlines;
use crate::provider::ProviderError;

/// A version of a program: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    /// Without the patch, for programs whose features come with a minor version.
    pub(super) fn minor(self) -> String {
        format!("{}.{}", self.0, self.1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The number at the beginning of a text, whatever follows it: `7.2.22`, `9.2`, `10.0.0-rc1`, `0.6.1-4-g0a1b2c3`.
pub(super) fn parse(text: &str) -> Option<Version> {
    let number = text
        .split(|c: char| c != '.' && !c.is_ascii_digit())
        .next()?;
    let mut parts = number.split('.');
    let mut part = || parts.next()?.parse().ok();
    let (major, minor) = (part()?, part()?);
    Some(Version(major, minor, part().unwrap_or(0)))
}

/// Asks a program for its version, which `find` finds in what it says.
pub(super) async fn ask(
    program: &Path,
    find: impl Fn(&str) -> Option<&str>,
) -> Result<String, ProviderError> {
    let failed = |source| ProviderError::VersionUnknown {
        program: program.to_owned(),
        source,
        mend: None,
    };
    let output = tokio::process::Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(deadlines::SUPERVISOR_SPAWN.limit, output)
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    find(&said).map(ToOwned::to_owned).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().chain(complaint.lines()).next();
        let text = match line {
            Some(line) => format!("It said `{line}`"),
            None if output.status.success() => "It said nothing".to_owned(),
            None => format!("It said nothing and ended with {}", output.status),
        };
        failed(io::Error::new(io::ErrorKind::InvalidData, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_compared_as_numbers() {
        for (text, expected) in [
            ("7.2.22", Some(Version(7, 2, 22))),
            ("9.2", Some(Version(9, 2, 0))),
            ("10.0.0-rc1", Some(Version(10, 0, 0))),
            ("0.6.1-4-g0a1b2c3", Some(Version(0, 6, 1))),
            ("6", None),
            ("", None),
            ("x.y", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert!(Version(0, 10, 0) > Version(0, 6, 1));
    }
}
