//! The bytes of hello messages: magic, type, length, JSON body, MAC; and the search for them.

use serde::{Deserialize, Serialize};

use super::{Nonce, Role};
use crate::secret::Secret;

/// Starts each hello message. Its first byte is neither a frame's type nor padding.
pub const MAGIC: [u8; 8] = *b"\xFEMACHINE";
/// The longest body.
pub(super) const MAX_BODY: usize = 1024;
const HEAD: usize = MAGIC.len() + 1 + 2;
const MAC: usize = 32;

pub(super) const HELLO: u8 = 1;
pub(super) const ANSWER: u8 = 2;
pub(super) const PROOF: u8 = 3;
pub(super) const REJECT: u8 = 4;
pub(super) const KNOCK: u8 = 5;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HelloBody {
    pub(super) protocol: u32,
    pub(super) role: Role,
    pub(super) build: String,
    pub(super) carrier: String,
    #[serde(with = "crate::hex")]
    pub(super) nonce: Nonce,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AnswerBody {
    pub(super) protocol: u32,
    pub(super) role: Role,
    pub(super) build: String,
    pub(super) carrier: String,
    #[serde(with = "crate::hex")]
    pub(super) nonce: Nonce,
    #[serde(with = "crate::hex")]
    pub(super) echo: Nonce,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProofBody {
    pub(super) role: Role,
    #[serde(with = "crate::hex")]
    pub(super) guest_nonce: Nonce,
    #[serde(with = "crate::hex")]
    pub(super) host_nonce: Nonce,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RejectBody {
    pub(super) protocol: u32,
    pub(super) role: Role,
    pub(super) build: String,
    pub(super) reason: String,
    #[serde(with = "crate::hex")]
    pub(super) echo: Nonce,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KnockBody {
    pub(super) protocol: u32,
    pub(super) role: Role,
}

/// A text for a body: no control characters, at most `limit` bytes, so that it fits when escaped.
pub(super) fn clean(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].replace(char::is_control, "?")
}

/// One whole message.
pub(super) fn encode<T: Serialize>(secret: &Secret, kind: u8, body: &T) -> Vec<u8> {
    // Bodies hold strings and numbers, which always serialise.
    let body = serde_json::to_vec(body).unwrap_or_default();
    debug_assert!(body.len() <= MAX_BODY, "a body of {} bytes", body.len());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no body is longer than 1 KiB"
    )]
    let length = body.len() as u16;
    let mut message = Vec::with_capacity(HEAD + body.len() + MAC);
    message.extend_from_slice(&MAGIC);
    message.push(kind);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(&body);
    let mac = secret.mac(&[&message]);
    message.extend_from_slice(&mac);
    message
}

/// Something that has the form of a message; nothing of it is verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) kind: u8,
    signed: &'a [u8],
    mac: &'a [u8],
}

impl<'a> Candidate<'a> {
    pub(super) fn verifies(&self, secret: &Secret) -> bool {
        secret.verify(&[self.signed], self.mac)
    }

    pub(super) fn body<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_slice(&self.signed[HEAD..]).ok()
    }
}

/// Whether a candidate's MAC is right.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trust {
    Genuine,
    Foreign,
}

/// Finds messages in what arrives, wherever they start; holds less than one message afterwards.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    buffer: Vec<u8>,
    /// Candidates that end before this were looked at already.
    checked: usize,
}

impl Scanner {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What has not been looked at.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.checked = 0;
        std::mem::take(&mut self.buffer)
    }

    /// Shows each complete candidate to `check` until one is of interest. All before it is
    /// dropped, and itself when it is genuine; of another only its first byte, since it may be
    /// half a message with the start of the next one in it. A candidate whose bytes are not all
    /// there (perhaps they were lost) does not hide the ones behind it.
    pub(super) fn scan<T>(
        &mut self,
        mut check: impl FnMut(Candidate<'_>) -> Option<(Trust, T)>,
    ) -> Option<T> {
        let mut position = 0;
        let mut keep = None;
        while let Some(start) = next_magic(&self.buffer, position) {
            position = start + 1;
            match candidate(&self.buffer[start..]) {
                Parsed::Message(found, length) => {
                    if start + length <= self.checked {
                        continue;
                    }
                    if let Some((trust, result)) = check(found) {
                        let used = match trust {
                            Trust::Genuine => start + length,
                            Trust::Foreign => start + 1,
                        };
                        self.buffer.drain(..used);
                        self.checked = self.checked.saturating_sub(used);
                        return Some(result);
                    }
                }
                Parsed::Incomplete => keep = keep.or(Some(start)),
                Parsed::Nothing => {}
            }
        }
        self.buffer.drain(..keep.unwrap_or(self.buffer.len()));
        self.checked = self.buffer.len();
        None
    }
}

enum Parsed<'a> {
    Message(Candidate<'a>, usize),
    Incomplete,
    Nothing,
}

/// Where the magic, or the part of it that fits at the end, starts.
fn next_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        position += bytes
            .get(position..)?
            .iter()
            .position(|byte| *byte == MAGIC[0])?;
        let rest = &bytes[position..];
        let length = rest.len().min(MAGIC.len());
        if rest[..length] == MAGIC[..length] {
            return Some(position);
        }
        position += 1;
    }
}

fn candidate(bytes: &[u8]) -> Parsed<'_> {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        return Parsed::Incomplete;
    };
    let [.., kind, l0, l1] = *head;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length > MAX_BODY || !(HELLO..=KNOCK).contains(&kind) {
        return Parsed::Nothing;
    }
    let Some((message, _)) = bytes.split_at_checked(HEAD + length + MAC) else {
        return Parsed::Incomplete;
    };
    let (signed, mac) = message.split_at(HEAD + length);
    Parsed::Message(Candidate { kind, signed, mac }, message.len())
}
