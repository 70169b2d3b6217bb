//! Programs that the host has run in the guest.
//!
//! * [`order`]: what is to be run, read from the stream; [`environment`]: with what.
//! * [`spawn`]: the process with its pipes or its terminal; [`program`]: its life, which outlasts the stream by a
//!   bounded time.
//! * [`streams`]: bytes between the process and the stream, a bounded number of them.
//!
//! One task serves one program. It reads the stream all the time, so that a signal gets through to a program that does
//! not read; what is to be sent goes through a short queue, whose reader alone has the stream's other half.

mod environment;
mod order;
mod program;
mod spawn;
mod streams;

use std::convert::Infallible;
use std::future::pending;

use bytes::{Bytes, BytesMut};
use machine_protocol::exec::{Failure, FailureKind, ToGuest, ToHost, encode};
use machine_protocol::link::{MuxStream, RecvHalf, ResetCode, SendHalf, StreamError};
use tokio::sync::{mpsc, watch};

use self::order::Requests;
use self::program::Program;
use self::spawn::Spawned;
use self::streams::{Input, Terminal};
use super::guest::Guest;
use super::log::log_error;

/// Frames that wait to be sent. The program waits while they do.
const OUTBOX: usize = 2;

/// Why the conversation about a program broke off.
#[derive(Debug, thiserror::Error)]
enum ExecError {
    /// The host went away.
    #[error("The host went away")]
    Stream(#[from] StreamError),
    /// The host does not speak the protocol.
    #[error("The host does not keep to the protocol")]
    Protocol(#[from] machine_protocol::exec::ExecProtocolError),
    /// More than was granted, or than one program may have.
    #[error("{0}")]
    Excess(&'static str),
    /// Something of the wrong kind at this point.
    #[error("The host sent something out of turn")]
    Turn,
}

/// Runs what the host asks for, until the program has ended or the host has gone.
pub(super) async fn serve(stream: MuxStream, guest: &Guest) -> Result<(), StreamError> {
    let (from, to) = stream.into_split();
    let (outbox, frames) = mpsc::channel(OUTBOX);
    let mut sending = std::pin::pin!(send(to, frames));
    tokio::select! {
        biased;
        sent = &mut sending => return sent.map(drop),
        done = converse(from, outbox, guest) => match done {
            Ok(()) => {}
            Err(ExecError::Stream(error)) => return Err(error),
            Err(error) => {
                log_error("A program's stream was broken off", &error);
                if let Ok(mut to) = sending.await {
                    to.reset_with(ResetCode::Refused, &error.to_string());
                }
                return Ok(());
            }
        },
    }
    // All that was said is in the queue, whose end has come.
    sending.await?.finish();
    Ok(())
}

/// Sends what comes, until nothing more can come. An error as soon as the host no longer reads.
async fn send(
    mut to: SendHalf,
    mut frames: mpsc::Receiver<Bytes>,
) -> Result<SendHalf, StreamError> {
    loop {
        let mut frame = tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => frame,
                None => return Ok(to),
            },
            () = to.stopped() => return Err(StreamError::Stopped),
        };
        while !frame.is_empty() {
            let permit = to.reserve().await?;
            let part = frame.split_to(permit.max_len().min(frame.len()));
            permit.send(part);
        }
    }
}

/// The program ends when this is dropped.
async fn converse(
    from: RecvHalf,
    outbox: mpsc::Sender<Bytes>,
    guest: &Guest,
) -> Result<(), ExecError> {
    let mut requests = Requests::new(from);
    let order = order::read(&mut requests).await?;
    let spawned = match spawn::spawn(&order, guest) {
        Ok(spawned) => spawned,
        Err(failure) => {
            say(&outbox, &ToHost::Failed(failure)).await;
            return Ok(());
        }
    };
    drop(order);
    say(&outbox, &ToHost::Started).await;
    let Spawned {
        child,
        stdin,
        stdout,
        stderr,
        terminal,
    } = spawned;
    let program = Program::adopt(child);
    let (over, ended) = watch::channel(false);
    let (input, feeding) = streams::input(stdin, terminal.as_ref(), outbox.clone());
    let running = async {
        let waiting = async {
            let exit = program.ended().await;
            over.send_replace(true);
            exit
        };
        let errors = async {
            if let Some(stderr) = stderr {
                streams::pump(stderr, ToHost::Stderr, &outbox, ended.clone()).await;
            }
        };
        let output = streams::pump(stdout, ToHost::Stdout, &outbox, ended.clone());
        let (exit, (), ()) = tokio::join!(waiting, output, errors);
        exit
    };
    let fed = async {
        feeding.await;
        pending::<Infallible>().await
    };
    let exit = tokio::select! {
        exit = running => exit,
        broken = listen(&mut requests, input, &program, terminal.as_ref()) => return Err(broken),
        never = fed => match never {},
    };
    say(&outbox, &ToHost::Exit(exit)).await;
    Ok(())
}

/// Does what the host says. Ends only when that cannot go on.
async fn listen(
    requests: &mut Requests,
    input: Input,
    program: &Program,
    terminal: Option<&Terminal>,
) -> ExecError {
    let mut input = Some(input);
    loop {
        match requests.next().await {
            Ok(Some(ToGuest::Stdin(bytes))) => {
                // After its end there is nothing to be added.
                if let Some(input) = &input
                    && input.take(bytes).is_err()
                {
                    return ExecError::Excess("The host sent more input than was granted");
                }
            }
            Ok(Some(ToGuest::StdinEnd)) => input = None,
            Ok(Some(ToGuest::Resize(size))) => {
                if let Some(terminal) = terminal {
                    terminal.resize(size);
                }
            }
            Ok(Some(ToGuest::Signal(signal))) => program.signal(signal),
            Ok(Some(ToGuest::Argument(_) | ToGuest::Variable(_) | ToGuest::Start(_))) => {
                return ExecError::Turn;
            }
            // The host may still read.
            Ok(None) => {
                drop(input);
                return pending().await;
            }
            Err(error) => return error,
        }
    }
}

/// Queues a message. When the queue is gone, so is the host, which the caller's caller notices.
async fn say(outbox: &mpsc::Sender<Bytes>, message: &ToHost) {
    let mut frame = BytesMut::new();
    if encode(message, &mut frame).is_ok() {
        let _ = outbox.send(frame.freeze()).await;
    }
}

fn failed(kind: FailureKind, reason: impl Into<String>) -> Failure {
    Failure {
        kind,
        reason: reason.into(),
    }
}
