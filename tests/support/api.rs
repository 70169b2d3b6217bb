//! The engine's API, spoken by hand: a request is a few bytes, and a test sees exactly what comes back.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A silent engine fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Connects to the API socket.
pub(crate) fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The whole answer to a request without a body, read to the end of the connection.
pub(crate) fn get(socket: &Path, path: &str) -> std::io::Result<String> {
    let mut stream = connect(socket)?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// True when the engine behind the socket answers `/_ping`.
pub(crate) fn answers(socket: &Path) -> bool {
    get(socket, "/_ping")
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.ends_with("OK"))
}

/// What the engine of a test sends back of these bytes.
pub(crate) fn echo(socket: &Path, bytes: &str) -> std::io::Result<String> {
    let mut stream = connect(socket)?;
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(bytes.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    Ok(body.unwrap_or_default())
}
