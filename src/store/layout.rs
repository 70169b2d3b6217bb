//! Every file name of the store, in one place, and the rule for the length of sockets' paths.
//!
//! ```text
//! <data>/machines/
//!   .lock                       the store's lock
//!   .NAME.new-<16 hex>/         a machine that is being made
//!   .NAME.new-<16 hex>.lock     held by the command that makes it
//!   .NAME.removed-<16 hex>/     a machine that was removed and is being deleted
//!   .NAME.kept-<16 hex>/        the same, but its data disk goes to data-disks first
//!   NAME/                       a machine: see MachineFiles
//! <data>/data-disks/            data disks that were kept when their machines were removed: NAME.raw, NAME-2.raw …
//! <short sockets>/<8 hex>/      the sockets of a machine whose own directory has too long a path
//! ```
//!
//! What a machine has outside of its own directory is this and no more. `rm` removes exactly this, each only where it is
//! the machine's; whatever else has the name or lies beside it stays.
//!
//! | what | where | it is the machine's when |
//! |---|---|---|
//! | the directory of its sockets | `<short sockets>/<8 hex>`, see [`MachineFiles::outside`] | it is a directory; the number is the digest of the machine's own path, whatever `machine.toml` says |
//! | the pair of connections NAME and NAME-root, under any name | podman's connections | they use the machine's key or lead to one of its sockets (`src/connection/machine.rs`) |
//! | a system that the hypervisor keeps | with the hypervisor, under a name | it is noted in the machine's `provider` |
//! | a program that outlived VM and supervisor | `vm.json`, `launch.json` | number, start time and boot are those of the process |
//!
//! Nothing is linked into the directories of podman or docker. Images of the cache belong to nobody; a machine's disk lies
//! over a second name of one, in its own directory.

use std::path::{Path, PathBuf};

use machine_host::directories::Directories;
use sha2::{Digest, Sha256};

use crate::machine::volume::MOST_VOLUMES;
use crate::machine::{DiskFormat, MachineName};
use crate::store::StoreError;

/// The longest path of a Unix socket that every system takes (macOS: 104 bytes with the zero at the end).
pub const LONGEST_SOCKET_PATH: usize = 103;
/// No socket of a machine has a longer file name. It leaves room for names to come, since the directory of the sockets
/// is chosen once, when the machine is made.
pub const LONGEST_SOCKET_NAME: usize = 24;
/// Behind the name of a log of the boot before.
pub const OLD_SUFFIX: &str = ".old";
/// What was asked for; its presence makes the directory a complete machine.
pub const CONFIG: &str = "machine.toml";

/// The directory of all machines.
pub fn machines(directories: &Directories) -> PathBuf {
    directories.data.join("machines")
}

/// The directory of data disks whose machines were removed.
pub(super) fn data_disks(directories: &Directories) -> PathBuf {
    directories.data.join("data-disks")
}

/// The directory of images.
pub fn images(directories: &Directories) -> PathBuf {
    directories.data.join("images")
}

/// What is known of the accelerators of this host.
pub fn accelerators(directories: &Directories) -> PathBuf {
    directories.data.join("accelerators.json")
}

/// The files of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFiles {
    directory: PathBuf,
    sockets: PathBuf,
    generation: u32,
}

