//! Tests of `init` with small images in temporary directories.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use machine_images::Reference;

use super::*;
use crate::machine::DiskFormat;
use crate::machine::settings::DEFAULT_USER;
use crate::ops::image::ImageSources;
use crate::ops::init::spacious_host as host;
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
async fn an_image_that_is_none_is_refused_before_anything_is_made() {
    let bench = Bench::new();
    let image = bench.root.path().join("notes.txt");
    fs::write(&image, "hello ".repeat(1000)).unwrap();
    let error = refusal(&bench, &host(), &request(&image)).await;
    assert!(
        matches!(error, InitError::Image(ImageError::NotAnImage { .. })),
        "{error:?}"
    );
    assert!(!error.hints().is_empty());
    assert!(!bench.root.path().join("d").exists());
}

/// The size that is asked for is that of the data disk, however large the image is.
#[tokio::test]
async fn the_disk_with_the_operating_system_is_as_large_as_its_image() {
    let bench = Bench::new();
    let image = bench.root.path().join("large.raw");
    fs::copy(raw_image(&bench), &image).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len((21 << 30) + 1).unwrap();
    let mut request = request(&image);
    request.wish.disk_gib = Some(3);
    let made = made(&bench, &host(), &request).await.machine;
    let length = |path: PathBuf| fs::metadata(path).unwrap().len();
    assert_eq!(
        length(made.files.os_disk(DiskFormat::Raw)),
        (21 << 30) + 512
    );
    assert_eq!(length(made.files.data_disk()), 3 << 30);
    assert_eq!(made.config.resources.disk_gib, 3);
}

#[tokio::test]
async fn a_size_that_the_host_could_never_hold_is_refused() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    let small = Host {
        total_bytes: |_| Ok(50 << 30),
        ..host()
    };
    let mut request = request(&image);
    request.wish.disk_gib = Some(51);
    let error = refusal(&bench, &small, &request).await;
    assert_eq!(
        error.to_string(),
        "requested disk size (51 GB) greater than the host's file system (50 GB)"
    );
    // The default is nobody's wish, and a disk of holes.
    request.wish.disk_gib = None;
    made(&bench, &small, &request).await;
}

fn data_file(bench: &Bench, name: &str, gib: u64) -> PathBuf {
    let path = bench.root.path().join(name);
    fs::write(&path, "kept").unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(gib << 30).unwrap();
    path
}

#[tokio::test]
async fn a_data_disk_of_the_users_is_used_where_it_lies() {
    let bench = Bench::new();
    let (image, data) = (raw_image(&bench), data_file(&bench, "data.raw", 2));
    let mut request = request(&image);
    request.data_disk = Some(data.clone());
    let length = || fs::metadata(&data).unwrap().len();
    for (size, expected) in [(None, 2), (Some(2), 2), (Some(5), 5)] {
        request.wish.disk_gib = size;
        let machine = made(&bench, &host(), &request).await.machine;
        assert_eq!(machine.config.data_disk, Some(DataDisk::At(data.clone())));
        assert_eq!(machine.config.resources.disk_gib, expected);
        assert_eq!(length(), expected << 30);
        assert!(!machine.files.data_disk().exists(), "no second one");
        // The machine goes, the file stays.
        bench.store.edit(&name("dev")).unwrap().remove().unwrap();
    }
    request.wish.disk_gib = Some(4);
    let error = refusal(&bench, &host(), &request).await;
    assert!(
        error
            .to_string()
            .ends_with("has 5 GB and cannot become smaller"),
        "{error}"
    );
    assert_eq!(length(), 5 << 30);

    request.wish.disk_gib = None;
    made(&bench, &host(), &request).await;
    request.name = name("second");
    let link = bench.root.path().join("link.raw");
    fs::hard_link(&data, &link).unwrap();
    for path in [data, link] {
        request.data_disk = Some(path);
        let recorder = Recorder::patient();
        let (cache, connections, host) = (cache(&bench), connections(&bench), host());
        let made = init(
            &bench.store,
            &cache,
            &connections,
            &host,
            &request,
            &recorder,
        );
        let error = made.await.unwrap_err();
        assert!(
            error.to_string().ends_with("is that of machine `dev`"),
            "{error}"
        );
    }
    assert_eq!(bench.store.names().unwrap(), [name("dev")]);
}

