//! Small files that describe images: stream metadata, signatures. They are read into memory, up to a limit.

use reqwest::{Client, Url};

use super::FetchError;
use super::answer::{self, Answer, Known};
use super::transfer::{self, Fault};
use crate::http::shown;
use crate::waits;

/// How often a server is asked that has to be waited for.
const TRIES: u32 = 3;

/// Gets the document from the first of the places that has it; all but the last are mirrors.
pub(super) async fn get(
    client: &Client,
    places: &[Url],
    limit: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut last = None;
    for url in places {
        match from(client, url, limit).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => {
                tracing::info!(url = shown(url), %error, "a document cannot be had there");
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or(FetchError::Nonsense {
        url: String::new(),
        what: "there is no URL",
    }))
}

async fn from(client: &Client, url: &Url, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut failures = 0;
    loop {
        let (pause, error) = match once(client, url, limit).await {
            Ok(bytes) => return Ok(bytes),
            Err(Fault::Final(error)) => return Err(error),
            Err(Fault::Passing { pause, error }) => (pause, error),
        };
        failures += 1;
        if failures >= TRIES {
            return Err(error);
        }
        waits::rest(waits::pause(failures, pause)).await;
    }
}

async fn once(client: &Client, url: &Url, limit: usize) -> Result<Vec<u8>, Fault> {
    let failed = |source: reqwest::Error| {
        let passing = transfer::is_cut(&source);
        let error = FetchError::Request {
            url: shown(url),
            source: source.without_url(),
        };
        if passing {
            return Fault::Passing { pause: None, error };
        }
        Fault::Final(error)
    };
    let nonsense = |what| {
        Fault::Final(FetchError::Nonsense {
            url: shown(url),
            what,
        })
    };
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    let status = response.status();
    let refused = || FetchError::Status {
        url: shown(url),
        status,
    };
    match answer::read(status, response.headers(), &Known::default()) {
        Answer::Whole { .. } => {}
        Answer::Later { pause } => {
            return Err(Fault::Passing {
                pause,
                error: refused(),
            });
        }
        Answer::Nonsense(what) => return Err(nonsense(what)),
        _ => return Err(Fault::Final(refused())),
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > limit {
            return Err(nonsense("it is longer than any such document"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
