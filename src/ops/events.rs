//! What happened to machines, from their event logs, and what happens.
//!
//! An event is read as JSON and not as this build knows it: another build may have written it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use machine_host::watch::DirectoryWatch;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::logs::Tail;
use crate::machine::name::MachineName;
use crate::store::{MachineFiles, Store, StoreError};

/// A line longer than this is no event.
const LINE_LIMIT: usize = 256 * 1024;

/// Something that happened to a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub time: Timestamp,
    /// To which machine.
    #[serde(default)]
    pub machine: String,
    /// What kind of event.
    pub event: String,
    /// What else is known.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Why events cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// A machine is not there, or the machines cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log cannot be read.
    #[error("The events of vm \"{name}\" cannot be read")]
    Read {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Directories cannot be watched.
    #[error("The events cannot be followed")]
    Watch(#[source] io::Error),
}

impl EventsError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

/// The events of some machines, or of all, also those that are yet to be made.
#[derive(Debug)]
pub struct Events {
    store: Store,
    /// None for all.
    names: Option<Vec<MachineName>>,
    machines: BTreeMap<MachineName, Machine>,
    watch: Option<DirectoryWatch>,
}

#[derive(Debug)]
struct Machine {
    directory: PathBuf,
    tail: Tail,
    incomplete: Vec<u8>,
}

impl Events {
    /// The events of these machines, of all when there are none.
    pub fn open(store: &Store, names: &[String], follow: bool) -> Result<Self, EventsError> {
        let mut wanted = Vec::new();
        for name in names {
            wanted.push(find(store, name)?);
        }
        let watch = if follow {
            Some(DirectoryWatch::new().map_err(EventsError::Watch)?)
        } else {
            None
        };
        let mut events = Self {
            store: store.clone(),
            names: (!names.is_empty()).then_some(wanted),
            machines: BTreeMap::new(),
            watch,
        };
        if let (Some(watch), None) = (&mut events.watch, &events.names) {
            let directory = store.directory();
            machine_host::atomic::create_private_dir_all(directory).map_err(EventsError::Watch)?;
            watch.add(directory).map_err(EventsError::Watch)?;
        }
        Ok(events)
    }

    /// What happened since the last time, in the order of time: at first all that is known. Later times wait until
    /// something has; `None` when nothing can any more.
    pub async fn next(&mut self) -> Result<Option<Vec<Happening>>, EventsError> {
        loop {
            let begun = !self.machines.is_empty();
            self.look_for_machines()?;
            let mut news = Vec::new();
            for (name, machine) in &mut self.machines {
                machine.read(name, &mut news)?;
            }
            news.sort_by_key(|happening| happening.time);
            if !news.is_empty() {
                return Ok(Some(news));
            }
            let Some(watch) = &self.watch else {
                return Ok(None);
            };
            // Machines that were named do not come back as the same ones.
            if begun && self.names.is_some() && self.machines.is_empty() {
                return Ok(None);
            }
            watch.changed().await.map_err(EventsError::Watch)?;
        }
    }

    fn look_for_machines(&mut self) -> Result<(), EventsError> {
        self.machines
            .retain(|_, machine| machine.directory.is_dir());
        let names = match &self.names {
            Some(names) => names.clone(),
            None => self.store.names()?,
        };
        for name in names {
            if self.machines.contains_key(&name) {
                continue;
            }
            let files = match self.store.files(&name) {
                Ok(files) => files,
                // It went in between.
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let directory = files.directory().to_owned();
            if let Some(watch) = &mut self.watch {
                match watch.add(&directory) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    watched => watched.map_err(EventsError::Watch)?,
                }
            }
            let machine = Machine::open(&name, directory, &files);
            self.machines.insert(name, machine?);
        }
        Ok(())
    }
}

/// The name of a machine that is there, readable or not.
fn find(store: &Store, text: &str) -> Result<MachineName, StoreError> {
    let text = if text.is_empty() {
        MachineName::DEFAULT
    } else {
        text
    };
    let name = MachineName::parse(text).map_err(|_| StoreError::NotFound {
        name: text.to_owned(),
    })?;
    store.files(&name)?;
    Ok(name)
}

impl Machine {
    /// Begins with the log that was set aside.
    fn open(
        name: &MachineName,
        directory: PathBuf,
        files: &MachineFiles,
    ) -> Result<Self, EventsError> {
        let incomplete = match fs_err::read(files.old_events()) {
            // A line that was torn is not the begin of one in the next log.
            Ok(mut old) => {
                old.push(b'\n');
                old
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                return Err(EventsError::Read {
                    name: name.clone(),
                    source,
                });
            }
        };
        Ok(Self {
            directory,
            tail: Tail::new(files.events()),
            incomplete,
        })
    }

    fn read(&mut self, name: &MachineName, news: &mut Vec<Happening>) -> Result<(), EventsError> {
        self.take_lines(name, news);
        while let Some(piece) = self.tail.next().map_err(|source| EventsError::Read {
            name: name.clone(),
            source,
        })? {
            self.incomplete.extend_from_slice(&piece);
            self.take_lines(name, news);
        }
        Ok(())
    }

    fn take_lines(&mut self, name: &MachineName, news: &mut Vec<Happening>) {
        let Some(end) = self.incomplete.iter().rposition(|byte| *byte == b'\n') else {
            if self.incomplete.len() > LINE_LIMIT {
                self.incomplete.clear();
            }
            return;
        };
        let rest = self.incomplete.split_off(end + 1);
        let lines = std::mem::replace(&mut self.incomplete, rest);
        // A line that was torn by a crash is none.
        let happenings = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Happening>(line).ok());
        news.extend(happenings.map(|happening| Happening {
            machine: name.to_string(),
            ..happening
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::store::testing::Bench;

    fn append(path: &Path, text: &str) {
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn line(second: u32, event: &str) -> String {
        format!("{{\"time\":\"2026-01-01T00:00:{second:02}Z\",\"event\":\"{event}\",\"pid\":7}}\n")
    }

    fn told(happenings: &[Happening]) -> Vec<String> {
        happenings
            .iter()
            .map(|it| format!("{} {} {:?}", it.machine, it.event, it.more.get("pid")))
            .collect()
    }

    async fn soon(events: &mut Events) -> Option<Vec<Happening>> {
        let next = tokio::time::timeout(Duration::from_secs(10), events.next());
        next.await.expect("nothing was told").unwrap()
    }

    #[tokio::test]
    async fn all_that_happened_in_the_order_of_time() {
        let bench = Bench::new();
        let (one, two) = (bench.make("one").files, bench.make("two").files);
        append(&one.old_events(), &(line(1, "a") + "torn"));
        append(&one.events(), &(line(3, "c") + "torn {\n" + &line(5, "e")));
        append(
            &two.events(),
            &(line(2, "b") + &line(4, "d") + "{\"time\":\"2026-"),
        );
        let mut events = Events::open(&bench.store, &[], false).unwrap();
        let all = events.next().await.unwrap().unwrap();
        assert_eq!(
            told(&all),
            [
                "one a Some(Number(7))",
                "two b Some(Number(7))",
                "one c Some(Number(7))",
                "two d Some(Number(7))",
                "one e Some(Number(7))"
            ]
        );
        assert_eq!(
            serde_json::to_string(&all[0]).unwrap(),
            r#"{"time":"2026-01-01T00:00:01Z","machine":"one","event":"a","pid":7}"#
        );
        assert_eq!(events.next().await.unwrap(), None);
        let mut events = Events::open(&bench.store, &["two".to_owned()], false).unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().len(), 2);
        let error = Events::open(&bench.store, &["three".to_owned()], false).unwrap_err();
        assert_eq!(error.to_string(), "three: VM does not exist");
    }

    #[tokio::test]
    async fn what_happens_while_it_is_followed() {
        let bench = Bench::new();
        let mut events = Events::open(&bench.store, &[], true).unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(50), events.next());
        assert!(quiet.await.is_err(), "nothing has happened");
        // A machine that is made later, and a line that comes in two parts.
        let files = bench.make("late").files;
        let whole = line(1, "a");
        let (begin, end) = whole.split_at(20);
        append(&files.events(), begin);
        let quiet = tokio::time::timeout(Duration::from_millis(50), events.next());
        assert!(quiet.await.is_err(), "half a line is no event");
        append(&files.events(), end);
        assert_eq!(
            told(&soon(&mut events).await.unwrap()),
            ["late a Some(Number(7))"]
        );
        // Set aside between two runs.
        fs_err::rename(files.events(), files.old_events()).unwrap();
        append(&files.events(), &line(2, "b"));
        assert_eq!(
            told(&soon(&mut events).await.unwrap()),
            ["late b Some(Number(7))"]
        );
    }

    #[tokio::test]
    async fn following_named_machines_ends_with_the_last() {
        let bench = Bench::new();
        let files = bench.make("vm").files;
        append(&files.events(), &line(1, "a"));
        let mut events = Events::open(&bench.store, &["vm".to_owned()], true).unwrap();
        assert_eq!(soon(&mut events).await.unwrap().len(), 1);
        fs_err::remove_dir_all(files.directory()).unwrap();
        assert_eq!(soon(&mut events).await, None);
    }
}
