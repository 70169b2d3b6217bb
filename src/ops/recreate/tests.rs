//! Tests of `recreate` with small images in temporary directories.

use std::path::PathBuf;

use machine_host::lock::FileLock;
use machine_images::Reference;

use super::*;
use crate::connection::ConnectionsFile;
use crate::connection::machine::Scheme;
use crate::machine::config::LOCAL_TIME_ZONE;
use crate::machine::resources::Wish;
use crate::machine::settings::DEFAULT_USER;
use crate::machine::{DiskFormat, Network, ProviderKind, Vsock};
use crate::ops::host::spacious as host;
use crate::ops::image::ImageSources;
use crate::ops::init::{self, InitRequest};
use crate::store::testing::{Bench, name};

struct Quiet;

impl InitReporter for Quiet {
    fn progress(&self, _: InitProgress) {}
}

/// Gives up at the first question.
struct Hasty;

impl InitReporter for Hasty {
    fn progress(&self, _: InitProgress) {}

    fn cancelled(&self) -> bool {
        true
    }
}

/// A raw disk that is told from others by this byte.
fn image(bench: &Bench, file: &str, mark: u8) -> PathBuf {
    let path = bench.root.path().join(file);
    let mut bytes = vec![mark; 1 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&path, bytes).unwrap();
    path
}

fn image_request(image: &Path) -> ImageRequest {
    ImageRequest {
        reference: Reference::File(image.to_owned()),
        provider: ProviderKind::Qemu,
        checksum: None,
        insecure: false,
        lock: None,
        sources: ImageSources::default(),
    }
}

/// The machine `dev`, made from this image; its data disk holds `data`.
async fn machine(bench: &Bench, image: &Path) -> StoredMachine {
    let request = InitRequest {
        program_directories: Vec::new(),
        name: name("dev"),
        provider: ProviderKind::Qemu,
        user: DEFAULT_USER.to_owned(),
        image: image_request(image),
        wish: Wish::default(),
        data_disk: None,
        rootful: false,
        scheme: Scheme::Ssh,
        time_zone: LOCAL_TIME_ZONE.to_owned(),
        swap_mib: 0,
        import_native_ca: false,
        vsock: Vsock::Auto,
        network: Network::Auto,
        host_loopback: true,
        forward_listeners: false,
        volumes: Vec::new(),
        forward_sockets: Vec::new(),
    };
    let connections = ConnectionsFile::at(bench.root.path().join("connections.json"));
    let cache = Cache::at(bench.root.path().join("images"));
    let host = host();
    let made = init::init(&bench.store, &cache, &connections, &host, &request, &Quiet);
    let machine = made.await.unwrap().machine;
    let disk = fs::OpenOptions::new()
        .write(true)
        .open(machine.files.data_disk());
    std::io::Write::write_all(&mut disk.unwrap(), b"data").unwrap();
    machine
}

fn start_of(path: &Path) -> [u8; 4] {
    let mut start = [0; 4];
    let mut file = fs::File::open(path).unwrap();
    std::io::Read::read_exact(&mut file, &mut start).unwrap();
    start
}

fn request(image: Option<&Path>) -> RecreateRequest {
    RecreateRequest {
        name: name("dev"),
        image: image.map(image_request),
        discard_data: false,
        force: false,
    }
}

async fn never(_: &MachineFiles) -> Result<(), StoreError> {
    panic!("it is stopped");
}

async fn run(bench: &Bench, request: &RecreateRequest) -> Result<Recreated, RecreateError> {
    let cache = Cache::at(bench.root.path().join("images"));
    recreate(&bench.store, &cache, &host(), request, &Quiet, never).await
}

