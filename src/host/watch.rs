//! Told when something changes in a directory, by the system's own events.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Directories that are watched, not what lies below their directories.
#[derive(Debug)]
pub struct DirectoryWatch {
    watcher: RecommendedWatcher,
    news: Arc<News>,
}

#[derive(Debug, Default)]
struct News {
    changed: Notify,
    failure: Mutex<Option<io::Error>>,
}

impl DirectoryWatch {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        let news = Arc::new(News::default());
        let told = Arc::clone(&news);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            match event {
                // Whoever looks opens and reads, which is no news.
                Ok(event) if event.kind.is_access() => return,
                Ok(_) => {}
                Err(error) => {
                    *told.failure.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(plain(error));
                }
            }
            told.changed.notify_one();
        });
        Ok(Self {
            watcher: watcher.map_err(plain)?,
            news,
        })
    }

    /// Watches a directory too.
    pub fn add(&mut self, directory: &Path) -> io::Result<()> {
        self.watcher
            .watch(directory, RecursiveMode::NonRecursive)
            .map_err(plain)
    }

    /// Ready when something has changed since the last time this was ready. What changes while nobody waits is not
    /// lost, so: watch, look, wait, look again. Cancel safe.
    pub async fn changed(&self) -> io::Result<()> {
        self.news.changed.notified().await;
        let failure = &self.news.failure;
        let failure = failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failure.map_or(Ok(()), Err)
    }
}

pub(crate) fn plain(error: notify::Error) -> io::Error {
    match error.kind {
        notify::ErrorKind::Io(error) => error,
        notify::ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        _ => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    const QUIET: Duration = Duration::from_millis(300);

    async fn changes(watch: &DirectoryWatch) {
        timeout(SOON, watch.changed()).await.unwrap().unwrap();
        // One change may be told in several events.
        while timeout(QUIET, watch.changed()).await.is_ok() {}
    }

    #[tokio::test]
    async fn what_is_written_made_renamed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut watch = DirectoryWatch::new().unwrap();
        watch.add(folder.path()).unwrap();
        fs_err::write(&path, "a").unwrap();
        changes(&watch).await;
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "a");
        assert!(
            timeout(QUIET, watch.changed()).await.is_err(),
            "reading is no change"
        );
        fs_err::write(&path, "ab").unwrap();
        changes(&watch).await;
        fs_err::rename(&path, folder.path().join("log.old")).unwrap();
        changes(&watch).await;
        fs_err::remove_file(folder.path().join("log.old")).unwrap();
        changes(&watch).await;
    }

    #[tokio::test]
    async fn what_changes_while_nobody_waits_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = DirectoryWatch::new().unwrap();
        watch.add(folder.path()).unwrap();
        fs_err::write(folder.path().join("log"), "a").unwrap();
        let _ = timeout(QUIET, std::future::pending::<()>()).await;
        changes(&watch).await;
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let mut watch = DirectoryWatch::new().unwrap();
        assert!(watch.add(Path::new("/nowhere/at/all")).is_err());
    }
}