/// Two commands pass the check at the same time: the list of machines is locked for the second look.
#[tokio::test]
async fn of_two_with_the_same_data_disk_one_wins() {
    let bench = Bench::new();
    let (image, data) = (raw_image(&bench), data_file(&bench, "data.raw", 1));
    let mut request = request(&image);
    request.data_disk = Some(data.clone());
    let draft = bench.store.begin(&name("late")).unwrap();
    let sockets = draft.sockets().display().to_string();
    fs::write(draft.files().os_disk(DiskFormat::Qcow2), "disk").unwrap();
    made(&bench, &host(), &request).await;
    let late = MachineConfig {
        data_disk: Some(DataDisk::At(data)),
        ..crate::store::testing::config("late", &sockets)
    };
    let error = draft.commit(&late).unwrap_err();
    assert!(
        matches!(error, StoreError::DataDiskTaken { .. }),
        "{error:?}"
    );
    assert_eq!(bench.store.names().unwrap(), [name("dev")]);
    assert_eq!(bench.hidden(), [""; 0]);
}

/// The raw disk, packed by gzip's stored blocks: no library is needed for that.
fn packed_image(bench: &Bench) -> PathBuf {
    let content = fs::read(raw_image(bench)).unwrap();
    let mut crc = u32::MAX;
    for byte in &content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    for block in content.chunks(60_000) {
        let length = u16::try_from(block.len()).unwrap();
        packed.push(0);
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    packed.extend(b"\x01\0\0\xff\xff");
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    let path = bench.root.path().join("guest.raw.gz");
    fs::write(&path, packed).unwrap();
    path
}

#[tokio::test]
async fn a_packed_image_makes_the_machine_that_the_plain_one_makes() {
    let bench = Bench::new();
    let request = request(&packed_image(&bench));
    let outcome = made(&bench, &host(), &request).await;
    assert!(
        outcome.image.ends_with("guest.raw.gz (raw in gzip)"),
        "{}",
        outcome.image
    );
    let config = &outcome.machine.config;
    assert_eq!(
        (config.disk, config.resources.disk_gib),
        (DiskFormat::Raw, 100)
    );
    let disk = outcome.machine.files.os_disk(DiskFormat::Raw);
    assert_eq!(fs::metadata(&disk).unwrap().len(), 20 << 30);
    let mut start = Vec::new();
    let content = fs::read(raw_image(&bench)).unwrap();
    io::Read::take(fs::File::open(disk).unwrap(), content.len() as u64)
        .read_to_end(&mut start)
        .unwrap();
    assert!(start == content);
}

#[tokio::test]
async fn another_checksum_makes_no_machine() {
    let bench = Bench::new();
    for image in [raw_image(&bench), packed_image(&bench)] {
        let mut request = request(&image);
        request.image.checksum = Some(format!("sha256:{}", "0".repeat(64)).parse().unwrap());
        let error = refusal(&bench, &host(), &request).await;
        assert!(
            matches!(error, InitError::Image(ImageError::Mismatch { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_told_before_the_copy() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    let full = Host {
        free_bytes: |_| Ok(2 * MIB),
        ..host()
    };
    let error = refusal(&bench, &full, &request(&image)).await;
    let InitError::Image(ImageError::Full { needed, free, .. }) = &error else {
        panic!("{error:?}");
    };
    assert!(*needed >= 3 * MIB - 4096, "{needed}");
    assert_eq!(*free, Some(2 * MIB));
    assert!(error.hints()[0].contains("MACHINE_HOME"));

    // A file system that does not tell is tried.
    let mute = Host {
        free_bytes: |_| Err(io::ErrorKind::Unsupported.into()),
        ..host()
    };
    made(&bench, &mute, &request(&image)).await;
}

#[tokio::test]
async fn a_size_that_was_asked_for_and_has_no_room_is_told() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    let small = Host {
        free_bytes: |_| Ok(20 << 30),
        ..host()
    };
    let mut asked = request(&image);
    asked.wish.disk_gib = Some(30);
    let told = made(&bench, &small, &asked).await.shortage;
    let expected = Shortage {
        disk_gib: 30,
        free_bytes: 20 << 30,
    };
    assert_eq!(told, Some(expected));
    // The default is nobody's wish, and what fits is no news.
    for (name, wanted) in [("b", None), ("c", Some(20))] {
        let mut other = request(&image);
        other.name = MachineName::parse(name).unwrap();
        other.wish.disk_gib = wanted;
        assert_eq!(made(&bench, &small, &other).await.shortage, None, "{name}");
    }
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

#[tokio::test]
async fn a_cancellation_at_any_question_leaves_nothing() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    for question in 0.. {
        let recorder = Recorder::cancelling_at(question);
        let result = init(
            &bench.store,
            &cache(&bench),
            &connections(&bench),
            &host(),
            &request(&image),
            &recorder,
        )
        .await;
        let Err(error) = result else {
            assert!(question >= 4, "it was asked {question} times only");
            assert!(bench.store.find("dev").is_ok());
            return;
        };
        assert_eq!(error.to_string(), "Making machine `dev` was cancelled");
        assert!(nothing_is_there(&bench), "question {question}");
    }
}

/// The future is dropped at every point where it waits. The runtime waits for its threads, as the program does at its
/// end.
#[test]
fn a_dropped_future_leaves_nothing_or_a_whole_machine() {
    for polls in 0..50 {
        let bench = Bench::new();
        let request = request(&raw_image(&bench));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let finished = runtime.block_on(async {
            let (host, recorder, connections) = (host(), Recorder::patient(), connections(&bench));
            let cache = cache(&bench);
            let mut future = std::pin::pin!(init(
                &bench.store,
                &cache,
                &connections,
                &host,
                &request,
                &recorder
            ));
            let mut left = polls;
            std::future::poll_fn(|context| {
                if left == 0 {
                    return std::task::Poll::Ready(None);
                }
                left -= 1;
                future.as_mut().poll(context).map(Some)
            })
            .await
        });
        drop(runtime);
        if let Some(result) = finished {
            result.unwrap();
            assert!(polls > 3, "it waits at {polls} points only");
            return;
        }
        if bench.store.find("dev").is_ok() {
            continue;
        }
        if !nothing_is_there(&bench) {
            // The thread that makes the disk was in the middle of a file. The next change clears that away.
            let next = "next".parse().unwrap();
            drop(bench.store.begin(&next).unwrap());
        }
        assert!(
            nothing_is_there(&bench),
            "dropped after {polls} polls: {:?}",
            bench.hidden()
        );
    }
    panic!("it never finished");
}

#[tokio::test]
async fn a_machine_without_connections_is_none() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    // The check finds nothing wrong: only the lock's place is taken, by a directory.
    let connections = connections(&bench);
    fs::create_dir(connections.lock_path()).unwrap();
    let (host, request, recorder) = (host(), request(&image), Recorder::patient());
    let result = init(
        &bench.store,
        &cache(&bench),
        &connections,
        &host,
        &request,
        &recorder,
    )
    .await;
    let error = result.unwrap_err();
    assert!(matches!(error, InitError::Connection(_)), "{error:?}");
    assert!(nothing_is_there(&bench));
}

#[tokio::test]
async fn what_a_killed_removal_left_is_in_nobodys_way() {
    let bench = Bench::new();
    let image = raw_image(&bench);
    let connections = connections(&bench);
    let make = async || {
        init(
            &bench.store,
            &cache(&bench),
            &connections,
            &host(),
            &request(&image),
            &Recorder::patient(),
        )
        .await
    };
    make().await.unwrap();
    // As far as a removal came that was killed then.
    bench.store.edit(&name("dev")).unwrap().remove().unwrap();
    assert!(connections.read().unwrap().get("dev").is_some());
    make().await.unwrap();
}