fn files_of(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_disk_is_another_and_the_machine_the_same() {
    let bench = Bench::new();
    let (old, new) = (image(&bench, "old.raw", 1), image(&bench, "new.raw", 2));
    let before = machine(&bench, &old).await;
    let kept = [
        before.files.ssh_client_key(),
        before.files.ssh_host_key(),
        before.files.known_hosts(),
        before.files.secret(),
        before.files.ignition(),
    ];
    let contents = || kept.each_ref().map(|file| fs::read(file).unwrap());
    let was = contents();
    assert_eq!(start_of(&before.files.os_disk(DiskFormat::Raw)), [1; 4]);
    for (round, (image, mark)) in [(Some(&new), 2), (None, 2), (Some(&old), 1)]
        .into_iter()
        .enumerate()
    {
        let request = request(image.map(PathBuf::as_path));
        let recreated = run(&bench, &request).await.unwrap();
        assert!(!recreated.has_new_data_disk);
        let machine = bench.store.load(&name("dev")).unwrap();
        assert_eq!(recreated.machine, machine);
        let generation = u32::try_from(round).unwrap() + 1;
        let image = image.unwrap_or(&new).display().to_string();
        let expected = MachineConfig {
            image,
            generation,
            ..before.config.clone()
        };
        assert_eq!(machine.config, expected);
        assert_eq!(start_of(&machine.files.os_disk(DiskFormat::Raw)), [mark; 4]);
        assert_eq!(start_of(&machine.files.data_disk()), *b"data");
        assert!(contents() == was, "keys and configuration are the same");
        let disks = files_of(machine.files.directory());
        let disks: Vec<_> = disks
            .into_iter()
            .filter(|file| file.contains("disk"))
            .collect();
        assert_eq!(
            disks,
            [format!("disk-{generation}.raw")],
            "the old one is gone"
        );
    }
}

/// The first boot finds the folders that the machine has now.
#[tokio::test]
async fn the_first_boot_is_told_of_the_folders_of_now() {
    let bench = Bench::new();
    let image = image(&bench, "old.raw", 1);
    let machine = machine(&bench, &image).await;
    let text = || fs::read_to_string(machine.files.ignition()).unwrap();
    assert!(!text().contains("composefs"));
    let guard = bench.store.edit(&name("dev")).unwrap();
    let update = guard.update::<StoreError>(|config| {
        config.volumes = vec![crate::machine::Volume {
            source: bench.root.path().to_owned(),
            target: "/Users".to_owned(),
            read_only: false,
            watch: false,
        }];
        Ok(())
    });
    update.unwrap();
    drop(guard);
    run(&bench, &request(None)).await.unwrap();
    assert!(
        text().contains("ostree.prepare-root.composefs=0"),
        "{}",
        text()
    );
}

#[tokio::test]
async fn a_machine_without_a_data_disk_loses_nothing_unasked() {
    let bench = Bench::new();
    let image = image(&bench, "old.raw", 1);
    let machine = machine(&bench, &image).await;
    let path = machine.files.config();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("data_disk = \"own\"\n", "")).unwrap();
    fs::remove_file(machine.files.data_disk()).unwrap();
    let error = run(&bench, &request(None)).await.unwrap_err();
    assert!(matches!(error, RecreateError::NoDataDisk(_)), "{error}");
    assert_eq!(bench.store.load(&name("dev")).unwrap().config.generation, 0);

    let discard = RecreateRequest {
        discard_data: true,
        ..request(None)
    };
    assert!(run(&bench, &discard).await.unwrap().has_new_data_disk);
    let machine = bench.store.load(&name("dev")).unwrap();
    assert_eq!(machine.config.data_disk, Some(DataDisk::Own));
    let data = fs::metadata(machine.files.data_disk()).unwrap();
    assert_eq!(data.len(), machine.config.resources.disk_bytes());
    run(&bench, &request(None)).await.unwrap();
}

