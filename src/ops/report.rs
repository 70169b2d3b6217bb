//! A report for somebody who helps: what the doctor found, what the host is, and the logs of machines, in one file, without
//! secrets.
//!
//! ```text
//! keys of all machines, environment ──> Redactor
//! files (no link followed, ends only) ──┐   │
//! documents of the command ─────────────┴───┴──> entries ──> NAME.tar.gz (0600, new)
//! ```
//!
//! What is in it is a list of what may be shown ([`MachineFiles::words`](crate::store::MachineFiles::words)), never a list
//! of what may not. Whatever cannot be read is a note in its README and stops nothing.

mod archive;
mod read;
mod redact;
mod versions;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::archive::Entry;
pub use self::archive::ReportError;
use self::redact::Redactor;
use super::doctor::{Premises, bounded};
use crate::hostfacts::{self, Host};
use crate::machine::{MachineName, deadlines};
use crate::store::StoreError;

/// So much is taken of files, one machine after the other, as long as there is room.
const MOST: usize = 16 << 20;
/// So much room is left for what commands add.
const RESERVE: usize = 4 << 20;
/// The variables that name the user.
const USERS: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];

const README: &str =
    "This is a report of `machine`, made for somebody who is to find out what is wrong.

Look through it before you give it away. What was taken out:

  [secret]       secrets of machines, passwords in URLs, what stands behind names
                 such as PASSWORD=, X_TOKEN: or Authorization:
  [private key]  private keys
  ~              the home directory
  USER           the user's name

SSH keys, disks, the seed disk and the first-boot configuration are never in it.
Names of machines, folders, images, hosts and containers are. Of a long file its
last MiB is here.
";

/// What a command adds to a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Text for people.
    Text(String),
    /// A value for programs.
    Json(serde_json::Value),
}

/// A report that is being made.
#[derive(Debug)]
pub struct Report {
    made: Timestamp,
    redactor: Redactor,
    entries: Vec<Entry>,
    notes: Vec<String>,
    size: usize,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What is in it: paths and bytes before they were packed.
    pub contents: Vec<(String, usize)>,
}

/// Begins a report on this host and these machines.
///
/// Fails where the list of machines cannot be read, whose secrets are looked for.
pub async fn gather(premises: &Premises, machines: &[MachineName]) -> Result<Report, StoreError> {
    let all = premises.store.names()?;
    let mut report = Report::begin(premises);
    let are_known = report.know_secrets(premises, all).await;
    let directories = {
        let hostconf = premises.hostconf.clone();
        let read =
            bounded(move || Host::read(&hostconf).program_directories(&hostfacts::environment));
        read.await.unwrap_or_default()
    };
    let data = premises.directories.data.clone();
    let host = bounded(move || versions::host(&data)).await;
    report.add("host.txt", Document::Text(host.unwrap_or_default()));
    let versions = versions::programs(&directories).await;
    report.add("versions.txt", Document::Text(versions));
    report.add_configuration(premises).await;
    if are_known {
        for name in machines {
            report.add_machine(premises, name).await;
        }
    } else {
        report.notes.push(
            "no file of a machine is here, for their secrets could not be read to look for them"
                .to_owned(),
        );
    }
    Ok(report)
}

impl Report {
    fn begin(premises: &Premises) -> Self {
        let mut redactor = Redactor::default();
        for (name, value) in std::env::vars_os() {
            redactor.hide_variable(&name.to_string_lossy(), &value.to_string_lossy());
        }
        let home = &premises.directories.home;
        redactor.hide_home(&home.to_string_lossy());
        let user = home.file_name().map(std::ffi::OsStr::to_owned);
        let users = USERS.into_iter().filter_map(hostfacts::environment);
        for user in users.chain(user) {
            redactor.hide_user(&user.to_string_lossy());
        }
        Self {
            made: Timestamp::now(),
            redactor,
            entries: Vec::new(),
            notes: Vec::new(),
            size: 0,
        }
    }

    /// Where the report goes when nobody names a file: into the working directory.
    pub fn default_path(&self) -> PathBuf {
        PathBuf::from(format!("{}.tar.gz", self.title()))
    }

    fn title(&self) -> String {
        let time = self.made.strftime("%Y%m%d-%H%M%S");
        format!("machine-report-{time}")
    }

