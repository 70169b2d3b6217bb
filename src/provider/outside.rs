//! What a provider has to say of machines that do not run: of one that is to be made, and of what it keeps outside of
//! their directories.

use std::fmt;
use std::path::PathBuf;

/// A machine that is being made, as far as its provider has a say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMachine {
    /// Its name.
    pub name: String,
    /// The directory that it will have.
    pub directory: PathBuf,
    /// The directory that its sockets will be in, with names that are short enough for this host.
    pub sockets: PathBuf,
    /// The directory in it that is the [provider's alone](super::VmPaths::own_directory).
    pub own_directory: PathBuf,
    /// The user's file that is its data disk.
    pub data_disk: Option<PathBuf>,
    /// Directories that are searched for programs before `PATH`.
    pub program_directories: Vec<PathBuf>,
}

/// Where to look for what is kept.
pub struct KeptRequest<'a> {
    /// Directories that are searched for programs before `PATH`.
    pub program_directories: Vec<PathBuf>,
    /// The names of all machines that there are.
    pub machines: Vec<String>,
    /// The provider's own directory of the machine of a name, whether there is one or not; none for what is no name.
    pub place: &'a (dyn Fn(&str) -> Option<PathBuf> + Send + Sync),
}

impl fmt::Debug for KeptRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeptRequest")
            .field("program_directories", &self.program_directories)
            .field("machines", &self.machines)
            .finish_non_exhaustive()
    }
}

/// Something that is wrong with what is kept outside of a machine's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name of the machine.
    pub machine: String,
    /// What it is, with its name: "distribution `x`".
    pub what: String,
    /// What is wrong with it.
    pub state: KeptState,
}

/// What is wrong with what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptState {
    /// Its making was noted as the machine's and has not come to its end: it goes on now, or was cut off. To
    /// [discard](super::Provider::discard) it loses nothing.
    Half,
    /// The machine had it, and it is gone.
    Lost,
    /// It has the name that this machine would give it, and no machine has noted it.
    Stray {
        /// The command by which the user removes it.
        remove: String,
    },
}
