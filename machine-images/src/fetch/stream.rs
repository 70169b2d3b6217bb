//! An image of a Fedora CoreOS stream: what the stream offers, its signature, and then the image itself.
//!
//! The metadata say which release is the latest; that the image is Fedora's is said by its signature, whoever sends it.
//! So a mirror can hold an image back, and cannot replace it.

use std::sync::Arc;

use reqwest::Url;

use super::{
    Cache, CachedImage, DetachedSignature, Download, FetchError, FetchReporter, Fetched, How,
    document, error, fetch, refuse_other,
};
use crate::checksum::Checksum;
use crate::http;
use crate::openpgp::{Keyring, MAX_SIGNATURE_BYTES};
use crate::recognise::ImageForm;
use crate::streams::{self, MAX_METADATA_BYTES, Metadata, StreamRef};

/// The image that is wanted of a stream.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// The stream, or a release of it.
    pub stream: StreamRef,
    /// The kernel's name of the architecture, as `x86_64`.
    pub architecture: String,
    /// The platform's name in the streams, as `qemu`.
    pub platform: String,
    /// The formats that will do, the best first, as `qcow2.xz`.
    pub formats: Vec<String>,
    /// The checksum that the packed image has to have, else it is not fetched.
    pub expected: Option<Checksum>,
    /// The site whose metadata and images are Fedora's own.
    pub site: String,
    /// Sites that have what Fedora's has, asked before it.
    pub mirrors: Vec<Url>,
    /// The keys that are trusted.
    pub keys: Arc<Keyring>,
    /// Whether any certificate will do.
    pub insecure: bool,
}

impl StreamRequest {
    /// By which the image is found again in the cache.
    fn offer(&self) -> String {
        format!(
            "stream:{}/{}/{}",
            self.stream, self.architecture, self.platform
        )
    }

    /// The image that is there for it, where nobody can be asked.
    fn cached(&self, cache: &Cache) -> Option<CachedImage> {
        match &self.expected {
            Some(expected) => cache.find(expected),
            None => cache.from(&self.offer()),
        }
    }

    /// The places of a file of Fedora's site, Fedora's own last.
    pub(super) fn places(&self, url: &str) -> Result<Vec<Url>, FetchError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| FetchError::Nonsense {
                url: text.to_owned(),
                what: "it is no URL",
            })
        };
        let mut places = Vec::new();
        if let Some(path) = url.strip_prefix(&self.site) {
            for mirror in &self.mirrors {
                let site = mirror.as_str().trim_end_matches('/');
                places.push(parse(&format!("{site}{path}"))?);
            }
        }
        places.push(parse(url)?);
        Ok(places)
    }
}

/// Gets the image of a stream into the cache. Where nobody can be asked, the one that was had last is taken.
pub async fn fetch_stream(
    cache: &Cache,
    request: &StreamRequest,
    reporter: &dyn FetchReporter,
) -> Result<Fetched, FetchError> {
    let url = || request.stream.metadata_url(&request.site);
    let located = tokio::select! {
        biased;
        located = locate(request) => located,
        () = reporter.stopped() => return Err(FetchError::Cancelled { url: url() }),
    };
    match located {
        Ok(download) => fetch(cache, &download, reporter).await,
        Err(FetchError::Request { url, source }) => match request.cached(cache) {
            Some(image) => Ok(Fetched {
                image,
                how: How::Offline {
                    why: error::innermost(&source),
                },
            }),
            None => Err(FetchError::Request { url, source }),
        },
        Err(error) => Err(error),
    }
}

/// Finds out where the image is and who vouches for it.
async fn locate(request: &StreamRequest) -> Result<Download, FetchError> {
    let made = http::client(!request.insecure, request.insecure);
    let client = made.map_err(|source| FetchError::Request {
        url: request.site.clone(),
        source,
    })?;
    let origin = request.stream.metadata_url(&request.site);
    let json = document::get(&client, &request.places(&origin)?, MAX_METADATA_BYTES).await?;
    let metadata = Metadata::parse(&request.stream, &origin, &json)?;
    let formats: Vec<&str> = request.formats.iter().map(String::as_str).collect();
    let artifact = streams::select(
        &metadata,
        &request.architecture,
        &request.platform,
        &formats,
    )?;
    let found = (&artifact.checksum, Some(artifact.release.as_str()));
    refuse_other(&request.stream.to_string(), request.expected, found)?;
    let places = request.places(&artifact.signature)?;
    let bytes = document::get(&client, &places, MAX_SIGNATURE_BYTES).await?;
    Ok(Download {
        urls: request.places(&artifact.location)?,
        form: ImageForm::Disk,
        checksum: Some(artifact.checksum),
        signature: Some(DetachedSignature {
            name: artifact.signature,
            bytes,
            keys: Arc::clone(&request.keys),
        }),
        offer: Some(request.offer()),
        title: Some(format!(
            "Fedora CoreOS {} {}",
            request.stream.stream, artifact.release
        )),
        release: Some(artifact.release.to_string()),
        bytes: None,
        authorization: None,
        client: None,
        insecure: request.insecure,
    })
}
