//! A data disk that cannot be used is told, and the engines' storage is no substitute.

use machine_protocol::boot::DATA_DISK_SERIAL;

use super::*;

/// Where root's engine and the user's keep what they have, below the stub's root.
const PLACES: [&str; 5] = [
    "var/lib/containers",
    "etc/containers/networks",
    "etc/containers/systemd",
    "var/home/core/.local/share/containers",
    "var/home/core/.config/containers/systemd",
];

/// What the agent mounted, where it may, does not outlive the test.
struct Notes<'g>(&'g StubGuest);

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        for place in PLACES {
            let mut unmount = std::process::Command::new("umount");
            let unmount = unmount.arg("-l").arg(self.0.path(place));
            let _ = unmount.stderr(Stdio::null()).status();
        }
    }
}

fn guest() -> StubGuest {
    let disk = DataDisk {
        serial: DATA_DISK_SERIAL.to_owned(),
    };
    let guest = StubGuest::with_data_disk(disk);
    let put = |name: &str, content: &[u8]| {
        let path = guest.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    };
    put("sys/block/vdb/serial", DATA_DISK_SERIAL.as_bytes());
    put("etc/passwd", b"core:x:1000:1000::/var/home/core:/bin/sh\n");
    put("dev/vdb", b"a letter that nobody sent\n");
    let disk = fs_err::OpenOptions::new()
        .write(true)
        .open(guest.path("dev/vdb"));
    disk.unwrap().set_len(64 << 20).unwrap();
    guest.program(
        "systemctl",
        "test \"$1\" = is-system-running && echo running; :",
    );
    guest.program("blkid", "exit 2");
    guest
}

#[tokio::test]
async fn a_disk_with_unknown_bytes_is_told_before_an_engine_is_asked() {
    let guest = guest();
    let _notes = Notes(&guest);
    guest.engine("run/podman/podman.sock", OK);
    guest.engine("run/user/1000/podman/podman.sock", OK);
    let _agent = guest.start();
    let mut host = guest.host().await;
    let mut told = None;
    loop {
        match soon(host.events.recv()).await.unwrap() {
            AgentEvent::Health {
                part: Part::DataDisk,
                problem,
            } => told = problem,
            AgentEvent::EngineReady { .. } => break,
            _ => {}
        }
    }
    let told = told.expect("the engine was asked before");
    assert!(told.starts_with("the data disk is not blank"), "{told}");
    for place in PLACES {
        let place = guest.path(place);
        // Only root may mount the note.
        if let Ok(note) = fs_err::read_to_string(place.join("THE-DATA-DISK-IS-MISSING.txt")) {
            assert!(note.contains("is not blank"), "{note}");
            fs_err::write(place.join("lost"), "").unwrap_err();
        }
    }
    let disk = fs_err::read(guest.path("dev/vdb")).unwrap();
    assert!(disk.starts_with(b"a letter"), "nobody writes to it");
}

#[tokio::test]
async fn a_guest_without_one_hears_nothing_of_it() {
    let guest = StubGuest::new(false);
    guest.program(
        "systemctl",
        "test \"$1\" = is-system-running && echo running; :",
    );
    let _agent = guest.start();
    let mut host = guest.host().await;
    loop {
        match soon(host.events.recv()).await.unwrap() {
            AgentEvent::Health { part, .. } => assert_ne!(part, Part::DataDisk),
            AgentEvent::BootFinished { .. } => break,
            _ => {}
        }
    }
    assert!(!guest.path("var/lib/machine").exists());
}
