//! The log files of a machine, read to their end and beyond: what is appended, and the file that takes the place of one
//! that was set aside.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use machine_host::watch::DirectoryWatch;
use same_file::Handle;

use crate::machine::name::MachineName;
use crate::store::MachineFiles;

const PIECE: usize = 64 * 1024;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What the guest printed on its console since it was started.
    Console,
    /// What the supervisor says about itself.
    Supervisor,
}

impl Source {
    fn path(self, files: &MachineFiles) -> PathBuf {
        match self {
            Self::Console => files.console_log(),
            Self::Supervisor => files.supervisor_log(),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Supervisor => "supervisor",
        }
    }
}

/// Why a log cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The machine was never started.
    #[error("vm \"{name}\" has no {log} log yet")]
    None {
        /// The machine.
        name: MachineName,
        /// Which log.
        log: &'static str,
    },
    /// The file cannot be read.
    #[error("The log of vm \"{name}\" cannot be read")]
    Read {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its directory cannot be watched.
    #[error("The log of vm \"{name}\" cannot be followed")]
    Watch {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LogsError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::None { name, .. } => {
                vec![format!("it gets one when it starts: machine start {name}")]
            }
            _ => Vec::new(),
        }
    }
}

/// A log that is read.
#[derive(Debug)]
pub struct Log {
    name: MachineName,
    directory: PathBuf,
    tail: Tail,
    watch: Option<DirectoryWatch>,
}

impl Log {
    /// The log of a machine. One that is to be followed need not be there yet.
    pub fn open(
        name: &MachineName,
        files: &MachineFiles,
        source: Source,
        follow: bool,
    ) -> Result<Self, LogsError> {
        let path = source.path(files);
        let directory = files.directory().to_owned();
        let watch = if follow {
            let watch = DirectoryWatch::new().and_then(|mut watch| {
                watch.add(&directory)?;
                Ok(watch)
            });
            Some(watch.map_err(|source| LogsError::Watch {
                name: name.clone(),
                source,
            })?)
        } else if path.exists() {
            None
        } else {
            return Err(LogsError::None {
                name: name.clone(),
                log: source.describe(),
            });
        };
        Ok(Self {
            name: name.clone(),
            directory,
            tail: Tail::new(path),
            watch,
        })
    }

    /// What comes next, at the end of the log waited for; `None` at the end of one that is not followed, or whose
    /// machine was removed.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, LogsError> {
        loop {
            let read = self.tail.next().map_err(|source| LogsError::Read {
                name: self.name.clone(),
                source,
            })?;
            if read.is_some() {
                return Ok(read);
            }
            let Some(watch) = &self.watch else {
                return Ok(None);
            };
            if !self.directory.exists() {
                return Ok(None);
            }
            watch.changed().await.map_err(|source| LogsError::Watch {
                name: self.name.clone(),
                source,
            })?;
        }
    }
}

/// A file that grows, and may be set aside for a new one of its name.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: File,
    identity: Handle,
    read: u64,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// What was appended since the last time, in pieces; `None` when there is nothing more for now.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(open) = &mut self.open {
            if let Some(piece) = open.next()? {
                return Ok(Some(piece));
            }
            if open.is_still(&self.path) {
                return Ok(None);
            }
            // Its writer may have said something between the two looks.
            if let Some(piece) = open.next()? {
                return Ok(Some(piece));
            }
            self.open = None;
        }
        match Opened::at(&self.path) {
            Ok(mut open) => {
                let piece = open.next()?;
                self.open = Some(open);
                Ok(piece)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Opened {
    fn at(path: &Path) -> io::Result<Self> {
        let file = fs_err::File::open(path)?.into_parts().0;
        let identity = Handle::from_file(file.try_clone()?)?;
        Ok(Self {
            file,
            identity,
            read: 0,
        })
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.file.metadata()?.len() < self.read {
            self.file.seek(SeekFrom::Start(0))?;
            self.read = 0;
        }
        let mut piece = Vec::new();
        (&mut self.file)
            .take(PIECE as u64)
            .read_to_end(&mut piece)?;
        self.read += piece.len() as u64;
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Whether the path still leads to this file. One that leads nowhere does: a new one may come.
    fn is_still(&self, path: &Path) -> bool {
        match Handle::from_path(path) {
            Ok(there) => there == self.identity,
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::store::testing::Bench;

    fn append(path: &Path, text: &str) {
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn all(tail: &mut Tail) -> String {
        let mut all = Vec::new();
        while let Some(piece) = tail.next().unwrap() {
            all.extend(piece);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_file_that_comes_grows_and_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let old = folder.path().join("log.old");
        let mut tail = Tail::new(path.clone());
        assert_eq!(all(&mut tail), "");
        append(&path, "a");
        assert_eq!(all(&mut tail), "a");
        append(&path, "b");
        assert_eq!(all(&mut tail), "b");
        // Set aside, and written once more under its old name.
        fs_err::rename(&path, &old).unwrap();
        assert_eq!(all(&mut tail), "");
        append(&old, "c");
        append(&path, "d");
        assert_eq!(all(&mut tail), "cd");
        // Cut off, and begun again.
        fs_err::write(&path, "").unwrap();
        assert_eq!(all(&mut tail), "");
        append(&path, "e");
        assert_eq!(all(&mut tail), "e");
        append(&path, &"x".repeat(PIECE * 2 + 1));
        assert_eq!(all(&mut tail).len(), PIECE * 2 + 1);
    }

    #[tokio::test]
    async fn a_log_that_is_followed_ends_with_its_machine() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let (name, files) = (machine.config.name, machine.files);
        let error = Log::open(&name, &files, Source::Console, false).unwrap_err();
        assert_eq!(error.to_string(), "vm \"vm\" has no console log yet");
        let mut log = Log::open(&name, &files, Source::Console, true).unwrap();
        let mut next = async || {
            let soon = std::time::Duration::from_secs(10);
            let next = tokio::time::timeout(soon, log.next()).await;
            next.expect("nothing came").unwrap()
        };
        for text in ["one\n", "two\n"] {
            append(&files.console_log(), text);
            assert_eq!(next().await, Some(text.as_bytes().to_vec()));
        }
        fs_err::remove_dir_all(files.directory()).unwrap();
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn a_log_that_is_not_followed_ends() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        append(&machine.files.supervisor_log(), "all\n");
        let mut log = Log::open(
            &machine.config.name,
            &machine.files,
            Source::Supervisor,
            false,
        )
        .unwrap();
        assert_eq!(log.next().await.unwrap(), Some(b"all\n".to_vec()));
        assert_eq!(log.next().await.unwrap(), None);
    }
}
