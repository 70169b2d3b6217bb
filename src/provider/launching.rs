//! The note of the processes that a launch has begun, for as long as nothing else tells of them.
//!
//! A launch that is dropped ends what it began. One whose supervisor is killed cannot, and nothing tells of its VM yet: the
//! next supervisor would start another one on the same disks. So each process is noted as soon as it runs, and whoever
//! holds the machine next ends what is noted.

use std::path::Path;

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_host::process::ProcessIdentity;

/// Notes one more process. What cannot be noted is found by nobody if the supervisor is killed in the next seconds, and
/// nothing worse.
pub fn note(path: &Path, process: &ProcessIdentity) {
    let mut noted = read(path);
    noted.push(process.clone());
    let written = serde_json::to_vec(&noted).map_err(std::io::Error::from);
    let written = written.and_then(|text| atomic::write(path, &text, Access::Private));
    if let Err(error) = written {
        tracing::warn!(%error, "A process of the launch is not noted");
    }
}

/// The launch has come to its end: what it began is told of elsewhere, or has ended.
pub fn over(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "The note of a launch stays behind");
    }
}

/// Ends what a launch left that was cut off; those that did not have ended by then. Only for who knows that no supervisor
/// holds the machine, and that its VM is not told of elsewhere.
pub fn end(path: &Path) -> Vec<ProcessIdentity> {
    let mut left = read(path);
    left.retain(ProcessIdentity::is_alive);
    for process in &left {
        if let Err(error) = process.kill() {
            tracing::warn!(%error, pid = process.pid, "A launch that was cut off leaves a process");
        }
    }
    over(path);
    left
}

/// What is noted; a note that is missing or cannot be read is none.
fn read(path: &Path) -> Vec<ProcessIdentity> {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_and_alive_is_ended_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("launch.json");
        assert!(end(&path).is_empty());
        let own = ProcessIdentity::current().unwrap();
        // Numbers come back; the time of the start does not.
        let earlier = ProcessIdentity {
            started: own.started + 1,
            ..own.clone()
        };
        note(&path, &earlier);
        note(&path, &earlier);
        assert_eq!(read(&path), [earlier.clone(), earlier]);
        assert!(end(&path).is_empty());
        assert!(!path.exists());
        fs::write(&path, "{").unwrap();
        assert!(end(&path).is_empty());
        over(&path);
        over(&path);
    }
}
