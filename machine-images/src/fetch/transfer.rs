//! The network's half of a download: bytes from one server or another into the part, over as many connections as it takes.

use std::io;

use bytes::BytesMut;
use reqwest::{Client, Response, Url, header};
use tokio::sync::watch;

use super::answer::{self, Answer, Known};
use super::growing::Extent;
use super::part::Part;
use super::{FetchError, FetchProgress, Fetching};
use crate::http::shown;
use crate::validator::Validator;
use crate::{tls_error, waits};

/// Bytes are gathered to pieces of this size before they are written.
const PIECE: usize = 1 << 20;

/// How a transfer ended that did not fail for good.
pub(super) enum Transfer {
    /// All is there.
    Complete(Validator),
    /// What is there belongs to another file.
    Again,
}

/// Why one connection was not enough.
pub(super) enum Fault {
    /// Another may be.
    Passing {
        pause: Option<std::time::Duration>,
        error: FetchError,
    },
    /// No other will be.
    Final(FetchError),
}

/// Gets what `part` lacks. `extent` is told how much is there.
pub(super) async fn run(
    fetching: &Fetching<'_>,
    client: &Client,
    part: &mut Part,
    extent: &watch::Sender<Extent>,
) -> Result<Transfer, FetchError> {
    let urls = match fetching.download.urls.as_slice() {
        // Nobody says that two places have the same file.
        [first, ..] if !fetching.download.is_vouched_for() => std::slice::from_ref(first),
        urls => urls,
    };
    let mut last = None;
    for url in urls {
        let mut failures = 0;
        loop {
            let before = part.have();
            let fault = match attempt(fetching, client, url, part, extent).await {
                Ok(transfer) => return Ok(transfer),
                Err(Fault::Final(error)) => {
                    last = Some(error);
                    break;
                }
                Err(fault) => fault,
            };
            let Fault::Passing { pause, error } = fault else {
                break;
            };
            failures = if part.have() > before {
                1
            } else {
                failures + 1
            };
            if failures >= waits::TRIES {
                last = Some(error);
                break;
            }
            let pause = waits::pause(failures, pause);
            fetching.reporter.progress(FetchProgress::Retrying {
                pause,
                why: why(&error),
            });
            waits::rest(pause).await;
        }
        // Another server has other tags for the same file.
        part.forget_validator();
        if urls.len() > 1
            && let Some(error) = &last
        {
            tracing::info!(
                url = shown(url),
                error = why(error),
                "the next place is tried"
            );
        }
    }
    // There is a URL: `Download` says so.
    Err(last.unwrap_or(FetchError::Nonsense {
        url: fetching.name(),
        what: "there is no URL",
    }))
}

/// The error with what is behind it, in one line.
fn why(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// One connection.
async fn attempt(
    fetching: &Fetching<'_>,
    client: &Client,
    url: &Url,
    part: &mut Part,
    extent: &watch::Sender<Extent>,
) -> Result<Transfer, Fault> {
    let known = part.known();
    if known.have > 0 && known.total == Some(known.have) {
        return done(fetching, part, extent);
    }
    let response = ask(fetching, client, url, &known).await?;
    let (status, validator) = (response.status(), Validator::of(response.headers()));
    let name = shown(url);
    match answer::read(status, response.headers(), &known) {
        Answer::Whole { .. } if known.have > 0 => return Ok(Transfer::Again),
        Answer::Whole { total } => {
            let chunked = response.headers().contains_key(header::TRANSFER_ENCODING);
            if total.is_none() && !chunked && !fetching.download.is_vouched_for() {
                return Err(Fault::Final(FetchError::Nonsense {
                    url: name,
                    what: "it does not say how long the file is, so a part of it would pass for the whole",
                }));
            }
            let began = part.begin(total, validator).await;
            began.map_err(|source| Fault::Final(fetching.cache_error(source)))?;
        }
        Answer::Rest => {}
        Answer::Complete => return done(fetching, part, extent),
        Answer::Again => return Ok(Transfer::Again),
        Answer::Unchanged => {
            return Err(Fault::Final(FetchError::Nonsense {
                url: name,
                what: "it says that the file is unchanged, which was not asked",
            }));
        }
        Answer::Later { pause } => {
            let error = FetchError::Status { url: name, status };
            return Err(Fault::Passing { pause, error });
        }
        Answer::Refused => return Err(Fault::Final(FetchError::Status { url: name, status })),
        Answer::Nonsense(what) => {
            return Err(Fault::Final(FetchError::Nonsense { url: name, what }));
        }
    }
    receive(fetching, url, response, part, extent).await
}

async fn ask(
    fetching: &Fetching<'_>,
    client: &Client,
    url: &Url,
    known: &Known,
) -> Result<Response, Fault> {
    let mut request = fetching.get(client, url);
    if known.have > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", known.have));
        if let Some(validator) = known.validator.if_range() {
            request = request.header(header::IF_RANGE, validator);
        }
    }
    request.send().await.map_err(|source| {
        let untrusted = tls_error::below(&source).is_some();
        // A server that was there a moment ago may come back; one that never was is a wrong name.
        let lost = known.have > 0 && source.is_connect() && !untrusted;
        let passing = lost || source.is_timeout() || is_cut(&source);
        let error = FetchError::Request {
            url: shown(url),
            source: source.without_url(),
        };
        if passing {
            return Fault::Passing { pause: None, error };
        }
        Fault::Final(error)
    })
}

