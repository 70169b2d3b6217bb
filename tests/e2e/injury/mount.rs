//! Mounts the file system of faults as an ordinary user: by `fusermount3`, which opens the device and hands it over.
//!
//! fuser would mount by itself, which takes root, or `/dev/fuse` for everybody.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use command_fds::{CommandFdExt as _, FdMapping};
use fuser::{BackgroundSession, Config, Session, SessionACL};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::fault::Faults;
use super::passthrough::Passthrough;

/// The number under which the helper finds our end of its socket.
const HELPER_END: i32 = 3;
const OPTIONS: &str = "auto_unmount,default_permissions,nodev,nosuid,fsname=faults";

/// A directory that is seen through the file system of faults. Dropped, it is unmounted; the helper does so also when
/// this process dies.
pub(crate) struct Mounted {
    at: PathBuf,
    pub(crate) faults: Arc<Faults>,
    session: Option<BackgroundSession>,
    // As long as this is open the helper waits.
    socket: Option<UnixStream>,
    helper: Child,
}

impl Mounted {
    /// Shows `root` at `at`, both of which are there.
    pub(crate) fn new(root: &Path, at: &Path) -> Self {
        Self::with(root, at, "rw")
    }

    /// The same, and the kernel lets nobody change it.
    pub(crate) fn read_only(root: &Path, at: &Path) -> Self {
        Self::with(root, at, "ro")
    }

    fn with(root: &Path, at: &Path, mode: &str) -> Self {
        let (socket, theirs) = UnixStream::pair().expect("a pair of sockets");
        let mut command = Command::new("fusermount3");
        command
            .args(["-o", &format!("{mode},{OPTIONS}"), "--"])
            .arg(at)
            .env("_FUSE_COMMFD", HELPER_END.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
            .fd_mappings(vec![FdMapping {
                parent_fd: theirs.into(),
                child_fd: HELPER_END,
            }])
            .expect("one number is free");
        let helper = command
            .spawn()
            .expect("fusermount3 is there: run `make setup`");
        // Ours of the helper's end goes with the command.
        drop(command);
        let Some(device) = device(&socket) else {
            let said = helper.wait_with_output().expect("it ends");
            panic!("fusermount3: {}", String::from_utf8_lossy(&said.stderr));
        };
        let faults = Arc::new(Faults::default());
        let passthrough = Passthrough::new(root, faults.clone()).expect("the directory is there");
        let session = Session::from_fd(passthrough, device, SessionACL::Owner, Config::default());
        let session = session.and_then(Session::spawn);
        Self {
            at: at.to_owned(),
            faults,
            session: Some(session.expect("the kernel speaks FUSE")),
            socket: Some(socket),
            helper,
        }
    }
}

/// The device, which the helper sends as soon as it has mounted; none where it failed.
fn device(socket: &UnixStream) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut messages = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut messages,
        flags,
    )
    .ok()?;
    messages.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.faults.disarm();
        // The waiting helper only unmounts what nobody answers for any more.
        let unmounted = Command::new("fusermount3")
            .args(["-u", "-z", "--"])
            .arg(&self.at)
            .status();
        drop(self.socket.take());
        let _ = self.helper.wait();
        if std::thread::panicking() {
            return;
        }
        assert!(unmounted.is_ok_and(|status| status.success()));
        if let Some(session) = self.session.take() {
            session.join().expect("the session ends with the mount");
        }
        let left = fs_err::read_to_string("/proc/self/mounts").expect("mounts can be read");
        let at = self.at.display().to_string();
        assert!(!left.contains(&at), "{at} is still mounted");
    }
}
