//! What follows from what was seen of a machine. Pure.

use std::path::PathBuf;

use super::finding::Told;
use super::host::{Surroundings, listed};
use super::look::{DiskState, FileState, MachineFacts, SmallFile, SocketState};
use super::{About, Finding, Lost, Remedy, shown};
use crate::connection::machine::{Flaw, flaws};
use crate::machine::resources::OS_DISK_BYTES;
use crate::machine::{MachineConfig, Status};

/// The bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// What is wrong with a machine, after what it does.
pub(super) fn judge(facts: &MachineFacts, surroundings: &Surroundings) -> Vec<Finding> {
    let patient = Patient {
        facts,
        surroundings,
    };
    let mut findings = vec![patient.status()];
    findings.extend(patient.run());
    findings.extend(patient.sockets());
    findings.extend(patient.small_files());
    match &facts.config {
        Ok(config) => {
            findings.extend(patient.connections(config));
            findings.extend(patient.disks(config));
            findings.extend(patient.network());
        }
        Err(told) => findings.push(patient.told("unreadable", told)),
    }
    findings
}

struct Patient<'a> {
    facts: &'a MachineFacts,
    surroundings: &'a Surroundings,
}

impl Patient<'_> {
    fn about(&self) -> About {
        About::Machine(self.facts.name.clone())
    }

    fn problem(&self, code: &'static str, what: impl Into<String>) -> Finding {
        Finding::problem(self.about(), code, what)
    }

    fn note(&self, code: &'static str, what: impl Into<String>) -> Finding {
        Finding::note(self.about(), code, what)
    }

    fn told(&self, code: &'static str, told: &Told) -> Finding {
        Finding::told(self.about(), code, told)
    }

    /// What mends a machine that lacks a part of its own.
    fn anew(&self) -> String {
        let name = &self.facts.name;
        format!("put it back, or make the machine anew: machine rm {name}; machine init {name}")
    }

    fn status(&self) -> Finding {
        let word = self.facts.status.word();
        Finding::ok(self.about(), "status", format!("It is {word}"))
    }

    /// What is wrong with how it runs.
    fn run(&self) -> Option<Finding> {
        let name = &self.facts.name;
        let end = format!("end that process; `pgrep -af 'supervise.* {name}'` shows it");
        if self.facts.is_locked {
            let what =
                "Its lock is held by a process that does not answer, so it cannot be started";
            return Some(
                self.problem("locked", what)
                    .because("a supervisor is stuck, or another program keeps the file locked")
                    .hint(end),
            );
        }
        match &self.facts.status {
            Status::Degraded { reason } => Some(
                self.problem("degraded", "Something of it does not work")
                    .because(reason)
                    .hint(format!("machine restart {name}"))
                    .hint(format!("see what happened: machine events {name}")),
            ),
            Status::Unmanaged => Some(
                self.problem("unmanaged", "Its virtual machine runs without a supervisor")
                    .because("the supervisor was killed; sockets and ports lead nowhere")
                    .hint(format!("machine start {name}")),
            ),
            Status::Busy => Some(
                self.problem("busy", "Its supervisor does not answer")
                    .because("it is stopped, stuck, or the host is very busy")
                    .hint(end)
                    .hint(format!(
                        "after that take its virtual machine over: machine start {name}"
                    )),
            ),
            Status::Stopped | Status::Starting | Status::Running | Status::Stopping => None,
        }
    }

    fn sockets(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let found = &self.facts.sockets;
        let stale = found
            .iter()
            .filter(|(_, state)| *state == SocketState::Stale);
        let stale: Vec<String> = stale
            .filter_map(|(path, _)| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        if !stale.is_empty() {
            findings.push(
                self.note(
                    "stale-sockets",
                    format!("Sockets of a run that died are left: {}", listed(&stale)),
                )
                .because("nobody listens at them; the next start replaces them")
                .mended_by(Remedy::RemoveSockets),
            );
        }
        for (path, state) in found {
            if *state == SocketState::Other {
                findings.push(
                    self.problem("not-a-socket", format!("{} is no socket", shown(path)))
                        .because("the machine needs the name for a socket of its own")
                        .hint(format!("rm '{}'", path.display())),
                );
            }
        }
        findings
    }

    fn small_files(&self) -> Vec<Finding> {
        let facts = self.facts;
        let mut findings = Vec::new();
        let directory = facts.files.directory().to_owned();
        let mut foreign = self.is_foreign(&facts.directory);
        if is_open(&facts.directory) {
            findings.push(self.open(directory.clone(), &facts.directory));
        }
        for (small, state) in &facts.small {
            let path = small.path(&facts.files);
            foreign |= self.is_foreign(state);
            let need = need(*small);
            match state {
                FileState::Missing => {
                    if let Some(need) = need.why_there {
                        let what = format!("{} is missing", shown(&path));
                        let finding = self.problem("missing-file", what).because(need);
                        findings.push(self.lost(*small, finding));
                    }
                }
                // What is wrong with it is told by who reads it.
                FileState::Other | FileState::Hidden(_) if *small == SmallFile::Config => {}
                FileState::Other => findings.push(
                    self.problem("not-a-file", format!("{} is no file", shown(&path)))
                        .because("a link is not followed, and what it leads to is not looked at")
                        .hint("put the file itself there"),
                ),
                FileState::Hidden(why) => findings.push(
                    self.problem(
                        "not-a-file",
                        format!("{} cannot be looked at", shown(&path)),
                    )
                    .because(why),
                ),
                FileState::There { .. } if need.is_secret && is_open(state) => {
                    findings.push(self.open(path, state));
                }
                FileState::There { .. } => {}
            }
        }
        if foreign && let Some(user) = self.surroundings.user {
            findings.push(
                self.problem("foreign-owner", "Some of its files belong to another user")
                    .because("another user, as root by `sudo`, made or started it")
                    .hint(format!("sudo chown -R {user} '{}'", directory.display())),
            );
        }
        findings
    }

    /// What becomes of a lost file: it is made anew out of what is left, or there is a command that does as well.
    fn lost(&self, small: SmallFile, finding: Finding) -> Finding {
        let name = &self.facts.name;
        let is_there = |wanted: SmallFile| {
            let states = self.facts.small.iter();
            let mut states = states.filter(|(small, _)| *small == wanted);
            states.any(|(_, state)| matches!(state, FileState::There { .. }))
        };
        match small {
            SmallFile::Secret if self.facts.status.is_stopped() => {
                finding.mended_by(Remedy::Remake(Lost::Secret))
            }
            SmallFile::Secret => {
                finding.hint(format!("machine stop {name}; machine doctor --fix {name}"))
            }
            SmallFile::KnownHosts if is_there(SmallFile::HostKey) => {
                finding.mended_by(Remedy::Remake(Lost::KnownHosts))
            }
            SmallFile::Ignition
                if is_there(SmallFile::HostKey)
                    && is_there(SmallFile::ClientKey)
                    && self.facts.config.is_ok() =>
            {
                finding.mended_by(Remedy::Remake(Lost::Ignition))
            }
            SmallFile::ClientKey => self.another_key(finding),
            _ => finding.hint(self.anew()),
        }
    }

    /// A key that the guest does not know yet gets there by the agent.
    fn another_key(&self, finding: Finding) -> Finding {
        let name = &self.facts.name;
        let key = self.facts.files.ssh_client_key();
        let key = key.display();
        let users: Vec<&str> = match &self.facts.config {
            Ok(config) => vec![config.user.as_str(), "root"],
            Err(_) => vec!["root"],
        };
        let finding = finding.hint(format!(
            "put it back, or make another: ssh-keygen -q -t ed25519 -N '' -f '{key}'"
        ));
        users.into_iter().fold(finding, |finding, user| {
            finding.hint(format!(
                "let the running machine know it: machine exec --user {user} {name} sh -c 'umask 077; mkdir -p ~/.ssh; cat >> ~/.ssh/authorized_keys' < '{key}.pub'"
            ))
        })
    }

    fn is_foreign(&self, state: &FileState) -> bool {
        match (self.surroundings.user, state) {
            (
                Some(user),
                FileState::There {
                    owner: Some(owner), ..
                },
            ) => user != *owner,
            _ => false,
        }
    }

    fn open(&self, path: PathBuf, state: &FileState) -> Finding {
        let bits = match state {
            FileState::There {
                mode: Some(mode), ..
            } => mode & 0o777,
            _ => 0,
        };
        let finding = self
            .problem(
                "open-file",
                format!("{} is open to other users", shown(&path)),
            )
            .because(format!(
                "its mode is {bits:04o}; SSH clients refuse such keys, and who reads the secrets may enter the guest"
            ));
        // What belongs to somebody else cannot be changed.
        if self.is_foreign(state) {
            finding
        } else {
            finding.mended_by(Remedy::KeepPrivate(path))
        }
    }

    fn connections(&self, config: &MachineConfig) -> Vec<Finding> {
        let Some(connections) = &self.surroundings.connections else {
            return Vec::new();
        };
        let found = flaws(connections, config, &self.facts.files);
        let named = |flaw: Flaw| -> Vec<String> {
            let names = found.iter().filter(|(_, found)| *found == flaw);
            names.map(|(name, _)| name.clone()).collect()
        };
        let name = &self.facts.name;
        let mut findings = Vec::new();
        let missing = named(Flaw::Missing);
        if !missing.is_empty() {
            let finding = self
                .problem(
                    "connection-missing",
                    format!("It has no connection {}", listed(&missing)),
                )
                .because("somebody has removed it, or an `init` was killed");
            findings.push(match self.surroundings.scheme {
                Some(_) => finding.mended_by(Remedy::CompleteConnections),
                None => finding.hint("repair `config.toml` first, which says what they are like"),
            });
        }
        for foreign in named(Flaw::Foreign) {
            findings.push(
                self.problem(
                    "connection-foreign",
                    format!("The connection `{foreign}` does not lead to the machine"),
                )
                .because("it neither uses the machine's key nor leads to one of its sockets")
                .hint(format!(
                    "machine system connection remove {foreign}; machine doctor --fix {name}"
                )),
            );
        }
        let astray = named(Flaw::Port);
        if !astray.is_empty() {
            findings.push(
                self.problem(
                    "connection-port",
                    format!("{} to another port than the machine's", lead(&astray)),
                )
                .because(format!("its SSH server is at port {}", config.ssh_port))
                .mended_by(Remedy::CorrectPort),
            );
        }
        findings
    }

    fn disks(&self, config: &MachineConfig) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut allocated: u64 = 0;
        for (path, state) in &self.facts.disks {
            let (what, why) = match state {
                DiskState::Fit(bytes) => {
                    // The last one is the disk that grows.
                    allocated = *bytes;
                    continue;
                }
                DiskState::Missing => ("is missing", ""),
                DiskState::Unfit(why) => ("cannot be used", why.as_str()),
            };
            findings.push(
                self.problem("disk", format!("The disk {} {what}", shown(path)))
                    .because(why)
                    .hint(self.anew()),
            );
        }
        if findings.is_empty() {
            findings.extend(self.room(config, allocated));
        }
        findings
    }

    /// Whether the disks could outgrow what is free; `allocated` bytes of the one with the operating system are written.
    fn room(&self, config: &MachineConfig, allocated: u64) -> Vec<Finding> {
        let size = config.resources.disk_bytes();
        let here = &self.facts.files.directory();
        let os_growth = OS_DISK_BYTES.saturating_sub(allocated);
        // Growth, and the free bytes where it takes place.
        let growths = match &self.facts.data_disk {
            None if config.data_disk.is_some() => vec![(*here, os_growth, self.facts.free)],
            None => vec![(*here, size.saturating_sub(allocated), self.facts.free)],
            Some(data) => {
                let growth = size.saturating_sub(data.allocated);
                match &data.elsewhere {
                    None => vec![(*here, os_growth.saturating_add(growth), self.facts.free)],
                    Some((path, free)) => vec![
                        (*here, os_growth, self.facts.free),
                        (path.as_path(), growth, *free),
                    ],
                }
            }
        };
        let short = growths.into_iter().filter_map(|(place, growth, free)| {
            let free = free.filter(|free| *free < growth)?;
            let place = shown(place);
            let what = format!("Its disks may grow by more than is free at {place}");
            let why = format!(
                "{} GiB more may be written, {} GiB are free",
                growth >> 30,
                free >> 30
            );
            let finding = self.note("disk-space", what).because(why);
            Some(
                finding
                    .hint("a machine that finds no space pauses, and goes on when there is some"),
            )
        });
        short.collect()
    }

    fn network(&self) -> Option<Finding> {
        let told = self.facts.network.as_ref()?;
        Some(self.told("network", told))
    }
}

fn is_open(state: &FileState) -> bool {
    matches!(state, FileState::There { mode: Some(mode), .. } if mode & OTHERS != 0)
}

/// What a small file is for.
struct Need {
    /// Why the machine needs it; none where it does without.
    why_there: Option<&'static str>,
    /// Whether nobody else may read it.
    is_secret: bool,
}

fn need(small: SmallFile) -> Need {
    let (why_there, is_secret) = match small {
        // That it is missing is told by who reads it.
        SmallFile::Config => (None, false),
        SmallFile::Secret => (Some("host and guest know each other by it"), true),
        SmallFile::ClientKey => (
            Some("`machine ssh` and podman's connections use this key"),
            true,
        ),
        // The guest has it since its first boot, and the seed is made anew by each start.
        SmallFile::HostKey | SmallFile::Seed => (None, true),
        SmallFile::KnownHosts => (Some("SSH clients know the guest by it"), false),
        SmallFile::Ignition => (Some("the hypervisor is given it at each start"), true),
    };
    Need {
        why_there,
        is_secret,
    }
}

fn lead(names: &[String]) -> String {
    match names {
        [name] => format!("The connection `{name}` leads"),
        names => format!("The connections {} lead", listed(names)),
    }
}
