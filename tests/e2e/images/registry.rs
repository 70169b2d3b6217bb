//! An artifact of a real registry with a password, put there by curl.

use std::path::Path;

use serde_json::json;

use super::{sha256, small_disk};
use crate::support::command::{clean, run};
use crate::support::follow::{Following, follow};
use crate::support::home::{Home, SOON};

const LOGIN: &str = "images:open sesame";
/// bcrypt of the password, as `htpasswd -B` writes it.
const ENTRY: &str = "images:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";
/// base64 of [`LOGIN`].
const KEPT: &str = "aW1hZ2VzOm9wZW4gc2VzYW1l";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

struct Registry {
    _server: Following,
    site: String,
}

fn curl(home: &Home, arguments: &[&str], input: &[u8]) -> String {
    let mut command = clean(Path::new("curl"), home.path());
    command.args(["--silent", "--show-error", "--fail", "--user", LOGIN]);
    run(command.args(arguments), input, SOON).succeeded()
}

impl Registry {
    fn start(home: &Home) -> Self {
        let (settings, passwords) = (
            home.path().join("registry.yml"),
            home.path().join("htpasswd"),
        );
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\nauth: {{htpasswd: {{realm: images, path: \"{}\"}}}}\n",
            home.path().join("registry").display(),
            passwords.display()
        );
        fs_err::write(&settings, text).expect("a file can be written");
        fs_err::write(&passwords, ENTRY).expect("a file can be written");
        let mut command = clean(Path::new("/bin/sh"), home.path());
        command.args(["-c", "exec docker-registry serve \"$0\" 2>&1"]);
        let mut server = follow(command.arg(settings));
        let line = server.until("listening on 127.0.0.1:", SOON);
        let after = line.split("127.0.0.1:").nth(1).expect("an address");
        let port: String = after.chars().take_while(char::is_ascii_digit).collect();
        Self {
            _server: server,
            site: format!("127.0.0.1:{port}"),
        }
    }

    fn blob(&self, home: &Home, bytes: &[u8]) {
        let uploads = format!("http://{}/v2/vm/disk/blobs/uploads/", self.site);
        let head = curl(home, &["--request", "POST", "--include", &uploads], b"");
        let line = |line: &&str| line.to_ascii_lowercase().starts_with("location: ");
        let location = head.lines().find(line).expect("a place for the blob");
        let place = location["location: ".len()..].trim_end();
        let place = format!("{place}&digest=sha256:{}", sha256(bytes));
        let kind = "Content-Type: application/octet-stream";
        curl(
            home,
            &[
                "--request",
                "PUT",
                "--header",
                kind,
                "--data-binary",
                "@-",
                &place,
            ],
            bytes,
        );
    }

    fn manifest(
        &self,
        home: &Home,
        name: &str,
        kind: &str,
        document: &serde_json::Value,
    ) -> serde_json::Value {
        let bytes = document.to_string().into_bytes();
        let place = format!("http://{}/v2/vm/disk/manifests/{name}", self.site);
        let kind_line = format!("Content-Type: {kind}");
        curl(
            home,
            &[
                "--request",
                "PUT",
                "--header",
                &kind_line,
                "--data-binary",
                "@-",
                &place,
            ],
            &bytes,
        );
        json!({"mediaType": kind, "digest": format!("sha256:{}", sha256(&bytes)), "size": bytes.len()})
    }
}

pub(super) fn artifact() {
    let mut home = Home::new("artifact");
    let registry = Registry::start(&home);
    let disk = small_disk(2);
    registry.blob(&home, &disk);
    registry.blob(&home, b"{}");
    let layer = json!({
        "mediaType": "application/octet-stream",
        "digest": format!("sha256:{}", sha256(&disk)),
        "size": disk.len(),
        "annotations": {"org.opencontainers.image.title": "podman-machine.qemu.raw"},
    });
    let config = json!({
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": format!("sha256:{}", sha256(b"{}")),
        "size": 2,
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    let digest = format!("sha256:{}", sha256(manifest.to_string().as_bytes()));
    let mut listed = registry.manifest(&home, &digest, MANIFEST, &manifest);
    listed["annotations"] = json!({"disktype": "qemu"});
    listed["platform"] = json!({"os": "linux", "architecture": std::env::consts::ARCH});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]});
    registry.manifest(&home, "6.0", INDEX, &index);

    let image = format!("docker://{}/vm/disk:6.0", registry.site);
    let init = |more: &[&str], credentials: &str| {
        let mut arguments = vec!["init", "--image", &image];
        arguments.extend(more);
        let file = home.path().join("auth.json");
        let auths = json!({"auths": {registry.site.clone(): {"auth": credentials}}});
        fs_err::write(&file, auths.to_string()).expect("it can be written");
        run(
            home.command(&arguments).env("REGISTRY_AUTH_FILE", file),
            b"",
            SOON,
        )
    };
    // A plain registry is none, until the user says so.
    let error = init(&["m"], KEPT).failed();
    assert!(
        error.contains("server gave HTTP response to HTTPS client"),
        "{error}"
    );
    // base64 of `images:wrong`.
    let error = init(&["--tls-verify=false", "m"], "aW1hZ2VzOndyb25n").failed();
    assert!(error.contains("hint: "), "{error}");
    let said = init(&["--tls-verify=false", "m"], KEPT).succeeded();
    let expected = format!("Image: {image} (raw, 1 MiB)\n");
    assert!(said.starts_with(&expected), "{said}");
    drop(registry);
    home.dispose().expect("nothing is left");
}
