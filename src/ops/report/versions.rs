//! What this host is, and which versions its programs have.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use machine_host::{facts, program};
use tokio::task::JoinSet;

use crate::machine::deadlines;

/// Programs that machines and their users work with, each with what makes it say its version.
const PROGRAMS: [(&str, &str); 9] = [
    ("qemu-system-x86_64", "--version"),
    ("qemu-system-aarch64", "--version"),
    ("virtiofsd", "--version"),
    ("passt", "--version"),
    ("gvproxy", "--version"),
    ("vhost-device-vsock", "--version"),
    ("ssh", "-V"),
    ("podman", "--version"),
    ("docker", "--version"),
];
/// Where some of them lie that are in no `PATH`.
const USUAL: [&str; 4] = [
    "/usr/libexec",
    "/usr/lib",
    "/usr/lib/qemu",
    "/usr/libexec/podman",
];
/// What tells which system it is, where there is such a file.
const SYSTEM: [&str; 2] = ["/etc/os-release", "/proc/version"];
/// So much is kept of what a program or such a file says.
const MOST: usize = 4 << 10;

/// This host in a few lines.
pub(super) fn host(data: &Path) -> String {
    let mut text = format!(
        "system: {} {}\nprocessors: {}\nmemory: {} MiB\n",
        std::env::consts::OS,
        std::env::consts::ARCH,
        facts::cpus(),
        facts::memory_mib(),
    );
    let nearest = data.ancestors().find(|above| above.exists());
    if let Some(free) = nearest.and_then(|nearest| facts::free_bytes(nearest).ok()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "free at the data directory: {} MiB", free >> 20);
    }
    for path in SYSTEM {
        if let Ok(said) = fs::read(path) {
            let said = said.get(..MOST).unwrap_or(&said);
            let said = String::from_utf8_lossy(said);
            let _ = write!(text, "\n{path}:\n{}\n", said.trim_end());
        }
    }
    text
}

/// What each program that there is says of its version, in the order of their names.
pub(super) async fn programs(directories: &[PathBuf]) -> String {
    let extra: Vec<PathBuf> = directories
        .iter()
        .cloned()
        .chain(USUAL.map(PathBuf::from))
        .collect();
    let mut looks = JoinSet::new();
    for (name, argument) in PROGRAMS {
        let found = program::find(name, &extra);
        looks.spawn(async move {
            match found {
                None => format!("{name}: not found\n"),
                Some(path) => format!("{}: {}\n", path.display(), version(&path, argument).await),
            }
        });
    }
    let mut lines = looks.join_all().await;
    lines.sort();
    lines.concat()
}

/// The first line of what it says, or why it says nothing.
async fn version(program: &Path, argument: &str) -> String {
    let mut command = tokio::process::Command::new(program);
    command
        .arg(argument)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let limit = deadlines::PROBE.limit;
    match tokio::time::timeout(limit, command.output()).await {
        Err(_) => format!("no answer within {} s", limit.as_secs()),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(output)) => {
            // `ssh -V` speaks on standard error.
            let said = [output.stdout, output.stderr].concat();
            let said = said.get(..MOST).unwrap_or(&said);
            let said = String::from_utf8_lossy(said);
            let line = said.lines().find(|line| !line.trim().is_empty());
            line.unwrap_or("it says nothing").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_told() {
        let text = host(Path::new("/no/such/directory"));
        assert!(text.starts_with("system: "), "{text}");
        assert!(text.contains("processors: "), "{text}");
    }

    #[tokio::test]
    async fn programs_that_are_not_there_are_told_too() {
        let text = programs(&[]).await;
        assert_eq!(text.lines().count(), PROGRAMS.len(), "{text}");
        let silent = version(Path::new("/no/such/program"), "-V").await;
        assert!(!silent.is_empty());
    }
}
