//! Starts the program that carries a guest's packets.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use machine_host::companion::{self, Companion};

use super::backend::{Joint, Program, Terms, backend};
use super::choice::EgressPlan;

/// Where the program of a machine lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The socket between it and the hypervisor.
    pub socket: PathBuf,
    /// What it prints. Appended to.
    pub log: PathBuf,
}

impl EgressPlan {
    /// The program's part, where there is a program.
    pub fn joint(&self) -> Option<Joint> {
        backend(self.egress).program().map(|program| program.joint)
    }

    /// Starts the program, which has to be done before the VM or can be done after it, see [`Joint`].
    pub fn start(&self, place: &Place) -> io::Result<Companion> {
        let (Some(program), Some(path)) = (backend(self.egress).program(), &self.program) else {
            return Err(io::Error::other("This network has no program"));
        };
        self.start_program(program, path, place)
    }

    fn start_program(&self, program: Program, path: &Path, place: &Place) -> io::Result<Companion> {
        let arguments = (program.arguments)(&Terms {
            network: &self.network,
            host_loopback: self.host_loopback,
            socket: &place.socket,
            kind: self.socket,
        });
        let mut command = Command::new(path);
        command.args(arguments);
        match program.joint {
            Joint::Hypervisor => {
                let connection = companion::connect(&place.socket)?;
                companion::hand_over(&mut command, vec![connection])?;
            }
            Joint::Program => match fs_err::remove_file(&place.socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        Companion::start(command, &place.log)
    }
}