    /// Adds a document, without what is secret.
    pub fn add(&mut self, path: &str, document: Document) {
        let text = match document {
            Document::Text(text) => self.redactor.redact(text.as_bytes()),
            Document::Json(mut value) => {
                self.redactor.redact_json(&mut value);
                format!("{value:#}\n").into_bytes()
            }
        };
        self.push(path, text, MOST + RESERVE);
    }

    /// Notes something that is not in the report, and why.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn push(&mut self, path: &str, text: Vec<u8>, most: usize) {
        let path = self.redactor.redact_text(path);
        if self.size + text.len() > most {
            self.note(format!("{path} is left out: the report is large enough"));
            return;
        }
        self.size += text.len();
        self.entries.push(Entry { path, text });
    }

    /// Reads the secrets of all machines, also of those that nobody asked for: a log may have another's.
    async fn know_secrets(&mut self, premises: &Premises, all: Vec<MachineName>) -> bool {
        let home = premises.directories.home.clone();
        let store = premises.store.clone();
        let machines = all.into_iter().map(move |name| {
            let files = store.likely_files(&name);
            (name, files)
        });
        let machines: Vec<_> = machines.collect();
        let read = bounded(move || {
            let home = fs_err::canonicalize(home).ok();
            (home, read::secrets(&machines))
        });
        let Some((home, (secrets, notes))) = read.await else {
            return false;
        };
        if let Some(home) = home {
            self.redactor.hide_home(&home.to_string_lossy());
        }
        for secret in secrets {
            self.redactor.hide(&secret);
        }
        self.notes.extend(notes);
        true
    }

    async fn add_configuration(&mut self, premises: &Premises) {
        let path = premises.hostconf.own_file().to_owned();
        let tail = bounded(move || read::tail(&path, read::MOST_OF_A_FILE)).await;
        match tail {
            Some(Ok(None)) => {}
            Some(Ok(Some(tail))) => self.push_tail("config.toml", &tail),
            Some(Err(error)) => self.note(error.to_string()),
            None => self.note(silent("config.toml")),
        }
    }

    async fn add_machine(&mut self, premises: &Premises, name: &MachineName) {
        let files = premises.store.likely_files(name);
        let Some(seen) = bounded(move || read::machine(&files)).await else {
            self.note(silent(name.as_str()));
            return;
        };
        let directory = format!("machines/{name}");
        let listing = self.redactor.redact(seen.listing.as_bytes());
        self.push(&format!("{directory}/files.txt"), listing, MOST);
        for (file, tail) in seen.files {
            match tail {
                Ok(tail) => self.push_tail(&format!("{directory}/{file}"), &tail),
                Err(why) => self.note(format!("{directory}/{file}: {why}")),
            }
        }
    }

    fn push_tail(&mut self, path: &str, tail: &read::Tail) {
        if let Some(length) = tail.cut_from {
            self.note(format!("{path} has {length} bytes; its end is here"));
        }
        let text = self.redactor.redact(&tail.text);
        self.push(path, text, MOST);
    }

    /// Writes the report into a new file.
    pub fn write(&self, path: &Path) -> Result<Written, ReportError> {
        let readme = Entry {
            path: "README.txt".to_owned(),
            text: self.readme().into_bytes(),
        };
        let title = self.title();
        let entries = std::iter::once(&readme).chain(&self.entries);
        let entries = entries.map(|entry| Entry {
            path: format!("{title}/{}", entry.path),
            text: entry.text.clone(),
        });
        let entries: Vec<Entry> = entries.collect();
        let time = u64::try_from(self.made.as_second()).unwrap_or(0);
        let bytes = archive::write(path, &entries, time)?;
        let contents = entries.into_iter();
        Ok(Written {
            path: path.to_owned(),
            bytes,
            contents: contents
                .map(|entry| (entry.path, entry.text.len()))
                .collect(),
        })
    }

    fn readme(&self) -> String {
        // Writing to a String cannot fail.
        let mut text = README.to_owned();
        let version = env!("CARGO_PKG_VERSION");
        let _ = write!(text, "\nmachine {version}, {}\n", self.made);
        for entry in &self.entries {
            let _ = write!(text, "\n{:>9}  {}", entry.text.len(), entry.path);
        }
        text.push('\n');
        if !self.notes.is_empty() {
            text.push_str("\nWhat is missing:\n\n");
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {}", self.redactor.redact_text(note));
        }
        text
    }
}

fn silent(what: &str) -> String {
    let seconds = deadlines::DOCTOR_LOOK.limit.as_secs();
    format!("{what}: the file system did not answer within {seconds} s")
}

#[cfg(test)]
mod tests;
