//! Disks found in registries that behave, that want a login, and that lie.

use std::path::Path;

use reqwest::header::AUTHORIZATION;
use serde_json::json;

use super::*;
use crate::test_server::{Asked, Authority, Reply, Server};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORY: &str = "podman/machine-os";
const TITLE: &str = "podman-machine.x86_64.qemu.qcow2.zst";
const WANTED: Wanted<'static> = Wanted {
    disktype: "qemu",
    architecture: "x86_64",
};
/// base64 of `user:open sesame`.
const USER: &str = "dXNlcjpvcGVuIHNlc2FtZQ==";

/// The documents of an artifact, of one disk.
#[derive(Clone)]
struct Artifact {
    index: Vec<u8>,
    manifest: Vec<u8>,
    blob: Checksum,
}

fn artifact() -> Artifact {
    let blob = Checksum::of_bytes(b"disk");
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Checksum::of_bytes(b"{}").to_string(), "size": 2},
        "layers": [{
            "mediaType": "application/zstd",
            "digest": blob.to_string(),
            "size": 4,
            "annotations": {"org.opencontainers.image.title": TITLE},
        }],
    })
    .to_string();
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": Checksum::of_bytes(manifest.as_bytes()).to_string(),
            "size": manifest.len(),
            "platform": {"os": "linux", "architecture": "x86_64"},
            "annotations": {"disktype": "qemu"},
        }],
    });
    Artifact {
        index: index.to_string().into_bytes(),
        manifest: manifest.into_bytes(),
        blob,
    }
}

impl Artifact {
    fn digest(&self) -> Checksum {
        Checksum::of_bytes(&self.manifest)
    }

    /// What an open registry answers; anything that it should not be asked is an error of the test.
    fn answer(&self, asked: &Asked) -> Reply {
        assert_eq!(asked.method, "GET");
        let Some(version) = asked
            .target
            .strip_prefix("/v2/podman/machine-os/manifests/")
        else {
            assert_eq!(asked.target, "/v2/");
            return Reply::new(200, "{}");
        };
        assert!(asked.header("accept").unwrap().contains(INDEX));
        if version == "6.0" || version == Checksum::of_bytes(&self.index).to_string() {
            Reply::new(200, self.index.clone()).with("Content-Type", INDEX)
        } else if version == self.digest().to_string() {
            Reply::new(200, self.manifest.clone()).with("Content-Type", MANIFEST)
        } else {
            let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            Reply::new(404, body)
        }
    }
}

async fn open_registry() -> Server {
    let artifact = artifact();
    Server::start(None, move |_, asked| artifact.answer(asked)).await
}

fn insecure() -> Access {
    Access {
        tls_verify: Some(false),
        ..Access::default()
    }
}

fn named(server: &Server) -> Reference {
    Reference::parse(&format!("docker://{}/{REPOSITORY}", server.host), "6.0").unwrap()
}

fn put(directory: &Path, name: &str, text: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = directory.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, text).unwrap();
    path
}

/// An auth file with this entry for the server.
fn with_entry(directory: &Path, server: &Server, entry: &serde_json::Value) -> Access {
    let document = json!({"auths": {&server.host: entry}});
    Access {
        auth_files: vec![put(directory, "auth.json", document.to_string())],
        ..insecure()
    }
}

#[tokio::test]
async fn an_open_registry_gives_the_layer() {
    let (server, artifact) = (open_registry().await, artifact());
    let layer = resolve(&named(&server), &WANTED, &insecure())
        .await
        .unwrap();
    assert_eq!(layer.reference, format!("{}/{REPOSITORY}:6.0", server.host));
    assert_eq!(layer.manifest, artifact.digest());
    let blob = format!(
        "http://{}/v2/{REPOSITORY}/blobs/{}",
        server.host, artifact.blob
    );
    assert_eq!(layer.blob_urls, [blob]);
    assert_eq!(layer.authorization, None);
    assert!(layer.insecure);
    assert_eq!((layer.checksum, layer.bytes), (artifact.blob, 4));
    assert_eq!((layer.title.as_str(), layer.release), (TITLE, None));

    let again = resolve(&layer.pinned, &WANTED, &insecure()).await.unwrap();
    assert_eq!(again.manifest, layer.manifest);
    assert_eq!(again.pinned, layer.pinned);
}

