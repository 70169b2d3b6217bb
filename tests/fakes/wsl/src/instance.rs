//! A distribution that runs: namespaces of the kernel with its files for `/`.
//!
//! WSL starts it for the first program and ends it when none of its callers' programs runs any more; services of systemd
//! keep nothing alive. WSL waits some seconds before that, this one does not, which is the stricter test. For systemd
//! stands a `systemctl` that can start a unit and starts it anew when it ends: a program in a distribution sees its `PATH`
//! and nothing of this.
//!
//! Root's tests have all users. Those of anybody else have a namespace of users with root alone, so there every program
//! runs as root and owns every file.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;

use crate::distros::{Distro, User};

/// The first process: it makes the mounts, says that it is ready and stays. `$1` is the root.
const HOLDER: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mkdir -p "$1/proc" "$1/dev" "$1/tmp" "$1/run"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=755 dev "$1/dev"
for device in null zero full random urandom tty; do
    : >"$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
done
echo ready
exec </dev/null >/dev/null 2>&1
trap : CHLD
trap 'exit 0' USR1
while :; do sleep 86400 & wait; done
"#;

/// What stands for systemd. Only `start` of a unit with one command is known, that the boot is over, and `poweroff`, which asks every program to end
/// before the instance does; anything else fails as it would on a host
/// without the unit.
const SYSTEMCTL: &str = r#"#!/bin/sh
if [ "$1" = poweroff ]; then
    setsid sh -c 'trap : TERM; kill -TERM -1; sleep 1; kill -USR1 1' </dev/null >/dev/null 2>&1 &
    exit 0
fi
[ "$1" = is-system-running ] && { sleep 1; echo running; exit 0; }
[ "$1" = start ] || exit 1
unit=/etc/systemd/system/$2
[ -r "$unit" ] || unit=/usr/lib/systemd/system/$2
[ -r "$unit" ] || { echo "Unit $2 not found." >&2; exit 5; }
command=$(sed -n 's/^ExecStart=//p' "$unit")
[ -n "$command" ] || exit 1
setsid sh -c "while :; do $command; sleep 1; done" </dev/null >"/run/systemd/$2.log" 2>&1 &
"#;

/// The instance of a distribution, whether it runs or not.
pub(crate) struct Instance<'a> {
    distro: &'a Distro,
}

impl<'a> Instance<'a> {
    pub(crate) fn of(distro: &'a Distro) -> Self {
        Self { distro }
    }

    fn holder_file(&self) -> PathBuf {
        self.distro.record.join("holder")
    }

    fn callers(&self) -> PathBuf {
        self.distro.record.join("callers")
    }

    /// The number of the first process, as long as it lives.
    fn holder(&self) -> Option<u32> {
        let pid = fs::read_to_string(self.holder_file()).ok()?;
        let pid = pid.trim().parse().ok()?;
        is_alive(pid).then_some(pid)
    }

    /// Whether it runs; one that nobody keeps alive is ended first.
    pub(crate) fn runs(&self) -> io::Result<bool> {
        if self.holder().is_some() && !self.has_callers()? {
            self.end()?;
        }
        Ok(self.holder().is_some())
    }

    fn has_callers(&self) -> io::Result<bool> {
        let callers = self.callers();
        if !callers.is_dir() {
            return Ok(false);
        }
        for caller in fs::read_dir(callers)? {
            let caller = caller?;
            let name = caller.file_name();
            match name.to_string_lossy().parse() {
                Ok(pid) if is_alive(pid) => return Ok(true),
                _ => drop(fs::remove_file(caller.path())),
            }
        }
        Ok(false)
    }

