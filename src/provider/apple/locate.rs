//! Where the programs are, and whether the version will do.

use std::path::{Path, PathBuf};

use machine_host::program;

use crate::provider::ProviderError;
use crate::provider::apple::flavour::Flavour;
use crate::provider::version::{self, parse};

/// Where Homebrew, podman's formula and podman's installer put programs; none need be in the `PATH` of a session without a
/// login shell.
const PLACES: [&str; 4] = [
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/opt/homebrew/opt/podman/libexec/podman",
    "/opt/podman/bin",
];

/// The program and its version, which will do.
pub(super) async fn find(
    flavour: &Flavour,
    directories: &[PathBuf],
) -> Result<(PathBuf, String), ProviderError> {
    let places = PLACES.map(PathBuf::from);
    let program = program::find(flavour.program, directories)
        .or_else(|| program::find(flavour.program, &places))
        .ok_or_else(|| ProviderError::ProgramMissing {
            program: flavour.program.to_owned(),
            install: flavour.install.to_owned(),
        })?;
    let asked = version::ask(&program, |said| version_in(flavour, said)).await;
    let version = asked.map_err(|error| unrunnable(flavour, error))?;
    check(flavour, &program, &version)?;
    Ok((program, version))
}

/// With what to do about a program that does not run: macOS ends one that nobody has signed before it says anything, and
/// asks the user about one that a browser has fetched.
fn unrunnable(flavour: &Flavour, error: ProviderError) -> ProviderError {
    let ProviderError::VersionUnknown {
        program, source, ..
    } = error
    else {
        return error;
    };
    let path = program.display();
    let mend = format!(
        "See whether macOS lets it run, `codesign --verify --verbose {path}` and `{path} --version`, or install it anew \
         with `brew reinstall {}`",
        flavour.program
    );
    ProviderError::VersionUnknown {
        program,
        source,
        mend: Some(mend),
    }
}

/// The version in `vfkit version: v0.6.1`, or in `krunkit 1.2.0`.
fn version_in<'a>(flavour: &Flavour, said: &'a str) -> Option<&'a str> {
    let version = said.lines().next()?.strip_prefix(flavour.greeting)?.trim();
    parse(version).map(|_| version)
}

/// Whether the version will do.
fn check(flavour: &Flavour, program: &Path, version: &str) -> Result<(), ProviderError> {
    match parse(version) {
        Some(found) if found >= flavour.minimum => Ok(()),
        _ => Err(ProviderError::TooOld {
            program: program.to_owned(),
            name: flavour.program,
            found: version.to_owned(),
            minimum: flavour.minimum.to_string(),
            install: flavour.upgrade.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::apple::flavour::{KRUNKIT, VFKIT};

    #[test]
    fn versions_are_read_as_the_programs_write_them() {
        let vfkit = |said| version_in(&VFKIT, said);
        assert_eq!(vfkit("vfkit version: v0.6.1\n"), Some("0.6.1"));
        assert_eq!(
            vfkit("vfkit version: v0.6.1-4-g0a1b2c3\n"),
            Some("0.6.1-4-g0a1b2c3")
        );
        for other in [
            "",
            "vfkit version: unknown\n",
            "vfkit version: v6\n",
            "krunkit 1.2.0\n",
        ] {
            assert_eq!(vfkit(other), None, "{other}");
        }
        assert_eq!(version_in(&KRUNKIT, "krunkit 1.2.0\n"), Some("1.2.0"));
    }

    #[test]
    fn an_old_one_is_named_with_the_way_to_a_newer() {
        let check = |flavour, version| check(flavour, Path::new("/p"), version);
        for good in ["0.6.0", "0.6.1-4-g0a1b2c3", "0.10.0", "1.0"] {
            check(&VFKIT, good).unwrap();
        }
        let error = check(&VFKIT, "0.5.9").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/p` is vfkit 0.5.9, and at least 0.6.0 is needed"
        );
        assert_eq!(
            error.hints(),
            ["Install a newer one with `brew upgrade vfkit`"]
        );
        check(&KRUNKIT, "1.1.9").unwrap_err();
        check(&KRUNKIT, "1.2.0").unwrap();
    }
}
