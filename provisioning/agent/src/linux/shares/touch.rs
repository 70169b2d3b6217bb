//! Letting programs that watch files look again at what the host has changed: a file that is given the mode that it has
//! is an event for them (`IN_ATTRIB` of inotify(7)), and nothing else of it changes than the time of its last change of
//! attributes.
//!
//! Content and its times stay as they are, for a time that was read before the host wrote once more would be a wrong one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use machine_protocol::message::AgentReply;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, chmodat, open, openat2, statx,
};
use tokio::sync::Mutex;

use super::super::guest::Guest;

/// A host that answers does so in milliseconds, for each of some hundred files.
const LIMIT: Duration = Duration::from_secs(20);

/// Held while files of a folder are given their modes, which takes for ever when the host does not answer any more.
#[derive(Debug, Default)]
pub(in crate::linux) struct Touching(RefCell<BTreeMap<String, Arc<Mutex<()>>>>);

/// Has those who watch these files of a folder look at them.
pub(in crate::linux) async fn files_changed(
    guest: &Guest,
    target: String,
    paths: Vec<String>,
) -> AgentReply {
    let failed = |reason: &str| AgentReply::Failed {
        reason: format!("Changes in `{target}` are not told: {reason}"),
    };
    let known = guest
        .boot
        .shares
        .iter()
        .any(|share| share.target == target && share.problem.is_none() && !share.read_only);
    if !known {
        return failed("the machine has no such folder that may be written");
    }
    if guest.lost_shares.lock().await.contains(&target) {
        return failed("the folder is lost");
    }
    let lock = Arc::clone(
        guest
            .touching
            .0
            .borrow_mut()
            .entry(target.clone())
            .or_default(),
    );
    let Ok(held) = lock.try_lock_owned() else {
        return failed("those before are not told yet");
    };
    let place = guest.paths.root().join(target.trim_start_matches('/'));
    let work = tokio::task::spawn_blocking(move || {
        let _held = held;
        touch(&place, &paths)
    });
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(Ok(()))) => AgentReply::Accepted,
        Ok(Ok(Err(error))) => failed(&error.to_string()),
        Ok(Err(error)) => failed(&error.to_string()),
        Err(_) => failed("the host does not answer"),
    }
}

/// What cannot be reached, or has another owner, is passed over: most of it was removed meanwhile.
fn touch(place: &Path, paths: &[String]) -> io::Result<()> {
    let folder = open(
        place,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    for path in paths {
        let _ = match path.as_str() {
            "" => touch_one(folder.as_fd()),
            path => below(&folder, path).and_then(|file| touch_one(file.as_fd())),
        };
    }
    Ok(())
}

/// Containers may put links in the way, which lead nowhere.
fn below(folder: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(folder, path, flags, Mode::empty(), resolve)?)
}

fn touch_one(file: BorrowedFd<'_>) -> io::Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    // What the guest's kernel remembers of the mode may be a second old.
    let seen = statx(file, c"", flags, StatxFlags::TYPE | StatxFlags::MODE)?;
    let raw = u32::from(seen.stx_mode);
    let mode = Mode::from_raw_mode(raw);
    let kind = FileType::from_raw_mode(raw);
    // Who is not of the file's group loses these bits by giving them.
    let special = mode.intersects(Mode::SUID | Mode::SGID);
    if special || !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Ok(());
    }
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(chmodat(CWD, name, mode, AtFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use fs_err as fs;
    use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

    use super::*;

    /// Names of which the watch of a directory heard, in order.
    fn heard(watch: &OwnedFd) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(watch, &mut buffer);
        let mut names = Vec::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| name.to_string_lossy());
            names.push(name.unwrap_or_default().into_owned());
        }
        names
    }

    #[test]
    fn watchers_hear_of_what_is_there_and_nothing_changes() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        fs::create_dir_all(top.join("folder/in ä")).unwrap();
        let folder = top.join("folder");
        fs::write(folder.join("in ä/file"), "content").unwrap();
        fs::write(folder.join("program"), "content").unwrap();
        let special = std::fs::Permissions::from_mode(0o2755);
        fs::set_permissions(folder.join("program"), special).unwrap();
        fs::write(top.join("outside"), "content").unwrap();
        symlink("../outside", folder.join("link")).unwrap();
        symlink("in ä", folder.join("way")).unwrap();
        let before = fs::metadata(folder.join("in ä/file")).unwrap();

        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        for place in [top, &folder, &folder.join("in ä")] {
            inotify::add_watch(&watch, place, WatchFlags::ATTRIB).unwrap();
        }
        let paths = [
            "in ä/file",
            "gone",
            "in ä/gone",
            "program",
            "link",
            "way/file",
            "../outside",
            "/etc",
            "in ä",
        ];
        touch(&folder, &paths.map(str::to_owned)).unwrap();
        // A directory is heard by its own watch and by that of the one above it.
        assert_eq!(heard(&watch), ["file", "in ä", ""]);
        touch(&folder, &[String::new()]).unwrap();
        assert_eq!(heard(&watch), ["folder", ""]);
        let after = fs::metadata(folder.join("in ä/file")).unwrap();
        assert_eq!(
            (before.mode(), before.mtime_nsec(), before.len()),
            (after.mode(), after.mtime_nsec(), after.len())
        );
    }

    #[test]
    fn a_folder_that_is_not_there() {
        let error = touch(Path::new("/nowhere/at/all"), &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
