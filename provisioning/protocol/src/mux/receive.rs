//! Frames that arrive.

use bytes::Bytes;

use super::{
    Core, MAX_CREDIT, MAX_REFUSALS,
    stream::{Receiving, Stream},
};
use crate::frame::{Frame, FrameError, HEADER, ResetCode, TRAILER, decode};

/// Why the peer's bytes end the link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// No frame of this session.
    #[error("The other end sent no valid frame")]
    Frame(#[source] FrameError),
    /// OPEN with an id of ours, or not above the last.
    #[error("The other end opened stream {0}, which is not its next one")]
    OpenId(u32),
    /// A frame for a stream that nobody opened.
    #[error("The other end used stream {0}, which was never opened")]
    NeverOpened(u32),
    /// Bytes that were not granted.
    #[error("The other end sent more on stream {0} than it was granted")]
    Credit(u32),
    /// A frame after END or RESET.
    #[error("The other end sent on stream {0} after its end")]
    AfterEnd(u32),
    /// More credit than can be counted.
    #[error("The other end granted too much on stream {0}")]
    Grant(u32),
    /// Bytes acknowledged that were never sent.
    #[error("The other end acknowledged bytes that were never sent")]
    Ack,
    /// More refusals are waiting than are kept.
    #[error("The other end opens streams and does not read the answers")]
    Flood,
    /// CLOSE.
    #[error("The other end closed the link: {0}")]
    Closed(String),
}

impl Core {
    /// Takes the frames at the start of `bytes` and says how many bytes they were. After an
    /// error the rest, from the frame at fault on, may hold the hello of a new session.
    pub fn receive(&mut self, bytes: &[u8]) -> (usize, Result<(), ProtocolError>) {
        let mut used = 0;
        loop {
            match decode(&bytes[used..], self.tag) {
                Ok(None) => return (used, Ok(())),
                Ok(Some((frame, length))) => {
                    if let Err(error) = self.take(frame) {
                        return (used + length, Err(error));
                    }
                    used += length;
                }
                Err(error) => return (used, Err(ProtocolError::Frame(error))),
            }
        }
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        match frame {
            Frame::Open { stream, target } => self.take_open(stream, target),
            Frame::Data { stream, bytes } => {
                self.count_received(bytes.len());
                self.take_data(stream, bytes)
            }
            Frame::End { stream } => {
                self.count_received(0);
                self.take_end(stream, Receiving::Ended)
            }
            Frame::Reset { stream, code, text } => {
                let text = String::from_utf8_lossy(text).replace(char::is_control, "?");
                self.take_end(stream, Receiving::Reset(ResetCode::from_number(code), text))
            }
            Frame::Stop { stream } => self.take_stop(stream),
            Frame::Credit { stream, bytes } => self.take_credit(stream, bytes),
            Frame::Ack { received } => self.take_ack(received),
            Frame::Close { reason } => {
                let reason = String::from_utf8_lossy(reason).replace(char::is_control, "?");
                Err(ProtocolError::Closed(reason))
            }
        }
    }

    fn is_local(&self, id: u32) -> bool {
        id % 2 == self.next_local % 2
    }

    /// The entry; `None` for a stream that is already gone.
    fn entry(&mut self, id: u32) -> Result<Option<&mut Stream>, ProtocolError> {
        let opened = if self.is_local(id) {
            id < self.next_local
        } else {
            id <= self.last_remote
        };
        if !opened {
            return Err(ProtocolError::NeverOpened(id));
        }
        Ok(self.streams.get_mut(&id))
    }

    fn take_open(&mut self, id: u32, target: &[u8]) -> Result<(), ProtocolError> {
        if self.is_local(id) || id <= self.last_remote {
            return Err(ProtocolError::OpenId(id));
        }
        self.last_remote = id;
        self.opened += 1;
        if self.streams.len() >= self.limits.streams {
            if self.refusals.len() >= MAX_REFUSALS {
                return Err(ProtocolError::Flood);
            }
            self.refusals.push_back(id);
            self.kick();
            return Ok(());
        }
        self.streams.insert(id, Stream::new());
        self.incoming
            .push_back((id, Bytes::copy_from_slice(target)));
        self.wakes.append(&mut self.incoming_wakers);
        Ok(())
    }

    fn take_data(&mut self, id: u32, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Some(stream) = self.entry(id)? else {
            return Ok(());
        };
        if stream.receiving != Receiving::Open {
            return Err(ProtocolError::AfterEnd(id));
        }
        if !stream.window.receive(bytes.len()) {
            return Err(ProtocolError::Credit(id));
        }
        if stream.reader_gone {
            stream.window.discard(bytes.len());
            return Ok(());
        }
        stream.inbound.push_slice(bytes);
        let waker = stream.read_waker.take();
        self.wakes.extend(waker);
        self.buffered += bytes.len();
        self.peak_buffered = self.peak_buffered.max(self.buffered);
        Ok(())
    }

    fn take_end(&mut self, id: u32, state: Receiving) -> Result<(), ProtocolError> {
        if self.entry(id)?.is_none() {
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        if stream.receiving != Receiving::Open {
            return Err(ProtocolError::AfterEnd(id));
        }
        if state != Receiving::Ended {
            self.buffered -= stream.drop_inbound();
        }
        stream.end_receiving(state, &mut self.pool);
        self.wakes.extend(stream.read_waker.take());
        self.sweep(id);
        Ok(())
    }

    fn take_stop(&mut self, id: u32) -> Result<(), ProtocolError> {
        let Some(stream) = self.entry(id)? else {
            return Ok(());
        };
        stream.stopped = true;
        let wakers = [stream.stopped_waker.take(), stream.send_waker.take()];
        self.wakes.extend(wakers.into_iter().flatten());
        self.reset(id, ResetCode::Stopped, "");
        Ok(())
    }

    fn take_credit(&mut self, id: u32, bytes: u32) -> Result<(), ProtocolError> {
        let Some(stream) = self.entry(id)? else {
            return Ok(());
        };
        let credit = stream.credit.saturating_add(bytes as usize);
        if credit > MAX_CREDIT {
            return Err(ProtocolError::Grant(id));
        }
        stream.credit = credit;
        let waker = stream.send_waker.take();
        self.wakes.extend(waker);
        Ok(())
    }

    fn take_ack(&mut self, received: u32) -> Result<(), ProtocolError> {
        let unsent = self.sent.wrapping_sub(received) as usize;
        if unsent > self.in_flight {
            return Err(ProtocolError::Ack);
        }
        self.in_flight = unsent;
        if !self.ready.is_empty() {
            self.kick();
        }
        Ok(())
    }

    fn count_received(&mut self, payload: usize) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "no frame is longer than 17 KiB"
        )]
        let wire = (HEADER + payload + TRAILER) as u32;
        self.received = self.received.wrapping_add(wire);
        if self.must_acknowledge() {
            self.kick();
        }
    }
}
