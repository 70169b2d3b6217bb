//! Downloads from a server that behaves, from servers that do not, and over connections that break.

mod beside;
mod breaks;
mod refusals;
mod reuse;
mod served;
mod streams;
mod tokens;
mod trees;

use std::sync::Mutex;

use tempfile::TempDir;
use tokio::sync::Notify;

use self::served::{Served, serve};
use std::future::Future;
use std::pin::Pin;

use super::*;
use crate::cache::Verified;
use crate::checksum::Checksum;
use crate::openpgp::Keyring;
use crate::recognise::ImageForm;
use crate::test_server::{Asked, Reply, Server};
use crate::unpack::Packing;
use crate::unpack::tests::{content, pack};

/// A disk that boots nothing: a boot record and something behind it.
fn disk() -> Vec<u8> {
    let mut disk = content(3 << 20);
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk
}

/// The disk as a publisher has it, larger than the pieces in which it is written.
fn image() -> Vec<u8> {
    let image = pack(Packing::Xz, &disk());
    assert!(image.len() > 1_300_000, "{}", image.len());
    image
}

fn checksum(bytes: &[u8]) -> Checksum {
    use sha2::{Digest, Sha256};
    Checksum::of(Sha256::new_with_prefix(bytes))
}

struct Bench {
    /// Removed with the bench.
    _directory: TempDir,
    cache: Cache,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().join("images"));
        Self {
            _directory: directory,
            cache,
        }
    }

    async fn fetch(&self, download: &Download) -> Result<Fetched, FetchError> {
        fetch(&self.cache, download, &Quiet::default()).await
    }

    /// The ends of the names in the directory of downloads, without the locks.
    fn left(&self) -> Vec<String> {
        let directory = self.cache.directory().join("downloads");
        let entries = fs_err::read_dir(directory).unwrap().flatten();
        let lock = Some(std::ffi::OsStr::new("lock"));
        let paths = entries.map(|entry| entry.path());
        let names = paths.filter(|path| path.extension() != lock);
        let names = names.map(|path| {
            path.extension()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

/// Remembers what it was told.
#[derive(Default)]
struct Quiet {
    told: Mutex<Vec<FetchProgress>>,
    heard: Notify,
    stop: Notify,
}

impl FetchReporter for Quiet {
    fn progress(&self, progress: FetchProgress) {
        self.told.lock().unwrap().push(progress);
        self.heard.notify_one();
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.stop.notified())
    }
}

fn checked(url: Url, image: &[u8]) -> Download {
    Download {
        urls: vec![url],
        form: ImageForm::Disk,
        checksum: Some(checksum(image)),
        signature: None,
        offer: None,
        title: None,
        release: None,
        bytes: None,
        authorization: None,
        client: None,
        insecure: false,
    }
}

fn insecure(url: Url) -> Download {
    Download {
        urls: vec![url],
        form: ImageForm::Disk,
        checksum: None,
        signature: None,
        offer: None,
        title: None,
        release: None,
        bytes: None,
        authorization: None,
        client: None,
        insecure: true,
    }
}

fn content_of(image: &CachedImage) -> Vec<u8> {
    fs_err::read(image.disk()).unwrap()
}

#[tokio::test]
async fn an_image_is_downloaded_unpacked_and_kept() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    let reporter = Quiet::default();
    let download = checked(server.url("/disk.raw.xz"), &served.content);
    let fetched = fetch(&bench.cache, &download, &reporter).await.unwrap();
    assert_eq!(fetched.how, How::Downloaded);
    assert_eq!(fetched.image.verified(), Verified::Checksum);
    assert_eq!(content_of(&fetched.image), disk());
    assert_eq!(bench.left(), [""; 0]);
    let told = reporter.told.lock().unwrap();
    let total = served.content.len() as u64;
    let last = FetchProgress::Downloading {
        done: total,
        total: Some(total),
    };
    assert_eq!(told[told.len() - 2..], [last, FetchProgress::Unpacking]);
    assert_eq!(
        server.asked()[0].header("accept-encoding"),
        Some("identity")
    );
}

#[tokio::test]
async fn a_login_goes_with_every_request() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(
        move |request, before| match (request.header("authorization"), before) {
            (Some("Bearer abc"), 1) => file.cut(request, 1_100_000),
            (Some("Bearer abc"), _) => file.reply(request),
            _ => Reply::new(401, ""),
        },
    )
    .await;
    let mut download = checked(server.url("/x"), &served.content);
    let refused = bench.fetch(&download).await.unwrap_err();
    assert!(refused.hints()[0].contains("wants a login"), "{refused}");
    download.authorization = crate::Authorization::new("Bearer abc");
    bench.fetch(&download).await.unwrap();
}

#[tokio::test]
async fn every_packing_and_none() {
    let disk = disk();
    let packed = Packing::ALL.map(|packing| pack(packing, &disk));
    for image in packed.iter().chain([&disk]) {
        let (bench, served) = (Bench::new(), Served::new(image.clone()));
        let server = serve(move |request, _| served.reply(request)).await;
        let fetched = bench.fetch(&checked(server.url("/x"), image)).await;
        assert!(content_of(&fetched.unwrap().image) == disk);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_disk_of_the_cache_cannot_be_written_by_accident() {
    use std::os::unix::fs::PermissionsExt;
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    let fetched = bench
        .fetch(&checked(server.url("/x"), &served.content))
        .await;
    let facts = fs_err::metadata(fetched.unwrap().image.disk()).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o400);
}
