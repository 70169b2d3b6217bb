//! Disks made from packed images, and images with a checksum.

use super::*;
use crate::Checksum;
use crate::unpack::tests::pack;

pub(super) fn packed(image: &Path, packing: Packing) -> PathBuf {
    // The name says nothing: the content counts.
    let path = image.with_file_name("packed.bin");
    fs_err::write(&path, pack(packing, &fs_err::read(image).unwrap())).unwrap();
    path
}

fn terms(checksum: Option<&str>) -> Terms {
    Terms {
        bytes: 0,
        at_most: UNPACKED_LIMIT,
        checksum: checksum.map(|text| text.parse().unwrap()),
    }
}

fn checksum(path: &Path) -> Checksum {
    let mut file = Digesting::new(File::open(path).unwrap(), true);
    io::copy(&mut file, &mut io::sink()).unwrap();
    file.finish().unwrap()
}

#[tokio::test]
async fn every_packing_gives_the_disk_that_was_packed() {
    for packing in Packing::ALL {
        let directory = tempfile::tempdir().unwrap();
        let raw = raw_disk(&directory, 16);
        for image in [raw.clone(), qcow2_disk(&raw, &["-c"])] {
            let image = packed(&image, packing);
            let (disk, prepared) = grown(&image, 1 << 30).await;
            assert_eq!(prepared.virtual_bytes, 1 << 30);
            let format = match prepared.format {
                DiskFormat::Qcow2 => "qcow2",
                DiskFormat::Raw => "raw",
            };
            let raw = raw.to_str().unwrap();
            qemu_img(&["compare", "-f", "raw", "-F", format, raw], &disk);
            let left = ["disk", "image.qcow2", "image.raw", "packed.bin"];
            assert!(names(&directory).iter().all(|name| left.contains(&&**name)));
            fs_err::remove_file(disk).unwrap();
        }
    }
}

#[tokio::test]
async fn a_look_into_a_packed_image() {
    let directory = tempfile::tempdir().unwrap();
    let raw = raw_disk(&directory, 16);
    let image = packed(&raw, Packing::Xz);
    let expected = crate::Image {
        packing: Some(Packing::Xz),
        format: Some(DiskFormat::Raw),
        virtual_bytes: None,
    };
    assert_eq!(crate::inspect(&image).unwrap(), expected);
    // An archive says how large its file is, packed once more or not.
    let image = packed(&raw, Packing::Zip);
    let told = crate::Image {
        packing: Some(Packing::Zip),
        virtual_bytes: Some(16 * MIB),
        ..expected
    };
    assert_eq!(crate::inspect(&image).unwrap(), told);
    let image = packed(&packed(&raw, Packing::Tar), Packing::Xz);
    let told = crate::Image {
        virtual_bytes: Some(16 * MIB),
        ..expected
    };
    assert_eq!(crate::inspect(&image).unwrap(), told);
    let image = packed(&qcow2_disk(&raw, &[]), Packing::Gzip);
    let expected = crate::Image {
        packing: Some(Packing::Gzip),
        format: Some(DiskFormat::Qcow2),
        virtual_bytes: Some(16 * MIB),
    };
    assert_eq!(crate::inspect(&image).unwrap(), expected);
}

