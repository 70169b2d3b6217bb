//! Waiting for files to appear, without asking again and again.
//!
//! The deepest directory that exists on the way to a file is watched. That alone misses a file system that is mounted
//! over a watched directory (logind does that with `/run/user/UID`): the watch stays on what is below. So the kernel's
//! mount table is watched too.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::sys;

/// Looks now, and again whenever something changed on the way to `path`, until the look finds something.
pub(super) async fn until<T>(path: &Path, mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
    loop {
        // A new watch each time, so that directories further up, which are busy ones, no longer wake us.
        let watch = Watch::toward(path)?;
        if let Some(found) = look() {
            return Ok(found);
        }
        watch.changed().await?;
    }
}

/// The deepest directory that exists on the way to a path, and the mount table.
struct Watch {
    directory: AsyncFd<OwnedFd>,
    mounts: AsyncFd<OwnedFd>,
}

impl Watch {
    fn toward(path: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mounts = fs_err::File::open("/proc/self/mountinfo")?.into_parts().0;
        add_deepest(&inotify, path)?;
        Ok(Self {
            directory: sys::watched(inotify, Interest::READABLE)?,
            // The table marks a change by an exceptional condition, which epoll calls priority and error.
            mounts: sys::watched(mounts.into(), Interest::PRIORITY | Interest::ERROR)?,
        })
    }

    /// Resolves when anything happened since the watch was set.
    async fn changed(&self) -> io::Result<()> {
        tokio::select! {
            event = self.directory.readable() => event.map(drop),
            event = self.mounts.ready(Interest::PRIORITY | Interest::ERROR) => event.map(drop),
        }
    }
}

fn add_deepest(inotify: &OwnedFd, path: &Path) -> io::Result<()> {
    let flags = WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    for directory in path.ancestors().skip(1) {
        match inotify::add_watch(inotify, directory, flags) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            // The next directory may have appeared between two tries: look again below this one.
            Ok(_) if path_step(directory, path).is_some_and(Path::is_dir) => {
                return add_deepest(inotify, path);
            }
            done => return done.map(drop).map_err(io::Error::from),
        }
    }
    Ok(())
}

/// The path one step below `directory` on the way to `path`, unless that is `path` itself.
fn path_step<'a>(directory: &Path, path: &'a Path) -> Option<&'a Path> {
    let steps = path.ancestors().skip(1);
    steps.take_while(|step| *step != directory).last()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn appears(path: &Path) {
        timeout(SOON, until(path, || path.exists().then_some(())))
            .await
            .unwrap()
            .unwrap();
    }

    #[test]
    fn steps() {
        let path = Path::new("/run/user/1/s");
        for (directory, step) in [
            ("/", Some("/run")),
            ("/run", Some("/run/user")),
            ("/run/user", Some("/run/user/1")),
            ("/run/user/1", None),
        ] {
            assert_eq!(
                path_step(Path::new(directory), path),
                step.map(Path::new),
                "{directory}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_deep_below_what_exists() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("user/1000/podman/podman.sock");
        let making = async {
            let mut directory = root.path().to_path_buf();
            for step in ["user", "1000", "podman"] {
                directory.push(step);
                fs_err::create_dir(&directory).unwrap();
                tokio::task::yield_now().await;
            }
            fs_err::write(&path, "").unwrap();
        };
        tokio::join!(appears(&path), making);
    }

    #[tokio::test]
    async fn a_directory_that_goes_and_comes_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("podman/podman.sock");
        let other = root.path().join("other");
        fs_err::create_dir(root.path().join("podman")).unwrap();
        fs_err::write(&other, "").unwrap();
        let making = async {
            fs_err::remove_dir_all(root.path().join("podman")).unwrap();
            tokio::task::yield_now().await;
            fs_err::create_dir(root.path().join("podman")).unwrap();
            tokio::task::yield_now().await;
            fs_err::rename(&other, &path).unwrap();
        };
        tokio::join!(appears(&path), making);
    }

    #[tokio::test]
    async fn what_is_there_is_found_at_once() {
        appears(Path::new("/proc/self/mountinfo")).await;
    }
}
