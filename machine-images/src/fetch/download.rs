//! What is asked of a download, what it tells on its way, and what it gives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url};

use super::FetchError;
use crate::cache::{CachedImage, Verified};
use crate::checksum::Checksum;
use crate::http::{Authorization, shown};
use crate::openpgp::{Keyring, Verifier};
use crate::recognise::ImageForm;

/// What to fetch, and how to know that it is the right file.
#[derive(Clone, Debug)]
pub struct Download {
    /// Where it is; not empty. Where a checksum or a signature says that it is the same file, the next place is asked when
    /// the one before fails, else only the first is.
    pub urls: Vec<Url>,
    /// What it has to be.
    pub form: ImageForm,
    /// The checksum of the file as it comes.
    pub checksum: Option<Checksum>,
    /// The signature of the file as it comes.
    pub signature: Option<DetachedSignature>,
    /// What offers it, under which it is found again where nobody can be asked: `stream:…`.
    pub offer: Option<String>,
    /// What a person calls it.
    pub title: Option<String>,
    /// The publisher's number of it.
    pub release: Option<String>,
    /// Its length, where something else than the server says it.
    pub bytes: Option<u64>,
    /// What the servers want to see before they give it.
    pub authorization: Option<Authorization>,
    /// The client for these URLs, where they want certificates or proxies of their own.
    pub client: Option<Client>,
    /// Whether any certificate will do, and no encryption without a checksum.
    pub insecure: bool,
}

impl Download {
    /// Whether a wrong file would be found out, whoever sends it.
    pub(super) fn is_vouched_for(&self) -> bool {
        self.checksum.is_some() || self.signature.is_some()
    }

    /// Refuses what anybody on the way could replace, unless the user says so.
    pub(super) fn refuse_unprotected(&self) -> Result<(), FetchError> {
        let plain = |url: &&Url| url.scheme() != "https";
        if self.insecure || self.is_vouched_for() {
            return Ok(());
        }
        match self.urls.iter().find(plain) {
            Some(url) => Err(FetchError::Unprotected { url: shown(url) }),
            None => Ok(()),
        }
    }

    /// How a file that came would be known to be the right one.
    pub(super) fn verified(&self) -> Verified {
        match self {
            download if download.signature.is_some() => Verified::Signature,
            download if download.checksum.is_some() => Verified::Checksum,
            download if download.insecure => Verified::No,
            _ => Verified::Tls,
        }
    }

    /// What checks the signature. What can be known of it without the file is an error here.
    pub(super) fn verifier(&self) -> Result<Option<Verifier>, FetchError> {
        let signature = self.signature.as_ref();
        signature.map(DetachedSignature::verifier).transpose()
    }
}

/// A signature in a file of its own, and the keys that may have made it.
#[derive(Clone, Debug)]
pub struct DetachedSignature {
    /// The file's name or URL, for errors.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// The keys.
    pub keys: Arc<Keyring>,
}

impl DetachedSignature {
    fn verifier(&self) -> Result<Verifier, FetchError> {
        Ok(Verifier::new(&self.keys, &self.name, &self.bytes)?)
    }
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchProgress {
    /// A file beside the image has its checksum, which is going to be compared.
    Described {
        /// The file's URL.
        by: String,
    },
    /// It is coming.
    Downloading {
        /// Bytes that are there.
        done: u64,
        /// Bytes of the whole, if that is known.
        total: Option<u64>,
    },
    /// All is there; the rest of it is unpacked.
    Unpacking,
    /// Another command downloads the same.
    Waiting {
        /// Bytes that the other has.
        done: u64,
    },
    /// The server or the connection failed.
    Retrying {
        /// When it is tried again.
        pause: Duration,
        /// How it failed.
        why: String,
    },
}

/// Told about the progress of a download.
pub trait FetchReporter: Send + Sync {
    /// How far it is.
    fn progress(&self, progress: FetchProgress);

    /// Ends when the download is to be given up. What is there of it is kept.
    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// An image that is in the cache now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The image.
    pub image: CachedImage,
    /// How it came.
    pub how: How,
}

/// How an image came to be in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It was downloaded.
    Downloaded,
    /// It was there.
    Cached,
    /// It was there, and nobody could be asked whether it is still the latest.
    Offline {
        /// Why nobody could be asked.
        why: String,
    },
}
