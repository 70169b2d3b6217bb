//! Bundles that were exported, and bundles that others have made or damaged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::base::{self, Checks};
use crate::cache::{Cache, CachedImage, Record, Source, Verified};
use crate::checksum::Checksum;
use crate::copy::Next;
use crate::error::ImageError;
use crate::recognise::ImageForm;
use crate::unpack::Packing;
use crate::unpack::tests::{content, pack};
use crate::validator::Validator;

struct Quiet;

impl Reporter for Quiet {
    fn copying(&self, _done: u64, _total: u64) {}
}

/// Wants no more than so many reports.
struct Impatient(AtomicUsize);

impl Reporter for Impatient {
    fn copying(&self, _done: u64, _total: u64) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

const OFFER: &str = "stream:stable/x86_64/qemu";

/// A disk with data, a hole and data.
fn disk() -> Vec<u8> {
    let mut disk = content(1 << 20);
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk.resize(5 << 20, 0);
    disk.extend(content(70_000));
    disk
}

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn cache(&self, name: &str) -> Cache {
        Cache::at(self.directory.path().join(name))
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("image.bundle")
    }

    fn image(&self) -> CachedImage {
        put(&self.cache("here"), &disk(), Verified::Signature)
    }

    async fn exported(&self) -> Exported {
        let exported = export(&self.image(), &self.file(), false, &Quiet).await;
        exported.unwrap()
    }

    async fn import(&self, checksum: Option<Checksum>) -> Result<Imported, BundleError> {
        let cache = self.cache("there");
        let imported = import(&cache, &self.file(), checksum, &Quiet).await;
        if imported.is_err() {
            nothing_is_left(&cache);
        }
        imported
    }
}

fn nothing_is_left(cache: &Cache) {
    assert!(cache.list().is_empty());
    let downloads = fs::read_dir(cache.directory().join("downloads"));
    for entry in downloads.into_iter().flatten() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "lock", "{path:?}");
    }
}

/// What a publisher's packed file of this disk becomes.
fn put(cache: &Cache, disk: &[u8], verified: Verified) -> CachedImage {
    put_as(ImageForm::Disk, cache, disk, verified)
}

fn put_as(form: ImageForm, cache: &Cache, disk: &[u8], verified: Verified) -> CachedImage {
    let packed = pack(Packing::Xz, disk);
    let checksum = Checksum::of_bytes(&packed);
    let draft = cache.download(Some(&checksum), "").draft().unwrap();
    let name = std::path::Path::new("image");
    let checks = Checks {
        form,
        ..Checks::default()
    };
    let made = base::make(name, &packed[..], &draft.disk(), checks, |_| Next::Continue);
    let made = made.unwrap();
    draft.finish(made.stored).unwrap();
    let source = Source {
        url: OFFER.to_owned(),
        seen: Timestamp::UNIX_EPOCH,
        validator: Validator {
            etag: Some("\"tag\"".to_owned()),
            ..Validator::default()
        },
    };
    let record = Record {
        title: Some("An image".to_owned()),
        release: Some("44".to_owned()),
        signer: Some("Publisher".to_owned()),
        ..Record::new(&made, verified, vec![source])
    };
    cache.commit(&draft, record).unwrap()
}

/// A tar of these entries, whose names are taken as they are.
fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// The entries of an honest bundle.
async fn honest(bench: &Bench) -> (Value, Vec<u8>) {
    bench.exported().await;
    let bytes = fs::read(bench.file()).unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut entries = archive.entries().unwrap();
    let mut next = || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entries.next().unwrap().unwrap(), &mut bytes).unwrap();
        bytes
    };
    (serde_json::from_slice(&next()).unwrap(), next())
}

