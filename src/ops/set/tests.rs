//! Tests of `set`: on files alone, and with a control socket that plays a supervisor.

use machine_host::local_socket;
use machine_host::lock::FileLock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::*;
use crate::machine::resources::Wish;
use crate::machine::{DataDisk, Vsock};
use crate::ops::host::spacious as host;
use crate::store::testing::{Bench, name};
use crate::store::{MachineFiles, StoreError};
use crate::supervisor::control::{Greeting, NEWEST, Reply, Request, WireStatus, line};

fn connections(bench: &Bench) -> ConnectionsFile {
    ConnectionsFile::at(bench.root.path().join("connections.json"))
}

/// The machine's pair, of which the connection of its mode is the default.
fn with_connections(bench: &Bench) -> ConnectionsFile {
    let file = connections(bench);
    let machine = bench.store.load(&name("dev")).unwrap();
    let scheme = connection::machine::Scheme::Ssh;
    connection::machine::add(&file, &machine.config, &machine.files, scheme, None).unwrap();
    file
}

fn default_of(file: &ConnectionsFile) -> Option<String> {
    file.read().unwrap().default_name().map(str::to_owned)
}

async fn change(bench: &Bench, request: &SetRequest) -> Result<SetOutcome, SetError> {
    set(
        &bench.store,
        &connections(bench),
        &host(),
        &name("dev"),
        request,
    )
    .await
}

fn wish(cpus: Option<u32>, memory_mib: Option<u64>, disk_gib: Option<u64>) -> SetRequest {
    SetRequest {
        wish: Wish {
            cpus,
            memory_mib,
            disk_gib,
        },
        ..SetRequest::default()
    }
}

fn rootful(rootful: bool) -> SetRequest {
    SetRequest {
        rootful: Some(rootful),
        ..SetRequest::default()
    }
}

fn stored(bench: &Bench) -> MachineConfig {
    bench.store.load(&name("dev")).unwrap().config
}

struct Quiet;

impl machine_images::Reporter for Quiet {
    fn copying(&self, _: u64, _: u64) {}
}

/// A machine whose disk is a real one of 100 GiB, as its file says.
async fn machine_with_disk(bench: &Bench) -> MachineFiles {
    let files = bench.make("dev").files;
    let disk = files.os_disk(DiskFormat::Qcow2);
    fs::remove_file(&disk).unwrap();
    let empty = bench.root.path().join("empty");
    fs::write(&empty, "").unwrap();
    machine_images::prepare(&empty, &disk, 100 * GIB, &Quiet)
        .await
        .unwrap();
    files
}

fn virtual_gib(files: &MachineFiles) -> u64 {
    match machine_images::recognise(&files.os_disk(DiskFormat::Qcow2)).unwrap() {
        machine_images::ImageKind::Disk { virtual_bytes, .. } => virtual_bytes / GIB,
        machine_images::ImageKind::Empty => 0,
    }
}

#[tokio::test]
async fn only_what_is_given_changes() {
    let bench = Bench::new();
    let before = bench.make("dev").config;
    let outcome = change(&bench, &wish(Some(3), None, None)).await.unwrap();
    let mut expected = before.clone();
    expected.resources.cpus = 3;
    assert_eq!(outcome.config, expected);
    assert_eq!(stored(&bench), expected);

    let request = SetRequest {
        rootful: Some(true),
        time_zone: Some("UTC".to_owned()),
        swap_mib: Some(512),
        import_native_ca: Some(true),
        vsock: Some(Vsock::Off),
        usbs: Some(Vec::new()),
        ..wish(None, Some(4096), None)
    };
    change(&bench, &request).await.unwrap();
    let now = stored(&bench);
    assert_eq!(now.resources.cpus, 3);
    assert_eq!(now.resources.memory_mib, 4096);
    assert!(now.rootful && now.import_native_ca);
    assert_eq!(now.vsock, Vsock::Off);
    assert_eq!((now.time_zone.as_str(), now.swap_mib), ("UTC", 512));
    change(&bench, &SetRequest::default()).await.unwrap();
    assert_eq!(stored(&bench), now);
}

