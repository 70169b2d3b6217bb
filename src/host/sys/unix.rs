//! What Linux and macOS have in common.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Where a process sees its own open descriptors, on Linux (a link to /proc) and macOS alike.
const OPEN_DESCRIPTORS: &str = "/dev/fd";

pub(crate) fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

pub(crate) fn group_id() -> u32 {
    rustix::process::getgid().as_raw()
}

pub(crate) fn effective_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

pub(crate) fn total_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_blocks.saturating_mul(found.f_frsize))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

pub(crate) fn names_of_program(path: &Path) -> Vec<PathBuf> {
    vec![path.to_owned()]
}

pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

#[expect(clippy::unnecessary_wraps, reason = "same signature on each system")]
pub(crate) fn owner(metadata: &Metadata) -> Option<u32> {
    Some(metadata.uid())
}

#[expect(clippy::unnecessary_wraps, reason = "same signature on each system")]
pub(crate) fn mode(metadata: &Metadata) -> Option<u32> {
    Some(metadata.permissions().mode() & 0o7777)
}

pub(crate) fn is_socket(metadata: &Metadata) -> bool {
    metadata.file_type().is_socket()
}

pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    // Opened first, so that what is changed is what was looked at; without waiting for the writer of a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let mode = if metadata.is_dir() {
        0o700
    } else if metadata.is_file() {
        0o600
    } else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is neither a file nor a directory",
        ));
    };
    set_mode(&file, mode)
}

pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // Without waiting for the writer of a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if !metadata.is_file() {
        return refused("it is no file");
    }
    if metadata.nlink() > 1 {
        return refused("it has another name as well");
    }
    Ok(file)
}

pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map(drop).map_err(|error| error.error)
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    fs_err::File::open(path)?.sync_all()
}

pub(crate) fn create_private_directories(path: &Path) -> io::Result<()> {
    refuse_links_of_others(path)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    let mode = fs_err::metadata(path)?.permissions().mode() & 0o7777;
    if mode != 0o700 {
        fs_err::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The owner of the system's files as a user namespace shows them that has no root of the host.
const UNMAPPED: u32 = 65_534;

/// Fails where a link on the way to `path` was made by somebody who is neither this user nor the system: what is made
/// behind it would be made where that one wants it.
fn refuse_links_of_others(path: &Path) -> io::Result<()> {
    for part in path.ancestors() {
        let Ok(found) = std::fs::symlink_metadata(part) else {
            continue;
        };
        if found.is_symlink() && foreign(found.uid(), user_id()) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "`{}` is a symbolic link that another user made ({}), which is not followed",
                    part.display(),
                    found.uid()
                ),
            ));
        }
    }
    Ok(())
}

fn foreign(owner: u32, user: u32) -> bool {
    ![0, UNMAPPED, user].contains(&owner)
}

pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    open_own(options.read(true).write(true).truncate(false), path)
}

pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    open_own(std::fs::OpenOptions::new().read(true).append(true), path)
}

/// Opens a file of ours (0600), which is made where it is missing. A link is not followed, no pipe is waited for, and
/// what is no file is refused.
fn open_own(options: &mut std::fs::OpenOptions, path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = options
        .create(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path);
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => refused("it is no file"),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            refused("it is a symbolic link, which is not followed")
        }
        Err(error) => Err(error),
    }
}

/// A file that other users may read, as far as the umask lets them, in a directory that is made where it is missing.
pub(crate) fn open_shared(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path)
}

/// Takes the record lock on the whole file; false where another process holds it and `wait` is not asked for.
pub(crate) fn lock_record(file: &File, wait: bool) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;
    let operation = if wait {
        FlockOperation::LockExclusive
    } else {
        FlockOperation::NonBlockingLockExclusive
    };
    loop {
        match fcntl_lock(file, operation) {
            Ok(()) => return Ok(true),
            // POSIX lets systems say either.
            Err(Errno::AGAIN | Errno::ACCESS) if !wait => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs_err::metadata(path) {
        Ok(found) => Ok((ours.dev(), ours.ino()) == (found.dev(), found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn spawn_detached(command: &mut Command, input: Stdio) -> io::Result<Child> {
    close_inherited_on_exec()?;
    command.stdin(input);
    own_session(command);
    command.spawn()
}

#[expect(
    unsafe_code,
    reason = "std can put a child into a session only by pre_exec"
)]
fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe functions may be called. The closure
    // makes one system call, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
}

/// Marks every descriptor but the standard three as closed on exec.
///
/// Rust opens files that way, but what this process inherited comes without the mark. A descriptor
/// given to a command on purpose is duplicated, and so unmarked, in the child.
fn close_inherited_on_exec() -> io::Result<()> {
    let entries = fs_err::read_dir(OPEN_DESCRIPTORS)?;
    for entry in entries {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok())
            && number > 2
        {
            mark_closed_on_exec(number);
        }
    }
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "inherited descriptors have no owner in this program"
)]
fn mark_closed_on_exec(number: i32) {
    // SAFETY: the number is borrowed for two calls of fcntl only. When another thread closed it
    // meanwhile, they fail, which is ignored; when it was opened again, Rust set the same mark.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    if let Ok(flags) = rustix::io::fcntl_getfd(descriptor) {
        // Nothing is lost when it fails: the descriptor was closed meanwhile.
        let _ = rustix::io::fcntl_setfd(descriptor, flags | rustix::io::FdFlags::CLOEXEC);
    }
}

