//! A publisher of streams: a key made by gpg, and the files of a site.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::sha256;
use crate::support::command::{Finished, clean, run};
use crate::support::home::{Home, SOON};

const SITE: &str = "https://builds.coreos.fedoraproject.org";

pub(super) struct Publisher {
    home: PathBuf,
    key: Vec<u8>,
}

impl Publisher {
    /// A key of its own, in the home of a test.
    pub(super) fn new(home: &Home) -> Self {
        let mut publisher = Self {
            home: home.path().join("g"),
            key: Vec::new(),
        };
        fs_err::create_dir(&publisher.home).expect("it can be made");
        let key = ["--quick-generate-key", "Me <me@example.com>", "ed25519"];
        let key = [&key[..], &["sign", "1y"]].concat();
        publisher.gpg(&key, b"").succeeded();
        publisher.key = publisher.gpg(&["--export", "--armor"], b"").stdout;
        publisher
    }

    /// The public key.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Finished {
        let mut command = clean(Path::new("gpg"), &self.home);
        command.args(["--batch", "--quiet", "--passphrase", ""]);
        command.args(["--pinentry-mode", "loopback"]);
        run(
            command.env("GNUPGHOME", &self.home).args(arguments),
            input,
            SOON,
        )
    }

    /// The files of a stream that offers this release, and of the release itself, below `/m`.
    pub(super) fn stream(
        &self,
        stream: &str,
        release: &str,
        disk: &[u8],
    ) -> Vec<(String, Arc<Vec<u8>>)> {
        let signed = self.gpg(&["--detach-sign", "--output", "-", "-"], disk);
        assert!(signed.status.success(), "{}", signed.stderr);
        let builds = format!("/prod/streams/{stream}/builds/{release}");
        let path = format!("{builds}/x/disk.qcow2.xz");
        let formats = json!({"qcow2.xz": {"disk": {
            "location": format!("{SITE}{path}"),
            "signature": format!("{SITE}{path}.sig"),
            "sha256": sha256(disk),
        }}});
        let architecture = std::env::consts::ARCH;
        let of_stream = json!({
            "stream": stream,
            "architectures": {architecture: {"artifacts": {"qemu": {
                "release": release, "formats": formats,
            }}}},
        });
        let of_release = json!({
            "stream": stream,
            "release": release,
            "architectures": {architecture: {"media": {"qemu": {"artifacts": formats}}}},
        });
        let file = |path: String, bytes: Vec<u8>| (format!("/m{path}"), Arc::new(bytes));
        vec![
            file(
                format!("/streams/{stream}.json"),
                of_stream.to_string().into_bytes(),
            ),
            file(
                format!("{builds}/release.json"),
                of_release.to_string().into_bytes(),
            ),
            file(format!("{path}.sig"), signed.stdout),
            file(path, disk.to_vec()),
        ]
    }
}

impl Drop for Publisher {
    /// Its agent ends with its directory.
    fn drop(&mut self) {
        let _ = clean(Path::new("gpgconf"), &self.home)
            .env("GNUPGHOME", &self.home)
            .args(["--kill", "all"])
            .status();
    }
}
