//! Programs of the guest, with a limit of time; their last words are the problem.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::paths::Paths;

/// Where programs lie; some systems have no directory of their own for root's.
const DIRECTORIES: [&str; 3] = ["usr/sbin", "usr/bin", "sbin"];
const OUTPUT_LIMIT: u64 = 64 * 1024;
const LINE_LENGTH: usize = 300;

/// In one sentence.
pub(super) type Problem = String;

/// Finds a program.
pub(super) fn find(paths: &Paths, name: &str) -> Option<PathBuf> {
    DIRECTORIES
        .iter()
        .map(|directory| paths.root().join(directory).join(name))
        .find(|path| path.is_file())
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    status: ExitStatus,
    name: String,
    /// What it said; the beginning of too much.
    pub(super) said: String,
    /// What it said was wrong, in a line, or nothing.
    pub(super) last_words: String,
}

impl Ended {
    /// Its exit status, where it was not killed.
    pub(super) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// That it failed, and why.
    pub(super) fn problem(&self) -> Problem {
        format!(
            "`{}` ended with {}: {}",
            self.name, self.status, self.last_words
        )
    }
}

/// Runs a program to its end; what it said.
pub(super) async fn run(
    paths: &Paths,
    name: &str,
    arguments: &[&str],
    limit: Duration,
) -> Result<String, Problem> {
    let ended = end(paths, name, arguments, limit).await?;
    if ended.status.success() {
        Ok(ended.said)
    } else {
        Err(ended.problem())
    }
}

/// Runs a program to its end, whatever that is.
pub(super) async fn end(
    paths: &Paths,
    name: &str,
    arguments: &[&str],
    limit: Duration,
) -> Result<Ended, Problem> {
    let program = find(paths, name).ok_or_else(|| format!("the guest has no `{name}`"))?;
    match tokio::time::timeout(limit, run_to_end(&program, name, arguments)).await {
        Ok(done) => done,
        Err(_) => Err(format!("`{name}` did not end within {} s", limit.as_secs())),
    }
}

async fn run_to_end(program: &Path, name: &str, arguments: &[&str]) -> Result<Ended, Problem> {
    let failed = |error: std::io::Error| format!("`{name}` cannot be run: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (said, words) = tokio::join!(text(child.stdout.take()), text(child.stderr.take()));
    let status = child.wait().await.map_err(failed)?;
    Ok(Ended {
        status,
        name: name.to_owned(),
        said,
        last_words: last_words(&words),
    })
}

/// The last line that does not merely go on with another one.
fn last_words(words: &str) -> String {
    let says_something = |line: &&str| !line.trim().is_empty();
    let is_whole = |line: &&str| says_something(line) && !line.starts_with([' ', '\t']);
    let last = words.lines().rfind(is_whole);
    let last = last.or_else(|| words.lines().rfind(says_something));
    last.unwrap_or_default().chars().take(LINE_LENGTH).collect()
}

/// What comes until the end; the rest of too much is thrown away, so that nobody has to wait for a reader.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut stream = stream.take(OUTPUT_LIMIT);
        // A stream that breaks has said what it said.
        let _ = stream.read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut stream.into_inner(), &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Programs of tests, which note how they were called.
#[cfg(test)]
pub(super) mod testing {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory that stands for a guest.
    pub(in crate::linux) struct Stub {
        root: tempfile::TempDir,
        pub(in crate::linux) paths: Paths,
    }

    impl Stub {
        pub(in crate::linux) fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let paths = Paths::new(root.path().to_path_buf(), 1000);
            Self { root, paths }
        }

        pub(in crate::linux) fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        pub(in crate::linux) fn put(&self, name: &str, content: &str) {
            let path = self.path(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }

        pub(in crate::linux) fn text(&self, name: &str) -> String {
            fs_err::read_to_string(self.path(name)).unwrap()
        }

        /// A program that notes its arguments, then runs `script` with `$ROOT`.
        pub(in crate::linux) fn program(&self, name: &str, script: &str) {
            let root = self.root.path().display();
            let short = name.rsplit('/').next().unwrap();
            let text =
                format!("#!/bin/sh\nROOT={root}\necho \"{short} $*\" >> $ROOT/calls\n{script}\n");
            self.put(name, &text);
            let mode = std::fs::Permissions::from_mode(0o755);
            fs_err::set_permissions(self.path(name), mode).unwrap();
        }

        /// The calls since the last question.
        pub(in crate::linux) fn calls(&self) -> Vec<String> {
            let calls = fs_err::read_to_string(self.path("calls")).unwrap_or_default();
            let _ = fs_err::remove_file(self.path("calls"));
            calls
                .lines()
                .map(|line| line.trim_end().to_owned())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Stub;
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn last_words() {
        let stub = Stub::new();
        stub.program("usr/bin/good", "echo noise >&2; echo word");
        stub.program(
            "usr/bin/loud",
            "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2",
        );
        stub.program(
            "usr/sbin/bad",
            "echo first >&2; echo last >&2; echo ' (goes on)' >&2; echo >&2; exit 3",
        );
        stub.program("usr/sbin/slow", "exec sleep 60");
        let run = async |name, limit| run(&stub.paths, name, &["a", "b"], limit).await;
        assert_eq!(run("good", SOON).await, Ok("word\n".to_owned()));
        assert_eq!(run("loud", SOON).await.map(|text| text.len()), Ok(65536));
        assert_eq!(
            run("bad", SOON).await,
            Err("`bad` ended with exit status: 3: last".to_owned())
        );
        assert_eq!(
            run("none", SOON).await,
            Err("the guest has no `none`".to_owned())
        );
        assert_eq!(
            run("slow", Duration::from_millis(50)).await,
            Err("`slow` did not end within 0 s".to_owned())
        );
        assert_eq!(
            stub.calls(),
            ["good a b", "loud a b", "bad a b", "slow a b"]
        );
    }
}
