//! What is left of machines on this host: processes, sockets, locks, ports, connections, halves of machines.

use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use machine_host::lock::FileLock;
use serde_json::Value;

use super::SOON;
use super::place::Place;

/// What should not be there beside the machines of this home, each in a line. A machine that is stopped has no process,
/// socket, lock or port; one that runs has each of its processes once; none is half-made.
pub(crate) fn leftovers(home: &Place) -> Vec<String> {
    let text = home.machine(&["list", "--format", "json"], SOON);
    let list: Value = serde_json::from_str(&text.succeeded()).expect("the list is JSON");
    let list = list.as_array().expect("the list is an array").clone();
    let mut found = Vec::new();
    let runs = |entry: &Value| entry["Running"] == true || entry["Starting"] == true;
    let running = list.iter().filter(|entry| runs(entry)).count();
    let processes = home.processes();
    for (part, most) in [
        (" supervise ", running),
        ("qemu-system-", running),
        ("/vfkit --", running),
        ("/krunkit --", running),
        ("/gvproxy -", running),
        ("passt ", running),
        ("vhost-device-vsock ", running),
    ] {
        let mut same: Vec<_> = processes
            .iter()
            .filter(|line| line.contains(part))
            .collect();
        // QEMU's command line names the others' sockets.
        if !part.starts_with("qemu") {
            same.retain(|line| !line.contains("qemu-system-"));
        }
        if same.len() > most {
            found.push(format!("processes: {same:?}"));
        }
    }
    if running == 0 && !processes.is_empty() {
        found.push(format!("processes: {processes:?}"));
    }
    let mut locks = vec![home.machines().join(".lock")];
    for entry in &list {
        let directory = home.machine_dir(entry["Name"].as_str().expect("a name"));
        locks.push(directory.join("edit.lock"));
        if !runs(entry) {
            locks.push(directory.join("run.lock"));
            found.extend(of_a_stopped_one(&directory, entry));
        }
    }
    for lock in locks.iter().filter(|lock| lock.exists()) {
        if !matches!(FileLock::try_acquire(lock), Ok(Some(_))) {
            found.push(format!("lock: {}", lock.display()));
        }
    }
    found.extend(names(home, &list));
    found
}

fn of_a_stopped_one(directory: &Path, entry: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(directory) {
        let kind = fs_err::symlink_metadata(&path).map(|it| it.file_type());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if kind.is_ok_and(|kind| kind.is_socket() || kind.is_symlink()) || name == "vm.json" {
            found.push(format!("file: {}", path.display()));
        }
    }
    let port = entry["Port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let port = port.expect("a port");
    if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
        found.push(format!("port {port}: {error}"));
    }
    found
}

/// Each machine has its two connections, and nobody else has one; beside the machines there is the store's lock.
fn names(home: &Place, list: &[Value]) -> Vec<String> {
    let names: Vec<&str> = list
        .iter()
        .filter_map(|entry| entry["Name"].as_str())
        .collect();
    let mut expected: Vec<String> = names
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}-root")])
        .collect();
    expected.sort();
    let file = fs_err::read(home.connections()).unwrap_or_else(|_| b"{}".to_vec());
    let file: Value = serde_json::from_slice(&file).expect("the connections are JSON");
    let connections = file["Connection"]["Connections"].as_object();
    let mut there: Vec<String> = connections
        .map(|all| all.keys().cloned().collect())
        .unwrap_or_default();
    there.sort();
    let mut found = Vec::new();
    if there != expected {
        found.push(format!("connections: {there:?}"));
    }
    for path in fs_err::read_dir(home.machines())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = path.file_name().to_string_lossy().into_owned();
        if name != ".lock" && !names.contains(&name.as_str()) {
            found.push(format!("in the machines' directory: {name}"));
        }
    }
    found
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
