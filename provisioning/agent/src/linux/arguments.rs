//! The command line. In a guest it is empty, or asks for a bridge to the agent that runs; the other options let tests run
//! the agent without a guest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use machine_protocol::boot::BRIDGE_SOCKET;

/// A command line that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("Unknown option `{}`", .0.display())]
    Unknown(OsString),
    #[error("Option `{0}` needs a value")]
    NoValue(&'static str),
    #[error("`{}` is no port number", .0.display())]
    Port(OsString),
    #[error("The agent cannot tell where its program file is")]
    Executable(#[source] std::io::Error),
}

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    /// Directory with the boot parameters: that of the program, unless `--seed` names another.
    pub(super) seed: PathBuf,
    /// Whether the seed is the mount that the stub unit made, to be detached once read.
    pub(super) detach_seed: bool,
    /// Unix sockets of the host to connect to, in place of the boot's carriers (`--socket`, as often as wanted).
    pub(super) sockets: Vec<PathBuf>,
    /// The agent's socket, to which the standard streams are to be joined (`--bridge`).
    pub(super) bridge: Option<PathBuf>,
    /// What stands for the guest's `/` (`--root`).
    pub(super) root: PathBuf,
    /// Where the SSH server listens (`--ssh-port`).
    pub(super) ssh_port: u16,
}

/// The port of SSH.
const SSH_PORT: u16 = 22;

impl Arguments {
    pub(super) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let (mut seed, mut root, mut port) = (None, None, None);
        let mut sockets = Vec::new();
        let mut bridge = None;
        while let Some(word) = words.next() {
            let (option, value) = match word.to_str() {
                Some("--seed") => ("--seed", &mut seed),
                Some("--socket") => {
                    let socket = words.next().ok_or(ArgumentError::NoValue("--socket"))?;
                    sockets.push(PathBuf::from(socket));
                    continue;
                }
                Some("--bridge") => {
                    bridge = Some(words.next().map_or(BRIDGE_SOCKET.into(), PathBuf::from));
                    continue;
                }
                Some("--root") => ("--root", &mut root),
                Some("--ssh-port") => ("--ssh-port", &mut port),
                _ => return Err(ArgumentError::Unknown(word)),
            };
            let word = words.next().ok_or(ArgumentError::NoValue(option))?;
            *value = Some(word);
        }
        Ok(Self {
            detach_seed: seed.is_none() && root.is_none(),
            seed: match seed {
                Some(seed) => seed.into(),
                None => program_directory()?,
            },
            sockets,
            bridge,
            root: root.map_or_else(|| PathBuf::from("/"), PathBuf::from),
            ssh_port: match port {
                Some(text) => match text.to_str().map(str::parse) {
                    Some(Ok(port)) => port,
                    _ => return Err(ArgumentError::Port(text)),
                },
                None => SSH_PORT,
            },
        })
    }
}

fn program_directory() -> Result<PathBuf, ArgumentError> {
    let program = std::env::current_exe().map_err(ArgumentError::Executable)?;
    Ok(program.parent().unwrap_or(Path::new("/")).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, ArgumentError> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn empty_in_a_guest() {
        let arguments = parse(&[]).unwrap();
        assert_eq!(arguments.seed, program_directory().unwrap());
        assert_eq!(arguments.root, Path::new("/"));
        assert!(arguments.detach_seed);
        assert!(arguments.sockets.is_empty());
        assert_eq!(arguments.bridge, None);
        assert_eq!(arguments.ssh_port, 22);
    }

    #[test]
    fn options_of_tests() {
        let arguments = parse(&[
            "--seed", "/s", "--root", "/r", "--socket", "/c", "--socket", "/d",
        ])
        .unwrap();
        assert_eq!(
            arguments,
            Arguments {
                seed: "/s".into(),
                detach_seed: false,
                sockets: vec!["/c".into(), "/d".into()],
                bridge: None,
                root: "/r".into(),
                ssh_port: 22,
            }
        );
    }

    #[test]
    fn a_bridge_leads_to_the_usual_socket_or_another() {
        let bridge = |words: &[&str]| parse(words).unwrap().bridge;
        assert_eq!(bridge(&["--bridge"]), Some(BRIDGE_SOCKET.into()));
        assert_eq!(bridge(&["--bridge", "/b"]), Some("/b".into()));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse(&["--sed"]).unwrap_err().to_string(),
            "Unknown option `--sed`"
        );
        assert_eq!(
            parse(&["--seed"]).unwrap_err().to_string(),
            "Option `--seed` needs a value"
        );
        assert_eq!(
            parse(&["--ssh-port", "x"]).unwrap_err().to_string(),
            "`x` is no port number"
        );
    }
}