/// Waits until the descriptor can be read from.
#[expect(
    unsafe_code,
    reason = "tokio wants a promise that the descriptor stays open"
)]
pub(super) async fn readable(descriptor: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned by the registration, which closes it only after its own end.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
    registered.readable().await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::testing;

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn modes_do_not_depend_on_the_umask() {
        for umask in ["000", "022", "077"] {
            let directory = tempfile::tempdir().unwrap();
            let itself = testing::command("make-files", &[directory.path().as_os_str()]);
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
            command
                .arg(itself.get_program())
                .args(itself.get_args())
                .stdout(Stdio::null());
            command.envs(
                itself
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            );
            assert!(command.status().unwrap().success());
            for (name, expected) in [
                ("private", 0o600),
                ("shared", 0o644),
                ("a", 0o700),
                ("a/b", 0o700),
                ("lock", 0o600),
            ] {
                let found = mode(&directory.path().join(name));
                assert_eq!(found, expected, "{name} under umask {umask}: {found:o}");
            }
        }
    }

    #[test]
    fn what_is_ours_is_no_link_and_no_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(at("precious"), at("link")).unwrap();
        let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        for open in [open_private, open_to_append] {
            let error = open(&at("link")).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{error}");
            assert!(!at("precious").exists());
            open(&at("pipe")).unwrap_err();
            open(directory.path()).unwrap_err();
        }
        fs_err::write(at("log"), "a").unwrap();
        io::Write::write_all(&mut open_to_append(&at("log")).unwrap(), b"b").unwrap();
        assert_eq!(fs_err::read(at("log")).unwrap(), b"ab");
        drop(open_to_append(&at("new")).unwrap());
        assert_eq!(mode(&at("new")), 0o600);
    }

    #[test]
    fn links_of_the_system_and_of_the_user_are_followed() {
        for (owner, expected) in [(0, false), (1000, false), (65_534, false), (1001, true)] {
            assert_eq!(foreign(owner, 1000), expected, "{owner}");
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs_err::create_dir(at("disk")).unwrap();
        std::os::unix::fs::symlink(at("disk"), at("data")).unwrap();
        create_private_directories(&at("data/machines")).unwrap();
        assert_eq!(mode(&at("disk/machines")), 0o700);
    }

    #[test]
    fn directory_of_ours_is_made_private() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        create_private_directories(directory.path()).unwrap();
        assert_eq!(mode(directory.path()), 0o700);
    }

    #[test]
    fn detached_process_has_its_own_session_and_no_inherited_descriptor() {
        // A pipe without the mark, as a careless parent would hand it down.
        let (mut reader, marked) = io::pipe().unwrap();
        let writer = rustix::io::dup(&marked).unwrap();
        drop(marked);
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "ps -o sid= -p $$; read line || echo no input; echo; exec sleep 100",
        ]);
        command.stdout(Stdio::piped());
        let mut child = spawn_detached(&mut command, Stdio::null()).unwrap();
        drop(writer);
        // The end of the pipe is seen although the child still runs.
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);

        let mut said = String::new();
        let mut stdout = io::BufReader::new(child.stdout.take().unwrap());
        while !said.contains("no input") {
            assert_ne!(
                io::BufRead::read_line(&mut stdout, &mut said).unwrap(),
                0,
                "{said}"
            );
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(said.lines().next().unwrap().trim(), child.id().to_string());
    }

    #[test]
    fn removed_lock_file_is_not_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edit.lock");
        let file = open_private(&path).unwrap();
        assert!(same_file(&file, &path).unwrap());
        fs_err::remove_file(&path).unwrap();
        assert!(!same_file(&file, &path).unwrap());
        let _new = open_private(&path).unwrap();
        assert!(!same_file(&file, &path).unwrap());
    }
}