#[tokio::test]
async fn a_refusal_changes_nothing() {
    let bench = Bench::new();
    let files = machine_with_disk(&bench).await;
    let before = stored(&bench);
    let text = async |request: SetRequest| {
        let error = change(&bench, &request).await.unwrap_err();
        assert_eq!(stored(&bench), before);
        assert_eq!(virtual_gib(&files), 100);
        error.to_string()
    };
    // Spec 1.4.8; the first texts are those of init.
    assert_eq!(
        text(wish(Some(9), Some(9000), Some(200))).await,
        "requested amount of memory (9000 MB) greater than total system memory (8000 MB)"
    );
    assert_eq!(
        text(wish(Some(9), None, Some(200))).await,
        "requested number of CPUs (9) greater than number of host CPUs (4)"
    );
    for size in [1, 99, 100] {
        assert_eq!(
            text(wish(Some(3), None, Some(size))).await,
            "new disk size must be larger than 100 GB"
        );
    }
    let usb = SetRequest {
        usbs: Some(vec!["bus=1,devnum=2".to_owned()]),
        ..wish(None, None, Some(200))
    };
    assert_eq!(
        text(usb).await,
        "changing USBs not supported for qemu machines"
    );
    for zone in ["Europe/Nowhere", "../../etc/passwd", "a b"] {
        let zone = SetRequest {
            time_zone: Some(zone.to_owned()),
            ..wish(None, None, Some(200))
        };
        assert!(text(zone).await.starts_with("invalid time zone \""));
    }
    let swap = SetRequest {
        swap_mib: Some(u64::MAX),
        ..SetRequest::default()
    };
    assert!(text(swap).await.starts_with("requested amount of swap ("));
}

#[tokio::test]
async fn a_machine_from_a_larger_host_is_changed_one_number_at_a_time() {
    let bench = Bench::new();
    let guard = {
        bench.make("dev");
        bench.store.edit(&name("dev")).unwrap()
    };
    guard
        .update::<StoreError>(|config| {
            config.resources.cpus = 64;
            config.resources.memory_mib = 1 << 20;
            Ok(())
        })
        .unwrap();
    drop(guard);
    change(&bench, &wish(Some(2), None, None)).await.unwrap();
    change(&bench, &wish(None, Some(2048), None)).await.unwrap();
    assert_eq!(stored(&bench).resources.cpus, 2);
    assert_eq!(stored(&bench).resources.memory_mib, 2048);
}

#[tokio::test]
async fn a_disk_grows_and_an_interrupted_growth_is_finished() {
    let bench = Bench::new();
    let files = machine_with_disk(&bench).await;
    let outcome = change(&bench, &wish(None, None, Some(150))).await.unwrap();
    assert_eq!(outcome.config.resources.disk_gib, 150);
    assert_eq!(outcome.shortage, None);
    assert_eq!(virtual_gib(&files), 150);

    // Killed between disk and file: the file still says 150.
    let disk = files.os_disk(DiskFormat::Qcow2);
    grow(&disk, DiskFormat::Qcow2, 200).await.unwrap();
    change(&bench, &wish(None, None, Some(200))).await.unwrap();
    assert_eq!(stored(&bench).resources.disk_gib, 200);
    // The same, and the user settles for less: the file says what the disk is.
    grow(&disk, DiskFormat::Qcow2, 300).await.unwrap();
    change(&bench, &wish(None, None, Some(250))).await.unwrap();
    assert_eq!(stored(&bench).resources.disk_gib, 300);
    assert_eq!(virtual_gib(&files), 300);
}

