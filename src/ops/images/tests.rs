//! What is listed, what is removed, and what is left alone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use machine_images::{Download, FetchProgress, FetchReporter, Url, fetch};

use super::*;
use crate::store::testing::{Bench, config, name};

struct Silent;

impl FetchReporter for Silent {
    fn progress(&self, _progress: FetchProgress) {}

    fn stopped(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// Puts a disk into the cache by way of a server that answers once.
pub(crate) async fn put(cache: &Cache, mark: u8) -> CachedImage {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut disk = vec![mark; 4096];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::from("request");
        while !line.trim_end().is_empty() {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        let mut stream = stream.into_inner();
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&disk).unwrap();
        // Until the client has read all of it.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let url: Url = format!("http://{address}/{mark}.raw").parse().unwrap();
    let download = Download {
        urls: vec![url],
        form: machine_images::ImageForm::Disk,
        checksum: None,
        signature: None,
        offer: None,
        title: None,
        release: None,
        bytes: None,
        authorization: None,
        client: None,
        insecure: true,
    };
    let fetched = fetch(cache, &download, &Silent).await.unwrap();
    server.join().unwrap();
    fetched.image
}

pub(crate) fn cache(bench: &Bench) -> Cache {
    Cache::at(bench.root.path().join("images"))
}

/// A machine that was made from this image.
fn machine(bench: &Bench, image: &CachedImage) {
    let draft = bench.store.begin(&name("dev")).unwrap();
    fs_err::write(
        draft.files().os_disk(crate::machine::DiskFormat::Qcow2),
        "disk",
    )
    .unwrap();
    let mut config = config("dev", draft.sockets().to_str().unwrap());
    config.image_checksum = Some(image.checksum().to_string());
    draft.commit(&config).unwrap();
}

fn later() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_hours(1)
}

#[tokio::test]
async fn images_are_listed_with_their_machines() {
    let (bench, none) = (Bench::new(), Vec::new());
    let cache = cache(&bench);
    assert_eq!(list(&cache, &bench.store).unwrap(), none);
    let first = put(&cache, 1).await;
    let second = put(&cache, 2).await;
    machine(&bench, &first);
    let listed = list(&cache, &bench.store).unwrap();
    let ids: Vec<_> = listed.iter().map(|image| image.id.clone()).collect();
    assert_eq!(
        ids,
        [
            &second.checksum().hex()[..12],
            &first.checksum().hex()[..12]
        ]
    );
    assert_eq!(listed[1].machines, [name("dev")]);
    assert_eq!(listed[0].machines, []);
    assert_eq!(listed[0].verified, "no");
    assert!(listed[0].name.ends_with("/2.raw"), "{}", listed[0].name);
}

#[tokio::test]
async fn what_is_used_or_fresh_stays() {
    let bench = Bench::new();
    let cache = cache(&bench);
    let used = put(&cache, 1).await;
    let idle = put(&cache, 2).await;
    machine(&bench, &used);
    let fresh = prune(&cache, &bench.store, Timestamp::now()).unwrap();
    assert_eq!(fresh, Removed::default());
    let pruned = prune(&cache, &bench.store, later()).unwrap();
    assert_eq!(pruned.images.len(), 1);
    assert!(pruned.bytes > 0);
    assert_eq!(cache.find(&idle.checksum()), None);
    assert!(cache.find(&used.checksum()).is_some());
}

#[tokio::test]
async fn an_image_is_removed_by_id_or_name() {
    let bench = Bench::new();
    let cache = cache(&bench);
    let used = put(&cache, 1).await;
    let idle = put(&cache, 2).await;
    machine(&bench, &used);
    let rm = |text: &str, force| remove(&cache, &bench.store, &[text.to_owned()], force);
    let text = |result: Result<Removed, ImagesError>| result.unwrap_err().to_string();
    assert_eq!(
        text(rm("nothing", false)),
        "no image `nothing` is in the cache"
    );
    let id = used.checksum().hex()[..12].to_owned();
    let error = text(rm(&id, false));
    assert!(error.ends_with("is used by dev"), "{error}");
    // All or nothing.
    let both = [idle.checksum().hex(), id.clone()];
    assert!(remove(&cache, &bench.store, &both, false).is_err());
    assert!(cache.find(&idle.checksum()).is_some());
    assert_eq!(rm(&id, true).unwrap().bytes, 0);
    assert_eq!(cache.find(&used.checksum()), None);
    let name = idle.source().to_owned();
    assert_eq!(rm(&name, false).unwrap().images.len(), 1);
    assert!(cache.list().is_empty());
}

#[tokio::test]
async fn a_beginning_that_two_images_share_names_neither() {
    let bench = Bench::new();
    let cache = cache(&bench);
    // Seventeen images share a first digit.
    for mark in 0..17 {
        put(&cache, mark).await;
    }
    let listed = list(&cache, &bench.store).unwrap();
    let shared = ('0'..='9').chain('a'..='f').find(|digit| {
        let begins = listed.iter().filter(|image| image.id.starts_with(*digit));
        begins.count() > 1
    });
    let digit = shared.unwrap().to_string();
    let error = remove(&cache, &bench.store, &[digit], false).unwrap_err();
    assert!(matches!(error, ImagesError::Ambiguous { .. }), "{error}");
}

/// What a killed command has left goes, once nobody can be about to go on with it.
#[tokio::test]
async fn downloads_that_were_broken_off_go() {
    let bench = Bench::new();
    let cache = cache(&bench);
    put(&cache, 1).await;
    let downloads = cache.directory().join("downloads");
    for end in ["lock", "part", "toml"] {
        fs_err::write(downloads.join(format!("0123.{end}")), "left").unwrap();
    }
    fs_err::create_dir(downloads.join("0123.new")).unwrap();
    let young = cache.prune_downloads(FRESH).unwrap();
    assert_eq!(young.count, 0);
    assert!(downloads.join("0123.part").exists());
    let held = machine_host::lock::FileLock::try_acquire(&downloads.join("0123.lock")).unwrap();
    assert_eq!(cache.prune_downloads(Duration::ZERO).unwrap().count, 0);
    drop(held);
    let pruned = cache.prune_downloads(Duration::ZERO).unwrap();
    assert_eq!(pruned.count, 1);
    assert!(pruned.bytes > 0);
    assert_eq!(fs_err::read_dir(&downloads).unwrap().count(), 0);
}

pub(crate) struct Unheard;

impl Reporter for Unheard {
    fn copying(&self, _done: u64, _total: u64) {}
}

#[tokio::test]
async fn images_are_read_again_and_what_lies_over_a_damaged_one_is_named() {
    let bench = Bench::new();
    let cache = cache(&bench);
    let (good, bad) = (put(&cache, 1).await, put(&cache, 2).await);
    machine(&bench, &bad);
    let disk = bad.disk();
    let mut bytes = fs_err::read(&disk).unwrap();
    bytes[4095] ^= 1;
    fs_err::remove_file(&disk).unwrap();
    fs_err::write(&disk, bytes).unwrap();
    let mut seen = Vec::new();
    let found = |image: &VerifiedImage| seen.push(image.image.checksum.clone());
    let verified = verify(&cache, &bench.store, Which::All, &Unheard, found);
    let verified = verified.await.unwrap();
    let ids = [bad.checksum().to_string(), good.checksum().to_string()];
    assert_eq!(seen, ids);
    assert!(matches!(verified[0].verdict, Verdict::Damaged(_)));
    assert!(matches!(verified[1].verdict, Verdict::Good));
    let hints = repairs([&verified[0].image]);
    assert!(hints[0].contains("image rm --force"), "{hints:?}");
    // Its disk is a copy.
    assert_eq!((hints.len(), verified[0].image.sharing.len()), (1, 0));
    let names = [good.checksum().to_string(), good.checksum().hex()];
    let one = verify(&cache, &bench.store, Which::Named(&names), &Unheard, |_| {});
    assert_eq!(one.await.unwrap().len(), 1);
    let none = ["nothing".to_owned()];
    let none = verify(&cache, &bench.store, Which::Named(&none), &Unheard, |_| {});
    assert!(matches!(none.await, Err(ImagesError::Unknown(_))));
}