#[tokio::test]
async fn an_image_is_the_same_elsewhere() {
    let bench = Bench::new();
    let exported = bench.exported().await;
    let bytes = fs::read(bench.file()).unwrap();
    assert_eq!(exported.checksum, Checksum::of_bytes(&bytes));
    assert_eq!(exported.bytes, bytes.len() as u64);
    assert!(bytes.len() < 2 << 20, "holes take no room: {}", bytes.len());

    let before = Timestamp::now();
    let imported = bench.import(None).await.unwrap();
    assert_eq!(imported.said, Verified::Signature);
    assert_eq!(imported.signer.as_deref(), Some("Publisher"));
    let (image, original) = (imported.image, bench.image());
    assert_eq!(image.verified(), Verified::Bundle);
    assert_eq!(image.record().signer, None);
    assert_eq!(image.checksum(), original.checksum());
    assert_eq!(image.content(), Some(Checksum::of_bytes(&disk())));
    assert_eq!(
        (image.title(), image.release()),
        (Some("An image"), Some("44"))
    );
    assert!(fs::read(image.disk()).unwrap() == disk());
    // It is found where nobody can be asked, and a server is not told its own tag by hearsay.
    let cache = bench.cache("there");
    assert_eq!(cache.from(OFFER), Some(image.clone()));
    let source = image.record().from(OFFER).unwrap();
    assert!(source.seen >= before);
    assert_eq!(source.validator, Validator::default());
    assert!(matches!(
        image.verify(&Quiet).await.unwrap(),
        crate::Verdict::Good
    ));

    // Whoever knows the file's checksum has checked the image.
    let pinned = bench.import(Some(exported.checksum)).await.unwrap();
    assert_eq!(pinned.image.verified(), Verified::Checksum);
    // And hearsay does not take that back.
    let again = bench.import(None).await.unwrap();
    assert_eq!(again.image.verified(), Verified::Checksum);
}

#[tokio::test]
async fn a_tree_is_a_tree_elsewhere() {
    let bench = Bench::new();
    let tree = tar_of(&[("etc/passwd", b"root"), ("bin/sh", &content(1 << 20))]);
    let image = put_as(
        ImageForm::Tree,
        &bench.cache("here"),
        &tree,
        Verified::Checksum,
    );
    let exported = export(&image, &bench.file(), false, &Quiet).await;
    exported.unwrap();
    let imported = bench.import(None).await.unwrap().image;
    assert_eq!(imported.form(), ImageForm::Tree);
    assert_eq!(imported.checksum(), image.checksum());
    assert!(fs::read(imported.disk()).unwrap() == tree);
}

#[tokio::test]
async fn the_same_image_is_the_same_bundle() {
    let bench = Bench::new();
    let first = bench.exported().await;
    let again = export(&bench.image(), &bench.file(), true, &Quiet).await;
    assert_eq!(again.unwrap(), first);
}

