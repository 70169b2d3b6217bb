//! What is put into the cache, what is found there, and what is damaged.

use super::*;
use crate::base::Base;

fn base(checksum: Checksum) -> Base {
    Base {
        checksum,
        signer: None,
        bytes: 5,
        packing: None,
        format: DiskFormat::Raw,
        virtual_bytes: 512,
    }
}

fn source(url: &str) -> Source {
    Source {
        url: url.to_owned(),
        seen: jiff::Timestamp::now(),
        validator: crate::fetch::Validator::default(),
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
    draft.finish(DiskFormat::Raw).unwrap();
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
        "format = \"1.0\"",
        &good.replace("disk.raw", "../../disk.raw"),
        &good.replace("format = \"1.0\"", "format = \"2.0\""),
    ] {
        fs::write(&record, bad).unwrap();
        assert_eq!(cache.find(&checksum("a")), None, "{bad}");
        assert!(cache.list().is_empty());
    }
    assert_eq!(commit(&cache, "a", "https://h/a").record.source.len(), 1);
    assert!(cache.find(&checksum("a")).is_some());
    // A newer minor version only adds.
    let newer = good.replace("format = \"1.0\"", "format = \"1.7\"\nnew = 1");
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
