//! Finds a disk in a registry: `docker://quay.io/podman/machine-os` in, the place, digest and size of one file out.
//!
//! ```text
//! Reference ── registries.conf ──> endpoints: mirrors, then the registry
//! endpoint  ── TLS, credentials ─> session
//! session   ── index (digest) ───> the manifest of the wanted disk (digest, size) ──> its only layer
//! ```
//!
//! Everything that is read is compared with its digest, and all sizes are bounded. The layer itself is not read here:
//! [`DiskLayer`] has what a download needs. The rules are podman's, see [`artifact`].

mod access;
pub mod artifact;
mod challenge;
mod credentials;
mod error;
mod helper;
mod reference;
mod refusal;
mod registries;
mod registry;
mod tls;
mod token;

pub use access::Access;
pub use artifact::Wanted;
pub use error::{Fetch, OciError, Refusal};
pub use reference::Reference;

use self::registries::{Endpoint, Registries};
use self::registry::Session;
use crate::checksum::Checksum;
use crate::http::Authorization;

/// The only layer of a disk artifact: what a download needs to know.
#[derive(Clone, Debug)]
pub struct DiskLayer {
    /// The artifact as it was named, with its tag or digest.
    pub reference: String,
    /// The same artifact for ever: [`Reference::pinned`] with the index's digest. Resolving this again gives a fresh
    /// authorization for the same bytes, for tokens expire within minutes.
    pub pinned: Reference,
    /// The digest of the artifact's own manifest, which is podman's key in its cache.
    pub manifest: Checksum,
    /// Where the bytes are, in the order to try: `https://HOST/v2/REPOSITORY/blobs/sha256:…`. All are of the one
    /// endpoint that gave the manifests, a mirror or the registry, for the authorization is for that one.
    pub blob_urls: Vec<String>,
    /// The header `Authorization` for these URLs, and for none that they redirect to.
    pub authorization: Option<Authorization>,
    /// A client with the certificates and the proxies for these URLs. It drops the authorization where it is
    /// redirected to another host, and does not follow from TLS to plain HTTP.
    pub client: reqwest::Client,
    /// Any certificate will do there, by `--tls-verify=false` or by `insecure` in `registries.conf`.
    pub insecure: bool,
    /// What the bytes digest to.
    pub checksum: Checksum,
    /// How many bytes the layer is said to have.
    pub bytes: u64,
    /// The name of the file, such as `podman-machine.x86_64.qemu.qcow2.zst`: a label, without a directory.
    pub title: String,
    /// The release, where the publisher says it (`org.opencontainers.image.version`).
    pub release: Option<String>,
}

/// Asks the mirrors and the registry for the wanted disk; the first that has it is taken.
pub async fn resolve(
    reference: &Reference,
    wanted: &Wanted<'_>,
    access: &Access,
) -> Result<DiskLayer, OciError> {
    let registries = Registries::read(access)?;
    let mut failures = Vec::new();
    for endpoint in registries.endpoints(reference)? {
        match resolve_at(&endpoint, reference, wanted, access).await {
            Ok(layer) => return Ok(layer),
            Err(error) => {
                failures.push((format!("{}/{}", endpoint.host, endpoint.repository), error));
            }
        }
    }
    Err(match failures.pop() {
        Some((name, primary)) if !failures.is_empty() => OciError::Everywhere {
            mirrors: failures,
            name,
            primary: Box::new(primary),
        },
        Some((_, error)) => error,
        None => OciError::Reference {
            text: reference.to_string(),
            reason: "no registry is set for it".to_owned(),
        },
    })
}

async fn resolve_at(
    endpoint: &Endpoint,
    reference: &Reference,
    wanted: &Wanted<'_>,
    access: &Access,
) -> Result<DiskLayer, OciError> {
    let version = reference.version();
    let mut session = Session::open(endpoint, access, &version).await?;
    let of = reference.to_string();
    let index = session.manifest(&version, access).await?;
    let found = Checksum::of_bytes(&index.bytes);
    if let Some(expected) = reference.digest() {
        compare(&format!("The index of {of}"), expected, found)?;
    }
    let listed = artifact::listed(&index.bytes, &index.content_type, &of, wanted)?;
    let what = format!("The manifest of {of}");
    let manifest = session.manifest(&listed.digest.to_string(), access).await?;
    compare(&what, listed.digest, Checksum::of_bytes(&manifest.bytes))?;
    if u64::try_from(manifest.bytes.len()) != Ok(listed.bytes) {
        return Err(OciError::Length {
            what,
            expected: listed.bytes,
            found: manifest.bytes.len(),
        });
    }
    let file = artifact::only_file(&manifest.bytes, &manifest.content_type, &of)?;
    Ok(DiskLayer {
        reference: of,
        pinned: reference.pinned(found),
        manifest: listed.digest,
        blob_urls: vec![session.blob(file.checksum)],
        authorization: session.authorization,
        insecure: !session.verify,
        client: session.client,
        checksum: file.checksum,
        bytes: file.bytes,
        title: file.title,
        release: file.release.or(listed.release),
    })
}

fn compare(what: &str, expected: Checksum, found: Checksum) -> Result<(), OciError> {
    if expected == found {
        return Ok(());
    }
    Err(OciError::Mismatch {
        what: what.to_owned(),
        expected,
        found,
    })
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
