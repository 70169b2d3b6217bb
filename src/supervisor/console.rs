//! The guest's console while a machine starts: lines after which nothing more will come are heard as they are written.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use notify::{RecursiveMode, Watcher as _};

use super::diagnosis;
use super::events::Failure;

/// Longer lines are looked at in pieces of this size.
const LONGEST_LINE: usize = 4096;

/// Watches a console file; dropping it ends the watch.
pub(super) struct ConsoleWatch {
    _watcher: notify::RecommendedWatcher,
}

impl ConsoleWatch {
    /// Begins to watch `console`, which need not exist yet. `heard` is told of the last words, and says whether once was
    /// enough.
    ///
    /// Without the system's help there is no watch: a guest that is stuck is then found by its silence.
    pub(super) fn begin(
        console: &Path,
        heard: impl Fn(Failure) -> bool + Send + 'static,
    ) -> Option<Self> {
        let mut reader = Reader::new(console);
        let mut said = false;
        let look = move |event: notify::Result<notify::Event>| {
            // That the file is opened and read is an event too, and nobody reads it as often as this.
            let is_read = event.is_ok_and(|event| event.kind.is_access());
            if said || is_read {
                return;
            }
            if let Some(failure) = reader.last_words() {
                said = heard(failure);
            }
        };
        let watched = notify::recommended_watcher(look).and_then(|mut watcher| {
            // The directory, since the file is made later.
            let directory = console.parent().unwrap_or(console);
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watched {
            Ok(watcher) => Some(Self { _watcher: watcher }),
            Err(error) => {
                tracing::warn!(%error, "The guest's console is not watched");
                None
            }
        }
    }
}

/// Reads what was added to a file.
struct Reader {
    path: PathBuf,
    offset: u64,
    line: Vec<u8>,
}

impl Reader {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
            line: Vec::new(),
        }
    }

    /// The meaning of what was added since the last look, if it is the end.
    fn last_words(&mut self) -> Option<Failure> {
        // A file that cannot be read now may be read at the next event.
        let added = self.added().unwrap_or_default();
        for byte in added {
            if byte == b'\n' || self.line.len() >= LONGEST_LINE {
                let meaning = self.meaning();
                self.line.clear();
                if meaning.is_some() {
                    return meaning;
                }
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
        // A prompt has no line end.
        self.meaning()
    }

    fn meaning(&self) -> Option<Failure> {
        diagnosis::last_words(&String::from_utf8_lossy(&self.line))
    }

    fn added(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = fs_err::File::open(&self.path)?;
        if file.metadata()?.len() < self.offset {
            // It was begun anew.
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        self.offset += added.len() as u64;
        Ok(added)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::events::Code;
    use super::*;

    #[tokio::test]
    async fn last_words_are_heard_when_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let console = folder.path().join("console.log");
        let (heard, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        let heard = move |failure| heard.send(failure).is_ok();
        let _watch = ConsoleWatch::begin(&console, heard).unwrap();
        let mut file = fs_err::File::create(&console).unwrap();
        writeln!(file, "SeaBIOS (version x)\nBooting from Hard Disk...").unwrap();
        write!(file, "No bootable ").unwrap();
        file.flush().unwrap();
        write!(file, "device.").unwrap();
        file.flush().unwrap();
        let failure = inbox.recv().await.unwrap();
        assert_eq!(failure.code, Code::NotBootable);
    }

    #[test]
    fn each_line_is_looked_at_once_and_a_long_one_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let console = folder.path().join("console.log");
        let mut reader = Reader::new(&console);
        assert_eq!(reader.last_words(), None, "there is no file yet");
        fs_err::write(&console, "x".repeat(3 * LONGEST_LINE)).unwrap();
        assert_eq!(reader.last_words(), None);
        assert!(reader.line.len() <= LONGEST_LINE);
        fs_err::write(&console, "Kernel panic - not syncing: x\n").unwrap();
        assert_eq!(
            reader.last_words().unwrap().code,
            Code::KernelPanic,
            "a file that was begun anew is read from its beginning"
        );
        assert_eq!(reader.last_words(), None);
    }
}
