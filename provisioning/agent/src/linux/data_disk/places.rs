//! What of the guest lies on the disk, and the directories that takes. All of it belongs to either root or the user.

use std::ffi::CString;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, Gid, Uid};
use rustix::mount::MountFlags;

use super::Problem;
use crate::linux::log::chain;
use crate::linux::mounting::{self, Call, Kernel, Note, topmost};
use crate::linux::users::User;

/// The source of what lies over a place that cannot be used, as the kernel lists it.
pub(super) const MISSING: &str = "machine-data-missing";
/// More than lie over one place.
const NOTES: u32 = 8;
/// The note in it.
const NOTE: &str = "THE-DATA-DISK-IS-MISSING.txt";

/// Who owns a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whose {
    uid: u32,
    gid: u32,
}

/// As images and engines make these directories.
pub(super) const MODE: u32 = 0o755;
const ROOT: Whose = Whose { uid: 0, gid: 0 };

/// A directory of the guest that lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// On the disk: who uses it, and what it is.
    inside: [&'static str; 2],
    /// In the guest.
    target: PathBuf,
    /// The directory above that and this one's owner are sure of: what lies between is made.
    base: PathBuf,
    whose: Whose,
}

impl Place {
    /// In the guest.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }
}

/// Those of root's engine.
pub(super) fn of_root(root: &Path) -> Vec<Place> {
    let place = |inside, path: &str| Place {
        inside: ["root", inside],
        target: root.join(path),
        base: root.to_owned(),
        whose: ROOT,
    };
    vec![
        place("containers", "var/lib/containers"),
        place("networks", "etc/containers/networks"),
        place("quadlets", "etc/containers/systemd"),
    ]
}

/// Those of the user's engine.
pub(super) fn of_user(root: &Path, user: &User) -> Vec<Place> {
    let home = root.join(user.home.strip_prefix("/").unwrap_or(&user.home));
    let place = |inside, path: &str| Place {
        inside: ["user", inside],
        target: home.join(path),
        base: home.clone(),
        whose: Whose {
            uid: user.uid,
            gid: user.gid,
        },
    };
    vec![
        place("containers", ".local/share/containers"),
        place("quadlets", ".config/containers/systemd"),
    ]
}

/// Has the directory of the disk lie in its place; what was made for it outside of the disk.
pub(super) fn put(
    kernel: &impl Kernel,
    device: &Path,
    disk: &Path,
    place: &Place,
) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error: std::io::Error| {
        format!(
            "the data disk cannot be used for `{}`: {}",
            place.target.display(),
            chain(&error)
        )
    };
    let above = disk.join(place.inside[0]);
    let inside = above.join(place.inside[1]);
    own_directory(&above, ROOT).map_err(failed)?;
    own_directory(&inside, place.whose).map_err(failed)?;
    let made = make(place).map_err(failed)?;
    let target = fs::canonicalize(&place.target).map_err(failed)?;
    // Below a note of an earlier agent it may lie already.
    for _ in 0..NOTES {
        match topmost(kernel, &target).map_err(failed)? {
            Some(there) if Path::new(&there.source) == device => return Ok(made),
            Some(there) if there.source == MISSING => kernel.unmount(&target).map_err(failed)?,
            _ => break,
        }
    }
    let call = Call {
        source: inside.to_string_lossy().into_owned(),
        kind: "none",
        flags: MountFlags::BIND,
        data: CString::default(),
    };
    kernel.mount(&call, &target).map_err(failed)?;
    Ok(made)
}

/// Makes the place unusable, so that nothing is written to the disk of the operating system instead.
pub(super) fn block(
    kernel: &impl Kernel,
    root: &Path,
    place: &Place,
    problem: &str,
) -> std::io::Result<()> {
    make(place)?;
    let target = fs::canonicalize(&place.target)?;
    let text = format!(
        "What belongs here is on the machine's data disk, which could not be used:\n{problem}\n\n\
         Nothing can be written here. `machine start` on the host says what is wrong, and what helps.\n"
    );
    let note = Note {
        source: MISSING,
        file: NOTE,
        text: &text,
    };
    mounting::block(kernel, root, &target, note)
}

/// A directory of the disk, its owner's; what is in it stays whose it is.
fn own_directory(path: &Path, whose: Whose) -> std::io::Result<()> {
    match create(path, MODE) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let there = fs::symlink_metadata(path)?;
    if !there.is_dir() {
        return Err(std::io::Error::new(
            ErrorKind::NotADirectory,
            format!("`{}` is no directory", path.display()),
        ));
    }
    give(path, whose)
}

/// The directories from the base to the place, where they are missing, as their owner would make them.
fn make(place: &Place) -> std::io::Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for step in place.target.ancestors() {
        if step.is_dir() {
            break;
        }
        missing.push(step.to_owned());
    }
    missing.reverse();
    for step in &missing {
        create(step, MODE)?;
        // What lies above the home is root's.
        if step.starts_with(&place.base) {
            give(step, place.whose)?;
        }
    }
    Ok(missing)
}

/// Makes a directory for `mode`, less what nobody is given by default.
pub(super) fn create(path: &Path, mode: u32) -> std::io::Result<()> {
    let made = std::fs::DirBuilder::new().mode(mode).create(path);
    made.map_err(|error| {
        std::io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
    })
}

fn give(path: &Path, whose: Whose) -> std::io::Result<()> {
    let there = fs::symlink_metadata(path)?;
    // Where the agent is an ordinary process, as in tests, all it makes is its own.
    if (there.uid(), there.gid()) == (whose.uid, whose.gid) || !rustix::process::geteuid().is_root()
    {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(whose.uid), Gid::from_raw(whose.gid));
    Ok(rustix::fs::chownat(
        CWD,
        path,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}
