//! Disks over images, looked at by qemu-img, which reads both.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::{grow, recognise_layer};

const MIB: u64 = 1 << 20;

fn qemu_img(arguments: &[&str], files: &[&Path]) -> String {
    let output = Command::new("qemu-img")
        .args(arguments)
        .args(files)
        .output();
    let output = output.expect("qemu-img is there");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A raw disk of 4 MiB with something in it, and the same as qcow2.
fn images(directory: &TempDir) -> [PathBuf; 2] {
    let raw = directory.path().join("image.raw");
    let mut bytes = vec![0x5a; usize::try_from(4 * MIB).unwrap()];
    bytes[510..512].copy_from_slice(b"\x55\xaa");
    fs_err::write(&raw, bytes).unwrap();
    let qcow2 = directory.path().join("image.qcow2");
    qemu_img(&["convert", "-O", "qcow2"], &[&raw, &qcow2]);
    [raw, qcow2]
}

fn machine_format(image: &Path) -> Option<DiskFormat> {
    match recognise(image).unwrap() {
        ImageKind::Disk { format, .. } => Some(format),
        ImageKind::Empty => None,
    }
}

#[tokio::test]
async fn a_disk_has_what_its_image_has_and_grows() {
    let directory = tempfile::tempdir().unwrap();
    for image in images(&directory) {
        let machine = tempfile::tempdir_in(directory.path()).unwrap();
        let (base, disk) = (
            machine.path().join("base.x"),
            machine.path().join("disk.qcow2"),
        );
        let Some(made) = layer(&image, &base, &disk, 10 * MIB).await.unwrap() else {
            // A file system that clones: then nothing was made, and a copy costs nothing.
            assert!(!base.exists() && !disk.exists());
            continue;
        };
        assert_eq!(made.virtual_bytes, 10 * MIB);
        assert_eq!(Some(made.base), machine_format(&image));
        assert_eq!(recognise_layer(&disk, "base.x").unwrap(), 10 * MIB);
        assert!(fs_err::metadata(&disk).unwrap().len() < MIB);
        // The image may go: its other name stays.
        let bytes = 30 * MIB;
        let grown = grow(&disk, DiskFormat::Qcow2, bytes).await.unwrap();
        assert_eq!(grown.virtual_bytes, bytes);
        qemu_img(&["check"], &[&disk]);
        let raw = machine.path().join("whole.raw");
        qemu_img(&["convert", "-O", "raw"], &[&disk, &raw]);
        let whole = fs_err::read(&raw).unwrap();
        assert_eq!(whole.len() as u64, bytes);
        let length = usize::try_from(4 * MIB).unwrap();
        assert!(whole[512..length].iter().all(|byte| *byte == 0x5a));
        assert!(whole[length..].iter().all(|byte| *byte == 0));
    }
}

#[tokio::test]
async fn a_disk_over_another_file_is_no_disk_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let [raw, _] = images(&directory);
    let disk = directory.path().join("disk.qcow2");
    let over = |base: &str| {
        let options = format!("backing_file={base},backing_fmt=raw");
        qemu_img(&["create", "-f", "qcow2", "-o", &options], &[&disk]);
        recognise_layer(&disk, "image.raw").map_err(|error| error.to_string())
    };
    assert_eq!(over("image.raw"), Ok(4 * MIB));
    let absolute = raw.to_str().unwrap();
    let error = over(absolute).unwrap_err();
    assert!(error.contains("it names a backing file"), "{error}");
    qemu_img(&["create", "-f", "qcow2"], &[&disk, Path::new("4M")]);
    let error = recognise_layer(&disk, "image.raw").unwrap_err().to_string();
    assert!(
        error.contains("it does not name its base `image.raw`"),
        "{error}"
    );
    assert!(recognise(&disk).is_ok());
}

#[tokio::test]
async fn what_is_in_the_way_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let [image, _] = images(&directory);
    let (base, disk) = (
        directory.path().join("base.raw"),
        directory.path().join("disk.qcow2"),
    );
    fs_err::write(&disk, "mine").unwrap();
    let made = layer(&image, &base, &disk, 0).await;
    assert!(!matches!(made, Ok(Some(_))), "{made:?}");
    assert_eq!(fs_err::read_to_string(&disk).unwrap(), "mine");
    assert!(!base.exists());
}
