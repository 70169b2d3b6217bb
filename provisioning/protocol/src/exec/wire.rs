//! Frames: `kind` (u8), length of the payload (u32, little-endian), payload.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Exit, MAX_PAYLOAD, Signal, ToGuest, ToHost, WindowSize};

/// The length of what comes before a payload.
pub const HEADER: usize = 5;

const ARGUMENT: u8 = 0x01;
const VARIABLE: u8 = 0x02;
const START: u8 = 0x03;
const STDIN: u8 = 0x04;
const STDIN_END: u8 = 0x05;
const RESIZE: u8 = 0x06;
const SIGNAL: u8 = 0x07;

const STARTED: u8 = 0x81;
const STDOUT: u8 = 0x82;
const STDERR: u8 = 0x83;
const STDIN_CREDIT: u8 = 0x84;
const STDIN_CLOSED: u8 = 0x85;
const EXIT: u8 = 0x86;
const FAILED: u8 = 0x87;

/// Bytes that are not of this protocol, or a message that does not fit into it.
#[derive(Debug, thiserror::Error)]
pub enum ExecProtocolError {
    /// A kind that this direction does not have.
    #[error("A frame of the unknown kind {0:#04x}")]
    Kind(u8),
    /// A payload of a length that its kind cannot have.
    #[error("A frame of kind {kind:#04x} with {length} bytes")]
    Length {
        /// The kind.
        kind: u8,
        /// The length.
        length: usize,
    },
    /// A payload that means nothing.
    #[error("A frame of kind {0:#04x} has no meaning")]
    Meaning(u8),
    /// A payload that is not the JSON that was expected.
    #[error("A frame of kind {kind:#04x} is not the expected JSON")]
    Json {
        /// The kind.
        kind: u8,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The stream ended in the middle of a frame.
    #[error("The stream ended in the middle of a frame")]
    Cut,
}

/// A message of one direction.
pub trait Message: Sized {
    /// Its kind on the wire.
    fn kind(&self) -> u8;
    /// Appends its payload.
    fn put(&self, out: &mut BytesMut) -> Result<(), ExecProtocolError>;
    /// Reads it.
    fn get(kind: u8, payload: Bytes) -> Result<Self, ExecProtocolError>;
}

/// Appends a message. What does not fit into a frame is an error, and nothing is appended.
pub fn encode<M: Message>(message: &M, out: &mut BytesMut) -> Result<(), ExecProtocolError> {
    let begin = out.len();
    let kind = message.kind();
    out.put_u8(kind);
    out.put_u32_le(0);
    let put = message.put(out);
    let length = out.len() - begin - HEADER;
    let put = match (put, u32::try_from(length)) {
        (Ok(()), Ok(wire)) if length <= MAX_PAYLOAD => {
            out[begin + 1..begin + HEADER].copy_from_slice(&wire.to_le_bytes());
            return Ok(());
        }
        (Ok(()), _) => Err(ExecProtocolError::Length { kind, length }),
        (Err(error), _) => Err(error),
    };
    out.truncate(begin);
    put
}

/// Cuts what arrives into messages; holds at most one incomplete frame.
#[derive(Debug)]
pub struct Decoder<M> {
    bytes: BytesMut,
    messages: PhantomData<fn() -> M>,
}

impl<M> Default for Decoder<M> {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            messages: PhantomData,
        }
    }
}

impl<M: Message> Decoder<M> {
    /// Adds what arrived. Take all messages out before adding more, or the buffer grows.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete message; `None` when more bytes are needed. After an error nothing more can be read.
    pub fn next_message(&mut self) -> Result<Option<M>, ExecProtocolError> {
        let Some((kind, length)) = self.header() else {
            return Ok(None);
        };
        if length > MAX_PAYLOAD {
            return Err(ExecProtocolError::Length { kind, length });
        }
        if self.bytes.len() < HEADER + length {
            return Ok(None);
        }
        self.bytes.advance(HEADER);
        let payload = self.bytes.split_to(length).freeze();
        M::get(kind, payload).map(Some)
    }

    /// An error when the stream must not end here.
    pub fn end(&self) -> Result<(), ExecProtocolError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(ExecProtocolError::Cut)
        }
    }

    fn header(&self) -> Option<(u8, usize)> {
        let mut bytes = self.bytes.get(..HEADER)?;
        let kind = bytes.get_u8();
        Some((kind, usize::try_from(bytes.get_u32_le()).ok()?))
    }
}

impl Message for ToGuest {
    fn kind(&self) -> u8 {
        match self {
            Self::Argument(_) => ARGUMENT,
            Self::Variable(_) => VARIABLE,
            Self::Start(_) => START,
            Self::Stdin(_) => STDIN,
            Self::StdinEnd => STDIN_END,
            Self::Resize(_) => RESIZE,
            Self::Signal(_) => SIGNAL,
        }
    }

