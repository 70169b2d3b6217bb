//! Whether an engine answers. Asking also starts it, since it is started by the first connection to its socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::watch;

/// An engine's first start reads its whole storage, on an emulated processor too.
const ANSWER: Duration = Duration::from_mins(3);

/// Without room on its disk an engine mostly waits for ever; one that answers does it as soon as any other.
const ANSWER_ON_FULL_DISK: Duration = Duration::from_secs(30);

/// One was there before the question, and one may have ended for want of work while it came.
const FUTILE_STARTS: usize = 3;

/// Version 1.0, so that the engine closes the connection after its answer.
const REQUEST: &[u8] = b"GET /_ping HTTP/1.0\r\nHost: d\r\n\r\n";

/// A status line is shorter.
const STATUS_LIMIT: usize = 256;

/// How an engine does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PingError {
    #[error("The engine's socket takes no connection")]
    Connect(#[source] io::Error),
    #[error("The connection to the engine broke")]
    Broken(#[source] io::Error),
    #[error("The engine closed the connection without an answer")]
    Closed,
    #[error("The engine did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("The engine is started again and again, and ends each time before it answers")]
    Restarts,
    #[error("The engine's answer is not HTTP: `{0}`")]
    NotHttp(String),
    #[error("The engine answered with status {0}")]
    Status(u16),
}

/// Resolves when the engine's service has been started so often since the question that none of the starts can be the
/// one that answers. Where starts are slow systemd never calls it "too quickly", and the question would wait for
/// nothing.
///
/// `invocation` is the link by which systemd tells the unit's present start (`/run/systemd/units/invocation:UNIT`); it
/// is a new one for each.
pub(super) async fn restarts(invocation: &Path) -> PingError {
    let mut starts = Vec::new();
    let many = watch::until(invocation, || {
        if let Ok(start) = fs_err::read_link(invocation)
            && !starts.contains(&start)
        {
            starts.push(start);
        }
        (starts.len() > FUTILE_STARTS).then_some(())
    });
    if many.await.is_err() {
        // Then the question's own limit has to do.
        std::future::pending::<()>().await;
    }
    PingError::Restarts
}

/// Asks the engine behind this socket whether it is well.
pub(super) async fn ping(socket: &Path, disk_is_full: bool) -> Result<(), PingError> {
    let limit = if disk_is_full {
        ANSWER_ON_FULL_DISK
    } else {
        ANSWER
    };
    match tokio::time::timeout(limit, ask(socket)).await {
        Ok(Ok(200)) => Ok(()),
        Ok(Ok(status)) => Err(PingError::Status(status)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(PingError::Silent(limit)),
    }
}

async fn ask(socket: &Path) -> Result<u16, PingError> {
    let mut stream = UnixStream::connect(socket)
        .await
        .map_err(PingError::Connect)?;
    stream.write_all(REQUEST).await.map_err(PingError::Broken)?;
    let mut answer = Vec::new();
    let mut piece = [0; STATUS_LIMIT];
    loop {
        let length = stream.read(&mut piece).await.map_err(PingError::Broken)?;
        answer.extend_from_slice(&piece[..length]);
        if let Some(end) = answer.iter().position(|byte| *byte == b'\n') {
            return status(&answer[..end]);
        }
        if length == 0 && answer.is_empty() {
            return Err(PingError::Closed);
        }
        if length == 0 || answer.len() >= STATUS_LIMIT {
            return status(&answer);
        }
    }
}

/// The number in a status line, `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Result<u16, PingError> {
    let text = str::from_utf8(line).ok();
    let number = text.and_then(|text| {
        let mut words = text.split_ascii_whitespace();
        let version = words.next()?;
        let number = words.next()?;
        let known = version.starts_with("HTTP/1.") && number.len() == 3;
        known.then(|| number.parse().ok()).flatten()
    });
    number.ok_or_else(|| {
        PingError::NotHttp(
            String::from_utf8_lossy(line)
                .escape_debug()
                .take(80)
                .collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn status_lines() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK\r", Some(200)),
            ("HTTP/1.0 503 Service Unavailable", Some(503)),
            ("HTTP/1.1 204", Some(204)),
            ("HTTP/1.1", None),
            ("HTTP/2 200", None),
            ("HTTP/1.1 20 OK", None),
            ("HTTP/1.1 -20 OK", None),
            ("HTTP/1.1 2000", None),
            ("SSH-2.0-OpenSSH", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()).ok(), expected, "{line}");
        }
        let error = status(b"\xff\x00").unwrap_err().to_string();
        assert_eq!(error, "The engine's answer is not HTTP: `\u{fffd}\\0`");
    }

    /// An engine that reads the request and says `answer`.
    async fn ping_one_that_says(answer: &'static [u8]) -> Result<(), PingError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let engine = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; REQUEST.len()];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, REQUEST);
            for piece in answer.chunks(7) {
                stream.write_all(piece).await.unwrap();
            }
        };
        tokio::join!(ping(&path, false), engine).0
    }

    #[tokio::test]
    async fn answers() {
        ping_one_that_says(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            .await
            .unwrap();
        let error = ping_one_that_says(b"HTTP/1.0 500 Oh\r\n\r\n")
            .await
            .unwrap_err();
        assert!(matches!(error, PingError::Status(500)));
        let error = ping_one_that_says(b"").await.unwrap_err();
        assert!(matches!(error, PingError::Closed));
        let error = ping_one_that_says(&[b'x'; 1000]).await.unwrap_err();
        assert!(matches!(
            error,
            PingError::NotHttp(_) | PingError::Broken(_)
        ));
    }

    #[tokio::test]
    async fn started_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("units/invocation:podman.service");
        let start = |number: usize| {
            let _ = fs_err::remove_file(&link);
            fs_err::os::unix::fs::symlink(number.to_string(), &link).unwrap();
        };
        let mut counted = std::pin::pin!(restarts(&link));
        let soon = Duration::from_millis(100);
        fs_err::create_dir(directory.path().join("units")).unwrap();
        for number in [1, 1, 2, 2, 3] {
            start(number);
            let early = tokio::time::timeout(soon, &mut counted).await;
            assert!(early.is_err(), "{number}");
        }
        start(4);
        let many = tokio::time::timeout(Duration::from_secs(10), counted).await;
        assert!(matches!(many, Ok(PingError::Restarts)));
    }

    #[tokio::test]
    async fn nobody_there() {
        let error = ping(Path::new("/nowhere/s"), true).await.unwrap_err();
        assert!(matches!(error, PingError::Connect(_)));
    }
}
