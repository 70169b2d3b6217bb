//! Tokens of a registry that expire while its layer comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::oci::{Access, Reference};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry whose tokens are good for one request of the layer, of which they give this many bytes. From the token
/// `last` on none is good for it.
async fn registry(image: Vec<u8>, bytes: usize, last: usize) -> (Server, ArtifactRequest) {
    let blob = checksum(&image).to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": checksum(b"{}").to_string(), "size": 2},
        "layers": [{
            "mediaType": "application/zstd",
            "digest": blob,
            "size": image.len(),
            "annotations": {"org.opencontainers.image.title": "disk.raw.xz"},
        }],
    })
    .to_string();
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": checksum(manifest.as_bytes()).to_string(),
            "size": manifest.len(),
            "platform": {"os": "linux", "architecture": "x86_64"},
            "annotations": {"disktype": "qemu"},
        }],
    })
    .to_string();
    let (given, used) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
    let file = Served::new(image);
    let server = Server::start(None, move |own, asked| {
        if asked.target.starts_with("/token") {
            let number = given.fetch_add(1, Ordering::Relaxed);
            return Reply::new(200, format!("{{\"token\": \"t{number}\"}}"));
        }
        let challenge = format!(r#"Bearer realm="http://{own}/token""#);
        let refused = Reply::new(401, "{}").with("WWW-Authenticate", challenge);
        let token = asked.header("authorization").map(str::to_owned);
        let Some(token) = token.filter(|_| asked.target != "/v2/") else {
            return refused;
        };
        if asked.target.contains("/blobs/") {
            let mut used = used.lock().unwrap();
            let number = token.strip_prefix("Bearer t").unwrap().parse::<usize>();
            if used.contains(&token) || number.unwrap() >= last {
                return refused;
            }
            used.push(token);
            return file.cut(asked, bytes);
        }
        if asked
            .target
            .ends_with(&checksum(manifest.as_bytes()).to_string())
        {
            return Reply::new(200, manifest.clone()).with("Content-Type", MANIFEST);
        }
        Reply::new(200, index.clone()).with("Content-Type", INDEX)
    })
    .await;
    let name = format!("docker://{}/a", server.host);
    let request = ArtifactRequest {
        reference: Reference::parse(&name, "1").unwrap(),
        form: ImageForm::Disk,
        disktype: "qemu".to_owned(),
        architecture: "x86_64".to_owned(),
        expected: None,
        access: Access {
            tls_verify: Some(false),
            ..Access::default()
        },
    };
    (server, request)
}

/// The requests for the layer: their tokens and where they begin.
fn of_layer(server: &Server) -> Vec<(String, Option<usize>)> {
    let asked = server.asked();
    let asked = asked
        .iter()
        .filter(|asked| asked.target.contains("/blobs/"));
    let facts = asked.map(|asked| {
        let token = asked.header("authorization").unwrap_or_default();
        (token.replace("Bearer ", ""), asked.first_byte())
    });
    facts.collect()
}

#[tokio::test]
async fn a_token_that_expires_is_renewed_and_the_download_goes_on() {
    let image = image();
    let (server, request) = registry(image.clone(), 600_000, usize::MAX).await;
    let bench = Bench::new();
    let fetched = fetch_artifact(&bench.cache, &request, &Quiet::default()).await;
    let fetched = fetched.unwrap();
    assert!(content_of(&fetched.image) == disk());
    let name = format!("docker://{}/a:1", server.host);
    assert_eq!(fetched.image.title(), Some(name.as_str()));
    let expected = [
        ("t0", None),
        ("t0", Some(600_000)),
        ("t1", Some(600_000)),
        ("t1", Some(1_200_000)),
        ("t2", Some(1_200_000)),
    ];
    let asked = of_layer(&server);
    let asked: Vec<_> = asked
        .iter()
        .map(|(token, at)| (token.as_str(), *at))
        .collect();
    assert_eq!(asked, expected);
    // The artifact that was found first is asked for again by its digest: a tag may have moved.
    let tags = server.asked().into_iter();
    let tags = tags.filter(|asked| asked.target.ends_with("/manifests/1"));
    assert_eq!(tags.count(), 1);
}

#[tokio::test]
async fn a_new_token_that_is_refused_is_the_end() {
    for (last, expected) in [
        (0, vec![("t0", None), ("t1", None)]),
        (
            1,
            vec![("t0", None), ("t0", Some(600_000)), ("t1", Some(600_000))],
        ),
    ] {
        let (server, request) = registry(image(), 600_000, last).await;
        let bench = Bench::new();
        let error = fetch_artifact(&bench.cache, &request, &Quiet::default()).await;
        let error = error.unwrap_err();
        assert!(
            matches!(&error, FetchError::Status { status, .. } if status.as_u16() == 401),
            "{error:?}"
        );
        let asked = of_layer(&server);
        let asked: Vec<_> = asked
            .iter()
            .map(|(token, at)| (token.as_str(), *at))
            .collect();
        assert_eq!(asked, expected);
    }
}
