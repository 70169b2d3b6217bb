//! An image that need not be downloaded: it is in the cache, still the latest or nobody can be asked, or another command
//! is downloading it.

use machine_host::lock::FileLock;
use reqwest::{Client, StatusCode, header};

use super::{FetchError, FetchProgress, Fetched, Fetching, How, error};
use crate::cache::{CachedImage, PartFiles, Verified};
use crate::validator::Validator;
use crate::waits;

impl Fetching<'_> {
    /// The image that is there already, if it is the right one.
    pub(super) async fn cached(&self, client: &Client) -> Result<Option<Fetched>, FetchError> {
        if let Some(checksum) = &self.download.checksum {
            // A bundle that calls another disk so would stay unnoticed: see `unreachable`.
            let image = self.cache.find(checksum);
            let image = image.filter(|image| image.verified() != Verified::Bundle);
            let Some(image) = image else {
                return Ok(None);
            };
            let offer = self.offer(Validator::default());
            let image = match offer {
                Some(offer) => image.see(offer),
                None => Ok(image),
            };
            return Ok(Some(Fetched {
                image: image.map_err(|source| self.cache_error(source))?,
                how: How::Cached,
            }));
        }
        let Some(image) = self.cache.from(&self.url) else {
            return Ok(None);
        };
        // An image whose server was not looked at is not the answer for who wants that.
        if image.verified() == Verified::No && !self.download.insecure {
            return Ok(None);
        }
        let known = image
            .record()
            .from(&self.url)
            .map(|source| source.validator.clone());
        let Some(validator) = known.filter(|validator| validator.if_range().is_some()) else {
            return Ok(None);
        };
        self.still_there(client, image, validator).await
    }

    /// Asks the server whether it still has this one.
    async fn still_there(
        &self,
        client: &Client,
        image: CachedImage,
        validator: Validator,
    ) -> Result<Option<Fetched>, FetchError> {
        let Some(url) = self.download.urls.first() else {
            return Ok(None);
        };
        let mut request = self.get(client, url);
        if let Some(tag) = &validator.etag {
            request = request.header(header::IF_NONE_MATCH, tag);
        } else if let Some(date) = &validator.last_modified {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        match request.send().await {
            Ok(response) if response.status() == StatusCode::NOT_MODIFIED => {
                let source = self.source(validator);
                let image = image.see(source);
                Ok(Some(Fetched {
                    image: image.map_err(|source| self.cache_error(source))?,
                    how: How::Cached,
                }))
            }
            // Its body is not read: it is asked for again by who can go on with it.
            Ok(_) => Ok(None),
            Err(error) if error.is_connect() || error.is_timeout() => Ok(Some(Fetched {
                image,
                how: How::Offline {
                    why: error::innermost(&error),
                },
            })),
            Err(error) => Err(self.request_error(error)),
        }
    }

    /// The image that serves where its server cannot be reached: what came in a bundle, and what came without a tag.
    pub(super) fn unreachable(&self, failure: &FetchError) -> Option<Fetched> {
        let FetchError::Request { source, .. } = failure else {
            return None;
        };
        if !(source.is_connect() || source.is_timeout()) {
            return None;
        }
        let image = match &self.download.checksum {
            Some(checksum) => self.cache.find(checksum),
            None => self.cache.from(&self.url),
        };
        let image =
            image.filter(|image| image.verified() != Verified::No || self.download.insecure)?;
        Some(Fetched {
            image,
            how: How::Offline {
                why: error::innermost(source),
            },
        })
    }

    /// Waits for another command's download of the same, and shows how far that is.
    pub(super) async fn wait(&self, files: &PartFiles) -> Result<FileLock, FetchError> {
        let path = files.lock.clone();
        let waiting =
            tokio::task::spawn_blocking(move || FileLock::acquire(&path, waits::SAME_DOWNLOAD));
        let mut waiting = std::pin::pin!(waiting);
        loop {
            if let Ok(lock) = tokio::time::timeout(waits::GLANCE, &mut waiting).await {
                return Ok(lock.map_err(|source| self.lost(source))??);
            }
            let done = fs_err::metadata(&files.bytes).map_or(0, |facts| facts.len());
            self.reporter.progress(FetchProgress::Waiting { done });
        }
    }
}
