//! What the tests of the store share.

use std::path::Path;

use machine_host::directories::Directories;
use tempfile::TempDir;

use super::{MachineFiles, Store, StoredMachine};
use crate::machine::config::LOCAL_TIME_ZONE;
use crate::machine::{DiskFormat, MachineConfig, MachineName, ProviderKind, Resources};

/// A store in a directory of its own.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) root: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = TempDir::with_prefix("m").unwrap();
        let store = open(root.path());
        Self { store, root }
    }

    pub(crate) fn directories(&self) -> Directories {
        directories(self.root.path())
    }

    pub(crate) fn make(&self, text: &str) -> StoredMachine {
        make(&self.store, text)
    }

    pub(crate) fn files(&self, text: &str) -> MachineFiles {
        self.store.files(&name(text)).unwrap()
    }

    /// The names in the directory of machines that are no machine's.
    pub(crate) fn hidden(&self) -> Vec<String> {
        let mut found: Vec<_> = fs_err::read_dir(&self.store.places.machines)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|entry| entry.starts_with('.') && entry != ".lock")
            .collect();
        found.sort();
        found
    }
}

pub(crate) fn open(root: &Path) -> Store {
    Store::open(&directories(root))
}

fn directories(root: &Path) -> Directories {
    Directories {
        data: root.join("d"),
        config_file: root.join("config.toml"),
        short_sockets: root.join("s"),
        home: root.to_owned(),
    }
}

pub(crate) fn make(store: &Store, text: &str) -> StoredMachine {
    let draft = store.begin(&name(text)).unwrap();
    let sockets = draft.sockets().display().to_string();
    fs_err::write(draft.files().os_disk(DiskFormat::Qcow2), "disk").unwrap();
    draft.commit(&config(text, &sockets)).unwrap()
}

pub(crate) fn name(text: &str) -> MachineName {
    MachineName::parse(text).unwrap()
}

pub(crate) fn config(text: &str, sockets: &str) -> MachineConfig {
    MachineConfig {
        name: name(text),
        created: "2026-06-11T07:30:12.120934811Z".parse().unwrap(),
        provider: ProviderKind::Qemu,
        user: "core".to_owned(),
        uid: 1000,
        rootful: false,
        image: "/images/guest.qcow2".to_owned(),
        disk: DiskFormat::Qcow2,
        base: None,
        generation: 0,
        data_disk: None,
        image_checksum: None,
        sockets: sockets.into(),
        ssh_port: 41913,
        time_zone: LOCAL_TIME_ZONE.to_owned(),
        swap_mib: 0,
        import_native_ca: false,
        vsock: crate::machine::Vsock::Auto,
        network: crate::machine::Network::Auto,
        ports: Vec::new(),
        host_loopback: true,
        forward_listeners: false,
        resources: Resources {
            cpus: 2,
            memory_mib: 2048,
            disk_gib: 100,
        },
        volumes: Vec::new(),
        forward_sockets: Vec::new(),
    }
}