#[tokio::test]
async fn of_two_disks_that_with_the_data_grows() {
    let bench = Bench::new();
    let files = machine_with_disk(&bench).await;
    let theirs = bench.root.path().join("theirs.raw");
    for (disk, path) in [
        (DataDisk::Own, files.data_disk()),
        (DataDisk::At(theirs.clone()), theirs),
    ] {
        data_disk::create(&path, 100).unwrap();
        let guard = bench.store.edit(&name("dev")).unwrap();
        let update = guard.update::<StoreError>(|config| {
            config.data_disk = Some(disk);
            config.resources.disk_gib = 100;
            Ok(())
        });
        update.unwrap();
        drop(guard);
        let length = || fs::metadata(&path).unwrap().len() / GIB;
        for size in [99, 100] {
            let error = change(&bench, &wish(None, None, Some(size)))
                .await
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "new disk size must be larger than 100 GB"
            );
        }
        let outcome = change(&bench, &wish(None, None, Some(150))).await.unwrap();
        assert_eq!((outcome.config.resources.disk_gib, length()), (150, 150));
        // Killed between disk and file.
        data_disk::grow(&path, 300).unwrap();
        change(&bench, &wish(None, None, Some(200))).await.unwrap();
        assert_eq!((stored(&bench).resources.disk_gib, length()), (300, 300));
        assert_eq!(virtual_gib(&files), 100);

        let small = Host {
            total_bytes: |_| Ok(400 * GIB),
            ..host()
        };
        let (connections, request) = (connections(&bench), wish(None, None, Some(401)));
        let refused = set(&bench.store, &connections, &small, &name("dev"), &request).await;
        let error = refused.unwrap_err();
        let text = "requested disk size (401 GB) greater than the host's file system (400 GB)";
        assert_eq!(error.to_string(), text);
        assert_eq!(length(), 300);
        fs::remove_file(&path).unwrap();
        let error = change(&bench, &wish(None, None, Some(350)))
            .await
            .unwrap_err();
        assert!(matches!(error, SetError::DataDisk(_)), "{error:?}");
        assert_eq!(stored(&bench).resources.disk_gib, 300);
    }
}

#[tokio::test]
async fn a_full_host_is_refused_and_a_small_one_told() {
    let bench = Bench::new();
    let files = machine_with_disk(&bench).await;
    let full = Host {
        free_bytes: |_| Ok(1 << 20),
        ..host()
    };
    let request = wish(None, None, Some(150));
    let error = set(
        &bench.store,
        &connections(&bench),
        &full,
        &name("dev"),
        &request,
    )
    .await;
    assert!(matches!(
        error,
        Err(SetError::Image(ImageError::Full { .. }))
    ));
    assert_eq!(virtual_gib(&files), 100);
    let small = Host {
        free_bytes: |_| Ok(20 * GIB),
        ..host()
    };
    let outcome = set(
        &bench.store,
        &connections(&bench),
        &small,
        &name("dev"),
        &request,
    )
    .await
    .unwrap();
    let expected = Shortage {
        disk_gib: 150,
        free_bytes: 20 * GIB,
    };
    assert_eq!(outcome.shortage, Some(expected));
}

#[tokio::test]
async fn a_supervisor_on_its_way_up_keeps_the_machine_as_it_is() {
    let bench = Bench::new();
    let files = bench.make("dev").files;
    let before = stored(&bench);
    let _run = FileLock::try_acquire(&files.run_lock()).unwrap().unwrap();
    for request in [
        SetRequest::default(),
        rootful(true),
        wish(Some(1), None, None),
    ] {
        let error = change(&bench, &request).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to change settings unless vm is stopped"
        );
    }
    assert_eq!(stored(&bench), before);
}

#[tokio::test]
async fn an_unknown_machine_is_podmans_text() {
    let bench = Bench::new();
    let error = change(&bench, &SetRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "dev: VM does not exist");
}

