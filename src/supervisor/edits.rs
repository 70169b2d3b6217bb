//! What the host changes in folders that are shared with `watch`: the guest is told of it, so that programs there which
//! watch files look at them again. Neither virtiofs nor 9p tells the guest's kernel.
//!
//! The agent's touch is a change of attributes on the host, too, which is none of those that are told: nothing goes round.
//! It is sent once a folder is quiet, also of attributes: the agent gives a file the mode that it has, and whoever writes a
//! file may be about to give it another.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use machine_host::tree_watch::{Changes, TreeWatch};
use machine_protocol::message::{AgentReply, AgentRequest};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::link::Asker;
use crate::machine::{Volume, deadlines};

/// Paths of one request. Written as JSON a byte takes up to six, and a line may have 64 KiB.
const MOST_PATHS: usize = 256;
const MOST_BYTES: usize = 8 << 10;

/// The watch over the folders of a machine; dropping it ends it.
#[derive(Debug)]
pub(super) struct EditWatch {
    _folders: JoinSet<()>,
}

impl EditWatch {
    /// Begins to watch the folders of which the guest is to be told. `fail` is told, in one sentence each, of those that
    /// cannot be watched as a whole.
    pub(super) fn begin(
        volumes: &[Volume],
        guest: &Asker,
        fail: impl Fn(String) + Send + Sync + 'static,
    ) -> Self {
        let fail = Arc::new(fail);
        let mut folders = JoinSet::new();
        for volume in volumes.iter().filter(|volume| volume.watch) {
            let (volume, guest, fail) = (volume.clone(), guest.clone(), Arc::clone(&fail));
            folders.spawn(async move { keep_telling(&volume, &guest, &*fail).await });
        }
        Self { _folders: folders }
    }
}

async fn keep_telling(volume: &Volume, guest: &Asker, fail: &(dyn Fn(String) + Send + Sync)) {
    let mut failed = false;
    let watch = match begin(volume).await {
        Ok(Some(watch)) => watch,
        Ok(None) => return,
        Err(error) => return fail(unwatched(&volume.source, "", &error)),
    };
    loop {
        watch.stirred().await;
        settle(&watch).await;
        let changes = watch.take();
        if let Some(error) = &changes.failure
            && !std::mem::replace(&mut failed, true)
        {
            fail(unwatched(&volume.source, "some ", error));
        }
        if changes.more {
            tracing::warn!(folder = %volume.source.display(), "Not all changes are told to the guest");
        }
        for request in requests(&volume.target, &changes) {
            tell(guest, request).await;
        }
    }
}

/// Looks at every directory first, for which nobody waits; so it has a thread that the end of the process ends. Nothing
/// where there is no folder, of which the guest is told otherwise.
async fn begin(volume: &Volume) -> std::io::Result<Option<TreeWatch>> {
    let source = volume.source.clone();
    let (done, watch) = oneshot::channel();
    thread::Builder::new()
        .name("folder-watch".to_owned())
        .spawn(move || {
            let watch = source.is_dir().then(|| TreeWatch::begin(&source));
            // Nobody waits any more when the machine has stopped.
            let _ = done.send(watch.transpose());
        })?;
    watch.await.unwrap_or(Ok(None))
}

/// Waits until nothing happens any more, and not for ever.
async fn settle(watch: &TreeWatch) {
    let end = Instant::now() + deadlines::EDITS_GATHER.limit;
    let quiet = async {
        while timeout(deadlines::EDITS_QUIET.limit, watch.stirred())
            .await
            .is_ok()
        {}
    };
    let _ = timeout_at(end, quiet).await;
}

/// One after the other, so that a slow guest is not told faster than it can look. What changes while the link is lost is
/// not told later: by then the guest's watchers may have looked, or be gone.
async fn tell(guest: &Asker, request: AgentRequest) {
    match timeout(deadlines::EDITS_TOLD.limit, guest.ask(request)).await {
        Ok(Ok(AgentReply::Accepted)) => {}
        Ok(Ok(reply)) => tracing::warn!(?reply, "The guest did not tell of changes"),
        Ok(Err(error)) => tracing::debug!(error, "The guest was not told of changes"),
        Err(_) => tracing::warn!("The guest takes too long to tell of changes"),
    }
}

