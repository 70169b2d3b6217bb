//! Images from the network: downloaded in one pass, over as many connections and commands as it takes, checked, and kept
//! in the cache as disks.
//!
//! The network's half ([`transfer`]) writes what comes into a file that outlives this process. The image's half
//! ([`base`](crate::base)) reads that file while it grows, digests, unpacks and recognises it on a thread of its own. Only
//! when both have come to the end does the image get its name.

mod answer;
mod artifact;
mod beside;
mod document;
mod download;
mod error;
mod growing;
mod part;
mod reuse;
mod stream;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use machine_host::lock::FileLock;
use reqwest::{Client, RequestBuilder, Url, header};
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use self::artifact::{ArtifactRequest, fetch_artifact};
use self::beside::Beside;
pub use self::download::{DetachedSignature, Download, FetchProgress, FetchReporter, Fetched, How};
pub use self::error::FetchError;
use self::growing::{Extent, Growing};
use self::part::Part;
pub use self::stream::{StreamRequest, fetch_stream};
use self::transfer::Transfer;
use crate::base::{self, Base, Checks};
use crate::cache::{Cache, CachedImage, Draft, PartFiles, Record, Source, Verified};
use crate::checksum::Checksum;
use crate::copy::Next;
use crate::error::ImageError;
use crate::http::{self, shown};
use crate::validator::Validator;

/// How often a file may change while it is downloaded.
const CHANGES: u32 = 3;

/// Gets an image into the cache, if it is not there. A file without a checksum is had again where its server has another.
pub async fn fetch(
    cache: &Cache,
    download: &Download,
    reporter: &dyn FetchReporter,
) -> Result<Fetched, FetchError> {
    let url = download.urls.first().map_or_else(String::new, key);
    let fetching = Fetching {
        cache,
        download,
        reporter,
        url,
        beside: None,
    };
    tokio::select! {
        biased;
        fetched = fetching.run() => fetched,
        () = reporter.stopped() => Err(FetchError::Cancelled { url: fetching.name() }),
    }
}

/// Refuses what is offered, a checksum and a release, where it is not what has to be.
fn refuse_other(
    name: &str,
    expected: Option<Checksum>,
    (found, release): (&Checksum, Option<&str>),
) -> Result<(), FetchError> {
    match expected {
        Some(expected) if expected != *found => Err(FetchError::Other {
            name: name.to_owned(),
            expected,
            found: match release {
                Some(release) => format!("{found}, which is {release}"),
                None => found.to_string(),
            },
        }),
        _ => Ok(()),
    }
}

/// The URL by which an image is known: without user and password.
fn key(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_fragment(None);
    url.to_string()
}

/// One call of [`fetch`].
struct Fetching<'a> {
    cache: &'a Cache,
    download: &'a Download,
    reporter: &'a dyn FetchReporter,
    /// The first URL, by which the image is known.
    url: String,
    /// The file beside the image that has its checksum, where nobody else has said it.
    beside: Option<Url>,
}