#[tokio::test]
async fn a_file_is_replaced_only_where_that_is_said() {
    let bench = Bench::new();
    fs::write(bench.file(), "mine").unwrap();
    let refused = export(&bench.image(), &bench.file(), false, &Quiet).await;
    assert!(
        matches!(refused, Err(BundleError::Exists { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read(bench.file()).unwrap(), b"mine");
    export(&bench.image(), &bench.file(), true, &Quiet)
        .await
        .unwrap();
    bench.import(None).await.unwrap();
}

#[tokio::test]
async fn a_damaged_image_is_not_exported_and_nothing_is_left() {
    let bench = Bench::new();
    let image = bench.image();
    fs::remove_file(image.disk()).unwrap();
    let mut bytes = disk();
    bytes[700] ^= 1;
    fs::write(image.disk(), bytes).unwrap();
    let refused = export(&image, &bench.file(), false, &Quiet).await;
    assert!(
        matches!(refused, Err(BundleError::Damaged { .. })),
        "{refused:?}"
    );
    let impatient = Impatient(AtomicUsize::new(1));
    let stopped = export(&bench.image(), &bench.file(), false, &impatient).await;
    assert!(
        matches!(stopped, Err(BundleError::Cancelled { .. })),
        "{stopped:?}"
    );
    assert_eq!(fs::read_dir(bench.directory.path()).unwrap().count(), 1);
    let nowhere = bench.directory.path().join("none").join("x");
    let failed = export(&bench.image(), &nowhere, false, &Quiet).await;
    assert!(
        matches!(failed, Err(BundleError::Write { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn who_stops_an_import_has_nothing_of_it() {
    let bench = Bench::new();
    bench.exported().await;
    let cache = bench.cache("there");
    let impatient = Impatient(AtomicUsize::new(1));
    let stopped = import(&cache, &bench.file(), None, &impatient).await;
    assert!(
        matches!(stopped, Err(BundleError::Cancelled { .. })),
        "{stopped:?}"
    );
    nothing_is_left(&cache);
}

#[tokio::test]
async fn a_bundle_that_is_cut_or_changed_anywhere_is_refused() {
    let bench = Bench::new();
    let exported = bench.exported().await;
    let bytes = fs::read(bench.file()).unwrap();
    for length in [0, 100, 512, 700, 2000, bytes.len() / 2, bytes.len() - 2048] {
        fs::write(bench.file(), &bytes[..length]).unwrap();
        let refused = bench.import(None).await;
        assert!(refused.is_err(), "{length}: {refused:?}");
        assert!(!refused.unwrap_err().hints().is_empty(), "{length}");
    }
    // Bits of the packed disk, and with a checksum any, behind its end too.
    for at in [4096, bytes.len() / 2, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(bench.file(), bytes).unwrap();
        let refused = bench.import(Some(exported.checksum)).await;
        assert!(refused.is_err(), "{at}: {refused:?}");
    }
    fs::write(bench.file(), &bytes).unwrap();
    let other = Checksum::of_bytes(b"other");
    let refused = bench.import(Some(other)).await;
    assert!(
        matches!(refused, Err(BundleError::Mismatch { .. })),
        "{refused:?}"
    );
}

/// Imports a bundle of these entries, and gives what is said of it.
async fn complaint(bench: &Bench, entries: &[(&str, &[u8])]) -> String {
    fs::write(bench.file(), tar_of(entries)).unwrap();
    let refused = bench.import(None).await.unwrap_err();
    let file = format!("`{}`", bench.file().display());
    refused.to_string().replace(&file, "FILE")
}

#[tokio::test]
async fn entries_that_no_bundle_has_are_refused() {
    let bench = Bench::new();
    let (metadata, disk) = honest(&bench).await;
    let json = metadata.to_string();
    let json = json.as_bytes();
    let (first, second) = ((METADATA, json), (DISK, &disk[..]));
    fs::write(bench.file(), tar_of(&[first, second])).unwrap();
    bench.import(None).await.unwrap();
    fs::remove_dir_all(bench.cache("there").directory()).unwrap();

    let long = vec![b' '; 257 << 10];
    for (entries, expected) in [
        (
            &[][..],
            "FILE is no bundle of an image: it has no `machine-image.json`",
        ),
        (
            &[first],
            "FILE is no bundle of an image: it has no `disk.zst`",
        ),
        (
            &[second, first],
            "FILE is no bundle of an image: `disk.zst` stands where `machine-image.json` has to",
        ),
        (
            &[first, ("../disk.zst", &disk[..])],
            "FILE is no bundle of an image: `../disk.zst` stands where `disk.zst` has to",
        ),
        (
            &[first, ("/etc/\x1b[2J", &disk[..])],
            "FILE is no bundle of an image: `/etc/\\x1b[2J` stands where `disk.zst` has to",
        ),
        (
            &[first, second, second],
            "FILE is no bundle of an image: `disk.zst` is one entry too many",
        ),
        (
            &[(METADATA, &long[..]), second],
            "FILE is no bundle of an image: its `machine-image.json` is too long",
        ),
        (
            &[(METADATA, &b"{"[..]), second],
            "FILE is no bundle of an image: its `machine-image.json` cannot be read",
        ),
        (
            &[(METADATA, &b"{\"format\": 2, \"new\": 1}"[..]), second],
            "The bundle FILE has format 2; this version of `machine` reads format 1",
        ),
    ] {
        assert_eq!(complaint(&bench, entries).await, expected);
    }
    let plain = self::disk();
    let text = complaint(&bench, &[first, (DISK, &plain[..])]).await;
    assert!(text.contains("not packed by zstd"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_no_disk() {
    let bench = Bench::new();
    let (metadata, _) = honest(&bench).await;
    let json = metadata.to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(json.len() as u64);
    tar.append_data(&mut header, METADATA, json.as_bytes())
        .unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, DISK, "/etc/passwd").unwrap();
    fs::write(bench.file(), tar.into_inner().unwrap()).unwrap();
    let refused = bench.import(None).await.unwrap_err();
    assert!(
        refused.to_string().contains("is no plain file"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_disk_that_is_another_than_said_is_refused() {
    let bench = Bench::new();
    let (metadata, disk) = honest(&bench).await;
    let with = |key: &str, value: Value| {
        let mut metadata = metadata.clone();
        metadata[key] = value;
        metadata.to_string()
    };
    let other = Checksum::of_bytes(b"x").to_string();
    for (json, expected) in [
        (with("content", other.into()), "expected sha256:"),
        // A bomb says that it is small.
        (
            with("content_bytes", 4096.into()),
            "it has more than 4096 bytes",
        ),
    ] {
        let text = complaint(&bench, &[(METADATA, json.as_bytes()), (DISK, &disk[..])]).await;
        assert!(text.contains("is not the one that it tells of"), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    let huge = with("content_bytes", (2_u64 << 40).into());
    let text = complaint(&bench, &[(METADATA, huge.as_bytes()), (DISK, &disk[..])]).await;
    assert_eq!(text, "Image FILE unpacks to more than 1024 GiB");
}

/// A bundle may call any disk so: what was checked stays, and what was not gives way.
#[tokio::test]
async fn hearsay_replaces_nothing_that_was_checked() {
    let bench = Bench::new();
    let (mut metadata, _) = honest(&bench).await;
    let mut evil = disk();
    evil[4096] ^= 1;
    metadata["content"] = Checksum::of_bytes(&evil).to_string().into();
    let json = metadata.to_string();
    let packed = pack(Packing::Zstd, &evil);
    let bundle = tar_of(&[(METADATA, json.as_bytes()), (DISK, &packed)]);
    fs::write(bench.file(), bundle).unwrap();

    let cache = bench.cache("there");
    let checked = put(&cache, &disk(), Verified::Signature);
    let refused = import(&cache, &bench.file(), None, &Quiet).await;
    assert!(
        matches!(refused, Err(BundleError::Conflict { .. })),
        "{refused:?}"
    );
    assert_eq!(cache.find(&checked.checksum()), Some(checked.clone()));

    cache.remove(&checked).unwrap();
    let imported = import(&cache, &bench.file(), None, &Quiet).await.unwrap();
    assert!(fs::read(imported.image.disk()).unwrap() == evil);
    let fetched = put(&cache, &disk(), Verified::Signature);
    assert!(fs::read(fetched.disk()).unwrap() == disk());
    assert_eq!(fetched.verified(), Verified::Signature);
}

#[tokio::test]
async fn another_command_that_has_the_same_is_not_disturbed() {
    let bench = Bench::new();
    bench.exported().await;
    let cache = bench.cache("there");
    let files = cache.download(Some(&bench.image().checksum()), "").files();
    let lock = machine_host::lock::FileLock::try_acquire(&files.unwrap().lock).unwrap();
    let refused = import(&cache, &bench.file(), None, &Quiet).await;
    assert!(matches!(refused, Err(BundleError::Busy)), "{refused:?}");
    drop(lock);
}

#[tokio::test]
async fn a_download_that_nobody_vouched_for_stays_one() {
    let bench = Bench::new();
    let image = put(&bench.cache("here"), &disk(), Verified::No);
    export(&image, &bench.file(), false, &Quiet).await.unwrap();
    let imported = bench.import(None).await.unwrap();
    assert_eq!(imported.image.verified(), Verified::No);
}

#[test]
fn errors_of_images_have_their_own_hints() {
    let error = BundleError::from(ImageError::NotAnImage { path: "x".into() });
    assert!(!error.hints().is_empty());
}
