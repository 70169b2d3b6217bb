//! The machine that a command line asks for, and whether its parts are there.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{FakeError, failed};

/// `sockaddr_un.sun_path` on macOS, with the NUL at its end.
const SOCKET_PATH: usize = 104;
/// Identifiers of disks are as long as virtio has room for (`VIRTIO_BLK_ID_BYTES`).
const SERIAL_BYTES: usize = 20;
/// Disks consist of sectors.
const SECTOR: u64 = 512;

/// All that makes up a machine.
#[derive(Debug, Default)]
pub(super) struct Hardware {
    pub(super) cpus: u64,
    pub(super) memory_mib: u64,
    /// Where the firmware keeps its variables.
    pub(super) variable_store: Option<PathBuf>,
    pub(super) create_variable_store: bool,
    /// In the order in which the guest finds them.
    pub(super) disks: Vec<Disk>,
    pub(super) random_devices: usize,
    pub(super) balloons: usize,
    /// Files that take what the guest prints.
    pub(super) consoles: Vec<PathBuf>,
    pub(super) vsock: Vec<VsockPort>,
    pub(super) networks: Vec<(Network, Option<[u8; 6]>)>,
    pub(super) shares: Vec<Share>,
    pub(super) rosetta: bool,
    /// The socket of the REST service.
    pub(super) rest: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
}

/// A raw disk.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    /// What the guest reads as its serial number.
    pub(super) serial: Option<String>,
}

/// A port of the guest's vsock.
#[derive(Debug)]
pub(super) struct VsockPort {
    pub(super) port: u32,
    pub(super) socket: PathBuf,
    pub(super) direction: Direction,
}

/// Who is called at a [`VsockPort`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The guest dials the port of its host, and the hypervisor dials the unix socket.
    Listen,
    /// The hypervisor listens at the unix socket, and dials the port of the guest.
    Connect,
}

/// What carries the guest's packets.
#[derive(Debug)]
pub(super) enum Network {
    /// The framework.
    Nat,
    /// A program that listens for datagrams here.
    Datagrams(PathBuf),
}

/// A folder of the host.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) directory: PathBuf,
    pub(super) tag: String,
}

/// vfkit takes paths of sockets for parts of URLs: what has a meaning there would change them.
pub(super) fn from_url(path: &str) -> Result<PathBuf, FakeError> {
    if path.contains(['%', '?', '#']) {
        return Err(FakeError::Usage(format!("invalid socket URL: {path}")));
    }
    Ok(path.into())
}

impl Hardware {
    /// Complains of the first part that cannot be, as the framework validates a configuration.
    pub(super) fn check(&self) -> Result<(), FakeError> {
        let wrong = |text: String| Err(FakeError::Usage(text));
        if self.cpus == 0 || self.memory_mib == 0 {
            return wrong("Invalid virtual machine configuration".to_owned());
        }
        if self.balloons > 1 {
            return wrong("only one virtio-balloon device is allowed".to_owned());
        }
        // `VZLinuxRosettaDirectoryShare.availability`: never on a Mac with a processor of Intel's.
        if self.rosetta && std::env::consts::ARCH != "aarch64" {
            return wrong("rosetta is unsupported on this host".to_owned());
        }
        for disk in &self.disks {
            check_disk(disk)?;
        }
        for share in &self.shares {
            let directory = fs::metadata(&share.directory).map_err(failed("virtio-fs"))?;
            if !directory.is_dir() || !share.directory.is_absolute() {
                return wrong(format!("`{}` is no directory", share.directory.display()));
            }
            // `VZVirtioFileSystemDeviceConfiguration.validateTag`: at most 36 bytes.
            if share.tag.len() > 36 {
                return wrong(format!("the tag `{}` is too long", share.tag));
            }
        }
        if let Some(store) = &self.variable_store
            && !self.create_variable_store
        {
            fs::metadata(store).map_err(failed("EFI variable store"))?;
        }
        let sockets = self.vsock.iter().map(|port| &port.socket);
        let ports: Vec<u32> = self.vsock.iter().map(|port| port.port).collect();
        for (at, port) in ports.iter().enumerate() {
            if ports[..at].contains(port) {
                return wrong(format!("vsock port {port} is given twice"));
            }
        }
        for socket in sockets.chain(&self.rest) {
            check_socket(socket)?;
        }
        for (network, _) in &self.networks {
            if let Network::Datagrams(socket) = network {
                check_socket(socket)?;
            }
        }
        Ok(())
    }

    /// Makes what a start makes: the variable store, empty consoles, the pid file.
    pub(super) fn power_on(&self) -> Result<(), FakeError> {
        if let Some(store) = &self.variable_store
            && !store.exists()
        {
            fs::write(store, "EFI variables\n").map_err(failed("EFI variable store"))?;
        }
        for console in &self.consoles {
            fs::write(console, "").map_err(failed("virtio-serial"))?;
        }
        if let Some(file) = &self.pid_file {
            fs::write(file, std::process::id().to_string()).map_err(failed("pid file"))?;
        }
        Ok(())
    }

    /// Prints on the guest's console.
    pub(super) fn print(&self, text: &str) {
        use std::io::Write as _;
        for console in &self.consoles {
            let file = fs::OpenOptions::new().append(true).open(console);
            // A console that is gone takes nothing, as a pulled cable.
            let _ = file.and_then(|mut file| writeln!(file, "{text}"));
        }
    }
}

fn check_disk(disk: &Disk) -> Result<(), FakeError> {
    // Both open it for writing: there is no read-only virtio-blk.
    let opened = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&disk.path);
    let file = opened.map_err(failed("virtio-blk"))?;
    let length = file.metadata().map_err(failed("virtio-blk"))?.len();
    let wrong = |what: &str| {
        Err(FakeError::Usage(format!(
            "the disk `{}` {what}",
            disk.path.display()
        )))
    };
    if length == 0 || !length.is_multiple_of(SECTOR) {
        return wrong("does not consist of whole sectors");
    }
    let mut start = [0; 4];
    std::io::Read::read_exact(&mut &file, &mut start).map_err(failed("virtio-blk"))?;
    if &start == b"QFI\xfb" {
        return wrong("is qcow2, and only raw images are supported");
    }
    if disk
        .serial
        .as_ref()
        .is_some_and(|serial| serial.len() > SERIAL_BYTES)
    {
        return wrong("has an identifier that is too long");
    }
    Ok(())
}

fn check_socket(path: &Path) -> Result<(), FakeError> {
    if path.as_os_str().len() < SOCKET_PATH {
        return Ok(());
    }
    Err(FakeError::Usage(format!(
        "the socket path `{}` is too long",
        path.display()
    )))
}
