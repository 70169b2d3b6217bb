//! What is asked of the kernel about mounts, so that tests can do without it: folders of the host, and the data disk.

pub(super) mod table;

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// A call of mount(2), its place aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) source: String,
    pub(super) kind: &'static str,
    pub(super) flags: MountFlags,
    pub(super) data: CString,
}

/// What neither a folder of the host nor a note in its place may bring: devices, and programs that make others of their
/// callers.
pub(super) const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// The kernel's part.
pub(super) trait Kernel: Send + Sync + 'static {
    /// What is mounted, as in `/proc/self/mountinfo`.
    fn mounts(&self) -> io::Result<Vec<u8>>;
    /// Mounts something.
    fn mount(&self, call: &Call, place: &Path) -> io::Result<()>;
    /// Lets nobody write there from now on; for what [`missing`] mounts.
    fn make_read_only(&self, place: &Path) -> io::Result<()>;
    /// Takes away what is mounted last there, at once.
    fn unmount(&self, place: &Path) -> io::Result<()>;
}

/// The guest's own.
#[derive(Debug)]
pub(super) struct Linux;

impl Kernel for Linux {
    fn mounts(&self) -> io::Result<Vec<u8>> {
        fs_err::read("/proc/self/mountinfo")
    }

    fn mount(&self, call: &Call, place: &Path) -> io::Result<()> {
        let Call {
            source,
            kind,
            flags,
            data,
        } = call;
        Ok(mount(source, place, *kind, *flags, data.as_c_str())?)
    }

    fn make_read_only(&self, place: &Path) -> io::Result<()> {
        Ok(mount_remount(place, PLAIN | MountFlags::RDONLY, c"")?)
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        Ok(unmount(place, UnmountFlags::DETACH)?)
    }
}

/// What is mounted last at this very place.
pub(super) fn topmost(kernel: &impl Kernel, place: &Path) -> io::Result<Option<table::Mounted>> {
    Ok(table::topmost(&kernel.mounts()?, place))
}

/// What lies over a place that nobody may use, so that nothing is written there by mistake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note<'t> {
    /// How the kernel lists it.
    pub(super) source: &'static str,
    /// The name of the only file in it.
    pub(super) file: &'static str,
    /// What that says.
    pub(super) text: &'t str,
}

/// Makes the place unusable by a small read-only file system with a note in it, once.
pub(super) fn block(
    kernel: &impl Kernel,
    root: &Path,
    place: &Path,
    note: Note<'_>,
) -> io::Result<()> {
    if topmost(kernel, place)?.is_some_and(|there| there.source == note.source) {
        return Ok(());
    }
    kernel.mount(&missing(note.source, has_selinux(root)), place)?;
    fs_err::write(place.join(note.file), note.text)?;
    kernel.make_read_only(place)
}

/// The call for what lies over such a place. It is made read-only once the note is in it.
fn missing(source: &str, selinux: bool) -> Call {
    let mut options = vec!["size=64k,nr_inodes=8,mode=0555".to_owned()];
    options.extend(context("system_u:object_r:nfs_t:s0", selinux));
    Call {
        source: source.to_owned(),
        kind: "tmpfs",
        flags: PLAIN,
        data: to_data(&options),
    }
}

/// Kernels without `SELinux` refuse the option.
pub(super) fn context(context: &str, selinux: bool) -> Option<String> {
    selinux.then(|| format!("context=\"{context}\""))
}

pub(super) fn to_data(options: &[String]) -> CString {
    // Nothing in it can have a zero byte; a context that has one is none.
    CString::new(options.join(",")).unwrap_or_default()
}

/// Whether the guest runs with `SELinux`.
pub(super) fn has_selinux(root: &Path) -> bool {
    root.join("sys/fs/selinux/enforce").exists()
}

/// A kernel that only takes notes.
#[cfg(test)]
pub(super) mod testing {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;

    /// Refuses what has the source `bad`.
    #[derive(Default)]
    pub(in crate::linux) struct Notes {
        pub(in crate::linux) mounts: Mutex<Vec<(String, PathBuf)>>,
        pub(in crate::linux) read_only: Mutex<Vec<PathBuf>>,
    }

    impl Notes {
        /// The sources, in the order in which they were mounted.
        pub(in crate::linux) fn sources(&self) -> Vec<String> {
            let mounts = self.mounts.lock().unwrap();
            mounts.iter().map(|(source, _)| source.clone()).collect()
        }
    }

    impl Kernel for Notes {
        fn mounts(&self) -> io::Result<Vec<u8>> {
            let mounts = self.mounts.lock().unwrap();
            let lines = mounts.iter().map(|(source, place)| {
                let escape = |text: &str| text.replace(' ', "\\040");
                let (source, place) = (escape(source), escape(&place.display().to_string()));
                format!("1 1 0:1 / {place} rw - any {source} rw\n")
            });
            Ok(lines.collect::<String>().into_bytes())
        }

        fn mount(&self, call: &Call, place: &Path) -> io::Result<()> {
            if call.source == "bad" {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            let mut mounts = self.mounts.lock().unwrap();
            let mut source = call.source.clone();
            if call.flags.contains(MountFlags::BIND) {
                // As the kernel lists it: what the directory's file system comes from.
                let directory = Path::new(&call.source);
                let below = mounts
                    .iter()
                    .rfind(|(_, place)| directory.starts_with(place));
                source.clone_from(&below.unwrap().0);
            }
            mounts.push((source, place.to_owned()));
            Ok(())
        }

        fn make_read_only(&self, place: &Path) -> io::Result<()> {
            self.read_only.lock().unwrap().push(place.to_owned());
            Ok(())
        }

        fn unmount(&self, place: &Path) -> io::Result<()> {
            let mut mounts = self.mounts.lock().unwrap();
            let last = mounts.iter().rposition(|(_, there)| there == place);
            mounts.remove(last.unwrap());
            Ok(())
        }
    }
}
