//! Told which files of a directory change, and those of all directories in it, by the system's own events.
//!
//! That somebody reads is no change, nor is one of attributes: what a program does with the news may well be such a change
//! itself. `ReadDirectoryChangesW` tells the two kinds of change by one word, so on Windows attributes count.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::ModifyKind;
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::watch::plain;

/// Changes of more files than this, not yet taken, are told as one of the whole tree: 64 Ki paths are some megabytes.
const MOST_PATHS: usize = 64 << 10;

/// A directory that is watched with all that is in it; links are not followed.
#[derive(Debug)]
pub struct TreeWatch {
    _watcher: RecommendedWatcher,
    news: Arc<News>,
}

/// What has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files that were written, made, renamed or removed and the directories that list them, from the watched one on: that
    /// itself is the empty path.
    pub paths: BTreeSet<PathBuf>,
    /// More changed than is listed.
    pub more: bool,
    /// Why not all of the tree is watched any more.
    pub failure: Option<io::Error>,
}

#[derive(Debug, Default)]
struct News {
    stirred: Notify,
    changes: Mutex<Changes>,
}

impl TreeWatch {
    /// Begins to watch a directory. Looks at all directories in it, which takes its time where there are many.
    ///
    /// An error that says how many directories may be watched has the kind [`io::ErrorKind::QuotaExceeded`].
    pub fn begin(root: &Path) -> io::Result<Self> {
        let news = Arc::new(News::default());
        let (told, top) = (Arc::clone(&news), root.to_owned());
        let hear = move |event: notify::Result<Event>| {
            {
                let changes = &told.changes;
                let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    // Whoever looks opens and reads, which is no news.
                    Ok(event) if event.kind.is_access() => return,
                    Ok(event) => changes.note(&top, &event),
                    Err(error) => changes.failure = Some(limit_or(error)),
                }
            }
            told.stirred.notify_one();
        };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(hear, config).map_err(limit_or)?;
        watcher
            .watch(root, RecursiveMode::Recursive)
            .map_err(limit_or)?;
        Ok(Self {
            _watcher: watcher,
            news,
        })
    }

    /// Ready when something has happened since the last time this was ready, also what is no change in the end. Cancel safe.
    pub async fn stirred(&self) {
        self.news.stirred.notified().await;
    }

    /// What has changed since this was asked last.
    pub fn take(&self) -> Changes {
        let changes = &self.news.changes;
        std::mem::take(&mut *changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Changes {
    fn note(&mut self, root: &Path, event: &Event) {
        if event.need_rescan() {
            self.more = true;
        }
        let lists_others = match event.kind {
            EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_)) => true,
            EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Access(_) => return,
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => false,
        };
        for path in &event.paths {
            let Ok(below) = path.strip_prefix(root) else {
                continue;
            };
            if self.paths.len() + 2 > MOST_PATHS {
                self.more = true;
                return;
            }
            self.paths.insert(below.to_owned());
            if let (true, Some(above)) = (lists_others, below.parent()) {
                self.paths.insert(above.to_owned());
            }
        }
    }
}

fn limit_or(error: notify::Error) -> io::Error {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => io::ErrorKind::QuotaExceeded.into(),
        _ => plain(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind, RenameMode};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn noted(events: &[Event]) -> Changes {
        let mut changes = Changes::default();
        for event in events {
            changes.note(Path::new("/top"), event);
        }
        changes
    }

    fn event(kind: EventKind, paths: &[&str]) -> Event {
        let event = Event::new(kind);
        paths
            .iter()
            .fold(event, |event, path| event.add_path(PathBuf::from(path)))
    }

    fn list(changes: &Changes) -> Vec<&str> {
        let paths = changes.paths.iter();
        paths.map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn content_and_entries_are_changes_and_attributes_are_none() {
        let changes = noted(&[
            event(
                EventKind::Modify(ModifyKind::Data(DataChange::Any)),
                &["/top/a/written"],
            ),
            event(EventKind::Create(CreateKind::File), &["/top/b/made"]),
            event(EventKind::Remove(RemoveKind::File), &["/top/removed"]),
            event(
                EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
                &["/top/c/touched"],
            ),
            event(EventKind::Modify(ModifyKind::Any), &["/elsewhere"]),
        ]);
        assert_eq!(list(&changes), ["", "a/written", "b", "b/made", "removed"]);
        assert!(!changes.more);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        let changes = noted(&[event(renamed, &["/top/d/old", "/top/e/new"])]);
        assert_eq!(list(&changes), ["d", "d/old", "e", "e/new"]);
    }

    #[test]
    fn what_was_not_counted_is_told_so() {
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(noted(&[overflow]).more);
        let many = (0..=MOST_PATHS).map(|number| {
            let path = format!("/top/{number}");
            event(EventKind::Modify(ModifyKind::Any), &[path.as_str()])
        });
        let changes = noted(&many.collect::<Vec<_>>());
        assert!(changes.more);
        assert!(changes.paths.len() <= MOST_PATHS);
    }

    async fn until(watch: &TreeWatch, path: &str) {
        let heard = async {
            loop {
                watch.stirred().await;
                if watch.take().paths.contains(Path::new(path)) {
                    return;
                }
            }
        };
        timeout(SOON, heard).await.expect(path);
    }

    #[tokio::test]
    async fn what_happens_in_directories_of_directories() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs_err::create_dir_all(top.join("a/b")).unwrap();
        fs_err::write(top.join("a/b/old"), "").unwrap();
        let watch = TreeWatch::begin(top).unwrap();
        fs_err::write(top.join("a/b/old"), "news").unwrap();
        until(&watch, "a/b/old").await;
        fs_err::create_dir(top.join("new")).unwrap();
        until(&watch, "new").await;
        fs_err::rename(top.join("a/b/old"), top.join("a/moved")).unwrap();
        until(&watch, "a/moved").await;
        fs_err::remove_file(top.join("a/moved")).unwrap();
        until(&watch, "a").await;
    }

    #[test]
    fn what_is_not_there() {
        assert!(TreeWatch::begin(Path::new("/nowhere/at/all")).is_err());
    }
}
