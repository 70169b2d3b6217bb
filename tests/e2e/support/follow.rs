//! A command whose output is read while it runs: what a person sees of `logs -f` or `events`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The command and what it has said so far. Dropped, it is killed.
pub(crate) struct Following {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
    line: String,
}

/// Starts a command with an empty standard input.
pub(crate) fn follow(command: &mut Command) -> Following {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{line}` cannot be run: {error}"));
    let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let stderr = child.stderr.take().expect("stderr is a pipe");
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in stdout.split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let stderr = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
    Following {
        child,
        lines,
        seen: Vec::new(),
        stderr: Some(stderr),
        line,
    }
}

impl Following {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that contains `what`; the lines before it are kept, too.
    pub(crate) fn until(&mut self, what: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(what) {
                        return line;
                    }
                }
                Err(problem) => {
                    let _ = self.child.kill();
                    let errors = self.errors();
                    panic!(
                        "`{}` never said `{what}` ({problem})\nstdout: {:?}\nstderr: {errors}",
                        self.line, self.seen
                    );
                }
            }
        }
    }

    /// All its lines, after it has ended by itself.
    pub(crate) fn finish(mut self, limit: Duration) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("`{}` did not end\nstdout: {:?}", self.line, self.seen)
                }
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        (status, std::mem::take(&mut self.seen))
    }

    fn errors(&mut self) -> String {
        self.stderr
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
