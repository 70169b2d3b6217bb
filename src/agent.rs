//! The guest's agent as a file of this host: where it lies, and whether it can run in the guest.

use std::io;
use std::path::{Path, PathBuf};

use machine_host::facts::Architecture;
use thiserror::Error;

/// The variable that names the directory with the agent.
const DIRECTORY: &str = "MACHINE_AGENT_DIR";

/// Why there is no agent for a guest.
#[derive(Debug, Error)]
pub enum AgentError {
    /// It is in none of its places.
    #[error("The guest's agent `{file}` is missing")]
    Missing {
        /// Its name.
        file: String,
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// It cannot be read.
    #[error("The guest's agent cannot be read")]
    Unreadable {
        /// Why, with the file's name.
        #[source]
        source: io::Error,
    },
    /// It is no program, or one for another processor.
    #[error("The guest's agent cannot run in the guest")]
    Unfit {
        /// Its name.
        file: String,
        /// The guest's processor.
        architecture: &'static str,
    },
}

impl AgentError {
    /// Why, in a sentence.
    pub fn why(&self) -> String {
        match self {
            Self::Missing { places, .. } => {
                let places: Vec<String> = places
                    .iter()
                    .map(|place| format!("`{}`", place.display()))
                    .collect();
                format!("It was looked for in {}", places.join(" and "))
            }
            Self::Unreadable { source } => source.to_string(),
            Self::Unfit { file, architecture } => {
                format!("`{file}` is no Linux program for {architecture}")
            }
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> String {
        format!("Install `machine` again, or set {DIRECTORY} to the directory that holds the agent")
    }
}

/// The agent for a guest with this processor: `machine-agent-ARCH` in `MACHINE_AGENT_DIR`, or else beside this
/// executable, or in `../libexec/machine` from there. Gives where it lies, and its bytes.
pub fn load(architecture: Architecture) -> Result<(PathBuf, Vec<u8>), AgentError> {
    let directories = match std::env::var_os(DIRECTORY) {
        Some(directory) => vec![PathBuf::from(directory)],
        None => directories(std::env::current_exe().ok().as_deref()),
    };
    load_from(directories, architecture)
}

fn load_from(
    directories: Vec<PathBuf>,
    architecture: Architecture,
) -> Result<(PathBuf, Vec<u8>), AgentError> {
    let file = format!("machine-agent-{}", architecture.rust_name());
    let found = directories
        .iter()
        .map(|directory| directory.join(&file))
        .find(|path| path.is_file());
    let Some(path) = found else {
        return Err(AgentError::Missing {
            file,
            places: directories,
        });
    };
    let agent = fs_err::read(&path).map_err(|source| AgentError::Unreadable { source })?;
    if !runs_on(&agent, architecture) {
        return Err(AgentError::Unfit {
            file,
            architecture: architecture.rust_name(),
        });
    }
    Ok((path, agent))
}

/// An agent for another architecture would only be noticed by its silence. The numbers are those of ELF (`e_machine`).
fn runs_on(agent: &[u8], architecture: Architecture) -> bool {
    let machine: [u8; 2] = match architecture {
        Architecture::X86_64 => 62_u16.to_le_bytes(),
        Architecture::Aarch64 => 183_u16.to_le_bytes(),
    };
    agent.starts_with(b"\x7fELF") && agent.get(18..20) == Some(&machine[..])
}

fn directories(executable: Option<&Path>) -> Vec<PathBuf> {
    let Some(beside) = executable.and_then(Path::parent) else {
        return Vec::new();
    };
    vec![beside.to_owned(), beside.join("../libexec/machine")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Vec<u8> {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(64, 0);
        program[18] = 62;
        program
    }

    #[test]
    fn an_agent_for_another_architecture_is_refused() {
        let program = program();
        assert!(runs_on(&program, Architecture::X86_64));
        assert!(!runs_on(&program, Architecture::Aarch64));
        assert!(!runs_on(b"#!/bin/sh", Architecture::X86_64));
        assert!(!runs_on(b"\x7fELF", Architecture::X86_64));
    }

    #[test]
    fn the_first_of_its_places_has_it() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        for directory in [&one, &two] {
            fs_err::create_dir(directory).unwrap();
        }
        let load = || load_from(vec![one.clone(), two.clone()], Architecture::X86_64);
        let error = load().unwrap_err();
        assert_eq!(
            error.to_string(),
            "The guest's agent `machine-agent-x86_64` is missing"
        );
        let places = format!("in `{}` and `{}`", one.display(), two.display());
        assert!(error.why().ends_with(&places), "{}", error.why());
        let name = "machine-agent-x86_64";
        fs_err::write(two.join(name), program()).unwrap();
        assert_eq!(load().unwrap(), (two.join(name), program()));
        fs_err::write(one.join(name), "#!/bin/sh").unwrap();
        let error = load().unwrap_err();
        assert_eq!(
            error.why(),
            "`machine-agent-x86_64` is no Linux program for x86_64"
        );
    }

    #[test]
    fn the_agent_lies_beside_the_executable_or_in_libexec() {
        let found = directories(Some(Path::new("/opt/m/bin/machine")));
        assert_eq!(
            found,
            [
                PathBuf::from("/opt/m/bin"),
                PathBuf::from("/opt/m/bin/../libexec/machine")
            ]
        );
        assert!(directories(None).is_empty());
    }
}