macro_rules! files {
    ($base:ident: $($(#[$doc:meta])* $method:ident = $name:literal;)*) => {
        $($(#[$doc])* pub fn $method(&self) -> PathBuf { self.$base.join($name) })*
    };
}

impl MachineFiles {
    /// The files of a machine with this directory, and with its sockets in that one.
    pub fn new(directory: PathBuf, sockets: PathBuf) -> Self {
        Self {
            directory,
            sockets,
            generation: 0,
        }
    }

    /// The same, with the disk of this [generation](crate::machine::MachineConfig::generation).
    #[must_use]
    pub fn of_generation(&self, generation: u32) -> Self {
        Self {
            generation,
            ..self.clone()
        }
    }

    /// The machine's directory (0700).
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of the sockets (0700): the machine's own, or a short one. It may be missing while the machine is
    /// stopped; who opens sockets makes it first.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The directory of the sockets where that is not in the machine's own.
    pub fn outside(&self) -> Option<&Path> {
        Some(self.sockets.as_path()).filter(|sockets| !sockets.starts_with(&self.directory))
    }

    /// What was asked for.
    pub fn config(&self) -> PathBuf {
        self.directory.join(CONFIG)
    }

    /// The disk with the operating system.
    pub fn os_disk(&self, format: DiskFormat) -> PathBuf {
        self.directory
            .join(os_file(OS_DISK, self.generation, format))
    }

    /// The image that the disk lies over: a second name of the one in the cache.
    pub fn base_disk(&self, format: DiskFormat) -> PathBuf {
        self.directory.join(os_file(BASE, self.generation, format))
    }

    /// The directory of the SSH keys (0700).
    pub fn ssh_directory(&self) -> PathBuf {
        self.directory.join("ssh")
    }

    files! { directory:
        /// The disk for what the engines keep, where it is the machine's own: raw, the whole of it one file system (0600).
        data_disk = "data.raw";
        /// The read-only disk with the agent and the parameters of this boot (0600). Made anew by every start.
        seed = "seed.img";
        /// The guest's first-boot configuration (0600).
        ignition = "ignition.json";
        /// What host and guest prove themselves with (0600, hexadecimal).
        secret = "secret";
        /// The user's key to the guest (0600).
        ssh_client_key = "ssh/id_ed25519";
        /// Its public half.
        ssh_client_public_key = "ssh/id_ed25519.pub";
        /// The guest's host key (0600), made on the host.
        ssh_host_key = "ssh/host_ed25519";
        /// Its public half.
        ssh_host_public_key = "ssh/host_ed25519.pub";
        /// The guest's host key as SSH clients want it.
        known_hosts = "ssh/known_hosts";
        /// What happened, as JSON lines.
        events = "events.jsonl";
        /// What happened before that file was begun.
        old_events = "events.jsonl.old";
        /// What the guest printed on its console.
        console_log = "console.log";
        /// The journal of a first boot that failed inside the initramfs.
        guest_journal = "first-boot-journal.log";
        /// What the supervisor says about itself.
        supervisor_log = "supervisor.log";
        /// What the VM process printed.
        vm_log = "vm.log";
        /// What UEFI firmware keeps between boots, where the hypervisor wants a file for it.
        firmware_variables = "efi-variables";
        /// Held for the short time of a change of these files.
        edit_lock = "edit.lock";
        /// Held by the supervisor for life.
        run_lock = "run.lock";
        /// What the program printed that is the guest's vsock device.
        vsock_log = "vsock.log";
        /// What the program printed that carries the guest's packets.
        network_log = "network.log";
        /// The VM process, to find one that outlived its supervisor.
        vm_record = "vm.json";
        /// The processes of a launch that has not come to its end, to end those of one that never will.
        launch_note = "launch.json";
        /// When the machine was last up.
        last_up = "last-up";
        /// What a hypervisor that keeps a machine's system itself has noted of that, and perhaps its disk: a directory.
        provider_directory = "provider";
    }

    files! { sockets:
        /// The supervisor's control socket.
        control_socket = "control.sock";
        /// The API of the machine's engine: that of its mode.
        api_socket = "podman.sock";
        /// The API of root's engine, whatever the mode.
        rootful_socket = "rootful.podman.sock";
        /// The API of the user's engine, whatever the mode.
        rootless_socket = "rootless.podman.sock";
        /// The hypervisor's monitor.
        qmp_socket = "qmp.sock";
        /// The host's end of the carrier to the agent.
        link_socket = "link.sock";
        /// The stem of a vsock device's sockets: the program behind it adds the port.
        vsock_socket = "vsock.sock";
        /// The host's end of the vsock to the agent, under [`VSOCK_PORT`](machine_protocol::boot::VSOCK_PORT).
        vsock_link_socket = "vsock.sock_1025";
        /// The host's end of the vsock at which Ignition asks for its configuration, where it has it by vsock.
        first_boot_socket = "vsock.sock_1024";
        /// Between the hypervisor and the vsock device's program.
        vsock_device_socket = "vhost-vsock.sock";
        /// Between the hypervisor and the program that carries the guest's packets.
        network_socket = "network.sock";
    }

    /// The socket of a shared folder's program; nobody finds it there but for a moment of the start.
    pub fn share_socket(&self, number: usize) -> PathBuf {
        self.sockets.join(format!("share-{number}.sock"))
    }

    /// What a shared folder's program printed.
    pub fn share_log(&self, number: usize) -> PathBuf {
        self.directory.join(format!("share-{number}.log"))
    }

    /// What tells of the machine in words, for somebody who helps its user: never keys, disks or what is made of them.
    /// The boot before may have left one of each, with [`OLD_SUFFIX`] behind its name.
    pub fn words(&self) -> Vec<PathBuf> {
        let logs = (0..MOST_VOLUMES).map(|number| self.share_log(number));
        let mut files = vec![
            self.config(),
            self.vm_record(),
            self.events(),
            self.console_log(),
            self.guest_journal(),
            self.supervisor_log(),
            self.vm_log(),
            self.network_log(),
            self.vsock_log(),
        ];
        files.extend(logs);
        files
    }

    /// What nobody but host and guest may know.
    pub fn secrets(&self) -> [PathBuf; 3] {
        [self.secret(), self.ssh_client_key(), self.ssh_host_key()]
    }

    /// All sockets that are there for longer than a moment.
    pub fn all_sockets(&self) -> [PathBuf; 11] {
        [
            self.control_socket(),
            self.api_socket(),
            self.rootful_socket(),
            self.rootless_socket(),
            self.qmp_socket(),
            self.link_socket(),
            self.vsock_socket(),
            self.vsock_link_socket(),
            self.first_boot_socket(),
            self.vsock_device_socket(),
            self.network_socket(),
        ]
    }
}

const OS_DISK: &str = "disk";
const BASE: &str = "base";
/// The most disks of one name that are kept.
const MOST_KEPT: u32 = 9999;
/// What a disk that is being made has behind its name.
const PART: &str = ".part";

fn os_file(stem: &str, generation: u32, format: DiskFormat) -> String {
    match generation {
        0 => format!("{stem}.{format}"),
        _ => format!("{stem}-{generation}.{format}"),
    }
}

/// The generation of the disk with the operating system that a file of a machine's directory belongs to, whole or in the
/// making; `None` for every other file.
pub(super) fn os_generation(file: &str) -> Option<u32> {
    let file = file.strip_suffix(PART).unwrap_or(file);
    let (name, _) = file.split_once('.')?;
    let generation = match name.split_once('-') {
        None => 0,
        Some((_, digits)) => digits.parse().ok()?,
    };
    // Only what this program would write is its.
    let mut names = [OS_DISK, BASE].into_iter().flat_map(|stem| {
        [DiskFormat::Qcow2, DiskFormat::Raw, DiskFormat::Tar]
            .map(|format| os_file(stem, generation, format))
    });
    names.any(|name| name == file).then_some(generation)
}

/// The names for a data disk that is kept, best first.
pub(super) fn kept_names(name: &MachineName) -> impl Iterator<Item = String> {
    let more = (2..=MOST_KEPT).map(move |number| format!("{name}-{number}.raw"));
    std::iter::once(format!("{name}.raw")).chain(more)
}

/// Where the store's directories are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) machines: PathBuf,
    pub(super) short_sockets: PathBuf,
    pub(super) data_disks: PathBuf,
}

impl Places {
    /// The lock of the list of machines.
    pub(super) fn lock(&self) -> PathBuf {
        self.machines.join(".lock")
    }

    pub(super) fn machine(&self, name: &MachineName) -> PathBuf {
        self.machines.join(name.as_str())
    }

    /// The directory of a machine's sockets: its own, or a short one where their paths would be too long.
    pub(super) fn sockets(&self, name: &MachineName) -> Result<PathBuf, StoreError> {
        let own = self.machine(name);
        if fits(&own) {
            return Ok(own);
        }
        let short = self.short_sockets(name);
        if fits(&short) {
            return Ok(short);
        }
        Err(StoreError::SocketPathTooLong {
            length: socket_path_length(&short),
            directory: short,
        })
    }

    /// `<short sockets>/<8 hex>`: the same for the same machine, another for another.
    pub(super) fn short_sockets(&self, name: &MachineName) -> PathBuf {
        let directory = self.machine(name);
        let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
        let [a, b, c, d, ..] = digest.0;
        let number = u32::from_be_bytes([a, b, c, d]);
        self.short_sockets.join(format!("{number:08x}"))
    }
}

fn socket_path_length(directory: &Path) -> usize {
    directory.as_os_str().len() + 1 + LONGEST_SOCKET_NAME
}

fn fits(directory: &Path) -> bool {
    socket_path_length(directory) <= LONGEST_SOCKET_PATH
}

/// A directory entry that is not yet or no longer a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Being made, or left by a command that was killed while making it. This is the directory's name; its lock has
    /// [`LOCK_SUFFIX`] behind it.
    New { name: MachineName, entry: String },
    /// Removed, and not yet deleted.
    Removed { name: MachineName, entry: String },
    /// Removed, and its data disk has perhaps not found its new place yet.
    Kept { name: MachineName, entry: String },
}

const NEW: &str = ".new-";
const REMOVED: &str = ".removed-";
const KEPT: &str = ".kept-";
/// What the lock of a machine that is being made has behind the directory's name.
pub(super) const LOCK_SUFFIX: &str = ".lock";

impl Unfinished {
    /// A fresh name for a machine that is being made.
    pub(super) fn new_entry(name: &MachineName, random: u64) -> String {
        format!(".{name}{NEW}{random:016x}")
    }

    /// A fresh name for a machine that is removed.
    pub(super) fn removed_entry(name: &MachineName, random: u64) -> String {
        format!(".{name}{REMOVED}{random:016x}")
    }

    /// A fresh name for a machine that is removed without its data disk.
    pub(super) fn kept_entry(name: &MachineName, random: u64) -> String {
        format!(".{name}{KEPT}{random:016x}")
    }

    /// What an entry of the directory of machines is, unless it is a machine or foreign.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        let directory = entry.strip_suffix(LOCK_SUFFIX).unwrap_or(entry);
        let (rest, random) = directory.strip_prefix('.')?.rsplit_once('-')?;
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if random.len() != 16 || !random.bytes().all(hexadecimal) {
            return None;
        }
        let named = |suffix: &str| {
            let name = rest.strip_suffix(suffix.trim_end_matches('-'))?;
            MachineName::parse(name).ok()
        };
        let entry = directory.to_owned();
        if let Some(name) = named(NEW) {
            Some(Self::New { name, entry })
        } else if let Some(name) = named(KEPT) {
            Some(Self::Kept { name, entry })
        } else {
            named(REMOVED).map(|name| Self::Removed { name, entry })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(machines: &str, short: &str) -> Places {
        Places {
            machines: PathBuf::from(machines),
            short_sockets: PathBuf::from(short),
            data_disks: PathBuf::from("/data-disks"),
        }
    }

    fn name(text: &str) -> MachineName {
        MachineName::parse(text).unwrap()
    }

    #[test]
    fn socket_names_keep_their_promise() {
        let files = MachineFiles::new(PathBuf::from("d"), PathBuf::from("s"));
        let shares =
            (0..crate::machine::volume::MOST_VOLUMES).map(|number| files.share_socket(number));
        for socket in files.all_sockets().into_iter().chain(shares) {
            let length = socket.file_name().unwrap().len();
            assert!(length <= LONGEST_SOCKET_NAME, "{}", socket.display());
            assert_eq!(socket.parent(), Some(Path::new("s")));
        }
    }

    #[test]
    fn long_paths_get_a_short_directory_of_their_own() {
        let home = "/home/u/.machine";
        let near = places("/home/u/.local/share/machine/machines", home);
        assert_eq!(
            near.sockets(&name("dev")).unwrap(),
            near.machine(&name("dev"))
        );

        let deep = places(&format!("/{}/machines", "d".repeat(80)), home);
        let one = deep.sockets(&name("dev")).unwrap();
        assert_eq!(one.parent(), Some(Path::new(home)));
        assert_eq!(one.file_name().unwrap().len(), 8);
        assert_eq!(one, deep.sockets(&name("dev")).unwrap());
        assert_ne!(one, deep.sockets(&name("dev2")).unwrap());

        let hopeless = places(
            &deep.machines.display().to_string(),
            &format!("/{}", "s".repeat(80)),
        );
        let error = hopeless.sockets(&name("dev")).unwrap_err();
        assert!(
            matches!(error, StoreError::SocketPathTooLong { length: 115, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn the_limit_is_exact() {
        let longest = LONGEST_SOCKET_PATH - LONGEST_SOCKET_NAME - 1;
        for (length, own) in [(longest, true), (longest + 1, false)] {
            let machines = format!("/{}", "m".repeat(length - "/".len() - "/dev".len()));
            let places = places(&machines, "/s");
            let sockets = places.sockets(&name("dev")).unwrap();
            assert_eq!(sockets == places.machine(&name("dev")), own, "{length}");
        }
    }

    #[test]
    fn disks_are_named_after_their_generation_and_nothing_else_is() {
        let files = MachineFiles::new(PathBuf::from("d"), PathBuf::from("s"));
        let second = files.of_generation(2);
        assert_eq!(files.os_disk(DiskFormat::Raw), Path::new("d/disk.raw"));
        assert_eq!(
            second.os_disk(DiskFormat::Qcow2),
            Path::new("d/disk-2.qcow2")
        );
        assert_eq!(second.base_disk(DiskFormat::Raw), Path::new("d/base-2.raw"));
        assert_eq!(second.data_disk(), Path::new("d/data.raw"));
        for file in [
            "data.raw",
            "disk",
            "disk.vhdx",
            "disk-.raw",
            "disk-0.raw",
            "disk-01.raw",
            "disk-+1.raw",
            "disk-1.raw.old",
            "disk-99999999999.raw",
            "mydisk-1.raw",
            "disk.raw.part.part",
            "base-1",
            "machine.toml",
            "disk-1-1.raw",
            "disk-1.qcow2.bak",
        ] {
            assert_eq!(os_generation(file), None, "{file}");
        }
        let names: Vec<_> = kept_names(&name("dev")).take(3).collect();
        assert_eq!(names, ["dev.raw", "dev-2.raw", "dev-3.raw"]);
    }

    #[test]
    fn foreign_entries_are_left_alone() {
        for entry in [
            ".lock",
            ".git",
            "dev",
            ".dev.new-12",
            ".dev.new-0123456789abcdeg",
            ".dev.old-0123456789abcdef",
            "dev.new-0123456789abcdef",
            "..new-0123456789abcdef",
        ] {
            assert_eq!(Unfinished::parse(entry), None, "{entry}");
        }
    }

    proptest! {
        #[test]
        fn what_is_named_is_recognised(text in "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,29}", random: u64) {
            prop_assume!(MachineName::parse(&text).is_ok());
            let name = name(&text);
            let entry = Unfinished::new_entry(&name, random);
            prop_assert!(MachineName::parse(&entry).is_err(), "never taken for a machine");
            let new = Some(Unfinished::New { name: name.clone(), entry: entry.clone() });
            prop_assert_eq!(Unfinished::parse(&entry), new.clone());
            prop_assert_eq!(Unfinished::parse(&format!("{entry}{LOCK_SUFFIX}")), new);
            let entry = Unfinished::removed_entry(&name, random);
            let removed = Some(Unfinished::Removed { name: name.clone(), entry: entry.clone() });
            prop_assert_eq!(Unfinished::parse(&entry), removed);
            let entry = Unfinished::kept_entry(&name, random);
            let kept = Some(Unfinished::Kept { name, entry: entry.clone() });
            prop_assert_eq!(Unfinished::parse(&entry), kept);
        }

        #[test]
        fn a_disk_is_known_by_its_name(generation: u32, raw: bool) {
            let format = if raw { DiskFormat::Raw } else { DiskFormat::Qcow2 };
            let files = MachineFiles::new(PathBuf::from("d"), PathBuf::from("s"));
            let files = files.of_generation(generation);
            for path in [files.os_disk(format), files.base_disk(format)] {
                let name = path.file_name().unwrap().to_str().unwrap();
                prop_assert_eq!(os_generation(name), Some(generation));
                prop_assert_eq!(os_generation(&format!("{name}.part")), Some(generation));
                let files = files.of_generation(generation.wrapping_add(1));
                prop_assert_ne!(&path, &files.os_disk(format));
                prop_assert_ne!(&path, &files.base_disk(format));
            }
        }
    }
}
