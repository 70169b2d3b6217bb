//! The host's end of a machine's vsock: opened before the VM is there, so that the guest can be told where to call.

use std::io;

use machine_host::vsock::Listener;
use machine_protocol::boot::{self, VSOCK_HOST, VSOCK_PORT};
use serde::{Deserialize, Serialize};

use crate::link::VsockEnd;
use crate::provider::{VsockDevice, VsockWay};
use crate::store::layout::MachineFiles;

/// What is open for a guest whose device is yet to be made.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A port of the host's kernel.
    Port(Listener),
    /// A socket that will be.
    Socket,
}

/// Where a guest calls, as kept for a supervisor that takes the machine over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum VsockRecord {
    /// At a port of the host's kernel.
    Kernel {
        /// The guest's context id.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// At a socket of the program that is its device.
    Program,
}

impl Waiting {
    pub(super) fn open(way: &VsockWay) -> io::Result<Self> {
        match way {
            VsockWay::Kernel => Ok(Self::Port(Listener::bind(None)?)),
            VsockWay::Program(_) | VsockWay::BuiltIn => Ok(Self::Socket),
        }
    }

    /// What the guest is told.
    pub(super) fn carrier(&self) -> boot::Carrier {
        boot::Carrier::Vsock {
            cid: VSOCK_HOST,
            port: match self {
                Self::Port(listener) => listener.port(),
                Self::Socket => VSOCK_PORT,
            },
        }
    }

    /// The end for the device that was made, and the note of it.
    pub(super) fn meet(
        self,
        device: VsockDevice,
        files: &MachineFiles,
    ) -> Option<(VsockEnd, VsockRecord)> {
        match (self, device) {
            (Self::Port(listener), VsockDevice::Kernel { cid }) => {
                let port = listener.port();
                let end = VsockEnd::Kernel { listener, cid };
                Some((end, VsockRecord::Kernel { cid, port }))
            }
            (Self::Socket, VsockDevice::Program) => {
                let end = VsockEnd::Socket(files.vsock_link_socket());
                Some((end, VsockRecord::Program))
            }
            _ => None,
        }
    }
}

impl VsockRecord {
    /// Opens the end anew for a guest that calls there already.
    pub(super) fn reopen(self, files: &MachineFiles) -> io::Result<VsockEnd> {
        Ok(match self {
            Self::Kernel { cid, port } => VsockEnd::Kernel {
                listener: Listener::bind(Some(port))?,
                cid,
            },
            Self::Program => VsockEnd::Socket(files.vsock_link_socket()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_has_the_name_that_the_device_gives_it() {
        let files = MachineFiles::new("/m".into(), "/s".into());
        let stem = files.vsock_socket().display().to_string();
        assert_eq!(
            files.vsock_link_socket().display().to_string(),
            format!("{stem}_{VSOCK_PORT}")
        );
        let (end, record) = Waiting::Socket.meet(VsockDevice::Program, &files).unwrap();
        assert!(matches!(end, VsockEnd::Socket(path) if path == files.vsock_link_socket()));
        assert!(matches!(record.reopen(&files), Ok(VsockEnd::Socket(_))));
        // A device that is not the one that was waited for would be called by somebody else.
        let kernel = VsockDevice::Kernel { cid: 3 };
        assert!(Waiting::Socket.meet(kernel, &files).is_none());
    }

    #[test]
    fn the_note_keeps_its_form() {
        let note = VsockRecord::Kernel { cid: 3, port: 9 };
        let json = r#"{"kind":"kernel","cid":3,"port":9}"#;
        assert_eq!(serde_json::to_string(&note).unwrap(), json);
        assert_eq!(
            serde_json::to_string(&VsockRecord::Program).unwrap(),
            r#"{"kind":"program"}"#
        );
    }
}