/// A supervisor that answers requests so, and what it was asked; the answers are spent when it ends.
fn supervisor(
    files: &MachineFiles,
    status: WireStatus,
    answers: Vec<Option<Reply>>,
) -> tokio::task::JoinHandle<Vec<Request>> {
    let mut listener = local_socket::bind(&files.control_socket()).unwrap();
    tokio::spawn(async move {
        let mut asked = Vec::new();
        let mut answers = answers.into_iter();
        let greeting = line(&Greeting {
            newest: NEWEST,
            oldest: NEWEST,
            build: "test".to_owned(),
            pid: 1,
            vm_pid: None,
            status,
        });
        loop {
            let mut stream = BufReader::new(listener.accept().await.unwrap());
            stream.get_mut().write_all(&greeting).await.unwrap();
            let mut text = String::new();
            // A look at the status asks nothing.
            if stream.read_line(&mut text).await.unwrap_or(0) == 0 {
                continue;
            }
            asked.push(serde_json::from_str(&text).unwrap());
            let Some(answer) = answers.next() else {
                return asked;
            };
            if let Some(reply) = answer {
                stream.get_mut().write_all(&line(&reply)).await.unwrap();
            }
            if answers.len() == 0 {
                return asked;
            }
        }
    })
}

/// An engine that says it has these containers.
fn engine(socket: &std::path::Path, containers: usize) -> tokio::task::JoinHandle<()> {
    let mut listener = local_socket::bind(socket).unwrap();
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = format!("[{}]", vec!["{}"; containers].join(","));
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
}

#[tokio::test]
async fn a_running_machine_takes_its_mode_and_says_what_is_left_behind() {
    let bench = Bench::new();
    let files = bench.make("dev").files;
    let file = with_connections(&bench);
    let asked = supervisor(&files, WireStatus::Running, vec![Some(Reply::Reloaded)]);
    let engine = engine(&files.rootless_socket(), 3);
    let outcome = change(&bench, &rootful(true)).await.unwrap();
    let left = LeftBehind {
        containers: 3,
        rootful: false,
    };
    assert_eq!(outcome.left, Some(left));
    assert_eq!(default_of(&file).as_deref(), Some("dev-root"));
    assert!(stored(&bench).rootful);
    assert_eq!(asked.await.unwrap(), [Request::Reload { protocol: NEWEST }]);
    engine.await.unwrap();
}

#[tokio::test]
async fn a_running_machine_takes_its_sockets_and_says_which_it_could_not_make() {
    let bench = Bench::new();
    let files = bench.make("dev").files;
    let missing = MissingSocket {
        guest: "/run/host/a".to_owned(),
        reason: "a file is there".to_owned(),
    };
    let sockets = |texts: &[&str]| SetRequest {
        forward_sockets: Some(
            crate::ops::sockets::settle(
                &texts
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>(),
                "core",
            )
            .unwrap(),
        ),
        ..SetRequest::default()
    };
    let asked = supervisor(
        &files,
        WireStatus::Running,
        vec![Some(Reply::MissingSocket(missing.clone())), None],
    );
    // The one reply is followed by the end, which is no answer.
    let error = change(&bench, &sockets(&["ssh-agent:/run/host/a"])).await;
    assert!(matches!(error, Err(SetError::Reload { .. })), "{error:?}");
    assert_eq!(stored(&bench).forward_sockets, [], "it is taken back");
    asked.abort();

    let asked = supervisor(&files, WireStatus::Running, vec![Some(Reply::Reloaded)]);
    let request = sockets(&["ssh-agent:/run/host/a", "/b:/run/host/b"]);
    let outcome = change(&bench, &request).await.unwrap();
    assert_eq!(outcome.missing_sockets, []);
    assert_eq!(asked.await.unwrap(), [Request::Reload { protocol: NEWEST }]);
    assert_eq!(stored(&bench).forward_sockets.len(), 2);
    // The same again is no change, and none is one.
    let asked = supervisor(&files, WireStatus::Running, vec![Some(Reply::Reloaded)]);
    change(&bench, &request).await.unwrap();
    assert!(!asked.is_finished(), "nothing was asked");
    change(&bench, &sockets(&[])).await.unwrap();
    asked.await.unwrap();
    assert_eq!(stored(&bench).forward_sockets, []);
}

