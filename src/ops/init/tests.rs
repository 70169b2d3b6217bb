//! Tests of `init` with small images in temporary directories.

mod cut_off;
mod disks;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use machine_images::Reference;

use super::*;
use crate::machine::DiskFormat;
use crate::machine::settings::DEFAULT_USER;
use crate::ops::host::spacious as host;
use crate::ops::image::ImageSources;
use crate::store::testing::{Bench, name};

const MIB: u64 = 1 << 20;

fn request(image: &Path) -> InitRequest {
    InitRequest {
        program_directories: Vec::new(),
        volumes: Vec::new(),
        forward_sockets: Vec::new(),
        name: name("dev"),
        provider: ProviderKind::Qemu,
        user: DEFAULT_USER.to_owned(),
        image: ImageRequest {
            reference: Reference::File(image.to_owned()),
            provider: ProviderKind::Qemu,
            checksum: None,
            insecure: false,
            lock: None,
            sources: ImageSources::default(),
        },
        wish: Wish::default(),
        data_disk: None,
        rootful: false,
        scheme: Scheme::Ssh,
        time_zone: "Europe/Berlin".to_owned(),
        swap_mib: 256,
        import_native_ca: true,
        vsock: Vsock::User,
        network: crate::machine::Network::Auto,
        host_loopback: true,
        forward_listeners: false,
    }
}

fn cache(bench: &Bench) -> Cache {
    Cache::at(bench.root.path().join("images"))
}

fn connections(bench: &Bench) -> ConnectionsFile {
    ConnectionsFile::at(bench.root.path().join("connections.json"))
}

/// A raw disk: a boot record, and then bytes that are no hole.
fn raw_image(bench: &Bench) -> PathBuf {
    let path = bench.root.path().join("guest.raw");
    let mut bytes = vec![0xa5; usize::try_from(3 * MIB).unwrap()];
    bytes[..510].fill(0);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&path, bytes).unwrap();
    path
}

fn empty_image(bench: &Bench) -> PathBuf {
    let path = bench.root.path().join("empty");
    fs::write(&path, "").unwrap();
    path
}

/// Notes the progress, and cancels at the question with this number.
struct Recorder {
    seen: Mutex<Vec<InitProgress>>,
    questions: AtomicUsize,
    cancel_at: usize,
}

impl Recorder {
    fn cancelling_at(cancel_at: usize) -> Self {
        Self {
            seen: Mutex::new(Vec::new()),
            questions: AtomicUsize::new(0),
            cancel_at,
        }
    }

    fn patient() -> Self {
        Self::cancelling_at(usize::MAX)
    }
}

impl InitReporter for Recorder {
    fn progress(&self, progress: InitProgress) {
        self.seen.lock().unwrap().push(progress);
    }

    fn cancelled(&self) -> bool {
        self.questions.fetch_add(1, Ordering::Relaxed) >= self.cancel_at
    }
}

async fn made(bench: &Bench, host: &Host, request: &InitRequest) -> InitOutcome {
    init(
        &bench.store,
        &cache(bench),
        &connections(bench),
        host,
        request,
        &Recorder::patient(),
    )
    .await
    .unwrap()
}

async fn refusal(bench: &Bench, host: &Host, request: &InitRequest) -> InitError {
    let error = init(
        &bench.store,
        &cache(bench),
        &connections(bench),
        host,
        request,
        &Recorder::patient(),
    )
    .await
    .unwrap_err();
    assert!(nothing_is_there(bench), "{error} left something");
    error
}

/// Neither a machine nor the beginning of one.
fn nothing_is_there(bench: &Bench) -> bool {
    let machines = bench.root.path().join("d").join("machines");
    !machines.exists() || (bench.store.names().unwrap().is_empty() && bench.hidden().is_empty())
}

