//! What is put into the cache, what is found there, and what is damaged.

use super::*;
use crate::base::Base;
use crate::recognise::DiskFormat;

fn base(checksum: Checksum) -> Base {
    Base {
        checksum,
        content: checksum,
        signer: None,
        bytes: 5,
        packing: None,
        stored: Stored::Disk(DiskFormat::Raw),
        virtual_bytes: 512,
    }
}

fn source(url: &str) -> Source {
    Source {
        url: url.to_owned(),
        seen: jiff::Timestamp::now(),
        validator: crate::validator::Validator::default(),
    }
}

fn checksum(text: &str) -> Checksum {
    Checksum::of(Sha256::new_with_prefix(text))
}

/// Makes an image with this content.
fn commit(cache: &Cache, text: &str, url: &str) -> CachedImage {
    let checksum = checksum(text);
    let draft = cache.download(Some(&checksum), url).draft().unwrap();
    fs::write(draft.disk(), text).unwrap();
    draft.finish(Stored::Disk(DiskFormat::Raw)).unwrap();
    let record = Record::new(&base(checksum), Verified::Tls, vec![source(url)]);
    cache.commit(&draft, record).unwrap()
}

fn cache() -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::at(directory.path().join("images"));
    (directory, cache)
}

#[test]
fn what_is_put_in_is_found_by_content_and_place() {
    let (_directory, cache) = cache();
    assert_eq!(cache.find(&checksum("a")), None);
    let image = commit(&cache, "a", "https://h/a");
    assert_eq!(cache.find(&checksum("a")), Some(image.clone()));
    assert_eq!(cache.from("https://h/a"), Some(image.clone()));
    assert_eq!(cache.from("https://h/b"), None);
    assert_eq!(fs::read_to_string(image.disk()).unwrap(), "a");
    assert_eq!(cache.list(), [image]);
}

#[test]
fn an_image_is_known_by_what_a_user_wrote() {
    let (_directory, cache) = cache();
    for (place, reference) in [
        ("stream:stable/x86_64/qemu", "stable"),
        ("stream:next@44.1.2.3/x86_64/qemu", "next@44.1.2.3"),
        (
            "docker://quay.io/a/b:1#qemu/x86_64",
            "docker://quay.io/a/b:1",
        ),
        ("https://h/x", "https://h/x"),
    ] {
        let image = commit(&cache, place, place);
        assert!(image.had_by(reference).is_some(), "{place}");
        for other in [
            "",
            "s",
            "next",
            "stream:stable",
            "docker://quay.io/a/b",
            "https://h/",
        ] {
            assert_eq!(image.had_by(other), None, "{place} by {other}");
        }
    }
}

#[test]
fn a_place_stands_for_what_was_there_last() {
    let (_directory, cache) = cache();
    commit(&cache, "a", "https://h/x");
    let newer = commit(&cache, "b", "https://h/x");
    assert_eq!(cache.from("https://h/x"), Some(newer));
    assert_eq!(cache.list().len(), 2);
}

#[test]
fn what_is_damaged_is_not_there_and_is_replaced() {
    let (_directory, cache) = cache();
    let image = commit(&cache, "a", "https://h/a");
    let record = image.disk().with_file_name(RECORD);
    let good = fs::read_to_string(&record).unwrap();
    for bad in [
        "",
        "format = \"1.1\"",
        &good.replace("disk.raw", "../../disk.raw"),
        &good.replace("format = \"1.1\"", "format = \"2.0\""),
    ] {
        fs::write(&record, bad).unwrap();
        assert_eq!(cache.find(&checksum("a")), None, "{bad}");
        assert!(cache.list().is_empty());
    }
    assert_eq!(commit(&cache, "a", "https://h/a").record.source.len(), 1);
    assert!(cache.find(&checksum("a")).is_some());
    // A newer minor version only adds.
    let newer = good.replace("format = \"1.1\"", "format = \"1.7\"\nnew = 1");
    fs::write(&record, newer).unwrap();
    assert!(cache.find(&checksum("a")).is_some());
    fs::remove_file(image.disk()).unwrap();
    assert_eq!(cache.find(&checksum("a")), None);
}

#[test]
fn a_record_under_another_name_is_no_image_of_that_name() {
    let (_directory, cache) = cache();
    let image = commit(&cache, "a", "https://h/a");
    let from = image.disk().parent().unwrap().to_owned();
    let to = cache.image(&checksum("b"));
    fs::rename(from, to).unwrap();
    assert_eq!(cache.find(&checksum("b")), None);
}

#[test]
fn a_draft_that_is_dropped_is_gone() {
    let (_directory, cache) = cache();
    let place = cache.download(None, "https://h/a");
    let draft = place.draft().unwrap();
    fs::write(draft.disk(), "half").unwrap();
    let directory = draft.directory.clone();
    drop(draft);
    assert!(!directory.exists());
}

/// Counts the reports, and wants no more than so many.
struct Watch(std::sync::atomic::AtomicUsize, usize);

impl crate::Reporter for Watch {
    fn copying(&self, _done: u64, _total: u64) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) >= self.1
    }
}

async fn verdict(image: &CachedImage) -> Verdict {
    let watch = Watch(0.into(), usize::MAX);
    image.verify(&watch).await.unwrap()
}

#[tokio::test]
async fn a_disk_that_changed_is_damaged() {
    let (_directory, cache) = cache();
    let image = commit(&cache, "abc", "https://h/a");
    assert!(matches!(verdict(&image).await, Verdict::Good));
    let path = image.disk();
    // Another byte, an end too early, one too late: each of the same image.
    for bad in ["abd", "ab", "abc\0"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bad).unwrap();
        let Verdict::Damaged(damage) = verdict(&image).await else {
            panic!("{bad} is no damage");
        };
        let (was, is) = (checksum("abc"), checksum(bad));
        assert_eq!(
            damage.to_string(),
            format!("its disk `{}` was {was} and is {is}", path.display())
        );
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        verdict(&image).await,
        Verdict::Damaged(Damage::Unreadable { .. })
    ));
}

#[tokio::test]
async fn verifying_ends_when_nobody_wants_it() {
    let (_directory, cache) = cache();
    let image = commit(&cache, "abc", "https://h/a");
    let watch = Watch(0.into(), 1);
    let stopped = image.verify(&watch).await;
    assert!(
        matches!(stopped, Err(VerifyError::Cancelled)),
        "{stopped:?}"
    );
}

/// Format 1.0 knows the packed file only.
#[tokio::test]
async fn what_an_earlier_version_put_in_is_unknown_where_it_was_packed() {
    let (_directory, cache) = cache();
    let mut image = commit(&cache, "abc", "https://h/a");
    image.record.content = None;
    assert!(matches!(verdict(&image).await, Verdict::Good));
    image.record.packing = Some("xz".to_owned());
    assert!(matches!(verdict(&image).await, Verdict::Unknown));
}
