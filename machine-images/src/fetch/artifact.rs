//! A disk artifact of a registry: what its tag names today, and then its one layer.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{StatusCode, Url};

use super::{
    Cache, CachedImage, Download, FetchError, FetchProgress, FetchReporter, Fetched, How, error,
    fetch, refuse_other,
};
use crate::checksum::Checksum;
use crate::oci::{self, Access, DiskLayer, Wanted};
use crate::recognise::ImageForm;

/// The disk that is wanted of an artifact.
#[derive(Clone, Debug)]
pub struct ArtifactRequest {
    /// The artifact's name.
    pub reference: oci::Reference,
    /// The kind of disk, as podman's images call it: `qemu`.
    pub disktype: String,
    /// What that is.
    pub form: ImageForm,
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
    let resolve = async |reference: &oci::Reference| {
        tokio::select! {
            biased;
            resolved = oci::resolve(reference, &wanted, &request.access) => Ok(resolved),
            () = reporter.stopped() => Err(FetchError::Cancelled {
                url: format!("docker://{}", request.reference),
            }),
        }
    };
    let resolved = resolve(&request.reference).await?;
    let mut layer = match resolved {
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
    let watched = Watched {
        reporter,
        done: AtomicU64::new(0),
    };
    let mut renewed_at = None;
    loop {
        let failure = match fetch(cache, &download(request, &layer)?, &watched).await {
            Err(failure) if is_unauthorized(&failure) && layer.authorization.is_some() => failure,
            fetched => return fetched,
        };
        // A login that leads no further will not by another try.
        let done = watched.done.load(Ordering::Relaxed);
        if renewed_at == Some(done) {
            return Err(failure);
        }
        renewed_at = Some(done);
        tracing::info!(done, "the registry's token has expired");
        let pinned = layer.pinned.clone();
        layer = resolve(&pinned).await??;
    }
}

/// Whether the server wants another login, as where a token of a registry has expired on the way.
fn is_unauthorized(failure: &FetchError) -> bool {
    matches!(failure, FetchError::Status { status, .. } if *status == StatusCode::UNAUTHORIZED)
}

/// The download of an artifact's layer.
fn download(request: &ArtifactRequest, layer: &DiskLayer) -> Result<Download, FetchError> {
    let mut urls = Vec::new();
    for text in &layer.blob_urls {
        urls.push(text.parse::<Url>().map_err(|_| FetchError::Nonsense {
            url: text.clone(),
            what: "it is no URL",
        })?);
    }
    let numbered = layer.release.as_ref();
    let numbered = numbered.map_or_else(String::new, |release| format!(" {release}"));
    Ok(Download {
        urls,
        form: request.form,
        checksum: Some(layer.checksum),
        signature: None,
        offer: Some(request.offer()),
        title: Some(format!("docker://{}{numbered}", request.reference)),
        release: layer.release.clone(),
        bytes: Some(layer.bytes),
        authorization: layer.authorization.clone(),
        client: Some(layer.client.clone()),
        insecure: layer.insecure,
    })
}

/// Remembers how far the download was.
struct Watched<'a> {
    reporter: &'a dyn FetchReporter,
    done: AtomicU64,
}

impl FetchReporter for Watched<'_> {
    fn progress(&self, progress: FetchProgress) {
        if let FetchProgress::Downloading { done, .. } = &progress {
            self.done.fetch_max(*done, Ordering::Relaxed);
        }
        self.reporter.progress(progress);
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.reporter.stopped()
    }
}
