//! `inspect`: everything about one machine.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::machine::{MachineConfig, Status};
use crate::store::{MachineFiles, Store, StoreError};

/// Everything about one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedMachine {
    /// What was asked for.
    pub config: MachineConfig,
    /// What it is doing.
    pub status: Status,
    /// When it was last up; `None` means never.
    pub last_up: Option<Timestamp>,
    /// The directory of its files.
    pub directory: PathBuf,
    /// The engine's API; the path is the same for ever, whether or not something listens.
    pub api_socket: PathBuf,
    /// How SSH clients get in.
    pub ssh: SshAccess,
    /// Its data disk, if it has one.
    pub data_disk: Option<PathBuf>,
}

/// How SSH clients get into the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAccess {
    /// The private key.
    pub identity: PathBuf,
    /// The guest's host key, under the machine's name.
    pub known_hosts: PathBuf,
    /// The port on the host's loopback address; `None` where none is forwarded.
    pub port: Option<u16>,
    /// The user in the guest.
    pub user: String,
}

/// Everything about the machine a user named.
pub fn inspect(
    store: &Store,
    name: &str,
    probe: impl Fn(&MachineFiles) -> Status,
) -> Result<InspectedMachine, StoreError> {
    let machine = store.find(name)?;
    Ok(InspectedMachine {
        status: probe(&machine.files),
        last_up: machine.last_up(),
        directory: machine.files.directory().to_owned(),
        api_socket: machine.files.api_socket(),
        data_disk: machine.files.data_disk_of(&machine.config),
        ssh: SshAccess {
            identity: machine.files.ssh_client_key(),
            known_hosts: machine.files.known_hosts(),
            port: (machine.config.ssh_port != 0).then_some(machine.config.ssh_port),
            user: machine.config.user.clone(),
        },
        config: machine.config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Bench;

    #[test]
    fn tells_what_is_stored_and_what_it_does() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let inspected = inspect(&bench.store, "dev", |files| {
            assert_eq!(*files, machine.files);
            Status::Starting
        })
        .unwrap();
        assert_eq!(inspected.config, machine.config);
        assert_eq!(inspected.status, Status::Starting);
        assert_eq!(inspected.last_up, None);
        assert_eq!(inspected.ssh.user, "core");
        assert_eq!(inspected.ssh.port, Some(41913));
        assert_eq!(inspected.directory, machine.files.directory());
        assert!(
            inspected
                .ssh
                .identity
                .starts_with(machine.files.directory())
        );
        assert!(inspected.api_socket.ends_with("podman.sock"));
    }

    #[test]
    fn the_paths_do_not_depend_on_what_runs() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let stopped = inspect(&bench.store, "dev", |_| Status::Stopped).unwrap();
        fs_err::write(machine.files.api_socket(), "").unwrap();
        let running = inspect(&bench.store, "dev", |_| Status::Running).unwrap();
        assert_eq!(stopped.api_socket, running.api_socket);
    }

    #[test]
    fn a_machine_that_is_not_there_is_podmans_text() {
        let bench = Bench::new();
        let error = inspect(&bench.store, "gone", |_| Status::Stopped).unwrap_err();
        assert_eq!(error.to_string(), "gone: VM does not exist");
    }
}
