//! The hello: both ends find each other among stale bytes and prove that they know the secret.
//!
//! ```text
//!   host                                            guest
//!     |                <- KNOCK (I read from here)    |   the guest opened the port
//!     | padding, HELLO {nonce} ->                     |   a fresh nonce each time
//!     |                <- ANSWER {nonce, echo}        |
//!     | PROOF {echo, echo} ->                         |
//!     | frames ...                         frames ... |
//! ```
//!
//! Each message carries a MAC with the machine's secret over all of it, role included, so that
//! nothing can be reflected, and ANSWER and PROOF echo the other's nonce, so that nothing can be
//! replayed. Whatever does not verify or does not echo the latest nonce is skipped byte by byte:
//! virtio-serial keeps stale bytes of earlier sessions and loses others.
//!
//! Before each HELLO the host sends as much padding as the longest frame has, so that a guest
//! that is still in the middle of an old session's frame completes it, sees a wrong trailer and
//! listens again. The state machines here do no IO: bytes in, bytes and a result out.

mod guest;
mod host;
#[cfg(test)]
mod tests;
mod wire;

pub use guest::{GuestHello, GuestStep};
pub use host::{HostHello, HostStep};
pub use wire::MAGIC;

use crate::{frame::SessionTag, secret::Secret};

/// Version of all that is said after the hello.
pub const PROTOCOL_VERSION: u32 = 1;

/// 32 fresh random bytes.
pub(crate) type Nonce = [u8; 32];

/// Where nonces come from; tests put their own in.
pub(crate) type NonceSource = fn() -> Result<Nonce, getrandom::Error>;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The supervisor on the host.
    Host,
    /// The agent in the guest.
    Guest,
}

/// What one end brings to the hello.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Which end this is.
    pub role: Role,
    /// The machine's secret.
    pub secret: Secret,
    /// Build of this program, for the other end's log; cut after 128 bytes.
    pub build: String,
    /// Name of the carrier, for the other end's log; cut after 64 bytes.
    pub carrier: String,
}

/// What the other end said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its build.
    pub build: String,
    /// Its name for the carrier.
    pub carrier: String,
    /// Its protocol version.
    pub protocol: u32,
}

/// The result of a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Ends each frame.
    pub tag: SessionTag,
    /// The other end.
    pub peer: PeerInfo,
    /// Bytes that came after the hello: the first frames.
    pub leftover: Vec<u8>,
}

/// Why a guest refused a HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// The MAC does not verify: the ends have different secrets.
    Secret,
    /// The ends speak different versions.
    Version,
}

/// A guest's refusal. Only a hint unless authenticated: anybody on the carrier could send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectReason,
    /// Protocol version of the guest.
    pub protocol: u32,
    /// Build of the guest.
    pub build: String,
    /// Whether the refusal itself carries a MAC with our secret.
    pub authenticated: bool,
}

/// Why a hello cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    /// The operating system gave no random bytes.
    #[error("The operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
    /// [`Hello::role`] is the other one.
    #[error("The hello of the wrong end")]
    Role,
}

fn tag(secret: &Secret, host: &Nonce, guest: &Nonce) -> SessionTag {
    let [a, b, c, d, ..] = secret.mac(&[host, guest, b"tag"]);
    SessionTag::new([a, b, c, d])
}
