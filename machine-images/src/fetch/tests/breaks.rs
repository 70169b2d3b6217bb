//! Connections that break, and what is left for the next command.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_was() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    // Twice it breaks within the body, once before the answer's head.
    let server = serve(move |request, before| match before {
        0 => file.cut(request, 700_000),
        1 => Reply::new(503, "").with("Retry-After", "0"),
        2 => file.cut(request, 400_000),
        _ => file.reply(request),
    })
    .await;
    let fetched = bench
        .fetch(&checked(server.url("/x"), &served.content))
        .await;
    assert!(content_of(&fetched.unwrap().image) == disk());
    let asked: Vec<_> = server.asked().iter().map(Asked::first_byte).collect();
    assert_eq!(asked, [None, Some(700_000), Some(700_000), Some(1_100_000)]);
    let tag = server.asked()[3].header("if-range").map(str::to_owned);
    assert_eq!(tag.as_deref(), Some(served.etag));
}

/// The command ends in the middle; another goes on.
#[tokio::test]
async fn the_next_command_goes_on_where_the_last_was() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, before| match before {
        0 => Reply {
            stall: true,
            ..file.cut(request, 1_200_000)
        },
        _ => file.reply(request),
    })
    .await;
    let download = checked(server.url("/x"), &served.content);
    let reporter = Quiet::default();
    let fetching = fetch(&bench.cache, &download, &reporter);
    let stop = async {
        // The first piece is on the disk.
        reporter.heard.notified().await;
        reporter.stop.notify_one();
    };
    let (result, ()) = tokio::join!(fetching, stop);
    assert!(
        matches!(result, Err(FetchError::Cancelled { .. })),
        "{result:?}"
    );
    // The thread of the disk may need a moment to remove its half of a disk; the next command waits for it.
    let left: Vec<_> = bench
        .left()
        .into_iter()
        .filter(|end| end != "new")
        .collect();
    assert_eq!(left, ["part", "toml"]);

    let fetched = bench.fetch(&download).await.unwrap();
    assert!(content_of(&fetched.image) == disk());
    let from = server.asked()[1].first_byte().expect("a range");
    assert!((1 << 20..=1_200_000).contains(&from), "{from}");
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn a_server_without_ranges_begins_anew() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |_, before| {
        let mut reply = Reply {
            body: file.content.to_vec(),
            ..Reply::new(200, "")
        }
        .with("Content-Length", file.content.len().to_string());
        if before == 0 {
            reply.body.truncate(1 << 20);
        }
        reply
    })
    .await;
    let fetched = bench
        .fetch(&checked(server.url("/x"), &served.content))
        .await;
    assert!(content_of(&fetched.unwrap().image) == disk());
}

#[tokio::test]
async fn a_file_that_becomes_another_is_had_whole() {
    let bench = Bench::new();
    let old = Served::new(image());
    let other = {
        let mut disk = disk();
        disk[4096] ^= 1;
        disk
    };
    let new = Served {
        etag: "\"two\"",
        ..Served::new(pack(Packing::Zstd, &other))
    };
    let server = serve(move |request, before| match before {
        0 => old.cut(request, 1_100_000),
        _ => new.reply(request),
    })
    .await;
    let fetched = bench.fetch(&insecure(server.url("/x"))).await.unwrap();
    assert!(content_of(&fetched.image) == other);
}

#[tokio::test]
async fn a_file_that_changes_all_the_time_is_given_up() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let odd = AtomicBool::new(false);
    let server = serve(move |request, _| {
        let etag = if odd.fetch_xor(true, Ordering::Relaxed) {
            "\"a\""
        } else {
            "\"b\""
        };
        Served {
            etag,
            ..served.clone()
        }
        .cut(request, 1_100_000)
    })
    .await;
    let error = bench.fetch(&insecure(server.url("/x"))).await.unwrap_err();
    assert!(matches!(error, FetchError::Changes { .. }), "{error:?}");
    assert_eq!(bench.left(), [""; 0]);
}

/// What a killed command has left is not believed blindly: the checksum finds it out, and it is had again.
#[tokio::test]
async fn a_part_that_was_damaged_is_had_again() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    let download = checked(server.url("/x"), &served.content);
    let place = bench.cache.download(download.checksum.as_ref(), "");
    let files = place.files().unwrap();
    let mut damaged = served.content[..1_000_000].to_vec();
    damaged[900_000] ^= 1;
    fs_err::write(&files.bytes, damaged).unwrap();
    fs_err::create_dir(files.bytes.with_extension("new")).unwrap();
    fs_err::write(files.bytes.with_extension("new").join("disk"), "half").unwrap();

    let fetched = bench.fetch(&download).await.unwrap();
    assert!(content_of(&fetched.image) == disk());
    let asked: Vec<_> = server.asked().iter().map(Asked::first_byte).collect();
    // The damage may be seen before the rest has been asked for.
    assert!(
        matches!(asked[..], [None] | [Some(1_000_000), None]),
        "{asked:?}"
    );
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn the_next_place_goes_on_with_what_the_first_gave() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let (file, again) = (served.clone(), served.clone());
    let first = serve(move |request, before| match before {
        0 => file.cut(request, 1_100_000),
        _ => Reply::new(404, ""),
    })
    .await;
    let second = serve(move |request, _| {
        Served {
            etag: "\"mirror\"",
            ..again.clone()
        }
        .reply(request)
    })
    .await;
    let mut download = checked(first.url("/x"), &served.content);
    download.urls.push(second.url("/y"));
    let fetched = bench.fetch(&download).await.unwrap();
    assert!(content_of(&fetched.image) == disk());
    assert_eq!(second.asked()[0].first_byte(), Some(1_100_000));
    assert_eq!(second.asked()[0].target, "/y");
    // By the first one's tag it would be another file, and had from the beginning.
    assert_eq!(second.asked().len(), 1);
}

/// Nobody says that two places have the same file, so the second is no answer for the first.
#[tokio::test]
async fn without_a_checksum_there_is_no_next_place() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let first = serve(|_, _| Reply::new(404, "")).await;
    let second = serve(move |request, _| served.reply(request)).await;
    let mut download = insecure(first.url("/x"));
    download.urls.push(second.url("/x"));
    let error = bench.fetch(&download).await.unwrap_err();
    assert!(matches!(error, FetchError::Status { .. }), "{error:?}");
    assert_eq!(second.asked().len(), 0);
}