/// Wants a token for each request, and gives it to the user with the password or the identity token.
async fn guarded_registry() -> Server {
    let artifact = artifact();
    Server::start(None, move |own, asked| {
        if let Some(query) = asked.target.strip_prefix("/token") {
            let by_password = asked.method == "GET"
                && query
                    == "?own=1&account=user&service=the+registry&scope=repository%3Apodman%2Fmachine-os%3Apull"
                && asked.header("authorization") == Some(&format!("Basic {USER}"));
            let by_token = asked.method == "POST"
                && asked.header("content-type") == Some("application/x-www-form-urlencoded")
                && asked.target == "/token?own=1"
 && asked.body.starts_with("grant_type=refresh_token&refresh_token=keep%26me&client_id=machine")
                && asked.body.ends_with("&service=the+registry&scope=repository%3Apodman%2Fmachine-os%3Apull");
            return match (by_password, by_token) {
                (true, _) => Reply::new(200, r#"{"token": "tick", "expires_in": 300}"#),
                (_, true) => Reply::new(200, r#"{"access_token": "tick"}"#),
                _ => Reply::new(401, "{}"),
            };
        }
        if asked.target == "/v2/" {
            let challenge = format!(r#"Bearer realm="http://{own}/token?own=1",service="the registry""#);
            return Reply::new(401, "{}").with("WWW-Authenticate", challenge);
        }
        if asked.header("authorization") != Some("Bearer tick") {
            return Reply::new(401, r#"{"errors": [{"code": "UNAUTHORIZED"}]}"#);
        }
        artifact.answer(asked)
    })
    .await
}

#[tokio::test]
async fn a_token_is_got_by_password_or_identity_token() {
    let (server, home) = (guarded_registry().await, tempfile::tempdir().unwrap());
    for entry in [
        json!({ "auth": USER }),
        json!({"auth": "dXNlcjo=", "identitytoken": "keep&me"}),
    ] {
        let access = with_entry(home.path(), &server, &entry);
        let layer = resolve(&named(&server), &WANTED, &access).await.unwrap();
        assert_eq!(layer.authorization.as_ref().unwrap().value(), "Bearer tick");
        let shown = format!("{layer:?}");
        assert!(
            !shown.contains("tick") && !shown.contains("sesame"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_token_is_refused() {
    let (server, home) = (guarded_registry().await, tempfile::tempdir().unwrap());
    let wrong = with_entry(home.path(), &server, &json!({"auth": "dXNlcjpndWVzcw=="}));
    let error = resolve(&named(&server), &WANTED, &wrong).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "fetching manifest 6.0 in {0}/{REPOSITORY}: no token from `http://{0}/token?own=1`: it refuses the name \
             and the password",
            server.host
        )
    );
    assert_eq!(
        error.hints(),
        [format!(
            "log in first, if the image is not public: podman login {}",
            server.host
        )]
    );
    let error = resolve(&named(&server), &WANTED, &insecure())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("it answers 401 Unauthorized"),
        "{error}"
    );
    let broken = put(home.path(), "auth.json", "{");
    let access = Access {
        auth_files: vec![broken.clone()],
        ..insecure()
    };
    let error = resolve(&named(&server), &WANTED, &access)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` cannot be used", broken.display())
    );
}

#[tokio::test]
async fn a_password_goes_with_every_request() {
    let (artifact, home) = (artifact(), tempfile::tempdir().unwrap());
    let server = Server::start(None, move |_, asked| {
        if asked.header("authorization") == Some(&format!("Basic {USER}")) {
            return artifact.answer(asked);
        }
        let body =
            r#"{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}"#;
        Reply::new(401, body).with("WWW-Authenticate", r#"Basic realm="tour""#)
    })
    .await;
    let access = with_entry(home.path(), &server, &json!({ "auth": USER }));
    let layer = resolve(&named(&server), &WANTED, &access).await.unwrap();
    assert_eq!(
        layer.authorization.unwrap().value(),
        &format!("Basic {USER}")
    );

    let error = resolve(&named(&server), &WANTED, &insecure())
        .await
        .unwrap_err();
    let url = format!("http://{}/v2/{REPOSITORY}/manifests/6.0", server.host);
    assert_eq!(
        error.to_string(),
        format!(
            "fetching manifest 6.0 in {}/{REPOSITORY}: `{url}` answers 401 Unauthorized: authentication required",
            server.host
        )
    );
    assert_eq!(error.hints().len(), 1);
}

#[tokio::test]
async fn mirrors_are_asked_first_and_told_nothing() {
    let home = tempfile::tempdir().unwrap();
    let broken = Server::start(None, |_, asked| {
        assert_eq!(asked.header("authorization"), None);
        match asked.target.as_str() {
            "/v2/" => Reply::new(200, ""),
            _ => Reply::new(404, ""),
        }
    })
    .await;
    let origin = guarded_registry().await;
    let settings = |also: &str| {
        format!(
            "[[registry]]\nprefix = \"quay.io\"\nlocation = \"{}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \
             \"{}\"\ninsecure = true\n{also}",
            origin.host, broken.host
        )
    };
    let mut access = with_entry(home.path(), &origin, &json!({ "auth": USER }));
    access.tls_verify = None;
    access.registries_conf = vec![put(home.path(), "registries.conf", settings(""))];
    let reference = Reference::parse("docker://quay.io/podman/machine-os", "6.0").unwrap();
    let layer = resolve(&reference, &WANTED, &access).await.unwrap();
    assert_eq!(broken.asked().len(), 2);
    assert!(layer.blob_urls[0].starts_with(&format!("http://{}/v2/", origin.host)));

    let open = open_registry().await;
    let also = format!(
        "[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        open.host
    );
    put(home.path(), "registries.conf", settings(&also));
    let before = origin.asked().len();
    let layer = resolve(&reference, &WANTED, &access).await.unwrap();
    assert!(layer.blob_urls[0].starts_with(&format!("http://{}/v2/", open.host)));
    assert_eq!(layer.authorization, None);
    assert_eq!(origin.asked().len(), before);

    put(home.path(), "registries.conf", settings(""));
    access.auth_files.clear();
    let error = resolve(&reference, &WANTED, &access).await.unwrap_err();
    let text = error.to_string();
    let start = format!(
        "(Mirrors also failed: [{0}/{REPOSITORY}: fetching manifest 6.0 in {0}",
        broken.host
    );
    assert!(text.starts_with(&start), "{text}");
    assert!(
        text.contains(&format!(
            "404 Not Found]): {}/{REPOSITORY}: fetching",
            origin.host
        )),
        "{text}"
    );
    assert_eq!(error.hints().len(), 1);
}

/// The error of a registry whose documents are these.
async fn error_of(artifact: Artifact, version: &str) -> OciError {
    let server = Server::start(None, move |_, asked| {
        if asked.target == "/v2/" {
            Reply::new(200, "")
        } else if asked.target.ends_with("manifests/6.0") || asked.target.contains("0000") {
            Reply::new(200, artifact.index.clone()).with("Content-Type", INDEX)
        } else {
            Reply::new(200, artifact.manifest.clone()).with("Content-Type", MANIFEST)
        }
    })
    .await;
    let text = format!("{}/{REPOSITORY}{version}", server.host);
    let reference = Reference::parse(&text, "6.0").unwrap();
    resolve(&reference, &WANTED, &insecure()).await.unwrap_err()
}

#[tokio::test]
async fn other_bytes_than_named_are_refused() {
    let zeros = format!("@sha256:{}", "0".repeat(64));
    let error = error_of(artifact(), &zeros).await;
    assert!(
        matches!(&error, OciError::Mismatch { what, .. } if what.starts_with("The index")),
        "{error}"
    );
    let mut changed = artifact();
    changed.manifest.push(b' ');
    let error = error_of(changed, "").await;
    assert!(
        matches!(&error, OciError::Mismatch { what, .. } if what.starts_with("The manifest")),
        "{error}"
    );
    let mut longer = artifact();
    let size = format!("\"size\":{}", longer.manifest.len());
    let index = String::from_utf8(longer.index).unwrap();
    longer.index = index.replace(&size, "\"size\":9").into_bytes();
    let error = error_of(longer, "").await;
    assert!(
        matches!(error, OciError::Length { expected: 9, .. }),
        "{error}"
    );
    let mut endless = artifact();
    endless.index.resize(artifact::MANIFEST_LIMIT + 1, b' ');
    let error = error_of(endless, "").await;
    assert!(matches!(error, OciError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_registry_is_told() {
    let server = open_registry().await;
    let reference = Reference::parse(&format!("{}/{REPOSITORY}:7.0", server.host), "6.0").unwrap();
    let error = resolve(&reference, &WANTED, &insecure()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("answers 404 Not Found: manifest unknown"),
        "{error}"
    );
    assert_eq!(error.hints(), ["check the name and the tag of the image"]);

    // As podman's own tests have it.
    let web = Server::start(None, |_, _| {
        Reply::new(200, "hello").with("Content-Type", "text/plain; charset=utf-8")
    })
    .await;
    let error = resolve(&named(&web), &WANTED, &insecure())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "wrong manifest type for disk artifact: text/plain"
    );
}

fn ping_error(host: &str, reason: &str) -> String {
    format!(
        "fetching manifest 6.0 in {host}/{REPOSITORY}: pinging container registry {host}: Get \"https://{host}/v2/\": \
         {reason}"
    )
}

/// Trusts the authority for this server.
fn trusting(home: &Path, server: &Server, authority: &Authority) -> Access {
    let name = format!("certs.d/{}/ca.crt", server.host);
    put(home, &name, authority.pem());
    Access {
        certs_d: vec![home.join("none"), home.join("certs.d")],
        ..Access::default()
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let (server, authority) = (open_registry().await, Authority::new());
    let home = tempfile::tempdir().unwrap();
    let access = trusting(home.path(), &server, &authority);
    let error = resolve(&named(&server), &WANTED, &access)
        .await
        .unwrap_err();
    let reason = "http: server gave HTTP response to HTTPS client";
    assert_eq!(error.to_string(), ping_error(&server.host, reason));
    assert!(error.hints()[0].contains("--tls-verify=false"));
    assert_eq!(server.asked().len(), 0);
}

#[cfg(not(target_os = "macos"))] // There the system decides about certificates, and has other words.
#[tokio::test]
async fn only_trusted_certificates_are_taken() {
    let (authority, artifact) = (Authority::new(), artifact());
    let answer = move |_: &str, asked: &Asked| artifact.answer(asked);
    let server = Server::start(Some(authority.server("127.0.0.1", false)), answer.clone()).await;
    let home = tempfile::tempdir().unwrap();
    let other = trusting(home.path(), &server, &Authority::new());
    let error = resolve(&named(&server), &WANTED, &other).await.unwrap_err();
    let reason = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    assert_eq!(error.to_string(), ping_error(&server.host, reason));
    assert!(error.hints()[0].contains(&format!("certs.d/{}/ca.crt", server.host)));

    let layer = resolve(&named(&server), &WANTED, &insecure())
        .await
        .unwrap();
    assert!(layer.blob_urls[0].starts_with("https://"));
    let access = trusting(home.path(), &server, &authority);
    let layer = resolve(&named(&server), &WANTED, &access).await.unwrap();
    assert!(layer.blob_urls[0].starts_with("https://"));

    let elsewhere = Server::start(Some(authority.server("registry.example", false)), answer).await;
    let access = trusting(home.path(), &elsewhere, &authority);
    let error = resolve(&named(&elsewhere), &WANTED, &access)
        .await
        .unwrap_err();
    let reason = "tls: failed to verify certificate: x509: certificate is valid for registry.example, not 127.0.0.1";
    assert_eq!(error.to_string(), ping_error(&elsewhere.host, reason));
}

#[cfg(not(target_os = "macos"))]
#[tokio::test]
async fn a_client_may_have_to_show_a_certificate() {
    let (authority, artifact) = (Authority::new(), artifact());
    let server = Server::start(
        Some(authority.server("127.0.0.1", true)),
        move |_, asked| artifact.answer(asked),
    )
    .await;
    let home = tempfile::tempdir().unwrap();
    let access = trusting(home.path(), &server, &authority);
    assert!(resolve(&named(&server), &WANTED, &access).await.is_err());
    let pair = authority.issue("me");
    let at = |name: &str| format!("certs.d/{}/{name}", server.host);
    put(home.path(), &at("me.cert"), &pair.certificate);
    let error = resolve(&named(&server), &WANTED, &access)
        .await
        .unwrap_err();
    assert!(matches!(error, OciError::Settings { .. }), "{error}");
    put(home.path(), &at("me.key"), &pair.key);
    resolve(&named(&server), &WANTED, &access).await.unwrap();
}

#[cfg(not(target_os = "macos"))]
#[tokio::test]
async fn no_password_leaves_tls() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server("127.0.0.1", false)), |_, _| {
        Reply::new(401, "").with("WWW-Authenticate", r#"Bearer realm="http://127.0.0.1:1/""#)
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let access = trusting(home.path(), &server, &authority);
    let error = resolve(&named(&server), &WANTED, &access)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("a password would be sent there without TLS"),
        "{error}"
    );

    let plain = open_registry().await;
    let to = format!("http://{}/", plain.host);
    let server = Server::start(Some(authority.server("127.0.0.1", false)), move |_, _| {
        Reply::new(307, "").with("Location", to.clone())
    })
    .await;
    let access = trusting(home.path(), &server, &authority);
    let error = resolve(&named(&server), &WANTED, &access)
        .await
        .unwrap_err();
    assert!(matches!(error, OciError::Unreachable { .. }), "{error}");
    assert_eq!(plain.asked().len(), 0);
}

/// As public registries do: the bytes are at another host, which must not learn the token.
#[tokio::test]
async fn the_client_keeps_the_authorization_from_other_hosts() {
    let elsewhere = Server::start(None, |_, asked| {
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("referer"), None);
        Reply::new(200, "disk")
    })
    .await;
    let (artifact, to) = (artifact(), format!("http://{}/cdn", elsewhere.host));
    let server = Server::start(None, move |_, asked| {
        if asked.header("authorization").is_none() {
            return Reply::new(401, "").with("WWW-Authenticate", "Basic realm=a");
        }
        if asked.target.contains("/blobs/") {
            return Reply::new(307, "").with("Location", to.clone());
        }
        artifact.answer(asked)
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let access = with_entry(home.path(), &server, &json!({ "auth": USER }));
    let layer = resolve(&named(&server), &WANTED, &access).await.unwrap();
    let request = layer.client.get(&layer.blob_urls[0]);
    let request = request.header(AUTHORIZATION, layer.authorization.unwrap().value());
    let mut response = request.send().await.unwrap();
    let body = response.chunk().await.unwrap().unwrap();
    assert_eq!(Checksum::of_bytes(&body), layer.checksum);
    assert_eq!(elsewhere.asked().len(), 1);
}

#[tokio::test]
async fn a_registry_may_ask_who_it_is_later() {
    let artifact = artifact();
    let server = Server::start(None, move |own, asked| {
        let known = asked.header("authorization") == Some("Bearer tick");
        if asked.target == "/v2/" || known {
            return artifact.answer(asked);
        }
        if asked.target.starts_with("/token") {
            assert_eq!(
                asked.target,
                "/token?scope=repository%3Apodman%2Fmachine-os%3Apull"
            );
            assert_eq!(asked.header("authorization"), None);
            return Reply::new(200, r#"{"token": "tick"}"#);
        }
        let challenge = format!(r#"Bearer realm="http://{own}/token""#);
        Reply::new(401, "").with("WWW-Authenticate", challenge)
    })
    .await;
    let layer = resolve(&named(&server), &WANTED, &insecure())
        .await
        .unwrap();
    assert_eq!(layer.authorization.unwrap().value(), "Bearer tick");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_does_not() {
    let busy = Server::start(None, |own, asked| match asked.target.as_str() {
        "/v2/" => {
            let challenge = format!(r#"Bearer realm="http://{own}/token""#);
            Reply::new(401, "").with("WWW-Authenticate", challenge)
        }
        _ => Reply::new(503, ""),
    })
    .await;
    let error = resolve(&named(&busy), &WANTED, &insecure())
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    for (status, is_transient) in [
        (429, true),
        (503, true),
        (500, true),
        (404, false),
        (403, false),
    ] {
        let server = Server::start(None, move |_, _| Reply::new(status, "")).await;
        let error = resolve(&named(&server), &WANTED, &insecure())
            .await
            .unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{error}");
    }
    let gone = open_registry().await;
    let reference = named(&gone);
    drop(gone);
    let error = resolve(&reference, &WANTED, &insecure()).await.unwrap_err();
    assert!(
        matches!(error, OciError::Unreachable { .. }) && error.is_transient(),
        "{error}"
    );
}

#[test]
fn it_can_run_on_any_thread() {
    fn is_send(_: impl Send) {}
    let reference = Reference::parse("quay.io/a", "1").unwrap();
    is_send(resolve(&reference, &WANTED, &Access::default()));
}
