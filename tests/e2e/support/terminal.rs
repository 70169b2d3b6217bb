//! A command at a terminal: what `exec -it` sees when a person types.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The person's side of the terminal. Dropped, the command is killed.
pub(crate) struct Terminal {
    screen: File,
    child: Child,
    output: Receiver<String>,
    text: String,
    line: String,
}

/// Starts a command that has a terminal of this size as its own, so that the terminal's signals reach it.
pub(crate) fn open(command: &Command, rows: u16, columns: u16) -> Terminal {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .expect("a terminal can be opened");
    grantpt(&screen).expect("the terminal is ours");
    unlockpt(&screen).expect("the terminal can be unlocked");
    let path = ptsname(&screen, Vec::new()).expect("the terminal has a name");
    let path = path.to_str().expect("the name is text");
    let screen = File::from(screen);
    let size = |rows, columns| Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&screen, size(rows, columns)).expect("a terminal has a size");

    let mut own = Command::new("setsid");
    own.args(["--ctty", "--wait"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    let set = command
        .get_envs()
        .filter_map(|(name, value)| value.map(|value| (name, value)));
    own.envs(set).env("TERM", "xterm");
    let side = || {
        let opened = fs_err::OpenOptions::new().read(true).write(true).open(path);
        Stdio::from(opened.expect("the terminal can be opened").into_parts().0)
    };
    let child = own.stdin(side()).stdout(side()).stderr(side()).spawn();
    let child = child.unwrap_or_else(|error| panic!("`{command:?}` cannot be run: {error}"));

    let (sender, output) = channel();
    let mut source = screen.try_clone().expect("a descriptor can be copied");
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // The last close of the other side is an error here.
        while let Ok(length @ 1..) = source.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    Terminal {
        screen,
        child,
        output,
        text: String::new(),
        line: format!("{command:?}"),
    }
}

impl Terminal {
    /// Types a line.
    pub(crate) fn enter(&mut self, line: &str) {
        let typed = self.screen.write_all(format!("{line}\r").as_bytes());
        typed.expect("the terminal takes what is typed");
    }

    /// Waits until the screen has shown `what` since the last call.
    pub(crate) fn until(&mut self, what: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.text.find(what) {
                self.text.drain(..at + what.len());
                return;
            }
            self.take(what, deadline);
        }
    }

    fn take(&mut self, what: &str, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.output.recv_timeout(left) {
            Ok(text) => self.text.push_str(&text),
            Err(problem) => panic!(
                "`{}` never showed `{what}` ({problem}); the screen since then: {:?}",
                self.line, self.text
            ),
        }
    }

    /// Changes the size of the window, which the terminal tells the command by a signal.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.screen, size).expect("a terminal has a size");
    }

    /// How the command ended, which it does within `limit`.
    pub(crate) fn end(mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        // The end of the output is the end of the last process at the terminal.
        while let Ok(text) = self
            .output
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.text.push_str(&text);
        }
        assert!(
            Instant::now() < deadline,
            "`{}` did not end: {:?}",
            self.line,
            self.text
        );
        self.child.wait().expect("a child can be waited for")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
