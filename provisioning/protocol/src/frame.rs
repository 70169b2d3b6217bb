//! The bytes of one mux frame: header, payload, and the session's tag as trailer.
//!
//! A frame counts only once its trailer is there and right. So half a frame of an old session,
//! completed by the padding that a new host sends before its hello, is never taken for real.

/// Bytes before the payload: type, flags, length, stream.
pub const HEADER: usize = 8;
/// Bytes after the payload: the session's tag.
pub const TRAILER: usize = 4;
/// The longest payload.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// The longest frame.
pub const MAX_FRAME: usize = HEADER + MAX_PAYLOAD + TRAILER;
/// The longest payload of OPEN.
pub const MAX_TARGET: usize = 1024;
/// The longest text in RESET and CLOSE.
pub const MAX_TEXT: usize = 256;

/// Ends each frame of a session; both ends derive it from the hello. Never four times 0xFF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTag(pub(crate) [u8; 4]);

impl SessionTag {
    /// A tag from any four bytes; four times 0xFF becomes another value.
    pub fn new(bytes: [u8; 4]) -> Self {
        if bytes == [0xFF; 4] {
            Self([0xFF, 0xFF, 0xFF, 0xFE])
        } else {
            Self(bytes)
        }
    }
}

/// Why a sending direction was aborted, or a stream refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetCode {
    /// The sender was dropped before it had finished.
    Cancelled,
    /// The receiver of the stream does not want it.
    Refused,
    /// The answering end has as many streams as it may have.
    TooManyStreams,
    /// The target is unknown or not allowed.
    UnknownTarget,
    /// The target is known and cannot be reached.
    Unreachable,
    /// The answer to STOP.
    Stopped,
    /// Reading the local socket failed.
    LocalError,
    /// A code of a later version.
    Other(u16),
}

impl ResetCode {
    const KNOWN: [(Self, u16); 7] = [
        (Self::Cancelled, 1),
        (Self::Refused, 2),
        (Self::TooManyStreams, 3),
        (Self::UnknownTarget, 4),
        (Self::Unreachable, 5),
        (Self::Stopped, 6),
        (Self::LocalError, 7),
    ];

    /// The number on the wire.
    pub fn number(self) -> u16 {
        if let Self::Other(number) = self {
            return number;
        }
        Self::KNOWN
            .iter()
            .find(|(code, _)| *code == self)
            .map_or(0, |(_, number)| *number)
    }

    /// The code of a number.
    pub fn from_number(number: u16) -> Self {
        Self::KNOWN
            .iter()
            .find(|(_, known)| *known == number)
            .map_or(Self::Other(number), |(code, _)| *code)
    }
}

/// One frame, its payload borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum Frame<'a> {
    /// A new stream and what it is to be joined to.
    Open { stream: u32, target: &'a [u8] },
    /// Bytes of a stream, at least one.
    Data { stream: u32, bytes: &'a [u8] },
    /// The clean end of the sender's direction.
    End { stream: u32 },
    /// The sender aborts its direction.
    Reset {
        stream: u32,
        code: u16,
        text: &'a [u8],
    },
    /// The sender no longer reads the other's direction.
    Stop { stream: u32 },
    /// So many more bytes may be sent.
    Credit { stream: u32, bytes: u32 },
    /// How many bytes of DATA and END frames have arrived in all, modulo 2^32.
    Ack { received: u32 },
    /// The link ends in good order.
    Close { reason: &'a [u8] },
}

/// Why bytes are no frame of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No such type.
    #[error("A frame of the unknown type {0:#04x}")]
    Type(u8),
    /// Flags are none yet.
    #[error("A frame with the unknown flags {0:#04x}")]
    Flags(u8),
    /// The length does not fit the type.
    #[error("A frame of type {kind} with {length} bytes of payload")]
    Length {
        /// The type.
        kind: u8,
        /// The length.
        length: usize,
    },
    /// A link frame with a stream, or a stream frame without one.
    #[error("A frame of type {kind} for stream {stream}")]
    Stream {
        /// The type.
        kind: u8,
        /// The stream.
        stream: u32,
    },
    /// The trailer is not this session's tag.
    #[error("A frame of another session")]
    Tag,
}

const OPEN: u8 = 1;
pub(crate) const DATA: u8 = 2;
const END: u8 = 3;
const RESET: u8 = 4;
const STOP: u8 = 5;
const CREDIT: u8 = 6;
const ACK: u8 = 7;
const CLOSE: u8 = 8;

/// Appends a frame. Texts and targets longer than their limit are a mistake of the caller.
pub fn encode(out: &mut Vec<u8>, tag: SessionTag, frame: &Frame<'_>) {
    let (kind, stream, parts): (u8, u32, [&[u8]; 2]) = match frame {
        Frame::Open { stream, target } => (OPEN, *stream, [target, &[]]),
        Frame::Data { stream, bytes } => (DATA, *stream, [bytes, &[]]),
        Frame::End { stream } => (END, *stream, [&[], &[]]),
        Frame::Reset { stream, code, text } => (RESET, *stream, [&code.to_le_bytes(), text]),
        Frame::Stop { stream } => (STOP, *stream, [&[], &[]]),
        Frame::Credit { stream, bytes } => (CREDIT, *stream, [&bytes.to_le_bytes(), &[]]),
        Frame::Ack { received } => (ACK, 0, [&received.to_le_bytes(), &[]]),
        Frame::Close { reason } => (CLOSE, 0, [reason, &[]]),
    };
    let length = parts[0].len() + parts[1].len();
    begin(out, kind, stream, length);
    out.extend_from_slice(parts[0]);
    out.extend_from_slice(parts[1]);
    end(out, tag);
}

/// Appends a header; `length` bytes of payload and [`end`] must follow.
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8, stream: u32, length: usize) {
    debug_assert!(length <= longest(kind), "type {kind} with {length} bytes");
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no payload is longer than 16 KiB"
    )]
    let length = length as u16;
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&stream.to_le_bytes());
}