#[tokio::test]
async fn a_failure_leaves_the_disk_that_was() {
    let bench = Bench::new();
    let old = image(&bench, "old.raw", 1);
    let before = machine(&bench, &old).await;
    let files = files_of(before.files.directory());
    let same = |what: &str| {
        assert_eq!(bench.store.load(&name("dev")).unwrap(), before, "{what}");
        let mut now = files_of(before.files.directory());
        now.retain(|file| file != "edit.lock" && file != "run.lock");
        assert_eq!(now, files, "{what}");
    };
    let text = bench.root.path().join("notes.txt");
    fs::write(&text, "no image").unwrap();
    let error = run(&bench, &request(Some(&text))).await.unwrap_err();
    assert!(matches!(error, RecreateError::Image(_)), "{error}");
    same("no image");

    let cache = Cache::at(bench.root.path().join("images"));
    let (host, hasty) = (host(), request(None));
    let stopped = recreate(&bench.store, &cache, &host, &hasty, &Hasty, never).await;
    let error = stopped.unwrap_err();
    assert!(matches!(error, RecreateError::Cancelled(_)), "{error}");
    same("cancelled");

    let full = Host {
        free_bytes: |_| Ok(1),
        ..host
    };
    let refused = recreate(&bench.store, &cache, &full, &hasty, &Quiet, never).await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, RecreateError::Image(ImageError::Full { .. })),
        "{error}"
    );
    same("no space");

    // The new disk is there, and the machine cannot take it.
    fs::remove_file(before.files.ssh_host_key()).unwrap();
    let error = run(&bench, &request(None)).await.unwrap_err();
    assert!(error.to_string().contains("could not be read"), "{error}");
    let disk = before.files.os_disk(DiskFormat::Raw);
    assert_eq!(start_of(&disk), [1; 4]);
    assert!(
        !before
            .files
            .of_generation(1)
            .os_disk(DiskFormat::Raw)
            .exists()
    );

    fs::remove_file(&old).unwrap();
    let error = run(&bench, &request(None)).await.unwrap_err();
    assert!(
        error.to_string().contains("old.raw` does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn a_machine_that_is_held_keeps_its_disk() {
    let bench = Bench::new();
    let old = image(&bench, "old.raw", 1);
    let machine = machine(&bench, &old).await;
    let run_lock = FileLock::try_acquire(&machine.files.run_lock()).unwrap();
    let error = run(&bench, &request(None)).await.unwrap_err();
    let text = "Machine `dev` is busy, and only a stopped one can be made anew";
    assert_eq!(error.to_string(), text);
    assert!(error.hints()[0].contains("machine recreate --force dev"));
    assert_eq!(bench.store.load(&name("dev")).unwrap(), machine);
    drop(run_lock);
    run(&bench, &request(None)).await.unwrap();
}

/// An image that came from somewhere is found by its checksum, in the cache or below the disk, and never guessed.
#[test]
fn the_image_is_the_one_that_the_machine_has() {
    let bench = Bench::new();
    let machine = bench.make("dev");
    let cache = Cache::at(bench.root.path().join("images"));
    let checksum = format!("sha256:{}", "ab".repeat(32));
    let mut config = MachineConfig {
        image: "Fedora CoreOS stable 44.20261101.3.0".to_owned(),
        image_checksum: Some(checksum.clone()),
        base: Some(DiskFormat::Raw),
        ..machine.config.clone()
    };
    let error = image_of(&cache, &config, &machine.files).unwrap_err();
    assert!(matches!(error, RecreateError::ImageGone { .. }), "{error}");
    assert!(error.hints()[0].contains("--image stable dev"));
    let base = machine.files.base_disk(DiskFormat::Raw);
    fs::write(&base, "x").unwrap();
    let found = image_of(&cache, &config, &machine.files).unwrap();
    assert_eq!(found.path, base);
    assert_eq!(found.cached.unwrap().to_string(), checksum);
    assert_eq!(found.name, config.image);
    config.image_checksum = None;
    config.image = "/images/guest.qcow2".to_owned();
    let found = image_of(&cache, &config, &machine.files).unwrap();
    assert_eq!(found.path, Path::new("/images/guest.qcow2"));
    assert_eq!(found.cached, None);
}
