//! Images of streams, from a mirror that is honest, that lies, and that is away.

use std::collections::HashMap;

use pgp::composed::{DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize;
use pgp::types::Password;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const STREAMS_SITE: &str = "https://builds.coreos.fedoraproject.org";
const IMAGE: &str = "/prod/streams/stable/builds/44.20261101.3.0/x86_64/disk.qcow2.xz";

struct Publisher(SignedSecretKey);

impl Publisher {
    fn new(seed: u64) -> Self {
        let mut parameters = SecretKeyParamsBuilder::default();
        parameters
            .key_type(KeyType::Ed25519)
            .can_sign(true)
            .primary_user_id("Publisher <p@example.com>".to_owned());
        let parameters = parameters.build().unwrap();
        Self(parameters.generate(StdRng::seed_from_u64(seed)).unwrap())
    }

    fn keys(&self) -> Arc<Keyring> {
        let mut keyring = Keyring::new();
        let public = self.0.to_public_key().to_bytes().unwrap();
        keyring.add("key", &public).unwrap();
        Arc::new(keyring)
    }

    fn sign(&self, file: &[u8]) -> Vec<u8> {
        let signature = DetachedSignature::sign_binary_data(
            StdRng::seed_from_u64(2),
            &self.0.primary_key,
            &Password::empty(),
            HashAlgorithm::Sha256,
            file,
        );
        signature.unwrap().to_bytes().unwrap()
    }
}

fn metadata(image: &[u8]) -> Vec<u8> {
    let location = format!("{STREAMS_SITE}{IMAGE}");
    let disk = serde_json::json!({
        "location": location,
        "signature": format!("{location}.sig"),
        "sha256": checksum(image).hex(),
    });
    let document = serde_json::json!({
        "stream": "stable",
        "architectures": {"x86_64": {"artifacts": {"qemu": {
            "release": "44.20261101.3.0",
            "formats": {"qcow2.xz": {"disk": disk}},
        }}}},
    });
    document.to_string().into_bytes()
}

/// A mirror with these files.
async fn mirror(files: &[(&str, Vec<u8>)]) -> Server {
    let files: HashMap<String, Served> = files
        .iter()
        .map(|(path, bytes)| ((*path).to_owned(), Served::new(bytes.clone())))
        .collect();
    serve(move |request, _| match files.get(&request.target) {
        Some(file) => file.reply(request),
        None => Reply::new(404, ""),
    })
    .await
}

/// The mirror alone: Fedora's own site is no part of a test.
fn request(server: &Server, publisher: &Publisher) -> StreamRequest {
    StreamRequest {
        stream: "stable".parse().unwrap(),
        architecture: "x86_64".to_owned(),
        platform: "qemu".to_owned(),
        formats: vec!["qcow2.xz".to_owned()],
        expected: None,
        site: STREAMS_SITE.to_owned(),
        mirrors: vec![server.url("/")],
        keys: publisher.keys(),
        insecure: false,
    }
}

fn honest(publisher: &Publisher) -> Vec<(&'static str, Vec<u8>)> {
    let image = image();
    vec![
        ("/streams/stable.json", metadata(&image)),
        (
            "/prod/streams/stable/builds/44.20261101.3.0/x86_64/disk.qcow2.xz.sig",
            publisher.sign(&image),
        ),
        (IMAGE, image),
    ]
}

#[tokio::test]
async fn a_signed_image_is_had_once_and_serves_where_nobody_can_be_asked() {
    let (bench, publisher) = (Bench::new(), Publisher::new(1));
    let server = mirror(&honest(&publisher)).await;
    let request = request(&server, &publisher);
    let reporter = Quiet::default();
    let fetched = fetch_stream(&bench.cache, &request, &reporter)
        .await
        .unwrap();
    assert_eq!(fetched.how, How::Downloaded);
    assert_eq!(fetched.image.verified(), Verified::Signature);
    assert_eq!(
        fetched.image.title(),
        Some("Fedora CoreOS stable 44.20261101.3.0")
    );
    assert!(content_of(&fetched.image) == disk());
    let signer = fetched.image.record().signer.clone().unwrap();
    assert!(
        signer.starts_with("Publisher <p@example.com>, "),
        "{signer}"
    );

    let again = fetch_stream(&bench.cache, &request, &reporter)
        .await
        .unwrap();
    assert_eq!(again.how, How::Cached);
    let images = server
        .asked()
        .iter()
        .filter(|asked| asked.target == IMAGE)
        .count();
    assert_eq!(images, 1);
    assert_eq!(
        bench.cache.from("stream:stable/x86_64/qemu"),
        Some(again.image)
    );
}

#[tokio::test]
async fn an_image_that_nobody_signed_is_refused_before_it_comes() {
    let (bench, publisher) = (Bench::new(), Publisher::new(1));
    let server = mirror(&honest(&Publisher::new(3))).await;
    let request = request(&server, &publisher);
    let error = fetch_stream(&bench.cache, &request, &Quiet::default())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is by a key that is not known here"),
        "{error}"
    );
    assert!(!error.hints().is_empty());
    assert!(server.asked().iter().all(|asked| asked.target != IMAGE));
    assert!(bench.cache.list().is_empty());
}

