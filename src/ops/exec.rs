//! Run a program in a machine, over the agent: no SSH server and no network of the guest take part.
//!
//! [`begin`] says what to run and waits until it runs; [`Program::converse`] then moves bytes both ways until it has
//! ended. Dropping a [`Program`] ends it in the guest.

use std::ffi::OsString;
use std::io;

use bytes::{Bytes, BytesMut};
use machine_host::local_socket::Stream;
use machine_protocol::exec::{
    self, Decoder, ExecProtocolError, Exit, Failure, FailureKind, STDIN_WINDOW, Signal, Start,
    ToGuest, ToHost, WindowSize, encode,
};
use machine_protocol::message::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

use crate::machine::deadlines;
use crate::machine::name::MachineName;
use crate::store::MachineFiles;
use crate::supervisor::client::{self, ClientError};
use crate::supervisor::control::WireStatus;

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The program and its arguments; without any it is the user's shell.
    pub words: Vec<OsString>,
    /// Variables for its environment, `NAME=value`.
    pub variables: Vec<OsString>,
    /// As whom, where, and whether on a terminal.
    pub start: Start,
}

/// Bytes of standard input. The channel's end is the end of the input.
pub type Input = Bytes;

/// What the program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output, and all output of a terminal.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
}

/// What the user does beside typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// The terminal has another size.
    Resize(WindowSize),
    /// A signal for the program.
    Signal(Signal),
}

/// Why a program was not run, or how it was lost.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The machine does not run (spec 1.4.9).
    #[error("vm \"{name}\" is not running")]
    NotRunning {
        /// The machine.
        name: MachineName,
        /// Whether its VM runs without a supervisor.
        unmanaged: bool,
    },
    /// The supervisor cannot be talked to.
    #[error("vm \"{name}\" cannot be reached")]
    Client {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// There is no link to the agent.
    #[error("The agent in vm \"{name}\" cannot be reached")]
    Unreachable {
        /// The machine.
        name: MachineName,
        /// Whether the machine is on its way up.
        starting: bool,
    },
    /// The agent does not answer.
    #[error("The agent in vm \"{name}\" did not answer within {seconds} s")]
    Silent {
        /// The machine.
        name: MachineName,
        /// How long was waited.
        seconds: u64,
    },
    /// The guest did not run it.
    #[error("{}", .0.reason)]
    Failed(Failure),
    /// A word of the command that does not fit.
    #[error("The command is too long")]
    TooLong(#[source] ExecProtocolError),
    /// The agent speaks another protocol.
    #[error("The agent in vm \"{name}\" said something unknown")]
    Garbled {
        /// The machine.
        name: MachineName,
        /// What.
        #[source]
        source: ExecProtocolError,
    },
    /// The connection ended before the program.
    #[error("The connection to the program in vm \"{name}\" was lost")]
    Lost {
        /// The machine.
        name: MachineName,
    },
    /// Nobody takes what the program says.
    #[error("Nobody reads what the program says")]
    NoReader,
}

impl ExecError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotRunning {
                name,
                unmanaged: true,
            } => vec![format!(
                "nobody looks after its VM; take it over: machine start {name}"
            )],
            Self::NotRunning { name, .. } => vec![format!("start it: machine start {name}")],
            Self::Unreachable {
                name,
                starting: true,
            } => vec![format!(
                "it is starting; see how far it is: machine logs {name}"
            )],
            Self::Unreachable { name, .. } | Self::Silent { name, .. } => {
                vec![format!("see what the guest says: machine logs {name}")]
            }
            Self::Garbled { name, .. } => vec![format!(
                "give it this version's agent: machine stop {name}; machine start {name}"
            )],
            _ => Vec::new(),
        }
    }

    /// Whether it is the program that is missing or unfit.
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Failed(failure) => Some(failure.kind),
            _ => None,
        }
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    name: MachineName,
    from: Replies,
    to: WriteHalf<BufReader<Stream>>,
}

/// Runs a program in a machine.
pub async fn begin(
    name: &MachineName,
    files: &MachineFiles,
    request: &ExecRequest,
) -> Result<Program, ExecError> {
    let order = order(request).map_err(ExecError::TooLong)?;
    let client_error = |source| ExecError::Client {
        name: name.clone(),
        source,
    };
    let connection = client::connect(&files.control_socket())
        .await
        .map_err(client_error)?;
    let Some(connection) = connection else {
        return Err(ExecError::NotRunning {
            name: name.clone(),
            unmanaged: client::survivor(files).is_some(),
        });
    };
    let starting = matches!(connection.greeting.status, WireStatus::Starting { .. });
    let tunnel = connection
        .tunnel(Target::Exec)
        .await
        .map_err(client_error)?;
    let (from, mut to) = tokio::io::split(tunnel);
    let mut from = Replies {
        from,
        decoder: Decoder::default(),
    };
    let started = async {
        // A broken connection shows at the next line.
        let _ = to.write_all(&order).await;
        from.next(name).await
    };
    let limit = deadlines::EXEC.limit;
    let Ok(started) = tokio::time::timeout(limit, started).await else {
        return Err(ExecError::Silent {
            name: name.clone(),
            seconds: limit.as_secs(),
        });
    };
    match started {
        Ok(ToHost::Started) => Ok(Program {
            name: name.clone(),
            from,
            to,
        }),
        Ok(ToHost::Failed(failure)) => Err(ExecError::Failed(failure)),
        // Without a link the supervisor closes the connection.
        Err(ExecError::Lost { name }) => Err(ExecError::Unreachable { name, starting }),
        Ok(_) => Err(ExecError::Lost { name: name.clone() }),
        Err(error) => Err(error),
    }
}

