//! What is to be run, from the first frames of the stream.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use bytes::Bytes;
use machine_protocol::exec::{Decoder, ITEM_COST, MAX_WORDS, Start, ToGuest};
use machine_protocol::link::RecvHalf;

use super::ExecError;

/// What the host says, message by message.
pub(super) struct Requests {
    from: RecvHalf,
    decoder: Decoder<ToGuest>,
}

impl Requests {
    pub(super) fn new(from: RecvHalf) -> Self {
        Self {
            from,
            decoder: Decoder::default(),
        }
    }

    /// The next message; `None` when the host has no more to say. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<ToGuest>, ExecError> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Ok(Some(message));
            }
            let Some(bytes) = self.from.read().await? else {
                self.decoder.end()?;
                return Ok(None);
            };
            self.decoder.push(&bytes);
        }
    }
}

/// A program, and how to run it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// The program and its arguments; empty for the user's shell.
    pub(super) words: Vec<OsString>,
    /// Names and values for the environment.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// The rest.
    pub(super) start: Start,
    /// What it has cost so far.
    pub(super) cost: usize,
}

impl Order {
    fn charge(&mut self, bytes: &Bytes) -> Result<(), ExecError> {
        self.cost += bytes.len() + ITEM_COST;
        if self.cost > MAX_WORDS {
            return Err(ExecError::Excess("The command is too long"));
        }
        Ok(())
    }
}

/// Reads up to the order to start.
pub(super) async fn read(requests: &mut Requests) -> Result<Order, ExecError> {
    let mut order = Order::default();
    loop {
        match requests.next().await? {
            Some(ToGuest::Argument(word)) => {
                order.charge(&word)?;
                order.words.push(OsString::from_vec(word.into()));
            }
            Some(ToGuest::Variable(variable)) => {
                order.charge(&variable)?;
                // The codec takes none without a sign.
                let sign = variable.iter().position(|byte| *byte == b'=').unwrap_or(0);
                let (name, value) = variable.split_at(sign);
                order.variables.push((
                    OsString::from_vec(name.to_vec()),
                    OsString::from_vec(value.get(1..).unwrap_or_default().to_vec()),
                ));
            }
            Some(ToGuest::Start(start)) => {
                order.start = start;
                return Ok(order);
            }
            Some(_) | None => return Err(ExecError::Turn),
        }
    }
}
