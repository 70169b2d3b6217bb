//! Which ports are published: what may be added, and the file in which the next agent finds it. Without IO but for that
//! file, which lies where a reboot of the guest empties it.

use std::io;
use std::path::Path;

use machine_protocol::publish::{MAX_PORTS, Port};
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::linux::files;
use crate::linux::log::log_error;

/// A table of that many ports, with room.
const LARGEST_FILE: u64 = 2 << 20;

/// The published ports, in the order of their publishing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    entries: Vec<Entry>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Address and port as they were posted, for whoever asks.
    pub(super) local: String,
    /// What that means.
    pub(super) port: Port,
}

#[derive(Serialize, Deserialize)]
struct File {
    boot: String,
    entries: Vec<Entry>,
}

impl Table {
    /// What an agent of this boot left; nothing where there was none.
    pub(super) fn load(path: &Path, boot: &str) -> Self {
        let read = || -> io::Result<Option<File>> {
            match path.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
                Ok(found) if found.len() > LARGEST_FILE => {
                    return Err(io::Error::other("The file is too large"));
                }
                Ok(_) => {}
            }
            let text = files::read(path)?.unwrap_or_default();
            Ok(Some(serde_json::from_slice(&text)?))
        };
        match read() {
            Ok(Some(file)) if file.boot == boot => Self {
                entries: file.entries,
            },
            Ok(_) => Self::default(),
            Err(error) => {
                log_error("The ports published so far are not known", &error);
                Self::default()
            }
        }
    }

    /// For [`Self::load`].
    pub(super) fn save(&self, path: &Path, boot: &str) -> io::Result<()> {
        let file = File {
            boot: boot.to_owned(),
            entries: self.entries.clone(),
        };
        files::write(path, &serde_json::to_vec(&file)?).map(drop)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn ports(&self) -> Vec<Port> {
        self.entries.iter().map(|entry| entry.port).collect()
    }

    /// Whether a port can be had, as far as the guest knows. An engine binds a published port on all of the guest's
    /// addresses, so there is one of each number and protocol, whatever the host's addresses are.
    pub(super) fn check(&self, port: &Port) -> Result<(), Refusal> {
        if let Some(there) = self.entries.iter().find(|entry| is_same(&entry.port, port)) {
            let there = there.port;
            let (protocol, number) = (port.protocol, port.port);
            return Err(if there.address == port.address {
                format!(
                    "listen {port}: bind: address already in use by another container of this machine"
                )
            } else {
                format!(
                    "listen {port}: bind: address already in use: a container of this machine has {there}, and inside the machine {protocol} port {number} can be bound once, for all addresses"
                )
            });
        }
        if self.entries.len() >= MAX_PORTS {
            return Err(format!(
                "listen {port}: a machine publishes at most {MAX_PORTS} ports"
            ));
        }
        Ok(())
    }

    /// Adds what was checked.
    pub(super) fn insert(&mut self, local: String, port: Port) {
        self.entries.push(Entry { local, port });
    }

    /// Takes the port at this address of the host out, whatever it leads to.
    pub(super) fn remove(&mut self, port: &Port) -> Option<Port> {
        let place = self
            .entries
            .iter()
            .position(|entry| is_same(&entry.port, port) && entry.port.address == port.address)?;
        Some(self.entries.remove(place).port)
    }
}

fn is_same(one: &Port, other: &Port) -> bool {
    (one.protocol, one.port) == (other.protocol, other.port)
}

#[cfg(test)]
mod tests {
    use machine_protocol::publish::Protocol;

    use super::*;

    fn port(address: &str, number: u16) -> Port {
        Port {
            protocol: Protocol::Tcp,
            address: address.parse().unwrap(),
            port: number,
            guest_port: number,
        }
    }

    #[test]
    fn a_number_is_published_once() {
        let mut table = Table::default();
        let first = port("127.0.0.1", 80);
        table.check(&first).unwrap();
        table.insert("127.0.0.1:80".to_owned(), first);
        let again = table.check(&first).unwrap_err();
        assert_eq!(
            again,
            "listen tcp 127.0.0.1:80: bind: address already in use by another container of this machine"
        );
        let elsewhere = table.check(&port("::1", 80)).unwrap_err();
        assert_eq!(
            elsewhere,
            "listen tcp [::1]:80: bind: address already in use: a container of this machine has tcp 127.0.0.1:80, and inside the machine tcp port 80 can be bound once, for all addresses"
        );
        table.check(&port("127.0.0.1", 81)).unwrap();
        let udp = Port {
            protocol: Protocol::Udp,
            ..first
        };
        table.check(&udp).unwrap();

        assert_eq!(table.remove(&port("::1", 80)), None, "of another address");
        assert_eq!(table.remove(&udp), None);
        let without_remote = Port {
            guest_port: 1,
            ..first
        };
        assert_eq!(table.remove(&without_remote), Some(first));
        table.check(&first).unwrap();
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut table = Table::default();
        for number in 1..=u16::try_from(MAX_PORTS).unwrap() {
            table.check(&port("0.0.0.0", number)).unwrap();
            table.insert(String::new(), port("0.0.0.0", number));
        }
        let refusal = table.check(&port("0.0.0.0", 60000)).unwrap_err();
        assert!(refusal.contains("at most 4096 ports"), "{refusal}");
    }

    #[test]
    fn the_next_agent_of_the_same_boot_finds_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine/ports.json");
        let mut table = Table::default();
        table.insert(":80".to_owned(), port("0.0.0.0", 80));
        table.save(&path, "boot").unwrap();
        assert_eq!(Table::load(&path, "boot"), table);
        assert_eq!(Table::load(&path, "another"), Table::default());
        fs_err::write(&path, "{\"boot\":\"boot\"").unwrap();
        assert_eq!(Table::load(&path, "boot"), Table::default());
        fs_err::remove_file(&path).unwrap();
        assert_eq!(Table::load(&path, "boot"), Table::default());
    }
}
