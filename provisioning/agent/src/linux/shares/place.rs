//! The places of folders, which are directories that may have to be made.
//!
//! Images based on `OSTree` lock `/` by the attribute that `chattr +i` sets. It is lifted for the moment in which a
//! directory is made there, which works where the whole of `/` is not a read-only image (composefs).

use std::io;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, open};

/// Makes a directory and those above it, where they are missing.
pub(super) fn make(place: &Path) -> io::Result<()> {
    match fs::create_dir_all(place) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let Some(above) = place.ancestors().find(|above| above.is_dir()) else {
                return Err(error);
            };
            let made = unlocked(above, || fs::create_dir_all(place));
            made.unwrap_or(Err(error))
        }
        done => done,
    }
}

/// Does something while a directory is not locked; nothing when it never was, or cannot be unlocked.
fn unlocked<T>(directory: &Path, work: impl FnOnce() -> T) -> Option<T> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = open(directory, flags, Mode::empty()).ok()?;
    let locked = ioctl_getflags(&open).ok()?;
    if !locked.contains(IFlags::IMMUTABLE) {
        return None;
    }
    ioctl_setflags(&open, locked - IFlags::IMMUTABLE).ok()?;
    let done = work();
    // The directory stays usable, which harms nobody.
    let _ = ioctl_setflags(&open, locked);
    Some(done)
}

/// Why there is no place, with what helps.
pub(super) fn explain(text: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => format!(
            "its place cannot be made: {text}; a new machine with this volume has room for it, and every machine has \
             below `/mnt` and `/home`"
        ),
        _ => format!("its place cannot be made: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_made_once() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("a b/ä/c");
        make(&place).unwrap();
        make(&place).unwrap();
        assert!(place.is_dir());
        fs::write(root.path().join("file"), "").unwrap();
        let error = make(&root.path().join("file/x")).unwrap_err();
        assert!(!explain("t", &error).contains("/mnt"));
        let read_only = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        assert!(explain("t", &read_only).contains("/mnt"));
    }
}
