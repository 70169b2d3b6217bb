//! The little of the engine's API that we call ourselves, over a machine's own socket.
//!
//! Requests are bounded in time and answers in size: what answers is a guest. Proxies of the environment are not asked,
//! for the socket is on this host.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::machine::deadlines;

/// No answer that is asked for here is longer; ten thousand containers with long labels stay below it.
const LONGEST_ANSWER: usize = 64 << 20;
/// The host of all requests; nobody looks at it.
const HOST: &str = "http://d";
/// The oldest API that has all that is asked for.
const API: &str = "/v4.0.0/libpod";

/// Why the engine could not be asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Nobody answers, or what answers is no HTTP server.
    #[error("The engine at `{socket}` cannot be asked")]
    Request {
        /// The engine's socket.
        socket: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It took too long.
    #[error("The engine at `{socket}` did not answer in {seconds} s")]
    Slow {
        /// The engine's socket.
        socket: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The engine says no.
    #[error("The engine at `{socket}` answers with status {status}")]
    Status {
        /// The engine's socket.
        socket: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is none of the API, or longer than any.
    #[error("The engine at `{socket}` answers with something else than was asked for")]
    Garbled {
        /// The engine's socket.
        socket: String,
    },
}

/// How many containers there are, running or not, in the engine behind `socket`.
pub async fn count_containers(socket: &Path) -> Result<usize, EngineError> {
    let answer = ask(socket, &format!("{API}/containers/json?all=true")).await?;
    let containers: Vec<IgnoredAny> =
        serde_json::from_slice(&answer).map_err(|_| garbled(socket))?;
    Ok(containers.len())
}

/// Whether the engine behind `socket` is there, as every client of podman and docker asks first.
pub async fn ping(socket: &Path) -> Result<(), EngineError> {
    let answer = ask(socket, "/_ping").await?;
    if answer.trim_ascii() == b"OK" {
        Ok(())
    } else {
        Err(garbled(socket))
    }
}

/// The version of the engine behind `socket`.
pub async fn version(socket: &Path) -> Result<String, EngineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        version: String,
    }
    let answer = ask(socket, &format!("{API}/version")).await?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| garbled(socket))?;
    Ok(answer.version)
}

fn garbled(socket: &Path) -> EngineError {
    EngineError::Garbled {
        socket: socket.display().to_string(),
    }
}

/// The body of an answer that comes in time.
async fn ask(socket: &Path, path: &str) -> Result<Vec<u8>, EngineError> {
    let name = socket.display().to_string();
    let limit = deadlines::ENGINE_ANSWER.limit;
    let answer = tokio::time::timeout(limit, get(socket, &name, path)).await;
    answer.unwrap_or_else(|_| {
        Err(EngineError::Slow {
            socket: name,
            seconds: limit.as_secs(),
        })
    })
}

/// The body of a successful answer.
async fn get(socket: &Path, name: &str, path: &str) -> Result<Vec<u8>, EngineError> {
    let failed = |source| EngineError::Request {
        socket: name.to_owned(),
        source,
    };
    machine_images::install_tls();
    let builder = reqwest::Client::builder().no_proxy();
    let client = platform::over(builder, socket).build().map_err(failed)?;
    let request = client.get(format!("{HOST}{path}")).send();
    let mut response = request.await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(EngineError::Status {
            socket: name.to_owned(),
            status: response.status().as_u16(),
        });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(EngineError::Garbled {
                socket: name.to_owned(),
            });
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use machine_host::local_socket;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What [`count_containers`] makes of an engine that answers so, and what it was asked.
    async fn asked(answer: &str) -> (Result<usize, EngineError>, String) {
        asked_by(answer, async |path| count_containers(path).await).await
    }

    /// What a question makes of an engine that answers so, and what it was asked.
    async fn asked_by<T>(answer: &str, question: impl AsyncFnOnce(&Path) -> T) -> (T, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        let mut listener = local_socket::bind(&path).unwrap();
        let serve = async {
            let mut stream = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            String::from_utf8(request).unwrap()
        };
        tokio::join!(question(&path), serve)
    }

    fn http(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn containers_are_counted_and_stopped_ones_too() {
        let body = r#"[{"Id":"a","Names":["x"]},{"Id":"b","Labels":null},{}]"#;
        let (count, request) = asked(&http("200 OK", body)).await;
        assert_eq!(count.unwrap(), 3);
        assert!(
            request.starts_with("GET /v4.0.0/libpod/containers/json?all=true HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(asked(&http("200 OK", "[]")).await.0.unwrap(), 0);
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
        assert_eq!(asked(chunked).await.0.unwrap(), 2);
    }

    #[tokio::test]
    async fn an_engine_is_there_and_tells_its_version() {
        let pinged = async |answer: &str| asked_by(answer, async |path| ping(path).await).await;
        let (result, request) = pinged(&http("200 OK", "OK")).await;
        result.unwrap();
        assert!(request.starts_with("GET /_ping HTTP/1.1\r\n"), "{request}");
        pinged(&http("200 OK", "KO")).await.0.unwrap_err();
        pinged(&http("500 No", "OK")).await.0.unwrap_err();
        let versioned =
            async |answer: &str| asked_by(answer, async |path| version(path).await).await;
        let (result, request) =
            versioned(&http("200 OK", r#"{"Version":"5.4.2","Os":"linux"}"#)).await;
        assert_eq!(result.unwrap(), "5.4.2");
        assert!(
            request.starts_with("GET /v4.0.0/libpod/version "),
            "{request}"
        );
        versioned(&http("200 OK", "{}")).await.0.unwrap_err();
    }

    #[tokio::test]
    async fn other_answers_are_errors() {
        let cases = [
            (http("500 Internal Server Error", "[]"), "with status 500"),
            (http("200 OK", "{}"), "something else"),
            ("hello\r\n".to_owned(), "cannot be asked"),
            (String::new(), "cannot be asked"),
        ];
        for (answer, expected) in cases {
            let error = asked(&answer).await.0.unwrap_err().to_string();
            assert!(error.contains(expected), "{answer:?}: {error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = count_containers(&folder.path().join("none.sock")).await;
        assert!(matches!(error, Err(EngineError::Request { .. })));
    }
}