/// The error of an image that is packed by zstd and holds this.
async fn refusal(content: &[u8]) -> (ImageError, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image.bin.zst");
    fs_err::write(&image, pack(Packing::Zstd, content)).unwrap();
    let disk = directory.path().join("disk");
    let error = prepare(&image, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    assert_eq!(names(&directory), ["image.bin.zst"]);
    (error, image)
}

#[tokio::test]
async fn what_is_packed_must_be_a_disk() {
    let (error, image) = refusal(b"hello").await;
    let path = image.display();
    assert_eq!(
        error.to_string(),
        format!("What image `{path}` holds, packed by zstd, cannot become a disk")
    );
    assert_eq!(
        error.hints()[0],
        format!("unpack it first: zstd -dk {path}")
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let name = image.with_extension("");
    assert_eq!(cause, format!("`{}` is not a disk image", name.display()));

    // Packed twice, a format of others that shows at its beginning, and one that shows at its end.
    let mut disk = vec![1; 200_000];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    let twice = pack(Packing::Gzip, &disk);
    let mut at_the_end = disk.clone();
    at_the_end.extend([0; 312]);
    at_the_end.extend(b"conectix");
    at_the_end.extend([0; 504]);
    for (content, text) in [
        (&twice[..], "` is packed (gzip)"),
        (b"KDMV", "` is in the format VMDK, which is not supported"),
        (
            &at_the_end,
            "` is in the format VHD, which is not supported",
        ),
        (b"", "` is not a disk image"),
    ] {
        let (error, _) = refusal(content).await;
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.ends_with(text), "{cause}");
    }
}

#[tokio::test]
async fn a_damaged_image_leaves_no_disk() {
    let directory = tempfile::tempdir().unwrap();
    let raw = raw_disk(&directory, 16);
    for packing in Packing::ALL {
        let image = packed(&raw, packing);
        let whole = fs_err::read(&image).unwrap();
        fs_err::write(&image, &whole[..whole.len() - 3]).unwrap();
        let disk = directory.path().join("disk");
        let error = prepare(&image, &disk, 0, &Recorder::new())
            .await
            .unwrap_err();
        let expected = format!(
            "Image `{}` cannot be unpacked by {}: it ends too early, after {} bytes",
            image.display(),
            packing.name(),
            whole.len() - 3
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.hints()[0].contains("get the file again"));
        assert_eq!(names(&directory), ["image.raw", "packed.bin"]);
    }
}

#[tokio::test]
async fn an_image_that_grows_without_end_is_stopped() {
    for packing in Packing::ALL {
        let directory = tempfile::tempdir().unwrap();
        let image = packed(&raw_disk(&directory, 64), packing);
        let disk = directory.path().join("disk");
        let terms = Terms {
            at_most: 63 << 20,
            ..terms(None)
        };
        let recorder = Recorder::new();
        let error = prepare_on(&terms, &image, &disk, &recorder)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ImageError::TooMuch { limit, .. } if limit == 63 << 20),
            "{error:?}"
        );
        assert_eq!(names(&directory), ["image.raw", "packed.bin"]);
        // What says it is refused before anything is written.
        let written = recorder.reports().len() > 1;
        let says = matches!(packing, Packing::Zip | Packing::Tar);
        assert_eq!(written, !says, "{packing:?}");
    }
}

#[tokio::test]
async fn an_archive_that_does_not_say_how_large_its_file_is_is_stopped_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let raw = fs_err::read(raw_disk(&directory, 64)).unwrap();
    let image = directory.path().join("packed.bin");
    fs_err::write(&image, crate::unpack::to_a_pipe(&raw)).unwrap();
    let disk = directory.path().join("disk");
    for (at_most, fits) in [(63 << 20, false), (64 << 20, true)] {
        let terms = Terms {
            at_most,
            ..terms(None)
        };
        let prepared = prepare_on(&terms, &image, &disk, &Recorder::new()).await;
        match prepared {
            Ok(prepared) => assert!(fits && prepared.virtual_bytes == 64 << 20),
            Err(error) => assert!(
                !fits && matches!(error, ImageError::TooMuch { .. }),
                "{error:?}"
            ),
        }
    }
}

/// As Fedora CoreOS has it for Hyper-V.
#[tokio::test]
async fn a_vhdx_in_a_zip_is_named_with_the_way_to_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("fedora-coreos.vhdx.zip");
    // The signature of MS-VHDX, 2.2.1, and its creator.
    let mut vhdx = b"vhdxfileM\0i\0c\0".to_vec();
    vhdx.resize(1 << 20, 0);
    fs_err::write(&image, pack(Packing::Zip, &vhdx)).unwrap();
    let disk = directory.path().join("disk");
    let error = prepare(&image, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    let inner = directory.path().join("fedora-coreos.vhdx");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        cause,
        format!(
            "Image `{}` is in the format VHDX, which is not supported",
            inner.display()
        )
    );
    assert_eq!(
        error.hints(),
        [
            format!("unpack it first: unzip {}", image.display()),
            format!(
                "convert it first: qemu-img convert -f vhdx -O qcow2 {} {}",
                inner.display(),
                directory.path().join("fedora-coreos.qcow2").display()
            ),
        ]
    );
}