/// The connection ended before there was an answer.
pub(super) fn is_cut(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    causes(error).any(|cause| {
        let Some(error) = cause.downcast_ref::<io::Error>() else {
            return cause.to_string().contains("connection closed before");
        };
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        )
    })
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// The body.
async fn receive(
    fetching: &Fetching<'_>,
    url: &Url,
    mut response: Response,
    part: &mut Part,
    extent: &watch::Sender<Extent>,
) -> Result<Transfer, Fault> {
    let total = part.known().total;
    let mut piece = BytesMut::with_capacity(PIECE);
    loop {
        let chunk = response.chunk().await;
        if let Ok(Some(bytes)) = &chunk {
            piece.extend_from_slice(bytes);
        }
        let more = matches!(chunk, Ok(Some(_)));
        if piece.len() >= PIECE || !more && !piece.is_empty() {
            let have = part.have() + piece.len() as u64;
            let expected = total.or(fetching.download.bytes);
            if let Some(expected) = expected.filter(|expected| have > *expected) {
                return Err(Fault::Final(FetchError::Length {
                    url: shown(url),
                    expected,
                    found: have,
                }));
            }
            let written = part.append(&piece).await;
            written.map_err(|source| Fault::Final(fetching.cache_error(source)))?;
            piece.clear();
            extent.send_replace(Extent {
                length: part.have(),
                complete: false,
            });
            fetching.reporter.progress(FetchProgress::Downloading {
                done: part.have(),
                total: expected,
            });
        }
        match chunk {
            Ok(Some(_)) => {}
            Ok(None) if total.is_some_and(|total| part.have() < total) => {
                // A part that was shorter than the rest: the next connection goes on.
                return Err(Fault::Passing {
                    pause: None,
                    error: FetchError::Length {
                        url: shown(url),
                        expected: total.unwrap_or_default(),
                        found: part.have(),
                    },
                });
            }
            Ok(None) => return done(fetching, part, extent),
            Err(source) => {
                return Err(Fault::Passing {
                    pause: None,
                    error: FetchError::Broken {
                        url: shown(url),
                        have: part.have(),
                        tries: waits::TRIES,
                        source: source.without_url(),
                    },
                });
            }
        }
    }
}

fn done(
    fetching: &Fetching<'_>,
    part: &Part,
    extent: &watch::Sender<Extent>,
) -> Result<Transfer, Fault> {
    let found = part.have();
    if let Some(expected) = fetching.download.bytes.filter(|bytes| *bytes != found) {
        return Err(Fault::Final(FetchError::Length {
            url: fetching.name(),
            expected,
            found,
        }));
    }
    extent.send_replace(Extent {
        length: found,
        complete: true,
    });
    Ok(Transfer::Complete(part.known().validator))
}