/// The metadata, the checksum in them and the image are changed together: the signature tells.
#[tokio::test]
async fn an_image_that_was_replaced_is_refused() {
    let (bench, publisher) = (Bench::new(), Publisher::new(1));
    let mut files = honest(&publisher);
    let mut other = disk();
    other[4096] ^= 1;
    let other = pack(Packing::Xz, &other);
    files[0].1 = metadata(&other);
    files[2].1 = other;
    let server = mirror(&files).await;
    let request = request(&server, &publisher);
    let error = fetch_stream(&bench.cache, &request, &Quiet::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Image(ImageError::Signature { .. })),
        "{error:?}"
    );
    assert!(bench.cache.list().is_empty());
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn a_stream_without_the_platform_says_what_there_is() {
    let (bench, publisher) = (Bench::new(), Publisher::new(1));
    let server = mirror(&honest(&publisher)).await;
    let mut request = request(&server, &publisher);
    request.platform = "applehv".to_owned();
    let error = fetch_stream(&bench.cache, &request, &Quiet::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("`applehv`"), "{error}");
}

#[tokio::test]
async fn a_mirror_is_asked_before_the_origin() {
    let publisher = Publisher::new(1);
    let server = mirror(&[]).await;
    let request = request(&server, &publisher);
    let places = request
        .places(&format!("{STREAMS_SITE}/streams/stable.json"))
        .unwrap();
    let places: Vec<_> = places.iter().map(Url::as_str).collect();
    let mirrored = server.url("/streams/stable.json");
    let own = format!("{STREAMS_SITE}/streams/stable.json");
    assert_eq!(places, [mirrored.as_str(), own.as_str()]);
    // Another site's files are on no mirror.
    let places = request.places("https://example.com/x").unwrap();
    assert_eq!(places.len(), 1);
}

#[tokio::test]
async fn another_image_than_the_expected_one_is_refused_before_it_comes() {
    let (bench, publisher) = (Bench::new(), Publisher::new(1));
    let server = mirror(&honest(&publisher)).await;
    let mut request = request(&server, &publisher);
    request.expected = Some(checksum(b"other"));
    let reporter = Quiet::default();
    let error = fetch_stream(&bench.cache, &request, &reporter)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("Image `stable` is another one: expected sha256:")
            && text.ends_with(", which is 44.20261101.3.0"),
        "{text}"
    );
    assert!(server.asked().iter().all(|asked| asked.target != IMAGE));

    request.expected = Some(checksum(&image()));
    let fetched = fetch_stream(&bench.cache, &request, &reporter)
        .await
        .unwrap();
    assert_eq!(fetched.image.release(), Some("44.20261101.3.0"));
}