    /// Starts it, unless it runs.
    pub(crate) fn begin(&self) -> io::Result<()> {
        // Before anything else: whoever looks meanwhile sees that somebody needs it.
        self.register(std::process::id())?;
        let _lock = self.lock()?;
        if self.holder().is_some() {
            return Ok(());
        }
        let root = &self.distro.root;
        self.empty_run()?;
        let run = root.join("run");
        let systemd = run.join("systemd");
        fs::create_dir_all(&systemd)?;
        if self.distro.setting("boot", "systemd").as_deref() == Some("true") {
            let systemctl = systemd.join("systemctl");
            fs::write(&systemctl, SYSTEMCTL)?;
            make_executable(&systemctl)?;
        }
        let mut command = Command::new("setsid");
        command
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"])
            .args((!is_root()).then_some("--map-root-user"))
            .args(["sh", "-c", HOLDER, "holder"])
            .arg(root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        let mut said = String::new();
        let mut out = io::BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        io::BufRead::read_line(&mut out, &mut said)?;
        if said.trim() != "ready" {
            return Err(io::Error::other("The namespaces cannot be made"));
        }
        fs::write(self.holder_file(), child.id().to_string())
    }

    /// Held by who begins or ends it, as WSL's service does one thing after the other.
    fn lock(&self) -> io::Result<std::fs::File> {
        let path = self.distro.record.join("lock");
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        let file = file.into_parts().0;
        file.lock()?;
        Ok(file)
    }

    /// What lies in /run does not outlive an instance. Somebody may be putting something there meanwhile.
    fn empty_run(&self) -> io::Result<()> {
        let run = self.distro.root.join("run");
        let old = self.distro.root.join("run.old");
        if run.is_dir() {
            fs::rename(&run, &old)?;
        }
        remove_all(&old)
    }

    fn register(&self, pid: u32) -> io::Result<()> {
        fs::create_dir_all(self.callers())?;
        fs::write(self.callers().join(pid.to_string()), "")
    }

    /// Runs a program to its end, with the standard streams of this process; its exit code. The instance ends with the
    /// last of them.
    pub(crate) fn run(&self, user: &User, program: &[String]) -> io::Result<u8> {
        let holder = self
            .holder()
            .ok_or_else(|| io::Error::other("The instance has ended"))?;
        let inside = first_child(holder)?;
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &inside.to_string(), "--mount", "--pid"])
            .args(
                (!is_root())
                    .then_some(["--user", "--preserve-credentials"])
                    .iter()
                    .flatten(),
            )
            .arg("chroot")
            .args(is_root().then(|| format!("--userspec={}:{}", user.uid, user.gid)))
            .arg(&self.distro.root)
            .args(["/usr/bin/env", "-i"])
            .arg("PATH=/run/systemd:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(format!("HOME={}", user.home))
            .arg(format!("USER={}", user.name))
            .arg(format!("WSL_DISTRO_NAME={}", self.distro.name))
            .args(program);
        let mut child = command.spawn()?;
        self.register(child.id())?;
        let status = child.wait()?;
        for pid in [child.id(), std::process::id()] {
            drop(fs::remove_file(self.callers().join(pid.to_string())));
        }
        self.runs()?;
        Ok(status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(crate::FAILED))
    }

    /// Ends it and all of its programs.
    pub(crate) fn end(&self) -> io::Result<()> {
        let _lock = self.lock()?;
        if let Some(holder) = self.holder() {
            // The kernel ends what is in the namespace with its first process, which ends with this one.
            let status = Command::new("kill")
                .args(["-KILL", &holder.to_string()])
                .status()?;
            if !status.success() && is_alive(holder) {
                return Err(io::Error::other("The instance cannot be ended"));
            }
            while is_alive(holder) {
                std::thread::yield_now();
            }
        }
        self.empty_run()?;
        for file in [self.holder_file(), self.callers()] {
            let _ = if file.is_dir() {
                fs::remove_dir_all(file)
            } else {
                fs::remove_file(file)
            };
        }
        Ok(())
    }
}

/// Removes a directory, also one that somebody puts something into meanwhile.
pub(crate) fn remove_all(directory: &Path) -> io::Result<()> {
    for _ in 0..100 {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
    Err(io::ErrorKind::DirectoryNotEmpty.into())
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The process in the namespace, whose parent is `unshare`.
fn first_child(parent: u32) -> io::Result<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(path)?;
    let first = children.split_whitespace().next();
    first
        .and_then(|pid| pid.parse().ok())
        .ok_or_else(|| io::Error::other("The instance has no process"))
}

/// Whether a process is there and has not ended; one that waits to be noticed has.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state stands behind the name, which may hold anything but ends with the last parenthesis.
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    !state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

fn make_executable(path: &Path) -> io::Result<()> {
    let status = Command::new("chmod").arg("755").arg(path).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other("chmod failed"))
}
