//! The host's side of the hello.

use super::{
    Hello, HelloError, Nonce, NonceSource, PROTOCOL_VERSION, PeerInfo, RejectReason, Rejection,
    Role, Session, tag,
    wire::{
        ANSWER, AnswerBody, HELLO, HelloBody, KNOCK, KnockBody, PROOF, ProofBody, REJECT,
        RejectBody, Scanner, Trust, clean, encode,
    },
};
use crate::{frame::MAX_FRAME, secret::Secret};

/// What the host has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum HostStep {
    /// More bytes are needed.
    Wait,
    /// The guest has only now begun to read: greet it again, then go on with
    /// [`HostHello::receive`] of nothing, since more may have arrived.
    Greet,
    /// The guest refuses this host.
    Rejected(Rejection),
    /// The session is there as soon as `proof` has been sent.
    Done {
        /// To be sent before the first frame.
        proof: Vec<u8>,
        /// The session.
        session: Session,
    },
}

/// Sends HELLO, takes ANSWER, sends PROOF.
#[derive(Debug)]
pub struct HostHello {
    secret: Secret,
    build: String,
    carrier: String,
    scanner: Scanner,
    nonce: Option<Nonce>,
    source: NonceSource,
}

impl HostHello {
    /// Begins; the first [`HostHello::greet`] is the caller's.
    pub fn new(hello: &Hello) -> Result<Self, HelloError> {
        Self::with_source(hello, crate::secret::random)
    }

    pub(super) fn with_source(hello: &Hello, source: NonceSource) -> Result<Self, HelloError> {
        if hello.role != Role::Host {
            return Err(HelloError::Role);
        }
        Ok(Self {
            secret: hello.secret.clone(),
            build: clean(&hello.build, 128),
            carrier: clean(&hello.carrier, 64),
            scanner: Scanner::default(),
            nonce: None,
            source,
        })
    }

    /// Padding and a HELLO with a new nonce; answers to earlier ones no longer count.
    pub fn greet(&mut self) -> Result<Vec<u8>, HelloError> {
        let nonce = (self.source)().map_err(HelloError::Random)?;
        self.nonce = Some(nonce);
        let body = HelloBody {
            protocol: PROTOCOL_VERSION,
            role: Role::Host,
            build: self.build.clone(),
            carrier: self.carrier.clone(),
            nonce,
        };
        let mut bytes = vec![0xFF; MAX_FRAME];
        bytes.extend(encode(&self.secret, HELLO, &body));
        Ok(bytes)
    }

    /// Takes what arrived.
    pub fn receive(&mut self, bytes: &[u8]) -> HostStep {
        self.scanner.push(bytes);
        let (secret, nonce) = (&self.secret, self.nonce);
        let step = self.scanner.scan(|candidate| match candidate.kind {
            ANSWER => {
                let body: AnswerBody = candidate.body()?;
                let fresh = Some(body.echo) == nonce && body.role == Role::Guest;
                if !fresh || !candidate.verifies(secret) {
                    return None;
                }
                Some((Trust::Genuine, done(secret, body)))
            }
            REJECT => {
                let body: RejectBody = candidate.body()?;
                let reason = match body.reason.as_str() {
                    "secret" => RejectReason::Secret,
                    "version" => RejectReason::Version,
                    _ => return None,
                };
                if Some(body.echo) != nonce || body.role != Role::Guest {
                    return None;
                }
                let rejection = Rejection {
                    reason,
                    protocol: body.protocol,
                    build: clean(&body.build, 128),
                    authenticated: candidate.verifies(secret),
                };
                Some((Trust::Foreign, HostStep::Rejected(rejection)))
            }
            KNOCK => {
                let body: KnockBody = candidate.body()?;
                (body.role == Role::Guest && candidate.verifies(secret))
                    .then_some((Trust::Genuine, HostStep::Greet))
            }
            _ => None,
        });
        match step {
            None => HostStep::Wait,
            Some(HostStep::Done { proof, mut session }) => {
                session.leftover = self.scanner.take_rest();
                HostStep::Done { proof, session }
            }
            Some(step) => step,
        }
    }
}

fn done(secret: &Secret, answer: AnswerBody) -> HostStep {
    let proof = ProofBody {
        role: Role::Host,
        guest_nonce: answer.nonce,
        host_nonce: answer.echo,
    };
    HostStep::Done {
        proof: encode(secret, PROOF, &proof),
        session: Session {
            tag: tag(secret, &answer.echo, &answer.nonce),
            peer: PeerInfo {
                build: answer.build,
                carrier: answer.carrier,
                protocol: answer.protocol,
            },
            leftover: Vec::new(),
        },
    }
}