impl Fetching<'_> {
    async fn run(&self) -> Result<Fetched, FetchError> {
        self.download.refuse_unprotected()?;
        // What can be known of a signature without the file ends here.
        drop(self.download.verifier()?);
        let verify = !self.download.insecure;
        let anywhere = self.download.insecure || self.download.is_vouched_for();
        let client = match &self.download.client {
            Some(client) => client.clone(),
            None => http::client(verify, anywhere).map_err(|source| self.request_error(source))?,
        };
        if let Some(fetched) = self.cached(&client).await? {
            return Ok(fetched);
        }
        match self.look_beside(&client).await? {
            Some(beside) => self.described(&client, beside).await,
            None => self.acquire(&client).await,
        }
    }

    /// The checksum beside the image, where it would say more than is known.
    async fn look_beside(&self, client: &Client) -> Result<Option<Beside>, FetchError> {
        match self.download.urls.first() {
            Some(url) if !self.download.insecure && !self.download.is_vouched_for() => {
                beside::look(client, url).await
            }
            _ => Ok(None),
        }
    }

    /// Gets the image that the file beside it describes.
    async fn described(&self, client: &Client, beside: Beside) -> Result<Fetched, FetchError> {
        let file = shown(&beside.file);
        self.reporter
            .progress(FetchProgress::Described { by: file.clone() });
        let download = Download {
            checksum: Some(beside.checksum),
            ..self.download.clone()
        };
        let fetching = Fetching {
            download: &download,
            url: self.url.clone(),
            beside: Some(beside.file),
            ..*self
        };
        if let Some(fetched) = fetching.cached(client).await? {
            return Ok(fetched);
        }
        fetching.acquire(client).await.map_err(|error| match error {
            FetchError::Image(source @ ImageError::Mismatch { .. }) => FetchError::Beside {
                url: self.name(),
                file,
                source: Box::new(source),
            },
            error => error,
        })
    }

    /// Downloads it, or waits for another command that does.
    async fn acquire(&self, client: &Client) -> Result<Fetched, FetchError> {
        let place = self
            .cache
            .download(self.download.checksum.as_ref(), &self.url);
        let files = place.files().map_err(|source| self.cache_error(source))?;
        let lock = if let Some(lock) = FileLock::try_acquire(&files.lock)? {
            lock
        } else {
            let lock = self.wait(&files).await?;
            // What the other command has done is not done again.
            if let Some(fetched) = self.cached(client).await? {
                return Ok(fetched);
            }
            lock
        };
        // The lock's file stays: another command may wait for it already.
        let lock = Arc::new(lock);
        match self.download(client, &files, &place, &lock).await {
            Ok(image) => Ok(Fetched {
                image,
                how: How::Downloaded,
            }),
            Err(error) => self.unreachable(&error).ok_or(error),
        }
    }

    /// Downloads it, from the beginning again where the file has become another.
    async fn download(
        &self,
        client: &Client,
        files: &PartFiles,
        place: &crate::cache::Download,
        lock: &Arc<FileLock>,
    ) -> Result<CachedImage, FetchError> {
        for _ in 0..CHANGES {
            let draft = place.draft().map_err(|source| self.cache_error(source))?;
            let part = Part::open(files.clone(), self.download.is_vouched_for()).await;
            let part = part.map_err(|source| self.cache_error(source))?;
            let resumed = part.have() > 0;
            match self.pass(client, part, files, draft, lock).await {
                Ok(Some(image)) => return Ok(image),
                // The rest was of another file than the beginning, or the beginning was lost in a power cut.
                Err(FetchError::Image(error)) if resumed && !error.is_of_host() => {
                    tracing::info!(%error, "the download is begun anew");
                    self.forget(files).await?;
                }
                Ok(None) => self.forget(files).await?,
                Err(FetchError::Image(error)) => {
                    if !error.is_of_host() {
                        self.forget(files).await?;
                    }
                    return Err(error.into());
                }
                Err(error) => return Err(error),
            }
        }
        Err(FetchError::Changes { url: self.name() })
    }

    /// One pass over the file. `None`: it has become another.
    async fn pass(
        &self,
        client: &Client,
        mut part: Part,
        files: &PartFiles,
        draft: Draft,
        lock: &Arc<FileLock>,
    ) -> Result<Option<CachedImage>, FetchError> {
        let (sender, extent) = watch::channel(Extent {
            length: part.have(),
            complete: false,
        });
        let file = fs_err::File::open(&files.bytes).map_err(|source| self.cache_error(source))?;
        let reader = Growing::new(file, extent, Handle::current());
        let name = PathBuf::from(self.name());
        let checks = Checks {
            checksum: self.download.checksum,
            signature: self.download.verifier()?,
            at_most: None,
            form: self.download.form,
        };
        let (stop, stopped) = watch::channel(());
        // Where this future is dropped, the thread goes on for a moment, and the draft is its own until then.
        let lock = Arc::clone(lock);
        let mut making = tokio::task::spawn_blocking(move || {
            let go_on = |_| match stopped.has_changed() {
                Ok(_) => Next::Continue,
                Err(_) => Next::Cancel,
            };
            let made = make(&name, reader, &draft, checks, go_on);
            (made, draft, lock)
        });
        let transfer = transfer::run(self, client, &mut part, &sender);
        let transfer = tokio::select! {
            biased;
            transfer = transfer => transfer,
            // It ends before the download does only where it cannot go on.
            made = &mut making => {
                let (made, ..) = made.map_err(|source| self.lost(source))?;
                return match made {
                    Ok(_) => Err(FetchError::Changes { url: self.name() }),
                    Err(error) => Err(error.into()),
                };
            }
        };
        drop(sender);
        if matches!(&transfer, Ok(Transfer::Complete(_))) {
            self.reporter.progress(FetchProgress::Unpacking);
        } else {
            drop(stop);
        }
        let (made, draft, _lock) = making.await.map_err(|source| self.lost(source))?;
        let validator = match transfer? {
            Transfer::Complete(validator) => validator,
            Transfer::Again => return Ok(None),
        };
        let base = made?;
        let mut source = vec![self.source(validator.clone())];
        source.extend(self.offer(validator));
        let mut record = Record::new(&base, self.verified(), source);
        record.title.clone_from(&self.download.title);
        record.release.clone_from(&self.download.release);
        let image = self.cache.commit(&draft, record);
        let image = image.map_err(|source| self.cache_error(source))?;
        let discarded = part.discard().await;
        discarded.map_err(|source| self.cache_error(source))?;
        Ok(Some(image))
    }

    /// How it is known that what came is the right file.
    fn verified(&self) -> Verified {
        match self.beside {
            Some(_) => Verified::Tls,
            None => self.download.verified(),
        }
    }

    async fn forget(&self, files: &PartFiles) -> Result<(), FetchError> {
        let removed = part::remove(files).await;
        removed.map_err(|source| self.cache_error(source))
    }

    /// What offers it, as a place.
    fn offer(&self, validator: Validator) -> Option<Source> {
        let url = self.download.offer.clone()?;
        Some(Source {
            url,
            ..self.source(validator)
        })
    }

    fn source(&self, validator: Validator) -> Source {
        Source {
            url: self.url.clone(),
            seen: Timestamp::now(),
            validator,
        }
    }

    fn get(&self, client: &Client, url: &Url) -> RequestBuilder {
        // What is packed on the way has no ranges of its own.
        let request = client
            .get(url.clone())
            .header(header::ACCEPT_ENCODING, "identity");
        match &self.download.authorization {
            // It is left out where a redirect leads to another host.
            Some(authorization) => {
                request.header(header::AUTHORIZATION, authorization.value().clone())
            }
            None => request,
        }
    }

    fn name(&self) -> String {
        self.download.urls.first().map_or_else(String::new, shown)
    }

    fn request_error(&self, source: reqwest::Error) -> FetchError {
        FetchError::Request {
            url: self.name(),
            source: source.without_url(),
        }
    }

    fn cache_error(&self, source: std::io::Error) -> FetchError {
        FetchError::Cache {
            path: self.cache.directory().to_owned(),
            source,
        }
    }

    fn lost(&self, source: tokio::task::JoinError) -> FetchError {
        FetchError::Lost {
            url: self.name(),
            source,
        }
    }
}

/// The half of a pass that makes the image's file.
fn make(
    name: &Path,
    reader: Growing,
    draft: &Draft,
    checks: Checks,
    go_on: impl FnMut(u64) -> Next,
) -> Result<Base, ImageError> {
    let base = base::make(name, reader, &draft.disk(), checks, go_on)?;
    draft
        .finish(base.stored)
        .map_err(|source| ImageError::Write {
            path: draft.disk(),
            source,
        })?;
    Ok(base)
}

#[cfg(test)]
mod tests;
