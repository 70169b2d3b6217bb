//! Disks made from images, judged by `qemu-img`.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;

const MIB: u64 = 1 << 20;

/// Runs `qemu-img`, which the tests need, and returns what it prints.
fn qemu_img(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("qemu-img")
        .args(arguments)
        .arg(file)
        .output()
        .expect("the tests need qemu-img (Debian package qemu-utils)");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn check(disk: &Path, bytes: u64) {
    let report = qemu_img(&["check"], disk);
    assert!(report.contains("No errors were found"), "{report}");
    let facts = qemu_img(&["info", "--output=json"], disk);
    assert!(
        facts.contains(&format!("\"virtual-size\": {bytes},")),
        "{facts}"
    );
}

/// A raw disk of `mib` MiB with a boot record and data in its middle.
fn raw_disk(directory: &TempDir, mib: u64) -> PathBuf {
    let path = directory.path().join("image.raw");
    let mut content = vec![0_u8; usize::try_from(mib * MIB).unwrap()];
    content[510..512].copy_from_slice(b"\x55\xaa");
    let middle = content.len() / 2;
    for (at, byte) in content[middle..][..3 << 20].iter_mut().enumerate() {
        *byte = u8::try_from(at % 251).unwrap() | 1;
    }
    fs_err::write(&path, content).unwrap();
    path
}

fn qcow2_disk(raw: &Path, options: &[&str]) -> PathBuf {
    let path = raw.with_extension("qcow2");
    let raw = raw.to_str().unwrap();
    let fixed = ["convert", "-f", "raw", "-O", "qcow2"];
    qemu_img(&[&fixed[..], options, &[raw]].concat(), &path);
    path
}

/// Remembers what it was told; cancels when told of this many bytes.
struct Recorder {
    reports: Mutex<Vec<(u64, u64)>>,
    cancel_at: AtomicU64,
}

impl Recorder {
    fn new() -> Self {
        Self {
            reports: Mutex::default(),
            cancel_at: AtomicU64::new(u64::MAX),
        }
    }

    fn reports(&self) -> Vec<(u64, u64)> {
        self.reports.lock().unwrap().clone()
    }
}

impl Reporter for Recorder {
    fn copying(&self, done: u64, total: u64) {
        self.reports.lock().unwrap().push((done, total));
    }

    fn cancelled(&self) -> bool {
        let done = self.reports().last().map_or(0, |report| report.0);
        done >= self.cancel_at.load(Ordering::Relaxed)
    }
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs_err::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn grown(image: &Path, bytes: u64) -> (PathBuf, PreparedDisk) {
    let disk = image.with_file_name("disk");
    let recorder = Recorder::new();
    let prepared = prepare(image, &disk, bytes, &recorder).await.unwrap();
    let reports = recorder.reports();
    assert!(reports.is_sorted());
    let length = fs_err::metadata(image).unwrap().len();
    assert_eq!(reports.last(), Some(&(length, length)));
    (disk, prepared)
}

#[tokio::test]
async fn a_qcow2_disk_is_grown_and_keeps_its_content() {
    // Compressed by zstd, as the Debian guest is, by zlib, as Fedora CoreOS is, and version 2.
    for options in [
        &[][..],
        &["-c"],
        &["-c", "-o", "compression_type=zstd"],
        &["-o", "compat=0.10"],
        &["-o", "cluster_size=2M"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let raw = raw_disk(&directory, 16);
        let image = qcow2_disk(&raw, options);
        let before = fs_err::read(&image).unwrap();
        let (disk, prepared) = grown(&image, 100 << 30).await;
        let expected = PreparedDisk {
            format: DiskFormat::Qcow2,
            virtual_bytes: 100 << 30,
        };
        assert_eq!(prepared, expected, "{options:?}");
        check(&disk, 100 << 30);
        // Equal but for the size: what one has more than the other must be zero.
        qemu_img(
            &["compare", "-f", "raw", "-F", "qcow2", raw.to_str().unwrap()],
            &disk,
        );
        assert!(
            fs_err::read(&image).unwrap() == before,
            "the image was changed"
        );
        assert_eq!(names(&directory), ["disk", "image.qcow2", "image.raw"]);
    }
}

#[tokio::test]
async fn a_raw_disk_is_grown_and_keeps_its_content() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 16);
    let (disk, prepared) = grown(&image, 10 << 30).await;
    assert_eq!(
        prepared,
        PreparedDisk {
            format: DiskFormat::Raw,
            virtual_bytes: 10 << 30
        }
    );
    assert_eq!(fs_err::metadata(&disk).unwrap().len(), 10 << 30);
    let options = ["compare", "-f", "raw", "-F", "raw", image.to_str().unwrap()];
    qemu_img(&options, &disk);
}

#[tokio::test]
async fn a_disk_is_never_made_smaller_and_has_whole_sectors() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 16);
    let (_, prepared) = grown(&image, 1).await;
    assert_eq!(prepared.virtual_bytes, 16 * MIB);

    let odd = directory.path().join("odd.raw");
    fs_err::rename(&image, &odd).unwrap();
    fs_err::OpenOptions::new()
        .write(true)
        .open(&odd)
        .unwrap()
        .set_len(8 * MIB + 1)
        .unwrap();
    let disk = directory.path().join("odd");
    let prepared = prepare(&odd, &disk, 0, &Recorder::new()).await.unwrap();
    assert_eq!(prepared.virtual_bytes, 8 * MIB + 512);
    assert_eq!(fs_err::metadata(&disk).unwrap().len(), 8 * MIB + 512);
}

