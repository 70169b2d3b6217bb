//! What is refused, and what is said about it.

use super::*;

async fn refused(
    answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
) -> (FetchError, Bench) {
    let bench = Bench::new();
    let server = serve(answer).await;
    let error = bench.fetch(&insecure(server.url("/x"))).await.unwrap_err();
    (error, bench)
}

#[tokio::test]
async fn what_anybody_could_have_changed() {
    let bench = Bench::new();
    let mut download = insecure("http://me:secret@127.0.0.1:1/x".parse().unwrap());
    download.insecure = false;
    let error = bench.fetch(&download).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Image `http://me:%E2%80%A6@127.0.0.1:1/x` comes without encryption, so anybody on the way could replace it"
    );
    assert_eq!(
        error.hints(),
        ["give its checksum with `--checksum sha256:…`, or take it as it comes with `--insecure`"]
    );
}

#[tokio::test]
async fn another_checksum() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let server = serve(move |request, _| served.reply(request)).await;
    let error = bench
        .fetch(&checked(server.url("/x"), b"other"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Image(ImageError::Mismatch { .. })),
        "{error:?}"
    );
    assert_eq!(bench.left(), [""; 0]);
    assert!(bench.cache.list().is_empty());
}

#[tokio::test]
async fn a_status_that_says_no() {
    let (error, bench) = refused(|_, _| Reply::new(404, "")).await;
    assert!(
        error
            .to_string()
            .ends_with("cannot be fetched: the server answers 404 Not Found"),
        "{error}"
    );
    assert_eq!(error.hints(), ["compare the URL with the publisher's"]);
    assert!(bench.cache.list().is_empty());
}

/// A page of a hotel's network is found out by its first bytes, not at its end, which never comes.
#[tokio::test]
async fn a_page_instead_of_an_image() {
    let (error, bench) = refused(|_, _| {
        Reply {
            body: b"<html>".repeat(1 << 18),
            stall: true,
            ..Reply::new(200, "")
        }
        .with("Content-Length", (1_u64 << 40).to_string())
    })
    .await;
    assert!(
        matches!(error, FetchError::Image(ImageError::NotAnImage { .. })),
        "{error:?}"
    );
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn an_empty_file() {
    let (error, _) = refused(|_, _| Reply::new(200, "").with("Content-Length", "0")).await;
    assert!(
        matches!(error, FetchError::Image(ImageError::NotAnImage { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_file_that_does_not_say_where_it_ends() {
    let (error, _) = refused(|_, _| Reply {
        body: disk(),
        endless: true,
        ..Reply::new(200, "")
    })
    .await;
    assert!(
        error
            .to_string()
            .contains("it does not say how long the file is"),
        "{error}"
    );
}

#[tokio::test]
async fn more_or_less_than_was_said() {
    let (bench, served) = (Bench::new(), Served::new(image()));
    let file = served.clone();
    let server = serve(move |request, _| file.reply(request)).await;
    for difference in [-1_i64, 1] {
        let expected = served.content.len() as u64;
        let mut download = insecure(server.url("/x"));
        download.bytes = expected.checked_add_signed(difference);
        let error = bench.fetch(&download).await.unwrap_err();
        assert!(matches!(error, FetchError::Length { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_lies_about_its_range() {
    let served = Served::new(image());
    let (error, _) = refused(move |request, before| match before {
        0 => served.cut(request, 1_100_000),
        _ => Reply {
            body: served.content[5..].to_vec(),
            ..Reply::new(206, "")
        }
        .with(
            "Content-Range",
            format!(
                "bytes 5-{}/{}",
                served.content.len() - 1,
                served.content.len()
            ),
        ),
    })
    .await;
    assert!(
        error
            .to_string()
            .contains("another part of the file than was asked for"),
        "{error}"
    );
}

#[tokio::test]
async fn redirects_without_end() {
    let (error, _) = refused(|_, _| Reply::new(302, "").with("Location", "/again")).await;
    let cause = error::innermost(match &error {
        FetchError::Request { source, .. } => source,
        other => panic!("{other:?}"),
    });
    assert_eq!(cause, "it redirects more than 10 times");
    assert_eq!(error.hints(), ["compare the URL with the publisher's"]);
}

#[tokio::test]
async fn nobody_there() {
    let bench = Bench::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let url = format!("http://127.0.0.1:{port}/x").parse().unwrap();
    let error = bench.fetch(&insecure(url)).await.unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }), "{error:?}");
    assert_eq!(
        error.hints(),
        ["look at the name, the network, and `https_proxy` and `no_proxy`"]
    );
}

/// The bytes of a packed image end early while the server says that they were all.
#[tokio::test]
async fn an_image_that_was_cut_by_its_publisher() {
    let mut image = image();
    image.truncate(1_200_000);
    let served = Served::new(image);
    let (error, _) = refused(move |request, _| served.reply(request)).await;
    assert!(error.to_string().contains("it ends too early"), "{error}");
}
