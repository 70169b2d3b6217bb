//! Why an image could not be fetched, and what the user can do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use machine_host::lock::LockError;
use reqwest::StatusCode;

use crate::checksum::Checksum;
use crate::error::ImageError;
use crate::http::RedirectRefusal;
use crate::oci::OciError;
use crate::openpgp::SignatureError;
use crate::streams::StreamError;
use crate::tls_error;

/// What went wrong with a download.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody could say whether what comes is the right image.
    #[error("Image `{url}` comes without encryption, so anybody on the way could replace it")]
    Unprotected {
        /// The image.
        url: String,
    },
    /// The server cannot be reached, or speaks no HTTP.
    #[error("Image `{url}` cannot be fetched")]
    Request {
        /// The image.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server says no.
    #[error("Image `{url}` cannot be fetched: the server answers {status}")]
    Status {
        /// The image.
        url: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The server's answer makes no sense.
    #[error("Image `{url}` cannot be fetched: the server's answer cannot be used: {what}")]
    Nonsense {
        /// The image.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The connection breaks again and again.
    #[error(
        "Image `{url}` cannot be fetched: the connection breaks after {have} bytes, {tries} times in a row"
    )]
    Broken {
        /// The image.
        url: String,
        /// How much was there.
        have: u64,
        /// How often it was tried without a byte more.
        tries: u32,
        /// How it broke last.
        #[source]
        source: reqwest::Error,
    },
    /// The file became another one, more than once.
    #[error("Image `{url}` changes while it is fetched")]
    Changes {
        /// The image.
        url: String,
    },
    /// The server sent less or more than it should have.
    #[error("Image `{url}` has {found} bytes instead of {expected}")]
    Length {
        /// The image.
        url: String,
        /// What was said.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The file of checksums beside the image has another one.
    #[error("Image `{url}` is not the one that `{file}` describes")]
    Beside {
        /// The image.
        url: String,
        /// The file beside it.
        file: String,
        /// What the file says, and what the image has.
        #[source]
        source: Box<ImageError>,
    },
    /// The signature cannot be one of the image.
    #[error(transparent)]
    Signature(Box<SignatureError>),
    /// The stream does not offer what is needed.
    #[error(transparent)]
    Stream(Box<StreamError>),
    /// The registry does not give it.
    #[error(transparent)]
    Registry(Box<OciError>),
    /// Another image is offered than the one that is asked for.
    #[error("Image `{name}` is another one: expected {expected}, found {found}")]
    Other {
        /// The image.
        name: String,
        /// What was asked for.
        expected: Checksum,
        /// The checksum of what is offered, and its release where that is known.
        found: String,
    },
    /// What came is no image, or another one.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The cache cannot be read or written.
    #[error("The cache of images cannot be used: `{}`", path.display())]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another command downloads the same, or the lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The reporter said so; what was downloaded is kept for the next time.
    #[error("Fetching image `{url}` was cancelled")]
    Cancelled {
        /// The image.
        url: String,
    },
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Fetching image `{url}` ended unexpectedly")]
    Lost {
        /// The image.
        url: String,
        /// How the thread ended.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl FetchError {
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unprotected { .. } => {
                "give its checksum with `--checksum sha256:…`, or take it as it comes with `--insecure`"
            }
            Self::Request { source, .. } => return request_hints(source),
            Self::Status { status, .. } => match *status {
                StatusCode::NOT_FOUND | StatusCode::GONE => "compare the URL with the publisher's",
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    "the server wants a login: one can be given in the URL, as `https://USER:PASSWORD@…`"
                }
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    "give the proxy's login in `https_proxy`, as `http://USER:PASSWORD@HOST:PORT`"
                }
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    "try again later; what was fetched is kept"
                }
                _ => return Vec::new(),
            },
            Self::Nonsense { .. } => {
                "fetch the file with another program, and give it with `--image FILE`"
            }
            Self::Broken { .. } | Self::Cancelled { .. } => {
                "run the same command again: it goes on where it was"
            }
            Self::Changes { .. } => {
                "wait until its publisher has finished, or name a release that does not change"
            }
            Self::Beside { .. } => {
                "its publisher may be replacing the two of them: try again later, or say by `--checksum sha256:…` which \
                 image you want"
            }
            Self::Length { .. } => {
                "run the same command again, and compare the URL with the publisher's"
            }
            Self::Other { .. } => {
                "compare the checksum with the publisher's; a stream's release can be named, as `stable@44.20261101.3.0`"
            }
            Self::Image(error) => return error.hints(),
            Self::Signature(error) => return error.hints(),
            Self::Stream(error) => return error.hints(),
            Self::Registry(error) => return error.hints(),
            Self::Cache { .. } => {
                "free some space there, or keep everything elsewhere by MACHINE_HOME"
            }
            Self::Lock(_) | Self::Lost { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// What an error of a request says deep inside.
fn request_hints(error: &reqwest::Error) -> Vec<String> {
    let mut causes: Vec<&(dyn Error + 'static)> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let tls = tls_error::below(error);
    match causes.iter().find_map(|cause| cause.downcast_ref()) {
        Some(RedirectRefusal::Downgrade { .. }) => {
            return vec!["give the image's checksum with `--checksum sha256:…`".to_owned()];
        }
        Some(RedirectRefusal::Loop) => {
            return vec!["compare the URL with the publisher's".to_owned()];
        }
        None => {}
    }
    match tls {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => vec![
            "a proxy that looks into connections, or a server of your own, has a certificate of an authority that this \
             host does not trust: add the authority to the system's, or name its file in SSL_CERT_FILE"
                .to_owned(),
            "`--insecure` takes any certificate; with `--checksum sha256:…` it is safe".to_owned(),
        ],
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::Expired
            | rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYet
            | rustls::CertificateError::NotValidYetContext { .. },
        )) => vec!["look whether this host's clock is right".to_owned()],
        Some(rustls::Error::InvalidMessage(_)) => {
            vec!["the server does not speak TLS: is it `http://`?".to_owned()]
        }
        _ if error.is_timeout() => vec!["look at the network, and at `https_proxy` and `no_proxy`".to_owned()],
        _ if error.is_connect() => {
            vec!["look at the name, the network, and `https_proxy` and `no_proxy`".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// What is at the bottom of an error, in one line.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

impl From<SignatureError> for FetchError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(Box::new(error))
    }
}

impl From<StreamError> for FetchError {
    fn from(error: StreamError) -> Self {
        Self::Stream(Box::new(error))
    }
}

impl From<OciError> for FetchError {
    fn from(error: OciError) -> Self {
        Self::Registry(Box::new(error))
    }
}
