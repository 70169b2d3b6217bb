//! What is sent next: refusals and control frames, acknowledgement, then data in turn.

use std::task::{Context, Poll};

use super::{
    ACK_EVERY, Core, DATA_PAYLOAD,
    stream::{Sending, Stream},
};
use crate::frame::{DATA, Frame, HEADER, ResetCode, TRAILER, begin, encode, end};

/// What [`Core::poll_transmit`] has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// There are bytes to write.
    Batch,
    /// Those bytes end with CLOSE, or the link has ended: nothing will follow.
    Last,
}

impl Core {
    /// Appends whole frames to `out` until it holds about `limit` bytes; pending when there is
    /// nothing to send. `limit` is at least one longest frame.
    pub fn poll_transmit(
        &mut self,
        out: &mut Vec<u8>,
        limit: usize,
        cx: &Context<'_>,
    ) -> Poll<Transmit> {
        if self.ended || self.close_sent {
            return Poll::Ready(Transmit::Last);
        }
        let before = out.len();
        self.transmit_control(out, limit);
        if self.must_acknowledge() {
            self.acknowledged = self.received;
            encode(
                out,
                self.tag,
                &Frame::Ack {
                    received: self.received,
                },
            );
        }
        if self.closing.is_some() && self.control.is_empty() && self.refusals.is_empty() {
            let reason = self.closing.as_deref().unwrap_or_default();
            encode(
                out,
                self.tag,
                &Frame::Close {
                    reason: reason.as_bytes(),
                },
            );
            self.close_sent = true;
            return Poll::Ready(Transmit::Last);
        }
        self.transmit_data(out, limit);
        if out.len() > before {
            return Poll::Ready(Transmit::Batch);
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn must_acknowledge(&self) -> bool {
        self.received.wrapping_sub(self.acknowledged) as usize >= ACK_EVERY / 2
    }

    fn transmit_control(&mut self, out: &mut Vec<u8>, limit: usize) {
        let tag = self.tag;
        while out.len() < limit {
            let Some(id) = self.refusals.pop_front() else {
                break;
            };
            let code = ResetCode::TooManyStreams.number();
            encode(
                out,
                tag,
                &Frame::Reset {
                    stream: id,
                    code,
                    text: b"",
                },
            );
            encode(out, tag, &Frame::Stop { stream: id });
        }
        while out.len() < limit {
            let Some(id) = self.control.pop_front() else {
                break;
            };
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            stream.in_control = false;
            let pending = std::mem::take(&mut stream.pending);
            if let Some(target) = pending.open {
                encode(
                    out,
                    tag,
                    &Frame::Open {
                        stream: id,
                        target: &target,
                    },
                );
            }
            if let Some((code, text)) = pending.reset {
                let (code, text) = (code.number(), text.as_bytes());
                encode(
                    out,
                    tag,
                    &Frame::Reset {
                        stream: id,
                        code,
                        text,
                    },
                );
                stream.sending = Sending::Reset;
            }
            if pending.stop {
                encode(out, tag, &Frame::Stop { stream: id });
            }
            if pending.credit > 0 {
                // A window is never larger than 256 KiB.
                let bytes = u32::try_from(pending.credit).unwrap_or(u32::MAX);
                encode(out, tag, &Frame::Credit { stream: id, bytes });
            }
            self.sweep(id);
        }
    }

    fn transmit_data(&mut self, out: &mut Vec<u8>, limit: usize) {
        while out.len() + HEADER + DATA_PAYLOAD + TRAILER <= limit {
            let Some(&id) = self.ready.front() else { break };
            let Some(stream) = self.streams.get_mut(&id).filter(|stream| has_more(stream)) else {
                // It was reset meanwhile.
                self.ready.pop_front();
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.in_ready = false;
                }
                continue;
            };
            let payload = stream.outbound.len().min(DATA_PAYLOAD);
            let wire = HEADER + payload + TRAILER;
            if self.in_flight + wire > self.limits.in_flight {
                break;
            }
            self.ready.pop_front();
            let more = write_one(stream, id, payload, out, self.tag);
            stream.in_ready = more;
            self.in_flight += wire;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "no frame is longer than 17 KiB"
            )]
            let counted = wire as u32;
            self.sent = self.sent.wrapping_add(counted);
            self.outbound -= payload;
            if more {
                self.ready.push_back(id);
            }
            if !stream.in_waiting {
                self.wakes.extend(stream.send_waker.take());
            }
            self.wake_waiting();
            self.sweep(id);
        }
    }
}

/// Writes one DATA or END frame and says whether the stream has more to send.
fn write_one(
    stream: &mut Stream,
    id: u32,
    payload: usize,
    out: &mut Vec<u8>,
    tag: crate::frame::SessionTag,
) -> bool {
    if payload > 0 {
        begin(out, DATA, id, payload);
        stream.outbound.move_to(out, payload);
        end(out, tag);
        stream.credit -= payload;
    } else {
        encode(out, tag, &Frame::End { stream: id });
        stream.sending = Sending::Ended;
    }
    has_more(stream)
}

/// Whether there is data or an end to send.
fn has_more(stream: &Stream) -> bool {
    match stream.sending {
        Sending::Open => !stream.outbound.is_empty(),
        Sending::Finishing => true,
        Sending::Ended | Sending::Resetting | Sending::Reset => false,
    }
}
