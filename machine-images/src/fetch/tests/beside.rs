//! Images with a file of checksums beside them, on a server with TLS.

use super::*;
use crate::test_server::Authority;

const PATH: &str = "/images/disk.raw.xz";

/// A server that has these files, by their path, and a download of the image from it.
async fn serve_files(files: Vec<(&'static str, Vec<u8>)>) -> (Server, Download) {
    let authority = Authority::new();
    let tls = authority.server("localhost", false);
    let server = Server::start(Some(tls), move |_, request| {
        let file = files.iter().find(|(path, _)| *path == request.target);
        match file {
            Some((_, content)) => Served::new(content.clone()).reply(request),
            None => Reply::new(404, "no such file"),
        }
    })
    .await;
    let port = server.host.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}{PATH}");
    let authority = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let client = crate::http::builder(false)
        .tls_certs_only([authority])
        .no_proxy()
        .build()
        .unwrap();
    let download = Download {
        client: Some(client),
        insecure: false,
        ..insecure(url.parse().unwrap())
    };
    (server, download)
}

fn targets(server: &Server) -> Vec<String> {
    let asked = server.asked().into_iter();
    asked.map(|request| request.target).collect()
}

#[tokio::test]
async fn a_checksum_beside_is_compared_and_told() {
    let image = image();
    let hex = checksum(&image).hex();
    for (path, text) in [
        ("/images/disk.raw.xz.sha256", format!("{hex}\n")),
        (
            "/images/CHECKSUM",
            format!("SHA256 (disk.raw.xz) = {hex}\n"),
        ),
        ("/images/SHA256SUMS", format!("{hex}  disk.raw.xz\n")),
    ] {
        let files = vec![(path, text.into_bytes()), (PATH, image.clone())];
        let (server, download) = serve_files(files).await;
        let (bench, reporter) = (Bench::new(), Quiet::default());
        let fetched = fetch(&bench.cache, &download, &reporter).await.unwrap();
        assert_eq!(fetched.how, How::Downloaded);
        // The server says it of itself.
        assert_eq!(fetched.image.verified(), Verified::Tls);
        let site = download.urls[0].join(path).unwrap().to_string();
        let told = reporter.told.lock().unwrap().clone();
        assert_eq!(told[0], FetchProgress::Described { by: site });
        assert_eq!(targets(&server).last().unwrap(), PATH);
        // The image of the same content is not fetched again, and one that is unchanged is not looked for.
        let again = fetch(&bench.cache, &download, &Quiet::default()).await;
        assert_eq!(again.unwrap().how, How::Cached);
    }
}

#[tokio::test]
async fn another_image_than_the_file_beside_describes() {
    let image = image();
    let other = checksum(b"other");
    let beside = format!("{}\n", other.hex()).into_bytes();
    let files = vec![
        ("/images/disk.raw.xz.sha256", beside),
        (PATH, image.clone()),
    ];
    let (_server, download) = serve_files(files).await;
    let bench = Bench::new();
    let error = bench.fetch(&download).await.unwrap_err();
    let url = &download.urls[0];
    assert_eq!(
        error.to_string(),
        format!("Image `{url}` is not the one that `{url}.sha256` describes")
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let found = checksum(&image);
    assert!(
        cause.ends_with(&format!("expected {other}, found {found}")),
        "{cause}"
    );
    assert!(error.hints()[0].contains("--checksum"));
    assert!(bench.cache.list().is_empty());
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn without_one_the_image_comes_all_the_same() {
    let page = b"<html>not here</html>".to_vec();
    let long = vec![b'x'; (1 << 20) + 1];
    let other = format!("{}  other.raw\n", checksum(b"x").hex()).into_bytes();
    let image = image();
    let files = vec![
        ("/images/disk.raw.xz.sha256", page),
        ("/images/CHECKSUM", long),
        ("/images/SHA256SUMS", other),
        (PATH, image),
    ];
    let (server, download) = serve_files(files).await;
    let (bench, reporter) = (Bench::new(), Quiet::default());
    let fetched = fetch(&bench.cache, &download, &reporter).await.unwrap();
    assert_eq!(fetched.image.verified(), Verified::Tls);
    let told = reporter.told.lock().unwrap().clone();
    let described = |told: &FetchProgress| matches!(told, FetchProgress::Described { .. });
    assert!(!told.iter().any(described));
    assert_eq!(
        targets(&server),
        [
            "/images/disk.raw.xz.sha256",
            "/images/CHECKSUM",
            "/images/SHA256SUMS",
            PATH
        ]
    );
    // What is cached and unchanged needs one request.
    let again = bench.fetch(&download).await.unwrap();
    assert_eq!(again.how, How::Cached);
    assert_eq!(targets(&server)[4..], [PATH]);
}

#[tokio::test]
async fn a_file_beside_that_contradicts_itself_is_refused() {
    let two = [b"1", b"2"].map(|content| format!("{}\n", checksum(content).hex()));
    let files = vec![
        ("/images/disk.raw.xz.sha256", two.concat().into_bytes()),
        (PATH, image()),
    ];
    let (_server, download) = serve_files(files).await;
    let error = Bench::new().fetch(&download).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it has two checksums for the image"),
        "{error}"
    );
}

#[tokio::test]
async fn it_says_nothing_where_anybody_could_have_changed_it_or_somebody_else_says_it() {
    let image = image();
    let beside = format!("{}\n", checksum(&image).hex());
    let file = Served::new(image.clone());
    let server = serve(move |request, _| match request.target.as_str() {
        PATH => file.reply(request),
        _ => Reply::new(200, beside.clone()),
    })
    .await;
    // Without TLS: refused before anybody is asked.
    let mut download = insecure(server.url(PATH));
    download.insecure = false;
    let error = Bench::new().fetch(&download).await.unwrap_err();
    assert!(matches!(error, FetchError::Unprotected { .. }), "{error:?}");
    assert_eq!(server.asked().len(), 0);
    // Taken as it comes.
    download.insecure = true;
    let fetched = Bench::new().fetch(&download).await.unwrap();
    assert_eq!(fetched.image.verified(), Verified::No);
    // The user has said it.
    let fetched = Bench::new().fetch(&checked(server.url(PATH), &image)).await;
    assert_eq!(fetched.unwrap().image.verified(), Verified::Checksum);
    assert_eq!(targets(&server), [PATH, PATH]);
}