fn unwatched(source: &Path, part: &str, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::QuotaExceeded => {
            "the system watches no more directories (on Linux `sysctl fs.inotify.max_user_watches`)"
                .to_owned()
        }
        _ => error.to_string(),
    };
    format!(
        "{part}changes of `{}` are not told to the guest: {why}",
        source.display()
    )
}

fn requests(target: &str, changes: &Changes) -> Vec<AgentRequest> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    let whole = changes.more.then(String::new);
    for path in changes.paths.iter().map(|path| in_guest(path)).chain(whole) {
        match lists.last_mut() {
            Some(list) if list.len() < MOST_PATHS && bytes + path.len() <= MOST_BYTES => {
                bytes += path.len();
                list.push(path);
            }
            _ => {
                bytes = path.len();
                lists.push(vec![path]);
            }
        }
    }
    let request = |paths| AgentRequest::FilesChanged {
        target: target.to_owned(),
        paths,
    };
    lists.into_iter().map(request).collect()
}

/// As the guest writes the path. What has a name that is no text is told by the directory that it lies in.
fn in_guest(path: &Path) -> String {
    let texts = path.ancestors().find_map(|path| {
        let names = path.iter().map(OsStr::to_str);
        names.collect::<Option<Vec<_>>>()
    });
    texts.unwrap_or_default().join("/")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use machine_protocol::message;
    use proptest::prelude::*;

    use super::*;

    fn changes(paths: &[&str], more: bool) -> Changes {
        Changes {
            paths: paths.iter().map(PathBuf::from).collect(),
            more,
            failure: None,
        }
    }

    fn lists(changes: &Changes) -> Vec<Vec<String>> {
        let requests = requests("/mnt/a b", changes).into_iter();
        requests
            .map(|request| match request {
                AgentRequest::FilesChanged { target, paths } => {
                    assert_eq!(target, "/mnt/a b");
                    paths
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_changed_and_that_more_did() {
        assert_eq!(lists(&changes(&[], false)), [[""; 0]; 0]);
        assert_eq!(lists(&changes(&["", "a ä/b"], false)), [["", "a ä/b"]]);
        assert_eq!(lists(&changes(&["a"], true)), [["a", ""]]);
        let names: Vec<String> = (0..=MOST_PATHS).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let lengths: Vec<usize> = lists(&changes(&names, false))
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(lengths, [MOST_PATHS, 1]);
        // Of bytes that take six each.
        let names: Vec<String> = (0..100)
            .map(|number| format!("{number}{}", "\u{1}".repeat(200)))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for request in requests("/t", &changes(&names, false)) {
            message::to_line(&request).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"a/\xff/b");
        assert_eq!(in_guest(Path::new(name)), "a");
    }

    #[test]
    fn why_a_folder_is_not_watched() {
        let quota = unwatched(Path::new("/a"), "", &io::ErrorKind::QuotaExceeded.into());
        assert!(quota.contains("fs.inotify.max_user_watches"), "{quota}");
        let other = unwatched(Path::new("/a"), "some ", &io::Error::other("no luck"));
        assert_eq!(
            other,
            "some changes of `/a` are not told to the guest: no luck"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Nothing is left out, and each request is a line.
        #[test]
        fn every_path_is_told_once(
            paths in proptest::collection::btree_set("([a-z\u{1}ä]{1,60}/){0,14}[a-z\u{1}]{1,60}", 0..40),
        ) {
            let texts: Vec<&str> = paths.iter().map(String::as_str).collect();
            let changes = changes(&texts, false);
            for request in requests("/t", &changes) {
                prop_assert!(message::to_line(&request).is_ok());
            }
            let mut told: Vec<String> = lists(&changes).concat();
            told.sort();
            prop_assert_eq!(told, paths.into_iter().collect::<Vec<_>>());
        }
    }
}
