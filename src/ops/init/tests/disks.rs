//! The two disks of a new machine, and the images that they come from.

use std::io;

use super::*;

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
