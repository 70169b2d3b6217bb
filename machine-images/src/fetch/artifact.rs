//! A disk artifact of a registry: what its tag names today, and then its one layer.

use reqwest::Url;

use super::{
    Cache, CachedImage, Download, FetchError, FetchReporter, Fetched, How, error, fetch,
    refuse_other,
};
use crate::checksum::Checksum;
use crate::oci::{self, Access, Wanted};

/// The disk that is wanted of an artifact.
#[derive(Clone, Debug)]
pub struct ArtifactRequest {
    /// The artifact's name.
    pub reference: oci::Reference,
    /// The kind of disk, as podman's images call it: `qemu`.
    pub disktype: String,
    /// The kernel's name of the architecture, as `x86_64`.
    pub architecture: String,
    /// The checksum that the disk's file has to have, else it is not fetched.
    pub expected: Option<Checksum>,
    /// How registries are reached on this host.
    pub access: Access,
}

impl ArtifactRequest {
    /// The image that is there for it, where nobody can be asked.
    fn cached(&self, cache: &Cache) -> Option<CachedImage> {
        match &self.expected {
            Some(expected) => cache.find(expected),
            None => cache.from(&self.offer()),
        }
    }

    /// By which the image is found again in the cache.
    fn offer(&self) -> String {
        format!(
            "docker://{}#{}/{}",
            self.reference, self.disktype, self.architecture
        )
    }
}

/// Gets a disk of a registry into the cache. Where the registry cannot be asked, the one that was had last is taken.
pub async fn fetch_artifact(
    cache: &Cache,
    request: &ArtifactRequest,
    reporter: &dyn FetchReporter,
) -> Result<Fetched, FetchError> {
    let wanted = Wanted {
        disktype: &request.disktype,
        architecture: &request.architecture,
    };
    let resolved = tokio::select! {
        biased;
        resolved = oci::resolve(&request.reference, &wanted, &request.access) => resolved,
        () = reporter.stopped() => {
            return Err(FetchError::Cancelled { url: format!("docker://{}", request.reference) });
        }
    };
    let layer = match resolved {
        Ok(layer) => layer,
        Err(failure) if failure.is_transient() => {
            return match request.cached(cache) {
                Some(image) => Ok(Fetched {
                    image,
                    how: How::Offline {
                        why: error::innermost(&failure),
                    },
                }),
                None => Err(failure.into()),
            };
        }
        Err(failure) => return Err(failure.into()),
    };
    let name = format!("docker://{}", request.reference);
    let found = (&layer.checksum, layer.release.as_deref());
    refuse_other(&name, request.expected, found)?;
    let mut urls = Vec::new();
    for text in &layer.blob_urls {
        urls.push(text.parse::<Url>().map_err(|_| FetchError::Nonsense {
            url: text.clone(),
            what: "it is no URL",
        })?);
    }
    let numbered = layer.release.as_ref().map(|release| format!(" {release}"));
    let download = Download {
        urls,
        checksum: Some(layer.checksum),
        signature: None,
        offer: Some(request.offer()),
        title: Some(format!(
            "docker://{}{}",
            layer.reference,
            numbered.unwrap_or_default()
        )),
        release: layer.release,
        bytes: Some(layer.bytes),
        authorization: layer.authorization,
        client: Some(layer.client),
        insecure: layer.insecure,
    };
    fetch(cache, &download, reporter).await
}
