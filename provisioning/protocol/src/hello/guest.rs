//! The guest's side of the hello.

use super::{
    Hello, HelloError, Nonce, NonceSource, PROTOCOL_VERSION, PeerInfo, RejectReason, Role, Session,
    tag,
    wire::{
        ANSWER, AnswerBody, HELLO, HelloBody, KNOCK, KnockBody, PROOF, ProofBody, REJECT,
        RejectBody, Scanner, Trust, clean, encode,
    },
};
use crate::secret::Secret;

/// Refusals that one hello sends at most, so that a stranger cannot make the guest talk.
const MAX_REJECTIONS: u32 = 16;

/// What the guest has to do next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GuestStep {
    /// To be sent.
    pub send: Vec<u8>,
    /// The session, once there.
    pub session: Option<Session>,
}

/// Takes HELLO, sends ANSWER, takes PROOF.
#[derive(Debug)]
pub struct GuestHello {
    secret: Secret,
    build: String,
    carrier: String,
    scanner: Scanner,
    /// The latest HELLO and the nonce of its answer.
    answered: Option<Answered>,
    rejections: u32,
    source: NonceSource,
}

#[derive(Clone, Debug)]
struct Answered {
    host: Nonce,
    guest: Nonce,
    peer: PeerInfo,
}

enum Found {
    Hello(HelloBody),
    Reject(RejectReason, Nonce),
    Proved,
}

impl GuestHello {
    /// Begins to listen.
    pub fn new(hello: &Hello) -> Result<Self, HelloError> {
        Self::with_source(hello, crate::secret::random)
    }

    pub(super) fn with_source(hello: &Hello, source: NonceSource) -> Result<Self, HelloError> {
        if hello.role != Role::Guest {
            return Err(HelloError::Role);
        }
        Ok(Self {
            secret: hello.secret.clone(),
            build: clean(&hello.build, 128),
            carrier: clean(&hello.carrier, 64),
            scanner: Scanner::default(),
            answered: None,
            rejections: 0,
            source,
        })
    }

    /// Says that the guest reads from here on: what was sent to it earlier may be lost. A host in
    /// the middle of an old session takes it for a wrong frame and ends that session.
    pub fn knock(&self) -> Vec<u8> {
        let body = KnockBody {
            protocol: PROTOCOL_VERSION,
            role: Role::Guest,
        };
        encode(&self.secret, KNOCK, &body)
    }

    /// Takes what arrived.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<GuestStep, HelloError> {
        self.scanner.push(bytes);
        let mut step = GuestStep::default();
        while let Some(found) = self.find() {
            match found {
                Found::Hello(body) => step.send.extend(self.answer(body)?),
                Found::Reject(reason, echo) => step.send.extend(self.reject(reason, echo)),
                Found::Proved => {
                    step.session = self.answered.take().map(|answered| Session {
                        tag: tag(&self.secret, &answered.host, &answered.guest),
                        peer: answered.peer,
                        leftover: self.scanner.take_rest(),
                    });
                    break;
                }
            }
        }
        Ok(step)
    }

    fn find(&mut self) -> Option<Found> {
        let (secret, answered) = (&self.secret, &self.answered);
        let may_reject = self.rejections < MAX_REJECTIONS;
        self.scanner.scan(|candidate| match candidate.kind {
            HELLO => {
                let body: HelloBody = candidate.body()?;
                if body.role != Role::Host {
                    return None;
                }
                if !candidate.verifies(secret) {
                    let reject = Found::Reject(RejectReason::Secret, body.nonce);
                    return may_reject.then_some((Trust::Foreign, reject));
                }
                if body.protocol != PROTOCOL_VERSION {
                    let reject = Found::Reject(RejectReason::Version, body.nonce);
                    return may_reject.then_some((Trust::Genuine, reject));
                }
                Some((Trust::Genuine, Found::Hello(body)))
            }
            PROOF => {
                let (body, answered): (ProofBody, _) = (candidate.body()?, answered.as_ref()?);
                let fresh = body.role == Role::Host
                    && body.host_nonce == answered.host
                    && body.guest_nonce == answered.guest;
                (fresh && candidate.verifies(secret)).then_some((Trust::Genuine, Found::Proved))
            }
            _ => None,
        })
    }

    fn answer(&mut self, hello: HelloBody) -> Result<Vec<u8>, HelloError> {
        let nonce = (self.source)().map_err(HelloError::Random)?;
        self.answered = Some(Answered {
            host: hello.nonce,
            guest: nonce,
            peer: PeerInfo {
                build: hello.build,
                carrier: hello.carrier,
                protocol: hello.protocol,
            },
        });
        let body = AnswerBody {
            protocol: PROTOCOL_VERSION,
            role: Role::Guest,
            build: self.build.clone(),
            carrier: self.carrier.clone(),
            nonce,
            echo: hello.nonce,
        };
        Ok(encode(&self.secret, ANSWER, &body))
    }

    fn reject(&mut self, reason: RejectReason, echo: Nonce) -> Vec<u8> {
        self.rejections += 1;
        let reason = match reason {
            RejectReason::Secret => "secret",
            RejectReason::Version => "version",
        };
        let body = RejectBody {
            protocol: PROTOCOL_VERSION,
            role: Role::Guest,
            build: self.build.clone(),
            reason: reason.into(),
            echo,
        };
        encode(&self.secret, REJECT, &body)
    }
}