#[tokio::test]
async fn a_machine_is_complete() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    let mut request = request(&image);
    request.rootful = true;
    let recorder = Recorder::patient();
    let outcome = init(
        &bench.store,
        &cache(&bench),
        &connections(&bench),
        &host(),
        &request,
        &recorder,
    )
    .await
    .unwrap();

    let StoredMachine { config, files } = bench.store.load(&name("dev")).unwrap();
    assert_eq!(outcome.machine.config, config);
    assert_eq!(config.uid, 4711);
    assert!(config.rootful && config.import_native_ca);
    assert_eq!(config.vsock, Vsock::User);
    assert_eq!(
        (config.time_zone.as_str(), config.swap_mib),
        ("Europe/Berlin", 256)
    );
    assert_eq!(config.disk, DiskFormat::Raw);
    assert_eq!(config.image, image.display().to_string());
    let expected = Resources {
        cpus: 2,
        memory_mib: 2048,
        disk_gib: 100,
    };
    assert_eq!(config.resources, expected);
    assert!(
        outcome.image.ends_with("guest.raw (raw, 3 MiB)"),
        "{}",
        outcome.image
    );

    assert_ne!(config.ssh_port, 0);
    let listed = connections(&bench).read().unwrap();
    assert_eq!(listed.default_name(), Some("dev-root"));
    assert_eq!(
        listed.get("dev").unwrap().uri,
        format!(
            "ssh://core@127.0.0.1:{}/run/user/4711/podman/podman.sock",
            config.ssh_port
        )
    );

    let disk = fs::metadata(files.os_disk(DiskFormat::Raw)).unwrap();
    assert_eq!(disk.len(), 20 << 30);
    assert_eq!(config.data_disk, Some(DataDisk::Own));
    let data = fs::metadata(files.data_disk()).unwrap();
    assert_eq!(data.len(), 100 << 30);
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    Secret::from_hex(&read(files.secret())).unwrap();
    let ignition: serde_json::Value = serde_json::from_str(&read(files.ignition())).unwrap();
    assert_eq!(ignition["ignition"]["version"], "3.2.0");
    let client_key = read(files.ssh_client_public_key());
    assert!(ignition.to_string().contains(client_key.trim()));
    assert!(read(files.ssh_client_key()).contains("OPENSSH PRIVATE KEY"));
    assert_ne!(read(files.ssh_client_key()), read(files.ssh_host_key()));
    let host_key = read(files.ssh_host_public_key());
    let known: Vec<_> = host_key.split(' ').take(2).collect();
    assert_eq!(
        read(files.known_hosts()),
        format!("dev {}\n", known.join(" "))
    );

    let seen = recorder.seen.into_inner().unwrap();
    assert!(
        matches!(seen.first(), Some(InitProgress::Image { .. })),
        "{seen:?}"
    );
    assert_eq!(seen.last(), Some(&InitProgress::Completing));
    assert_eq!(bench.hidden(), [""; 0]);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let bench = Bench::new();
    let request = request(Path::new("/dev/null"));
    let outcome = made(&bench, &host(), &request).await;
    assert_eq!(outcome.image, "none (a blank disk)");
    let files = outcome.machine.files;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(files.directory()), 0o700);
    assert_eq!(mode(&files.ssh_directory()), 0o700);
    for file in [
        files.secret(),
        files.ignition(),
        files.ssh_client_key(),
        files.ssh_host_key(),
        files.config(),
    ] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn checks_come_in_podmans_order() {
    let bench = Bench::new();
    bench.make("taken");
    let insert = |connections: &mut crate::connection::Connections| {
        connections.insert(
            "connected-root",
            crate::connection::Connection::to("tcp://h:1"),
        );
        Ok(())
    };
    connections(&bench).edit(insert).unwrap();
    let missing = bench.root.path().join("missing");
    let mut request = request(&missing);
    request.name = name("taken");
    request.user = "a b".to_owned();
    request.wish = Wish {
        cpus: Some(99),
        memory_mib: Some(99_000),
        disk_gib: Some(1),
    };
    let expected = [
        "invalid username \"a b\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        "machine \"taken\" already exists",
        "system connection \"connected-root\" already exists. consider a different machine name or remove the \
         connection with `podman system connection rm`",
        "requested amount of memory (99000 MB) greater than total system memory (8000 MB)",
        "requested number of CPUs (99) greater than number of host CPUs (4)",
    ];
    let mut seen = Vec::new();
    for step in 0..=expected.len() {
        let error = init(
            &bench.store,
            &cache(&bench),
            &connections(&bench),
            &host(),
            &request,
            &Recorder::patient(),
        )
        .await
        .unwrap_err();
        seen.push(error.to_string());
        match step {
            0 => request.user = DEFAULT_USER.to_owned(),
            1 => request.name = name("connected"),
            2 => request.name = name("free"),
            3 => request.wish.memory_mib = None,
            _ => request.wish.cpus = None,
        }
    }
    assert_eq!(seen[..expected.len()], expected);
    assert_eq!(
        seen[5],
        format!("Image `{}` does not exist", missing.display())
    );
    assert_eq!(bench.store.names().unwrap(), [name("taken")]);
}

#[tokio::test]
async fn root_and_its_number_stay_on_the_host() {
    let bench = Bench::new();
    let image = empty_image(&bench);
    let root = Host {
        user_id: 0,
        ..host()
    };
    let outcome = made(&bench, &root, &request(&image)).await;
    assert_eq!(outcome.machine.config.uid, 1000);
    assert_eq!(outcome.machine.config.disk, DiskFormat::Qcow2);
}