    fn put(&self, out: &mut BytesMut) -> Result<(), ExecProtocolError> {
        match self {
            Self::Argument(bytes) | Self::Variable(bytes) | Self::Stdin(bytes) => {
                out.put_slice(bytes);
            }
            Self::Start(start) => put_json(START, start, out)?,
            Self::StdinEnd => {}
            Self::Resize(WindowSize { rows, columns }) => {
                out.put_u16_le(*rows);
                out.put_u16_le(*columns);
            }
            Self::Signal(signal) => out.put_u8(signal.number()),
        }
        Ok(())
    }

    fn get(kind: u8, mut payload: Bytes) -> Result<Self, ExecProtocolError> {
        Ok(match kind {
            // Neither can be handed to a program with a zero in it.
            ARGUMENT | VARIABLE if payload.contains(&0) => {
                return Err(ExecProtocolError::Meaning(kind));
            }
            ARGUMENT => Self::Argument(payload),
            VARIABLE if payload.iter().position(|byte| *byte == b'=') > Some(0) => {
                Self::Variable(payload)
            }
            VARIABLE => return Err(ExecProtocolError::Meaning(kind)),
            START => Self::Start(get_json(kind, &payload)?),
            STDIN => Self::Stdin(payload),
            STDIN_END => {
                exactly(kind, &payload, 0)?;
                Self::StdinEnd
            }
            RESIZE => {
                exactly(kind, &payload, 4)?;
                Self::Resize(WindowSize {
                    rows: payload.get_u16_le(),
                    columns: payload.get_u16_le(),
                })
            }
            SIGNAL => {
                exactly(kind, &payload, 1)?;
                let signal = Signal::from_number(payload[0]);
                Self::Signal(signal.ok_or(ExecProtocolError::Meaning(kind))?)
            }
            kind => return Err(ExecProtocolError::Kind(kind)),
        })
    }
}

impl Message for ToHost {
    fn kind(&self) -> u8 {
        match self {
            Self::Started => STARTED,
            Self::Stdout(_) => STDOUT,
            Self::Stderr(_) => STDERR,
            Self::StdinCredit(_) => STDIN_CREDIT,
            Self::StdinClosed => STDIN_CLOSED,
            Self::Exit(_) => EXIT,
            Self::Failed(_) => FAILED,
        }
    }

    fn put(&self, out: &mut BytesMut) -> Result<(), ExecProtocolError> {
        match self {
            Self::Started | Self::StdinClosed => {}
            Self::Stdout(bytes) | Self::Stderr(bytes) => out.put_slice(bytes),
            Self::StdinCredit(credit) => out.put_u32_le(*credit),
            Self::Exit(Exit::Code(code)) => out.put_slice(&[0, *code]),
            Self::Exit(Exit::Signal(number)) => out.put_slice(&[1, *number]),
            Self::Failed(failure) => put_json(FAILED, failure, out)?,
        }
        Ok(())
    }

    fn get(kind: u8, mut payload: Bytes) -> Result<Self, ExecProtocolError> {
        Ok(match kind {
            STARTED => {
                exactly(kind, &payload, 0)?;
                Self::Started
            }
            STDOUT => Self::Stdout(payload),
            STDERR => Self::Stderr(payload),
            STDIN_CREDIT => {
                exactly(kind, &payload, 4)?;
                Self::StdinCredit(payload.get_u32_le())
            }
            STDIN_CLOSED => {
                exactly(kind, &payload, 0)?;
                Self::StdinClosed
            }
            EXIT => {
                exactly(kind, &payload, 2)?;
                match (payload[0], payload[1]) {
                    (0, code) => Self::Exit(Exit::Code(code)),
                    (1, number @ 1..=64) => Self::Exit(Exit::Signal(number)),
                    _ => return Err(ExecProtocolError::Meaning(kind)),
                }
            }
            FAILED => Self::Failed(get_json(kind, &payload)?),
            kind => return Err(ExecProtocolError::Kind(kind)),
        })
    }
}

fn exactly(kind: u8, payload: &Bytes, length: usize) -> Result<(), ExecProtocolError> {
    if payload.len() == length {
        return Ok(());
    }
    Err(ExecProtocolError::Length {
        kind,
        length: payload.len(),
    })
}

fn put_json<T: serde::Serialize>(
    kind: u8,
    value: &T,
    out: &mut BytesMut,
) -> Result<(), ExecProtocolError> {
    serde_json::to_writer(out.writer(), value)
        .map_err(|source| ExecProtocolError::Json { kind, source })
}

fn get_json<T: serde::de::DeserializeOwned>(
    kind: u8,
    payload: &[u8],
) -> Result<T, ExecProtocolError> {
    serde_json::from_slice(payload).map_err(|source| ExecProtocolError::Json { kind, source })
}
