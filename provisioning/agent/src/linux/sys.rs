//! The agent's only unsafe code: giving a descriptor to tokio's event loop, and what a process does between its making
//! and its program.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Resource, Rlimit, Uid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;

/// Registers a descriptor with tokio.
#[expect(
    unsafe_code,
    reason = "tokio has no safe constructor that is not deprecated"
)]
pub(super) fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its one descriptor open for as long as it lives, and the `AsyncFd` owns it. Nobody
    // exchanges it: the callers see it by shared reference only.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    registered.map_err(io::Error::from)
}

/// What a new process does before it becomes its program.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whether its standard input is a terminal that is to be its own.
    pub(super) terminal: bool,
    /// Whom it becomes; nobody else when there is none.
    pub(super) identity: Option<Identity>,
    /// Where it begins.
    pub(super) directory: CString,
    /// Whether it may begin at `/` instead.
    pub(super) directory_is_a_wish: bool,
    /// Takes the [`Step`] that failed.
    pub(super) report: OwnedFd,
}

/// A user and all their groups.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// Where a new process failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Leading a session, with the terminal.
    Session,
    /// Becoming the user.
    Identity,
    /// Entering the directory.
    Directory,
}

impl Step {
    const ALL: [Self; 3] = [Self::Session, Self::Identity, Self::Directory];

    fn number(self) -> u8 {
        match self {
            Self::Session => 1,
            Self::Identity => 2,
            Self::Directory => 3,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.number() == number)
    }
}

/// Has the process of `command` do this first.
#[expect(
    unsafe_code,
    reason = "what runs between fork and exec is the caller's responsibility"
)]
pub(super) fn enter(command: &mut Command, entry: Entry) {
    let work = move || {
        let (step, done) = match steps(&entry) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        // The parent then knows the error alone.
        let _ = rustix::io::write(&entry.report, &[step.number()]);
        Err(done.into())
    };
    // SAFETY: the closure makes system calls by rustix, which does without a C library here, and nothing else: it
    // takes no lock, and it allocates and frees nothing, since all it needs was made before. The error has no payload.
    unsafe {
        command.pre_exec(work);
    }
}

type Failed = (Step, rustix::io::Errno);

fn steps(entry: &Entry) -> Result<(), Failed> {
    let in_session = |error| (Step::Session, error);
    rustix::process::setsid().map_err(in_session)?;
    if entry.terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(in_session)?;
    }
    // The agent's privileges are not the program's: it may be killed for memory, and has a program's usual limit. Both
    // can fail where the agent is an ordinary process itself, which has none.
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
        let _ = rustix::io::write(&file, b"0");
    }
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let usual = Rlimit {
        current: Some(limit.maximum.unwrap_or(u64::MAX).min(USUAL_OPEN_FILES)),
        maximum: limit.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, usual);
    if let Some(Identity { uid, gid, groups }) = &entry.identity {
        let as_user = |error| (Step::Identity, error);
        rustix::thread::set_thread_groups(groups).map_err(as_user)?;
        rustix::thread::set_thread_res_gid(*gid, *gid, *gid).map_err(as_user)?;
        rustix::thread::set_thread_res_uid(*uid, *uid, *uid).map_err(as_user)?;
    }
    let entered = rustix::process::chdir(entry.directory.as_c_str());
    let entered = match entered {
        Err(_) if entry.directory_is_a_wish => rustix::process::chdir(c"/"),
        done => done,
    };
    entered.map_err(|error| (Step::Directory, error))
}

/// What service managers and logins give a program: some use a table of as many entries.
const USUAL_OPEN_FILES: u64 = 1024;