#[tokio::test]
async fn an_archive_in_a_compressed_file_is_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    let raw = raw_disk(&directory, 16);
    for packing in [Packing::Xz, Packing::Zstd, Packing::Gzip, Packing::Bzip2] {
        let image = packed(&packed(&raw, Packing::Tar), packing);
        let (disk, prepared) = grown(&image, 0).await;
        assert_eq!(prepared.virtual_bytes, 16 * MIB);
        assert!(fs_err::read(&disk).unwrap() == fs_err::read(&raw).unwrap());
        fs_err::remove_file(disk).unwrap();
    }
}

#[tokio::test]
async fn what_an_archive_holds_is_named_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    for (archive, text, hint) in [
        (
            &include_bytes!("../unpack/fixtures/root.tar.xz")[..],
            "cannot be unpacked by xz: it is a root file system, not a disk: the archive holds `./etc/`",
            "such a file is for WSL or for containers; a machine boots from the image of a disk, such as `stable` or one \
             for QEMU"
                .to_owned(),
        ),
        (
            include_bytes!("../unpack/fixtures/gnu-sparse.tar.xz"),
            "cannot be unpacked by xz: the archive holds `sparse.raw`, which is a sparse file of GNU tar",
            format!(
                "unpack it with `tar -xf`, and name the image of a disk that was in it: {}",
                image.display()
            ),
        ),
        (
            include_bytes!("../unpack/fixtures/info-zip-encrypted.zip"),
            "cannot be unpacked by zip: the archive holds `disk.raw`, which is encrypted",
            format!(
                "unpack it with `unzip`, and name the image of a disk that was in it: {}",
                image.display()
            ),
        ),
    ] {
        fs_err::write(&image, archive).unwrap();
        let disk = directory.path().join("disk");
        let error = prepare(&image, &disk, 0, &Recorder::new())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Image `{}` {text}", image.display())
        );
        assert_eq!(error.hints(), [hint]);
        assert_eq!(names(&directory), ["image"]);
    }
}

#[tokio::test]
async fn a_cancelled_unpacking_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let image = packed(&raw_disk(&directory, 64), Packing::Gzip);
    for cancel_at in [0, 1] {
        let recorder = Recorder::new();
        recorder.cancel_at.store(cancel_at, Ordering::Relaxed);
        let disk = directory.path().join("disk");
        let error = prepare(&image, &disk, 0, &recorder).await.unwrap_err();
        assert!(matches!(error, ImageError::Cancelled { .. }), "{error:?}");
        assert_eq!(names(&directory), ["image.raw", "packed.bin"]);
    }
}

#[tokio::test]
async fn a_checksum_is_that_of_the_file() {
    let wrong = format!("sha256:{}", "5".repeat(64));
    let directory = tempfile::tempdir().unwrap();
    let raw = raw_disk(&directory, 16);
    let empty = directory.path().join("empty");
    fs_err::write(&empty, "").unwrap();
    let images = [packed(&raw, Packing::Xz), raw, empty];
    for image in images {
        let disk = directory.path().join("disk");
        let found = checksum(&image);
        let before = names(&directory);
        let error = prepare_on(&terms(Some(&wrong)), &image, &disk, &Recorder::new())
            .await
            .unwrap_err();
        let expected = format!(
            "Image `{}` has another checksum: expected {wrong}, found {found}",
            image.display()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(names(&directory), before);

        let right = terms(Some(&found.to_string()));
        let prepared = prepare_on(&right, &image, &disk, &Recorder::new())
            .await
            .unwrap();
        if prepared.format == DiskFormat::Raw {
            assert_eq!(prepared.virtual_bytes, 16 * MIB);
        }
        fs_err::remove_file(disk).unwrap();
    }
}
