//! `cp`: the command line of the host's `scp` for a machine.

use std::ffi::{OsStr, OsString};

use thiserror::Error;

use super::ssh::{HOST, Invocation, SshError, is_local, options, split_at_colon};
use crate::machine::Status;
use crate::store::{MachineFiles, Store, StoreError};

/// Why nothing is copied; the first three texts are those of spec 1.4.10.
#[derive(Debug, Error)]
pub enum CopyError {
    /// A path is empty.
    #[error("invalid arguments {from:?}, {to:?}: you must specify paths")]
    NoPath {
        /// What was given first.
        from: String,
        /// What was given second.
        to: String,
    },
    /// Both sides name a machine.
    #[error("copying between two machines is unsupported")]
    TwoMachines,
    /// Neither side does.
    #[error("a machine name must prefix either the source path or destination path")]
    NoMachine,
    /// The machine is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine cannot be reached.
    #[error(transparent)]
    Ssh(#[from] SshError),
}

impl CopyError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoMachine => {
                vec!["NAME:PATH is in machine NAME; ./PATH and /PATH are on this host".to_owned()]
            }
            Self::TwoMachines => {
                vec!["a name of this host that has a colon begins with ./".to_owned()]
            }
            Self::Store(error) => error.hints(),
            Self::Ssh(error) => error.hints(),
            Self::NoPath { .. } => Vec::new(),
        }
    }
}

/// One side of a copy.
struct Side<'a> {
    machine: Option<&'a OsStr>,
    path: &'a OsStr,
}

impl<'a> Side<'a> {
    fn parse(text: &'a OsStr) -> Self {
        match split_at_colon(text) {
            Some((machine, path)) if !is_local(text) => Self {
                machine: (!machine.is_empty()).then_some(machine),
                path,
            },
            _ => Self {
                machine: None,
                path: text,
            },
        }
    }

    /// The side as `scp` wants it.
    fn word(&self) -> OsString {
        if self.machine.is_none() {
            return self.path.to_owned();
        }
        let mut word = OsString::from(HOST);
        word.push(":");
        word.push(self.path);
        word
    }
}

/// Finds the machine and builds the command line of `scp`. `probe` tells what a machine is doing.
pub fn copy(
    store: &Store,
    from: &OsStr,
    to: &OsStr,
    probe: impl Fn(&MachineFiles) -> Status,
) -> Result<Invocation, CopyError> {
    let (source, destination) = (Side::parse(from), Side::parse(to));
    if source.path.is_empty() || destination.path.is_empty() {
        return Err(CopyError::NoPath {
            from: from.to_string_lossy().into_owned(),
            to: to.to_string_lossy().into_owned(),
        });
    }
    let machine = match (source.machine, destination.machine) {
        (Some(_), Some(_)) => return Err(CopyError::TwoMachines),
        (None, None) => return Err(CopyError::NoMachine),
        (Some(machine), None) | (None, Some(machine)) => machine.to_string_lossy(),
    };
    let machine = store.find(&machine)?;
    let mut arguments = options(&machine, None, "-P", probe)?;
    arguments.push("-r".into());
    // What follows are paths, whatever they begin with.
    arguments.push("--".into());
    arguments.push(source.word());
    arguments.push(destination.word());
    Ok(Invocation {
        program: "scp",
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Bench;

    fn copied(bench: &Bench, from: &str, to: &str) -> Result<(String, String), String> {
        let copy = copy(&bench.store, from.as_ref(), to.as_ref(), |_| {
            Status::Running
        });
        let arguments = copy.map_err(|error| error.to_string())?.arguments;
        let [.., flag, dashes, from, to] = &arguments[..] else {
            panic!("{arguments:?}");
        };
        assert_eq!(
            (flag.as_os_str(), dashes.as_os_str()),
            ("-r".as_ref(), "--".as_ref())
        );
        assert!(arguments.contains(&OsString::from("-P")));
        let text = |word: &OsString| word.to_str().unwrap().to_owned();
        Ok((text(from), text(to)))
    }

    #[test]
    fn one_side_is_the_machines() {
        let bench = Bench::new();
        bench.make("dev");
        let cases = [
            ("a", "dev:b", ("a", "127.0.0.1:b")),
            ("dev:/a b/ü", "b", ("127.0.0.1:/a b/ü", "b")),
            ("./x:y", "dev:~/b:c", ("./x:y", "127.0.0.1:~/b:c")),
            ("/x:y", "dev:b", ("/x:y", "127.0.0.1:b")),
            (".hidden:x", "dev:b", (".hidden:x", "127.0.0.1:b")),
            ("-rf", "dev:-v", ("-rf", "127.0.0.1:-v")),
        ];
        for (from, to, (source, destination)) in cases {
            let expected = Ok((source.to_owned(), destination.to_owned()));
            assert_eq!(copied(&bench, from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn mistakes_are_podmans() {
        let bench = Bench::new();
        bench.make("dev");
        let text = |from, to| copied(&bench, from, to).unwrap_err();
        // Spec 1.4.10.
        assert_eq!(
            text("", "dev:b"),
            "invalid arguments \"\", \"dev:b\": you must specify paths"
        );
        assert_eq!(
            text("a", "dev:"),
            "invalid arguments \"a\", \"dev:\": you must specify paths"
        );
        assert_eq!(
            text("dev:a", "dev:b"),
            "copying between two machines is unsupported"
        );
        let neither = "a machine name must prefix either the source path or destination path";
        assert_eq!(text("a", "b"), neither);
        assert_eq!(text("./dev:a", ":b"), neither);
        assert_eq!(text("a", "nobody:b"), "nobody: VM does not exist");
        let stopped = copy(&bench.store, "a".as_ref(), "dev:b".as_ref(), |_| {
            Status::Stopped
        });
        assert_eq!(
            stopped.unwrap_err().to_string(),
            "vm \"dev\" is not running"
        );
    }
}
