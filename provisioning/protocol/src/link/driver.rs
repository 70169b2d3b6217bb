//! The future that moves a link's bytes between the mux and the carrier.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};

use super::{
    Link, LinkError,
    shared::{EndGuard, Shared},
};
use crate::{
    frame::MAX_FRAME,
    hello::{Role, Session},
    mux::{Core, Limits, ProtocolError, Transmit},
};

/// The most that is read and written at a time.
const BATCH: usize = 64 * 1024;

/// Must be polled for the link to live; dropping it ends the link.
#[derive(Debug)]
pub struct LinkDriver<S> {
    stream: S,
    shared: Arc<Shared>,
    guard: EndGuard,
    leftover: Vec<u8>,
}

/// What is left of a link.
#[derive(Debug)]
pub struct LinkEnd<S> {
    /// Why it ended.
    pub error: LinkError,
    /// The carrier, for the next session.
    pub stream: S,
    /// Bytes read and not used: they may hold the next session's hello.
    pub leftover: Vec<u8>,
}

pub(super) fn start<S>(role: Role, session: Session, stream: S) -> (Link, LinkDriver<S>) {
    let shared = Shared::new(Core::new(role, session.tag, Limits::default()));
    let link = Link {
        shared: Arc::clone(&shared),
        peer: Arc::new(session.peer),
    };
    let guard = EndGuard(Arc::clone(&shared));
    (
        link,
        LinkDriver {
            stream,
            shared,
            guard,
            leftover: session.leftover,
        },
    )
}

impl<S> LinkDriver<S> {
    /// Gives the link up without a word and takes the carrier back.
    pub fn into_stream(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> LinkDriver<S> {
    /// Moves bytes until the link ends, and says why it did.
    pub async fn run(self) -> LinkError {
        self.run_to_end().await.error
    }

    /// [`LinkDriver::run`], giving back the carrier and what was read and not used: the guest
    /// listens on it again by [`super::accept_with`].
    pub async fn run_to_end(self) -> LinkEnd<S> {
        let Self {
            stream,
            shared,
            guard,
            leftover,
        } = self;
        let (mut reader, mut writer) = split(stream);
        let mut inbound = Inbound::new(leftover);
        let error = tokio::select! {
            biased;
            error = read(&mut reader, &mut inbound, &shared) => error,
            error = write(&mut writer, &shared) => error,
        };
        drop(guard);
        LinkEnd {
            error,
            stream: reader.unsplit(writer),
            leftover: inbound.into_rest(),
        }
    }
}

async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    inbound: &mut Inbound,
    shared: &Shared,
) -> LinkError {
    loop {
        let (used, result) = shared.with(|core| core.receive(inbound.filled()));
        inbound.consume(used);
        match result {
            Ok(()) => {}
            Err(ProtocolError::Closed(reason)) => return LinkError::ClosedByPeer(reason),
            Err(error) => return LinkError::Protocol(error),
        }
        match reader.read(inbound.room()).await {
            Ok(0) => return LinkError::Eof,
            Ok(count) => inbound.end += count,
            Err(error) => return LinkError::Io(error),
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, shared: &Shared) -> LinkError {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        let next = std::future::poll_fn(|cx| {
            shared.with(|core| core.poll_transmit(&mut batch, BATCH, cx))
        })
        .await;
        if let Err(error) = writer.write_all(&batch).await {
            return LinkError::Io(error);
        }
        if let Err(error) = writer.flush().await {
            return LinkError::Io(error);
        }
        if next == Transmit::Last {
            return LinkError::Closed;
        }
    }
}

/// Bytes read from the carrier, at most half a frame of them unused between two reads.
#[derive(Debug)]
struct Inbound {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbound {
    fn new(leftover: Vec<u8>) -> Self {
        let end = leftover.len();
        let mut buffer = leftover;
        buffer.resize((BATCH + MAX_FRAME).max(end), 0);
        Self {
            buffer,
            start: 0,
            end,
        }
    }

    fn filled(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Where the next read goes: never empty.
    fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let limit = (self.end + BATCH).min(self.buffer.len());
        &mut self.buffer[self.end..limit]
    }

    fn into_rest(mut self) -> Vec<u8> {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        self.buffer
    }
}
