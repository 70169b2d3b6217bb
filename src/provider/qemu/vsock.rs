//! The guest's vsock device: the kernel's, by a descriptor that holds its context id, or a program's of its own.
//!
//! The program runs beside QEMU as QEMU does beside us: in a session of its own, with its sockets in the machine's
//! directory and its words in a file. QEMU cannot take another one in its place, so when it dies the machine has no
//! vsock until its next start.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use machine_host::companion;
use machine_host::vsock::Device;

use crate::machine::{Vsock, deadlines};
use crate::provider::qemu::helper::Helper;
use crate::provider::qemu::platform::{self, Inherited};
use crate::provider::{VmPaths, VsockWay};

/// The program's name.
const PROGRAM: &str = "vhost-device-vsock";
/// The context id of a guest whose vsock is nobody else's.
const OWN_CID: &str = "3";

/// What the device will be, and a warning where it cannot be what was asked for.
pub(super) fn choose(
    wish: Vsock,
    kernel: impl FnOnce() -> bool,
    find: impl FnOnce(&str) -> Option<PathBuf>,
) -> (Option<VsockWay>, Option<String>) {
    match wish {
        Vsock::Off => (None, None),
        Vsock::Auto => (kernel().then_some(VsockWay::Kernel), None),
        Vsock::User | Vsock::UserFirst => match find(PROGRAM) {
            Some(program) => (Some(VsockWay::Program(program)), None),
            None => (
                None,
                Some(format!(
                    "`{PROGRAM}` was not found, so the machine goes without vsock, over virtio-serial; \
                     `cargo install {PROGRAM}` or your distribution's package of this name installs it"
                )),
            ),
        },
    }
}

/// A device that is ready to be given to QEMU.
#[derive(Debug)]
pub(super) enum Prepared {
    /// The kernel's.
    Kernel {
        /// The guest's context id.
        cid: u32,
        /// What holds it.
        descriptor: Inherited,
    },
    /// The program's.
    Program {
        /// The program.
        helper: Helper,
        /// A connection to it.
        connection: Inherited,
    },
}

/// Makes the device.
pub(super) async fn prepare(way: &VsockWay, paths: &VmPaths) -> io::Result<Prepared> {
    match way {
        VsockWay::Kernel => {
            let device = Device::claim()?;
            Ok(Prepared::Kernel {
                cid: device.cid(),
                descriptor: platform::inherit_device(device),
            })
        }
        VsockWay::BuiltIn => Err(io::ErrorKind::Unsupported.into()),
        VsockWay::Program(program) => {
            let mut helper = start(program, paths)?;
            let opened = tokio::select! {
                opened = connect(&paths.vsock_device_socket) => opened,
                () = helper.ended() => Err(io::Error::other("It ended at once")),
            };
            Ok(Prepared::Program {
                helper,
                connection: opened?,
            })
        }
    }
}

/// Connects to the program as soon as it listens.
async fn connect(socket: &Path) -> io::Result<Inherited> {
    let limit = deadlines::VSOCK_DEVICE.limit;
    let connection = companion::connect_when_listening(socket, limit).await?;
    Ok(platform::inherit_connection(connection))
}

/// Starts the program that is the device.
fn start(program: &Path, paths: &VmPaths) -> io::Result<Helper> {
    let sockets = [&paths.vsock_socket, &paths.vsock_device_socket];
    for socket in sockets {
        match fs_err::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut command = Command::new(program);
    command
        .args(["--guest-cid", OWN_CID, "--uds-path"])
        .arg(&paths.vsock_socket)
        .arg("--socket")
        .arg(&paths.vsock_device_socket);
    let helper = Helper::start(command, &paths.vsock_log)?;
    // It does not end with what it is connected to.
    helper.note(&paths.launch_note);
    Ok(helper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_where_it_has_one_and_the_program_only_on_request() {
        let program = || VsockWay::Program("/p/vhost-device-vsock".into());
        let find = |name: &str| Some(PathBuf::from("/p").join(name));
        let chosen = |wish, kernel| choose(wish, || kernel, find);
        assert_eq!(chosen(Vsock::Auto, true), (Some(VsockWay::Kernel), None));
        assert_eq!(chosen(Vsock::Auto, false), (None, None));
        assert_eq!(chosen(Vsock::Off, true), (None, None));
        assert_eq!(chosen(Vsock::User, true), (Some(program()), None));
        let (none, warning) = choose(Vsock::User, || true, |_| None);
        assert_eq!(none, None);
        assert!(
            warning
                .unwrap()
                .contains("cargo install vhost-device-vsock")
        );
    }
}
