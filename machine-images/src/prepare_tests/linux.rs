//! Disks on Linux: devices, holes, modes, and a file system that is really full.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

#[tokio::test]
async fn the_null_device_is_an_empty_image() {
    assert_eq!(
        crate::recognise(Path::new("/dev/null")).unwrap(),
        ImageKind::Empty
    );
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    prepare(Path::new("/dev/null"), &disk, 1 << 30, &Recorder::new())
        .await
        .unwrap();
    check(&disk, 1 << 30);
}

#[tokio::test]
async fn holes_are_kept_and_the_disk_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image.raw");
    let file = fs_err::File::create(&image).unwrap();
    file.set_len(8 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(file.file(), b"\x55\xaa", 510).unwrap();
    std::os::unix::fs::FileExt::write_all_at(file.file(), b"far", 5 << 30).unwrap();
    fs_err::set_permissions(&image, std::fs::Permissions::from_mode(0o444)).unwrap();
    let (disk, _) = grown(&image, 0).await;
    let facts = fs_err::metadata(&disk).unwrap();
    assert_eq!(facts.len(), 8 << 30);
    assert!(facts.blocks() * 512 <= MIB, "{} blocks", facts.blocks());
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    let mut far = [0; 3];
    let disk = fs_err::File::open(&disk).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(disk.file(), &mut far, 5 << 30).unwrap();
    assert_eq!(&far, b"far");
}

#[tokio::test]
async fn zeroes_that_were_packed_become_holes() {
    let directory = tempfile::tempdir().unwrap();
    let image = packed::packed(&raw_disk(&directory, 64), Packing::Zstd);
    let (disk, prepared) = grown(&image, 0).await;
    assert_eq!(prepared.virtual_bytes, 64 * MIB);
    let facts = fs_err::metadata(disk).unwrap();
    assert_eq!(facts.len(), 64 * MIB);
    assert!(facts.blocks() * 512 <= 4 * MIB, "{} blocks", facts.blocks());
}

#[tokio::test]
async fn a_disk_that_is_a_dangling_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 16);
    let disk = directory.path().join("disk");
    let elsewhere = directory.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, &disk).unwrap();
    let error = prepare(&image, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ImageError::Exists { .. }), "{error:?}");
    assert!(!elsewhere.exists());
}

/// The directory of a tiny file system, given by the test below to its inner half.
const SMALL: &str = "MACHINE_IMAGES_TEST_SMALL";

/// Runs the next test again inside of a mount namespace of its own, where a tmpfs of 8 MiB is
/// mounted; this needs no privilege.
#[test]
fn a_full_file_system_is_an_error_with_figures() {
    let small = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=8m tmpfs "$1" && shift && exec "$@""#;
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(small.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("prepare::tests::linux::inside_of_a_full_file_system")
        .env(SMALL, small.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{errors}"
    );
}

#[tokio::test]
#[ignore = "run by the test above, inside of its namespace"]
async fn inside_of_a_full_file_system() {
    let small = PathBuf::from(std::env::var_os(SMALL).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.raw");
    let mut content = vec![1; 12 << 20];
    content[510..512].copy_from_slice(b"\x55\xaa");
    fs_err::write(&path, content).unwrap();
    let disk = small.join("disk");
    let error = prepare(&path, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    let expected = format!(
        "No space left for disk `{}`: 12 MiB are needed and 8 MiB are free",
        disk.display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs_err::read_dir(&small).unwrap().count(), 0);
}
