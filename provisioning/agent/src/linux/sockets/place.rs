//! The file of a socket: made where nothing is, or where one of ours was left, and removed only as long as it is ours.
//!
//! The agent is root and the directories may be the user's, who can exchange what lies in them at any moment. So a
//! directory is opened once and all is done in it by name, and no name is followed.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use machine_protocol::sockets::LONGEST_PATH;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The user's alone; root passes all modes.
const MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o755;
/// What a file is called until it is complete.
const NEW: &str = ".machine-socket.new";
/// Clients that wait to be accepted.
const BACKLOG: i32 = 128;
/// Below it are directories that only logind makes, as file systems of their own.
const OF_LOGIND: &str = "/run/user";

/// The file of a socket that listens.
#[derive(Debug)]
pub(super) struct Place {
    directory: OwnedFd,
    name: String,
    /// Device and number of the file.
    file: (u64, u64),
}

/// Listens at a path of the guest, for a user.
pub(super) fn listen(root: &Path, guest: &str, user: u32) -> io::Result<(UnixListener, Place)> {
    let (directory, name) = split(guest)
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no socket can have such a path"))?;
    // Only root can give files away; anything else is a stand-in for the agent.
    let owner = rustix::process::geteuid()
        .is_root()
        .then(|| Uid::from_raw(user));
    let directory = enter(root, directory, owner)?;
    clear(&directory, name, user)?;
    clear(&directory, NEW, user)?;
    let socket = new_socket()?;
    // It is the mode of the file that is made for it.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(MODE))?;
    // Linux has no other form for a name in an open directory. A longer name would have no room in the address.
    let fd = directory.as_raw_fd();
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{fd}/{NEW}"))?;
    rustix::net::bind(&socket, &address)?;
    let mut place = Place {
        file: identity(&look(&directory, NEW)?),
        directory,
        name: NEW.to_owned(),
    };
    match place.complete(&socket, owner, name) {
        Ok(()) => Ok((UnixListener::from(socket), place)),
        Err(error) => {
            place.remove();
            Err(error)
        }
    }
}

impl Place {
    /// Gives the file its owner, and its name when it is all that it should be.
    fn complete(&mut self, socket: &OwnedFd, owner: Option<Uid>, name: &str) -> io::Result<()> {
        let (directory, flags) = (&self.directory, AtFlags::SYMLINK_NOFOLLOW);
        rustix::fs::chownat(directory, NEW, owner, None, flags)?;
        rustix::net::listen(socket, BACKLOG)?;
        let flags = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(directory, NEW, directory, name, flags)?;
        name.clone_into(&mut self.name);
        Ok(())
    }

    /// Whether the path still leads to it: a file system may have been mounted over it.
    pub(super) fn is_at(&self, root: &Path, guest: &str) -> bool {
        below(root, guest)
            .symlink_metadata()
            .is_ok_and(|there| (there.dev(), there.ino()) == self.file)
    }

    /// Removes the file, if nobody has put another in its place.
    pub(super) fn remove(&mut self) {
        let is_ours =
            look(&self.directory, &self.name).is_ok_and(|there| identity(&there) == self.file);
        if is_ours {
            // Who can keep it from going can put it there again.
            let _ = rustix::fs::unlinkat(&self.directory, &*self.name, AtFlags::empty());
        }
    }
}

/// Directory and name; nothing for what the host would not ask for.
fn split(guest: &str) -> Option<(&str, &str)> {
    let (directory, name) = guest.rsplit_once('/')?;
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let above = directory.split('/').skip(1);
    let is_sound = guest.starts_with('/')
        && guest.len() <= LONGEST_PATH
        && !guest.chars().any(char::is_control)
        && above.chain([name]).all(is_plain);
    is_sound.then_some((directory, name))
}

fn below(root: &Path, guest: &str) -> PathBuf {
    root.join(guest.trim_start_matches('/'))
}

/// Opens a directory; what is missing on the way is made, and the user's.
fn enter(root: &Path, directory: &str, owner: Option<Uid>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut inside = rustix::fs::open(root, flags, Mode::empty())?;
    let mut path = String::new();
    for part in directory.split('/').filter(|part| !part.is_empty()) {
        let is_of_logind = path == OF_LOGIND;
        path = format!("{path}/{part}");
        let failed = |error: Errno| at(&path, &error.into());
        inside = match rustix::fs::openat(&inside, part, flags, Mode::empty()) {
            Err(Errno::NOENT) if !is_of_logind => {
                let mode = Mode::from_raw_mode(DIRECTORY_MODE);
                match rustix::fs::mkdirat(&inside, part, mode) {
                    Ok(()) => {
                        let flags = flags | OFlags::NOFOLLOW;
                        let made = rustix::fs::openat(&inside, part, flags, Mode::empty());
                        let made = made.map_err(failed)?;
                        rustix::fs::fchmod(&made, mode).map_err(failed)?;
                        rustix::fs::fchown(&made, owner, None).map_err(failed)?;
                        made
                    }
                    // Somebody was faster, or a link leads nowhere.
                    Err(Errno::EXIST) => {
                        rustix::fs::openat(&inside, part, flags, Mode::empty()).map_err(failed)?
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
            opened => opened.map_err(failed)?,
        };
    }
    Ok(inside)
}

fn at(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{path}`: {error}"))
}

/// Makes room: a socket as we make them that nobody listens at was left by an agent that is dead.
fn clear(directory: &OwnedFd, name: &str, user: u32) -> io::Result<()> {
    let there = match look(directory, name) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let own = [0, user, rustix::process::geteuid().as_raw()];
    let is_like_ours = FileType::from_raw_mode(there.st_mode) == FileType::Socket
        && there.st_mode & 0o7777 == MODE
        && own.contains(&there.st_uid);
    if !is_like_ours || !is_dead(directory, name)? {
        let taken = "something else is there, which is kept";
        return Err(io::Error::new(ErrorKind::AlreadyExists, taken));
    }
    Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
}

/// Nobody listens at it. Without waiting: a full queue is somebody.
fn is_dead(directory: &OwnedFd, name: &str) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", there.as_raw_fd()))?;
    let connected = rustix::net::connect(new_socket()?, &address);
    Ok(connected == Err(Errno::CONNREFUSED))
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    Ok(socket?)
}

fn look(directory: &OwnedFd, name: &str) -> io::Result<Stat> {
    Ok(rustix::fs::statat(
        directory,
        name,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn identity(there: &Stat) -> (u64, u64) {
    (there.st_dev, there.st_ino)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
