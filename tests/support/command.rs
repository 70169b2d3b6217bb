//! Commands with a deadline, and what they printed.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use machine_host::process::ProcessIdentity;

/// What a command left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    line: String,
}

impl Finished {
    /// The output, after the command succeeded.
    pub(crate) fn succeeded(self) -> String {
        assert!(
            self.status.success(),
            "`{}` ended with {}\nstdout: {}\nstderr: {}",
            self.line,
            self.status,
            self.text(),
            self.stderr
        );
        self.text()
    }

    /// The standard error, after the command failed with podman's exit code for every error.
    pub(crate) fn failed(self) -> String {
        assert_eq!(
            self.status.code(),
            Some(125),
            "`{}`\nstdout: {}\nstderr: {}",
            self.line,
            self.text(),
            self.stderr
        );
        self.stderr
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// A command that runs; its output is collected beside it. Dropped, it is killed.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    line: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collected(collector: &mut Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    let collector = collector.take().expect("it is collected once");
    collector.join().expect("the collector does not panic")
}

fn collect(mut source: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = source.read_to_end(&mut bytes);
        bytes
    })
}

/// Starts a command; `input` is its standard input, which ends after it.
pub(crate) fn begin(command: &mut Command, input: &[u8]) -> Running {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{line}` cannot be run: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_vec();
    std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
    let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
    Running {
        child,
        stdout: Some(stdout),
        stderr: Some(stderr),
        line,
    }
}

impl Running {
    /// Waits for the end, or kills the command and fails.
    pub(crate) fn finish(mut self, limit: Duration) -> Finished {
        let identity = ProcessIdentity::of(self.child.id()).expect("a child can be looked at");
        let (done, ended) = mpsc::channel::<()>();
        let line = self.line.clone();
        let watchdog = std::thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                if let Some(identity) = identity {
                    let _ = identity.kill();
                }
                return Some(line);
            }
            None
        });
        let status = self.child.wait().expect("a child can be waited for");
        let _ = done.send(());
        let late = watchdog.join().expect("the watchdog does not panic");
        let stdout = collected(&mut self.stdout);
        let stderr = String::from_utf8_lossy(&collected(&mut self.stderr)).into_owned();
        if let Some(line) = late {
            panic!(
                "`{line}` did not end in {limit:?}\nstdout: {}\nstderr: {stderr}",
                String::from_utf8_lossy(&stdout)
            );
        }
        Finished {
            status,
            stdout,
            stderr,
            line: std::mem::take(&mut self.line),
        }
    }
}

/// Runs a command to its end within `limit`.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Finished {
    begin(command, input).finish(limit)
}

/// Asks `condition` again whenever a file below `directory` may have changed, for at most `limit`.
///
/// A test's view from outside has no event to wait for; product code never does this.
pub(crate) fn eventually<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < limit, "{what}: not in {limit:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