/// The bytes that begin a conversation.
fn order(request: &ExecRequest) -> Result<BytesMut, ExecProtocolError> {
    let mut bytes = BytesMut::new();
    let mut cost = 0;
    let raw = |word: &OsString| Bytes::copy_from_slice(word.as_encoded_bytes());
    let arguments = request.words.iter().map(raw).map(ToGuest::Argument);
    let variables = request.variables.iter().map(raw).map(ToGuest::Variable);
    for message in arguments.chain(variables) {
        let before = bytes.len();
        encode(&message, &mut bytes)?;
        cost += bytes.len() - before - exec::HEADER + exec::ITEM_COST;
        if cost > exec::MAX_WORDS {
            return Err(ExecProtocolError::Length {
                kind: 0,
                length: cost,
            });
        }
    }
    encode(&ToGuest::Start(request.start.clone()), &mut bytes)?;
    Ok(bytes)
}

impl Program {
    /// Moves bytes until the program has ended.
    pub async fn converse(
        self,
        input: mpsc::Receiver<Input>,
        gestures: mpsc::UnboundedReceiver<Gesture>,
        output: mpsc::Sender<Output>,
    ) -> Result<Exit, ExecError> {
        let Self { name, from, to } = self;
        let (grant, granted) = watch::channel(Some(STDIN_WINDOW));
        let speaking = async {
            // A connection that cannot be written shows where it is read.
            let _ = speak(to, input, gestures, granted, &grant).await;
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            exit = hear(&name, from, &grant, output) => exit,
            never = speaking => match never {},
        }
    }
}

/// What the guest says, message by message.
#[derive(Debug)]
struct Replies {
    from: ReadHalf<BufReader<Stream>>,
    decoder: Decoder<ToHost>,
}

impl Replies {
    async fn next(&mut self, name: &MachineName) -> Result<ToHost, ExecError> {
        let lost = || ExecError::Lost { name: name.clone() };
        let mut piece = BytesMut::with_capacity(32 * 1024);
        loop {
            let message = self.decoder.next_message();
            if let Some(message) = message.map_err(|source| ExecError::Garbled {
                name: name.clone(),
                source,
            })? {
                return Ok(message);
            }
            piece.clear();
            match self.from.read_buf(&mut piece).await {
                Ok(0) | Err(_) => return Err(lost()),
                Ok(_) => self.decoder.push(&piece),
            }
        }
    }
}

async fn hear(
    name: &MachineName,
    mut replies: Replies,
    grant: &watch::Sender<Option<u32>>,
    output: mpsc::Sender<Output>,
) -> Result<Exit, ExecError> {
    loop {
        let said = match replies.next(name).await? {
            ToHost::Stdout(bytes) => Output::Stdout(bytes),
            ToHost::Stderr(bytes) => Output::Stderr(bytes),
            ToHost::StdinCredit(more) => {
                grant.send_modify(|granted| {
                    *granted = granted.map(|granted| granted.saturating_add(more));
                });
                continue;
            }
            ToHost::StdinClosed => {
                grant.send_replace(None);
                continue;
            }
            ToHost::Exit(exit) => return Ok(exit),
            ToHost::Started => continue,
            ToHost::Failed(failure) => return Err(ExecError::Failed(failure)),
        };
        if output.send(said).await.is_err() {
            return Err(ExecError::NoReader);
        }
    }
}

/// `granted` is how many bytes of input may be sent; nothing when the program reads no more.
async fn speak(
    mut to: WriteHalf<BufReader<Stream>>,
    input: mpsc::Receiver<Input>,
    mut gestures: mpsc::UnboundedReceiver<Gesture>,
    mut granted: watch::Receiver<Option<u32>>,
    grant: &watch::Sender<Option<u32>>,
) -> io::Result<()> {
    let mut typing = Typing {
        source: Some(input),
        waiting: Bytes::new(),
    };
    loop {
        let credit = *granted.borrow_and_update();
        if credit.is_none() {
            typing.stop();
        }
        let credit = credit.unwrap_or(0);
        let message = tokio::select! {
            biased;
            Some(gesture) = gestures.recv() => match gesture {
                Gesture::Resize(size) => ToGuest::Resize(size),
                Gesture::Signal(signal) => ToGuest::Signal(signal),
            },
            Some(typed) = typing.next(credit), if credit > 0 => typed,
            changed = granted.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
        };
        if let ToGuest::Stdin(bytes) = &message {
            let spent = u32::try_from(bytes.len()).unwrap_or(credit);
            grant.send_modify(|granted| {
                *granted = granted.map(|granted| granted.saturating_sub(spent));
            });
        }
        let mut frame = BytesMut::new();
        encode(&message, &mut frame).map_err(io::Error::other)?;
        to.write_all(&frame).await?;
    }
}

/// The input on its way.
struct Typing {
    /// None after its end.
    source: Option<mpsc::Receiver<Input>>,
    /// What was taken and not yet sent.
    waiting: Bytes,
}

impl Typing {
    /// The next message, of at most so many bytes; `None` after the end. Cancel safe.
    async fn next(&mut self, most: u32) -> Option<ToGuest> {
        if self.waiting.is_empty() {
            let Some(bytes) = self.source.as_mut()?.recv().await else {
                self.source = None;
                return Some(ToGuest::StdinEnd);
            };
            self.waiting = bytes;
        }
        let length = (most as usize)
            .min(self.waiting.len())
            .min(exec::MAX_PAYLOAD);
        Some(ToGuest::Stdin(self.waiting.split_to(length)))
    }

    /// Whoever reads the input stops.
    fn stop(&mut self) {
        self.source = None;
        self.waiting = Bytes::new();
    }
}

#[cfg(test)]
mod tests;
