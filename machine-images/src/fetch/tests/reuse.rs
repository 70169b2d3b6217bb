//! Images that are there already, or are on their way.

use super::*;

fn asked(server: &Server) -> usize {
    server.asked().len()
}

#[tokio::test]
async fn content_that_is_there_is_asked_of_nobody() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    let download = checked(server.url("/x"), &served.content);
    let first = bench.fetch(&download).await.unwrap();
    let second = bench.fetch(&download).await.unwrap();
    assert_eq!((second.image, second.how), (first.image, How::Cached));
    assert_eq!(asked(&server), 1);
}

#[tokio::test]
async fn a_place_is_asked_whether_it_has_another() {
    let bench = Bench::new();
    let (old, new) = (
        Served::new(image()),
        Served::new(pack(Packing::Gzip, &disk())),
    );
    let server = serve(move |request, before| match before {
        0 | 1 => old.reply(request),
        _ => Served {
            etag: "\"two\"",
            ..new.clone()
        }
        .reply(request),
    })
    .await;
    let download = insecure(server.url("/x"));
    let first = bench.fetch(&download).await.unwrap();
    assert_eq!(first.image.verified(), Verified::No);
    assert_eq!(bench.fetch(&download).await.unwrap().how, How::Cached);
    assert_eq!(server.asked()[1].header("if-none-match"), Some("\"one\""));
    let moved = bench.fetch(&download).await.unwrap();
    assert_eq!(moved.how, How::Downloaded);
    assert_ne!(moved.image.checksum(), first.image.checksum());
    // The place now stands for the new one.
    let record = bench.cache.from(&key(&download.urls[0])).unwrap();
    assert_eq!(record.checksum(), moved.image.checksum());
}

/// An address on which nobody listens: its port was just given back.
fn nobody() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Says that an image was also seen there.
fn also_from(image: &CachedImage, url: &Url) -> CachedImage {
    let source = Source {
        url: key(url),
        ..image.record().source[0].clone()
    };
    image.see(source).unwrap()
}

/// Who wants the server to be looked at gets nothing that was had without that, even where nobody can be asked.
#[tokio::test]
async fn what_nobody_vouched_for_serves_only_who_takes_that() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let server = serve(move |request, _| served.reply(request)).await;
    let first = bench.fetch(&insecure(server.url("/x"))).await.unwrap();
    let mut download = insecure(format!("https://{}/x", nobody()).parse().unwrap());
    also_from(&first.image, &download.urls[0]);
    let taken = bench.fetch(&download).await.unwrap();
    assert!(matches!(taken.how, How::Offline { .. }), "{taken:?}");
    download.insecure = false;
    let error = bench.fetch(&download).await.unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_there_serves_where_nobody_can_be_asked() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let server = serve(move |request, _| served.reply(request)).await;
    let mut download = insecure(server.url("/x"));
    let first = bench.fetch(&download).await.unwrap();
    download.urls[0] = format!("http://{}/x", nobody()).parse().unwrap();
    let image = also_from(&first.image, &download.urls[0]);
    let offline = bench.fetch(&download).await.unwrap();
    assert!(matches!(offline.how, How::Offline { .. }), "{offline:?}");
    assert_eq!(offline.image.checksum(), image.checksum());
}

/// Two commands at once: one downloads, the other waits for it and shows how far it is.
#[tokio::test]
async fn the_same_is_downloaded_once() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, before| match before {
        // The other one is waiting when this one goes on.
        0 => file.cut(request, 1_100_000),
        _ => file.reply(request),
    })
    .await;
    let download = checked(server.url("/x"), &served.content);
    let (one, other) = (Quiet::default(), Quiet::default());
    let (first, second) = tokio::join!(
        fetch(&bench.cache, &download, &one),
        fetch(&bench.cache, &download, &other)
    );
    let hows = [first.unwrap().how, second.unwrap().how];
    assert_eq!(hows, [How::Downloaded, How::Cached]);
    assert_eq!(asked(&server), 2);
}

#[tokio::test]
async fn two_places_of_the_same_content_are_one_image() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    let first = bench.fetch(&insecure(server.url("/x"))).await.unwrap();
    let second = bench.fetch(&insecure(server.url("/y"))).await.unwrap();
    assert_eq!(first.image.disk(), second.image.disk());
    assert_eq!(bench.cache.list().len(), 1);
    let checked = bench
        .fetch(&checked(server.url("/z"), &served.content))
        .await
        .unwrap();
    assert_eq!(checked.how, How::Cached);
}

/// As an import leaves it: known by hearsay, and without what the server would say of it.
fn hearsay(bench: &Bench, url: &Url, image: &[u8]) -> CachedImage {
    let checksum = checksum(image);
    let place = bench.cache.download(Some(&checksum), "");
    place.files().unwrap();
    let draft = place.draft().unwrap();
    let checks = Checks::default();
    let made = base::make(Path::new("x"), image, &draft.disk(), checks, |_| {
        Next::Continue
    });
    let made = made.unwrap();
    draft.finish(made.stored).unwrap();
    let source = Source {
        url: url.to_string(),
        seen: Timestamp::now(),
        validator: Validator::default(),
    };
    let record = Record::new(&made, Verified::Bundle, vec![source]);
    bench.cache.commit(&draft, record).unwrap()
}

#[tokio::test]
async fn hearsay_serves_where_nobody_can_be_asked_and_gives_way_elsewhere() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    let url = server.url("/x");
    hearsay(&bench, &url, &served.content);
    let fetched = bench.fetch(&checked(url.clone(), &served.content)).await;
    let fetched = fetched.unwrap();
    assert_eq!(fetched.how, How::Downloaded);
    assert_eq!(fetched.image.verified(), Verified::Checksum);
    assert_eq!(bench.cache.list().len(), 1);

    let bench = Bench::new();
    let there = hearsay(&bench, &url, &served.content);
    drop(server);
    for download in [checked(url.clone(), &served.content), insecure(url)] {
        let fetched = bench.fetch(&download).await.unwrap();
        assert!(matches!(fetched.how, How::Offline { .. }));
        assert_eq!(fetched.image, there);
    }
}