/// Appends the trailer.
pub(crate) fn end(out: &mut Vec<u8>, tag: SessionTag) {
    out.extend_from_slice(&tag.0);
}

fn longest(kind: u8) -> usize {
    match kind {
        OPEN => MAX_TARGET,
        DATA => MAX_PAYLOAD,
        RESET => 2 + MAX_TEXT,
        CREDIT | ACK => 4,
        CLOSE => MAX_TEXT,
        _ => 0,
    }
}

fn shortest(kind: u8) -> usize {
    match kind {
        OPEN | DATA => 1,
        RESET => 2,
        CREDIT | ACK => 4,
        _ => 0,
    }
}

/// Reads the frame at the start of `bytes`: the frame and its length on the wire, or `None` when
/// more bytes are needed. A wrong header is an error before the payload is there.
pub fn decode(bytes: &[u8], tag: SessionTag) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(&kind) = bytes.first() else {
        return Ok(None);
    };
    if !(OPEN..=CLOSE).contains(&kind) {
        return Err(FrameError::Type(kind));
    }
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let [_, flags, l0, l1, s0, s1, s2, s3] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let stream = u32::from_le_bytes([s0, s1, s2, s3]);
    if flags != 0 {
        return Err(FrameError::Flags(flags));
    }
    if !(shortest(kind)..=longest(kind)).contains(&length) {
        return Err(FrameError::Length { kind, length });
    }
    if (stream == 0) != matches!(kind, ACK | CLOSE) {
        return Err(FrameError::Stream { kind, stream });
    }
    let Some((payload, rest)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    let Some(trailer) = rest.first_chunk::<TRAILER>() else {
        return Ok(None);
    };
    if *trailer != tag.0 {
        return Err(FrameError::Tag);
    }
    let number = || {
        payload
            .first_chunk()
            .map_or(0, |number| u32::from_le_bytes(*number))
    };
    let frame = match kind {
        OPEN => Frame::Open {
            stream,
            target: payload,
        },
        DATA => Frame::Data {
            stream,
            bytes: payload,
        },
        END => Frame::End { stream },
        RESET => Frame::Reset {
            stream,
            code: payload
                .first_chunk()
                .map_or(0, |code| u16::from_le_bytes(*code)),
            text: payload.get(2..).unwrap_or_default(),
        },
        STOP => Frame::Stop { stream },
        CREDIT => Frame::Credit {
            stream,
            bytes: number(),
        },
        ACK => Frame::Ack { received: number() },
        _ => Frame::Close { reason: payload },
    };
    Ok(Some((frame, HEADER + length + TRAILER)))
}

/// A text cut to [`MAX_TEXT`] bytes at a character's border.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
