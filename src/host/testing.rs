//! Child processes for the tests: this test program again, in a role.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};

const ROLE: &str = "MACHINE_HOST_TEST_ROLE";
const ARGUMENT: &str = "MACHINE_HOST_TEST_ARGUMENT";

/// How much the role `write-for-ever` writes at a time.
pub(crate) const WRITTEN_BYTES: usize = 64 * 1024;

/// A child in a role. It is killed with this value.
pub(crate) struct Child {
    process: std::process::Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(role: &str, arguments: &[&OsStr]) -> Self {
        let mut process = command(role, arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Reads the child's output up to the line with this word and returns what follows it.
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        for line in self.lines.by_ref() {
            if let Some((_, rest)) = line.unwrap().split_once(word) {
                return rest.to_owned();
            }
        }
        panic!("the child ended without `{word}`");
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn wait_for_end(&mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// This test program in a role. Its input is a pipe: the roles that wait end when it is closed.
pub(crate) fn command(role: &str, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "testing::role",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stderr(Stdio::inherit());
    for (index, argument) in arguments.iter().enumerate() {
        command.env(format!("{ARGUMENT}_{index}"), argument);
    }
    command
}

fn argument(index: usize) -> PathBuf {
    PathBuf::from(std::env::var_os(format!("{ARGUMENT}_{index}")).unwrap())
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn wait_for_input_to_end() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Plays the role that the parent asked for; an ordinary run of the tests has none.
#[test]
fn role() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    match role.to_str().unwrap() {
        "wait" => {
            say("ready");
            wait_for_input_to_end();
        }
        "hold-lock" => {
            let _lock = crate::lock::FileLock::try_acquire(&argument(0))
                .unwrap()
                .unwrap();
            say("ready");
            wait_for_input_to_end();
        }
        "hold-record-lock" => {
            use crate::record_lock::RecordLock;
            let limit = std::time::Duration::from_secs(20);
            say("waiting");
            let _lock = RecordLock::acquire(&argument(0), limit).unwrap();
            say("ready");
            wait_for_input_to_end();
        }
        "write-for-ever" => {
            for byte in [b'A', b'B'].into_iter().cycle() {
                let bytes = vec![byte; WRITTEN_BYTES];
                crate::atomic::write(&argument(0), &bytes, crate::atomic::Access::Private).unwrap();
                say("wrote");
            }
        }
        "start-detached" => {
            let mut command = command("block", &[]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            #[expect(clippy::zombie_processes, reason = "it is to outlive this process")]
            let child = crate::process::spawn_detached(&mut command).unwrap();
            say(&format!("started {}", child.id()));
        }
        // Without input there is nothing to wait for; the parent kills it. The limit only keeps a
        // failed test from leaving it for ever.
        "block" => std::thread::park_timeout(std::time::Duration::from_mins(2)),
        "make-files" => {
            use crate::atomic::{Access, create_private_dir_all, write};
            let directory = argument(0);
            create_private_dir_all(&directory.join("a/b")).unwrap();
            write(&directory.join("private"), b"", Access::Private).unwrap();
            write(&directory.join("shared"), b"", Access::Shared).unwrap();
            drop(crate::lock::FileLock::try_acquire(&directory.join("lock")).unwrap());
        }
        other => panic!("no role is called `{other}`"),
    }
}
