//! The process: as another user, in a session of its own, with pipes or a terminal.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use machine_protocol::exec::{self, Failure, FailureKind};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};

use super::order::Order;
use super::streams::Terminal;
use super::{environment, failed};
use crate::linux::guest::Guest;
use crate::linux::sys::{self, Entry, Identity, Step};
use crate::linux::users::{self, User};

/// A process and the agent's ends of its descriptors.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) stdin: AsyncFd<OwnedFd>,
    pub(super) stdout: AsyncFd<OwnedFd>,
    /// None with a terminal, where all output is one.
    pub(super) stderr: Option<AsyncFd<OwnedFd>>,
    pub(super) terminal: Option<Terminal>,
}

/// Runs what was ordered.
pub(super) fn spawn(order: &Order, guest: &Guest) -> Result<Spawned, Failure> {
    let root = guest.paths.root();
    let wanted = order.start.user.as_deref().unwrap_or(&guest.boot.user);
    let user = users::find(root, wanted)
        .map_err(|error| {
            failed(
                FailureKind::Other,
                format!("The users are not known: {error}"),
            )
        })?
        .ok_or_else(|| {
            let reason = format!("The guest has no user `{wanted}`");
            failed(FailureKind::NoSuchUser, reason)
        })?;
    let ends = Ends::open(order.start.terminal.as_ref(), &user, root).map_err(|error| {
        let reason = format!("No descriptors for the program: {error}");
        failed(FailureKind::Other, reason)
    })?;
    let (program, mut command) = command(order, &user);
    command
        .env_clear()
        .envs(environment::variables(root, &user, order))
        .stdin(ends.theirs.stdin)
        .stdout(ends.theirs.stdout)
        .stderr(ends.theirs.stderr)
        .kill_on_drop(true);
    let step = enter(&mut command, order, &user).map_err(|error| {
        failed(
            FailureKind::Other,
            format!("The program cannot be prepared: {error}"),
        )
    })?;
    let spawned = command.spawn();
    // It holds the program's ends, which must be closed here for their ends to be seen.
    drop(command);
    let child = spawned.map_err(|error| explain(&error, step, &program, order, &user))?;
    Ok(Spawned {
        child,
        stdin: ends.stdin,
        stdout: ends.stdout,
        stderr: ends.stderr,
        terminal: ends.terminal,
    })
}

fn command(order: &Order, user: &User) -> (OsString, Command) {
    if let [program, arguments @ ..] = &order.words[..] {
        let mut command = Command::new(program);
        command.args(arguments);
        return (program.clone(), command);
    }
    let mut command = Command::new(&user.shell);
    // What a shell takes for a login.
    let mut name = OsString::from("-");
    name.push(user.shell.file_name().unwrap_or(OsStr::new("sh")));
    command.arg0(name);
    (user.shell.clone().into_os_string(), command)
}

