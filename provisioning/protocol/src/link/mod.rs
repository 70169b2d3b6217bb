//! The mux driven by tokio over any carrier: `connect` on the host, `accept` in the guest.
//!
//! [`connect`] and [`accept`] do the hello and give a [`Link`], a handle to open and take
//! streams, and a [`LinkDriver`], the future that moves the bytes. All of it works on a
//! current-thread runtime, which is also the fastest; nothing is bound to it. There is one lock
//! around the mux's state, held for single steps and never across an await.

mod driver;
mod handshake;
mod shared;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bytes::Bytes;

pub use self::{
    driver::{LinkDriver, LinkEnd},
    handshake::{accept, accept_with, connect},
    stream::{Incoming, MuxStream, Permit, RecvHalf, SendHalf},
};
use crate::{frame::MAX_TARGET, message::Target, mux::OpenError};
pub use crate::{
    frame::ResetCode,
    hello::{Hello, HelloError, PeerInfo, RejectReason, Rejection, Role},
    mux::{LinkStatistics, ProtocolError, StreamError},
};
use shared::Shared;

/// Why there is no link, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Reading or writing the carrier failed.
    #[error("The carrier of the link failed")]
    Io(#[from] std::io::Error),
    /// The carrier ended.
    #[error("The carrier of the link ended")]
    Eof,
    /// The hello cannot be said.
    #[error("The hello failed")]
    Hello(#[from] HelloError),
    /// The guest refused the hello. See [`Rejection::authenticated`].
    #[error("{}", rejection(.0))]
    Rejected(Rejection),
    /// The other end broke the protocol.
    #[error("The link was broken off")]
    Protocol(#[source] ProtocolError),
    /// [`Link::close`] was called here.
    #[error("The link was closed")]
    Closed,
    /// The other end closed the link in good order.
    #[error("The other end closed the link: {0}")]
    ClosedByPeer(String),
    /// The driver was dropped, or the link ended before.
    #[error("The link to the machine ended")]
    Lost,
    /// As many streams as there may be are open.
    #[error("Too many streams are open on the link")]
    TooManyStreams,
    /// A target with more than 1 KiB of JSON.
    #[error("The target of a stream is too long")]
    TargetTooLong,
}

fn rejection(rejection: &Rejection) -> String {
    let Rejection {
        reason,
        protocol,
        build,
        ..
    } = rejection;
    match reason {
        RejectReason::Secret => {
            format!("The agent `{build}` in the guest has another secret than this machine")
        }
        RejectReason::Version => format!(
            "The agent `{build}` in the guest speaks protocol {protocol}, this program speaks {}",
            crate::hello::PROTOCOL_VERSION
        ),
    }
}

/// A handle to a link: opens streams and takes those of the other end.
#[derive(Clone, Debug)]
pub struct Link {
    shared: Arc<Shared>,
    peer: Arc<PeerInfo>,
}

impl Link {
    /// Opens a stream. It can be written at once; a refusal shows as a reset.
    pub fn open(&self, target: &Target) -> Result<MuxStream, LinkError> {
        // Targets are enums of numbers and texts, which always serialise.
        let payload = serde_json::to_vec(target).unwrap_or_default();
        if payload.len() > MAX_TARGET || payload.is_empty() {
            return Err(LinkError::TargetTooLong);
        }
        match self.shared.with(|core| core.open(Bytes::from(payload))) {
            Ok(id) => Ok(MuxStream::new(&self.shared, id)),
            Err(OpenError::TooMany) => Err(LinkError::TooManyStreams),
            Err(OpenError::Ended | OpenError::IdsExhausted) => Err(LinkError::Lost),
        }
    }

    /// The next stream that the other end opened; `None` once the link has ended. Targets that
    /// this build does not know are refused here.
    pub async fn incoming(&self) -> Option<Incoming> {
        loop {
            let next = std::future::poll_fn(|cx| self.shared.with(|core| core.poll_incoming(cx)));
            let (id, payload) = next.await?;
            let stream = MuxStream::new(&self.shared, id);
            match serde_json::from_slice(&payload) {
                Ok(target) => return Some(Incoming::new(target, stream)),
                Err(_) => stream.refuse(ResetCode::UnknownTarget, "Unknown target"),
            }
        }
    }

    /// What the other end said of itself.
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// Figures of now.
    pub fn statistics(&self) -> LinkStatistics {
        self.shared.with(|core| core.statistics())
    }

    /// Ends the link in good order: the other end is told, the driver returns
    /// [`LinkError::Closed`], and streams that had not ended are lost.
    pub fn close(&self) {
        self.close_with("Closed");
    }

    /// [`Link::close`] with a reason for the other end's log.
    pub fn close_with(&self, reason: &str) {
        self.shared.with(|core| core.close(reason));
    }

    /// Ready once the link has ended, for whatever reason.
    pub async fn ended(&self) {
        std::future::poll_fn(|cx| self.shared.with(|core| core.poll_ended(cx))).await;
    }
}