#[tokio::test]
async fn a_running_machine_forwards_servers_at_once_or_not_at_all() {
    let request = SetRequest {
        forward_listeners: Some(true),
        ..SetRequest::default()
    };
    for (answer, taken) in [(Some(Reply::Reloaded), true), (None, false)] {
        let bench = Bench::new();
        let files = bench.make("dev").files;
        let asked = supervisor(&files, WireStatus::Running, vec![answer]);
        let changed = change(&bench, &request).await;
        assert_eq!(changed.is_ok(), taken, "{changed:?}");
        assert_eq!(stored(&bench).forward_listeners, taken);
        assert_eq!(asked.await.unwrap(), [Request::Reload { protocol: NEWEST }]);
    }
}

#[tokio::test]
async fn the_mode_that_a_running_machine_has_is_no_change() {
    let bench = Bench::new();
    let files = bench.make("dev").files;
    let degraded = WireStatus::Degraded {
        reason: "x".to_owned(),
    };
    let asked = supervisor(&files, degraded, Vec::new());
    let outcome = change(&bench, &rootful(false)).await.unwrap();
    assert_eq!(outcome.left, None);
    assert!(!asked.is_finished(), "nothing was asked");
    asked.abort();
}

#[tokio::test]
async fn a_mode_that_is_not_taken_is_taken_back() {
    let refused = Reply::Refused {
        reason: "the agent is gone".to_owned(),
    };
    // A refusal, and a supervisor that ends.
    for answer in [Some(refused), None] {
        let bench = Bench::new();
        let files = bench.make("dev").files;
        let file = with_connections(&bench);
        let asked = supervisor(&files, WireStatus::Running, vec![answer]);
        let error = change(&bench, &rootful(true)).await.unwrap_err();
        assert!(matches!(error, SetError::Reload { .. }), "{error}");
        assert!(!stored(&bench).rootful);
        assert_eq!(default_of(&file).as_deref(), Some("dev"));
        asked.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_but_the_mode_and_nothing_on_the_way() {
    let starting = WireStatus::Starting {
        phase: crate::supervisor::events::Phase::Link,
    };
    let more = SetRequest {
        rootful: Some(true),
        ..wish(Some(1), None, None)
    };
    let servers_too = SetRequest {
        forward_listeners: Some(true),
        ..wish(Some(1), None, None)
    };
    for (status, request) in [
        (WireStatus::Running, servers_too),
        (WireStatus::Running, wish(Some(1), None, None)),
        (WireStatus::Running, SetRequest::default()),
        (WireStatus::Running, more),
        (starting, rootful(true)),
        (WireStatus::Stopping, rootful(true)),
    ] {
        let bench = Bench::new();
        let files = bench.make("dev").files;
        let asked = supervisor(&files, status, Vec::new());
        let before = stored(&bench);
        let error = change(&bench, &request).await.unwrap_err();
        assert!(matches!(error, SetError::NotStopped { .. }), "{error}");
        assert_eq!(stored(&bench), before);
        asked.abort();
    }
}

#[tokio::test]
async fn the_default_connection_follows_or_the_mode_stays() {
    let bench = Bench::new();
    bench.make("dev");
    let file = with_connections(&bench);
    change(&bench, &rootful(true)).await.unwrap();
    assert_eq!(default_of(&file).as_deref(), Some("dev-root"));
    change(&bench, &rootful(false)).await.unwrap();
    assert_eq!(default_of(&file).as_deref(), Some("dev"));

    fs::write(file.path(), "no JSON").unwrap();
    let before = stored(&bench);
    let error = change(&bench, &rootful(true)).await.unwrap_err();
    assert!(matches!(error, SetError::Connection { .. }), "{error}");
    assert_eq!(stored(&bench), before);
    // What has nothing to do with connections goes on.
    change(&bench, &wish(Some(1), None, None)).await.unwrap();
}