/// What the process does before it becomes the program; the pipe tells where it failed.
fn enter(command: &mut Command, order: &Order, user: &User) -> io::Result<PipeReader> {
    let (step, report) = io::pipe()?;
    let privileged = rustix::process::geteuid().is_root();
    let identity = privileged.then(|| Identity {
        uid: Uid::from_raw(user.uid),
        gid: Gid::from_raw(user.gid),
        groups: user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect(),
    });
    if identity.is_none() && rustix::process::geteuid().as_raw() != user.uid {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let directory = match &order.start.directory {
        Some(directory) => OsStr::new(directory).as_bytes(),
        None => user.home.as_os_str().as_bytes(),
    };
    sys::enter(
        command,
        Entry {
            terminal: order.start.terminal.is_some(),
            identity,
            directory: CString::new(directory)?,
            directory_is_a_wish: order.start.directory.is_none(),
            report: report.into(),
        },
    );
    Ok(step)
}

fn explain(
    error: &io::Error,
    mut step: PipeReader,
    program: &OsStr,
    order: &Order,
    user: &User,
) -> Failure {
    let mut failed_at = [0];
    // The command, and with it the other end, is gone: this does not wait.
    let failed_at = match step.read(&mut failed_at) {
        Ok(1) => Step::from_number(failed_at[0]),
        _ => None,
    };
    let program = Path::new(program).display();
    match failed_at {
        Some(Step::Directory) => {
            let directory = order.start.directory.as_deref().unwrap_or_default();
            let reason = format!("`{directory}` in the guest cannot be entered: {error}");
            failed(FailureKind::Other, reason)
        }
        Some(Step::Identity) => {
            let reason = format!("The agent cannot become user `{}`: {error}", user.name);
            failed(FailureKind::Other, reason)
        }
        Some(Step::Session) => failed(
            FailureKind::Other,
            format!("No session for the program: {error}"),
        ),
        None => match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR) => failed(
                FailureKind::NotFound,
                format!("The guest has no program `{program}`"),
            ),
            Some(
                Errno::ACCESS
                | Errno::NOEXEC
                | Errno::ISDIR
                | Errno::PERM
                | Errno::TXTBSY
                | Errno::TOOBIG
                | Errno::LOOP
                | Errno::NAMETOOLONG,
            ) => {
                let reason = format!("`{program}` in the guest cannot be executed: {error}");
                failed(FailureKind::NotExecutable, reason)
            }
            _ => failed(
                FailureKind::Other,
                format!("`{program}` was not run: {error}"),
            ),
        },
    }
}

/// Both ends of what a program reads and writes.
struct Ends {
    theirs: Theirs,
    stdin: AsyncFd<OwnedFd>,
    stdout: AsyncFd<OwnedFd>,
    stderr: Option<AsyncFd<OwnedFd>>,
    terminal: Option<Terminal>,
}

struct Theirs {
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
}

impl Ends {
    fn open(terminal: Option<&exec::Terminal>, user: &User, root: &Path) -> io::Result<Self> {
        match terminal {
            Some(terminal) => Self::terminal(terminal, user, root),
            None => Self::pipes(),
        }
    }

    fn pipes() -> io::Result<Self> {
        let (their_stdin, stdin) = io::pipe()?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        Ok(Self {
            theirs: Theirs {
                stdin: their_stdin.into(),
                stdout: their_stdout.into(),
                stderr: their_stderr.into(),
            },
            stdin: watched(stdin.into(), Interest::WRITABLE)?,
            stdout: watched(stdout.into(), Interest::READABLE)?,
            stderr: Some(watched(stderr.into(), Interest::READABLE)?),
            terminal: None,
        })
    }

    fn terminal(wanted: &exec::Terminal, user: &User, root: &Path) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&ours)?;
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
        let mut attributes = rustix::termios::tcgetattr(&theirs)?;
        // Erasing takes whole characters.
        attributes.input_modes |= InputModes::IUTF8;
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &attributes)?;
        if rustix::process::geteuid().is_root() {
            // As the system's own terminals: programs of the user may open it by name, and others may not read it.
            let group = users::terminal_group(root).map(Gid::from_raw);
            rustix::fs::fchown(&theirs, Some(Uid::from_raw(user.uid)), group)?;
            rustix::fs::fchmod(&theirs, Mode::from_raw_mode(0o620))?;
        }
        let terminal = Terminal::new(ours.as_fd().try_clone_to_owned()?);
        terminal.resize(wanted.size);
        let another = || theirs.as_fd().try_clone_to_owned().map(Stdio::from);
        Ok(Self {
            theirs: Theirs {
                stdin: another()?,
                stdout: another()?,
                stderr: another()?,
            },
            stdin: watched(ours.as_fd().try_clone_to_owned()?, Interest::WRITABLE)?,
            stdout: watched(ours, Interest::READABLE)?,
            stderr: None,
            terminal: Some(terminal),
        })
    }
}

fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    sys::watched(descriptor, interest)
}
