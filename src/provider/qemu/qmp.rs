//! A client of QEMU's monitor.
//!
//! Commands and their wire form are the `qapi` crate's. Its stream is not used, for it does not stand what a newer QEMU
//! or a dropped request does to it (0.15): one event that its schema does not know ends the stream; a reply type whose
//! schema has grown a variant fails the request; and as it never recognises that the monitor takes ids, a request
//! dropped before its answer makes the next one panic. Here a task owns the socket, matches answers by id, and hands
//! events on as they are.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use qapi::{Command, Execute};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::provider::ProviderError;

/// The longest wait for an answer: the monitor answers from QEMU's main loop, which a full host can hold up.
const REPLY_LIMIT: Duration = Duration::from_secs(10);
/// The longest line taken. The answers that we ask for have a few kilobytes; the process may be a captured one.
const LINE_LIMIT: usize = 4 * 1024 * 1024;

/// Something that the monitor reports by itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct RawEvent {
    /// Its name.
    #[serde(rename = "event")]
    pub(super) name: String,
    /// What it says, an object or nothing.
    #[serde(default)]
    pub(super) data: Value,
    /// When it happened, by QEMU's clock.
    #[serde(default)]
    timestamp: Timestamp,
}

/// Seconds are negative where the host's clock failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Timestamp {
    seconds: i64,
    microseconds: i64,
}

impl RawEvent {
    /// One that a test needs.
    #[cfg(test)]
    pub(super) fn new(name: &str, data: Value, milliseconds: i64) -> Self {
        Self {
            name: name.to_owned(),
            data,
            timestamp: Timestamp {
                seconds: milliseconds / 1000,
                microseconds: milliseconds % 1000 * 1000,
            },
        }
    }

    /// When it happened, in milliseconds since 1970.
    pub(super) fn milliseconds(&self) -> i64 {
        let Timestamp {
            seconds,
            microseconds,
        } = self.timestamp;
        seconds
            .saturating_mul(1000)
            .saturating_add(microseconds / 1000)
    }

    /// A text in its data, empty where there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.data.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// Whether a flag in its data is set.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.data.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// What the monitor says; anything else in it is ignored.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Message {
    Event(RawEvent),
    Failed {
        error: Failure,
        id: Option<u64>,
    },
    Done {
        #[serde(rename = "return")]
        value: Value,
        id: Option<u64>,
    },
}

#[derive(Debug, Deserialize)]
struct Failure {
    #[serde(default)]
    desc: String,
}

#[derive(Debug)]
struct Request {
    id: u64,
    line: Vec<u8>,
    reply: oneshot::Sender<Result<Value, String>>,
}

/// The sending side. When it is dropped the connection ends.
#[derive(Debug)]
pub(super) struct Qmp {
    requests: mpsc::UnboundedSender<Request>,
    next: AtomicU64,
}

/// The connection, to be [run](Self::run) by a task.
#[derive(Debug)]
pub(super) struct Connection<S> {
    lines: Lines<ReadHalf<S>>,
    writer: WriteHalf<S>,
    requests: mpsc::UnboundedReceiver<Request>,
}

/// Reads the monitor's greeting and makes it take commands. The stream is free for events only after that.
pub(super) async fn open<S: AsyncRead + AsyncWrite>(stream: S) -> io::Result<(Qmp, Connection<S>)> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = Lines::new(reader);
    let greeting = lines.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let greeting: Value = serde_json::from_slice(&greeting)?;
    if greeting.get("QMP").is_none() {
        return Err(invalid("The monitor did not greet"));
    }
    writer
        .write_all(&encode(qapi::qmp::qmp_capabilities { enable: None }, 0)?)
        .await?;
    loop {
        let line = lines.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match serde_json::from_slice(&line) {
            Ok(Message::Done { .. }) => break,
            Ok(Message::Failed { error, .. }) => return Err(invalid(&error.desc)),
            Ok(Message::Event(_)) | Err(_) => {}
        }
    }
    let (sender, requests) = mpsc::unbounded_channel();
    let qmp = Qmp {
        requests: sender,
        next: AtomicU64::new(1),
    };
    Ok((
        qmp,
        Connection {
            lines,
            writer,
            requests,
        },
    ))
}

impl Qmp {
    /// Has a command done. The future may be dropped; the command is then done or not.
    pub(super) async fn execute<C: Command>(&self, command: C) -> Result<Value, ProviderError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let line = encode(command, id).map_err(|source| ProviderError::Monitor { source })?;
        let (reply, answer) = oneshot::channel();
        let closed = || ProviderError::Monitor {
            source: io::ErrorKind::ConnectionAborted.into(),
        };
        self.requests
            .send(Request { id, line, reply })
            .map_err(|_| closed())?;
        match tokio::time::timeout(REPLY_LIMIT, answer).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(description))) => Err(ProviderError::Refused {
                command: C::NAME,
                description,
            }),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(ProviderError::Monitor {
                source: io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!(
                        "No answer to `{}` within {} s",
                        C::NAME,
                        REPLY_LIMIT.as_secs()
                    ),
                ),
            }),
        }
    }
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Serves the connection until the monitor closes it, or the [`Qmp`] is gone.
    pub(super) async fn run(mut self, events: mpsc::UnboundedSender<RawEvent>) -> io::Result<()> {
        let mut waiting: HashMap<u64, oneshot::Sender<_>> = HashMap::new();
        loop {
            tokio::select! {
                line = self.lines.next() => {
                    let Some(line) = line? else { return Ok(()) };
                    match serde_json::from_slice(&line) {
                        Ok(Message::Event(event)) => drop(events.send(event)),
                        Ok(Message::Done { value, id }) => answer(&mut waiting, id, Ok(value)),
                        Ok(Message::Failed { error, id }) => answer(&mut waiting, id, Err(error.desc)),
                        Err(error) => {
                            tracing::debug!(%error, "A line of the monitor was not understood");
                        }
                    }
                }
                request = self.requests.recv() => {
                    let Some(request) = request else { return Ok(()) };
                    waiting.retain(|_, reply| !reply.is_closed());
                    waiting.insert(request.id, request.reply);
                    self.writer.write_all(&request.line).await?;
                }
            }
        }
    }
}

type Waiting = HashMap<u64, oneshot::Sender<Result<Value, String>>>;

/// An answer without an id belongs to a line that the monitor could not read; all of ours have one.
fn answer(waiting: &mut Waiting, id: Option<u64>, result: Result<Value, String>) {
    if let Some(reply) = id.and_then(|id| waiting.remove(&id)) {
        drop(reply.send(result));
    } else {
        tracing::debug!(?id, "An answer of the monitor that nobody waits for");
    }
}

fn encode<C: Command>(command: C, id: u64) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Execute::with_id(command, id))?;
    line.push(b'\n');
    Ok(line)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

/// Lines of bounded length. A dropped [`next`](Self::next) loses nothing.
#[derive(Debug)]
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    searched: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            searched: 0,
        }
    }

    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let unsearched = &self.buffer[self.searched..];
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_LIMIT {
                return Err(invalid("The monitor sent a line without an end"));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