#[tokio::test]
async fn an_empty_image_makes_a_blank_qcow2_disk() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs_err::write(&image, b"").unwrap();
    let disk = directory.path().join("disk");
    let prepared = prepare(&image, &disk, 20 << 30, &Recorder::new())
        .await
        .unwrap();
    assert_eq!(
        prepared,
        PreparedDisk {
            format: DiskFormat::Qcow2,
            virtual_bytes: 20 << 30
        }
    );
    check(&disk, 20 << 30);
    assert!(fs_err::metadata(&disk).unwrap().len() < MIB);
}

#[tokio::test]
async fn a_prepared_disk_can_be_grown_again() {
    let directory = tempfile::tempdir().unwrap();
    let image = qcow2_disk(&raw_disk(&directory, 16), &[]);
    let (disk, _) = grown(&image, 1 << 30).await;
    let prepared = grow(&disk, DiskFormat::Qcow2, 3 << 30).await.unwrap();
    assert_eq!(prepared.virtual_bytes, 3 << 30);
    check(&disk, 3 << 30);
    let prepared = grow(&disk, DiskFormat::Qcow2, 1 << 30).await.unwrap();
    assert_eq!(prepared.virtual_bytes, 3 << 30);
    check(&disk, 3 << 30);
}

#[tokio::test]
async fn an_existing_disk_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 16);
    let disk = directory.path().join("disk");
    fs_err::write(&disk, b"precious").unwrap();
    let error = prepare(&image, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Disk `{}` already exists", disk.display())
    );
    assert_eq!(fs_err::read(&disk).unwrap(), b"precious");
    assert_eq!(names(&directory), ["disk", "image.raw"]);
}

#[tokio::test]
async fn what_a_killed_process_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 16);
    fs_err::write(directory.path().join("disk.part"), vec![7; 20 << 20]).unwrap();
    let (disk, _) = grown(&image, 0).await;
    assert!(fs_err::read(disk).unwrap() == fs_err::read(&image).unwrap());
    assert_eq!(names(&directory), ["disk", "image.raw"]);
}

#[tokio::test]
async fn a_cancelled_preparation_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 64);
    for cancel_at in [0, 1, 33 * MIB] {
        let recorder = Recorder::new();
        recorder.cancel_at.store(cancel_at, Ordering::Relaxed);
        let disk = directory.path().join("disk");
        let error = prepare(&image, &disk, 0, &recorder).await.unwrap_err();
        assert!(matches!(error, ImageError::Cancelled { .. }), "{error:?}");
        assert_eq!(names(&directory), ["image.raw"]);
        // Seen within two chunks: the report that waits, and the one that is made meanwhile.
        let last = recorder.reports().last().unwrap().0;
        assert!(last <= cancel_at + MIB, "{last}");
    }
}

#[test]
fn a_dropped_preparation_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 64);
    let disk = directory.path().join("disk");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let recorder = Recorder::new();
        let mut preparation = std::pin::pin!(prepare(&image, &disk, 0, &recorder));
        // Polled until the first report, then dropped.
        std::future::poll_fn(|context| {
            let _ = preparation.as_mut().poll(context);
            if recorder.reports().is_empty() {
                std::task::Poll::Pending
            } else {
                std::task::Poll::Ready(())
            }
        })
        .await;
    });
    // Waits for the thread.
    drop(runtime);
    assert_eq!(names(&directory), ["image.raw"]);
}

#[tokio::test]
async fn images_that_name_other_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let raw = raw_disk(&directory, 16);
    let image = directory.path().join("overlay.qcow2");
    let backing = [
        "create",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        raw.to_str().unwrap(),
    ];
    qemu_img(&backing, &image);
    let disk = directory.path().join("disk");
    let error = prepare(&image, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    let text = format!(
        "Image `{}` needs another file: it names a backing file",
        image.display()
    );
    assert_eq!(error.to_string(), text);

    let image = directory.path().join("outside.qcow2");
    let data = format!("data_file={}", directory.path().join("data").display());
    let options = [
        "convert",
        "-f",
        "raw",
        "-O",
        "qcow2",
        "-o",
        &data,
        raw.to_str().unwrap(),
    ];
    qemu_img(&options, &image);
    let error = prepare(&image, &disk, 0, &Recorder::new())
        .await
        .unwrap_err();
    let text = "needs another file: it names an external data file";
    assert!(error.to_string().ends_with(text), "{error}");
    assert!(!disk.exists());
}

#[tokio::test]
async fn sizes_without_sense_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let image = raw_disk(&directory, 16);
    let disk = directory.path().join("disk");
    let error = prepare(&image, &disk, u64::MAX, &Recorder::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error:?}");
    assert_eq!(names(&directory), ["image.raw"]);
}

#[path = "prepare_tests/packed.rs"]
mod packed;

#[cfg(target_os = "linux")]
#[path = "prepare_tests/linux.rs"]
mod linux;
