//! What is said on a stream with [`Target::Exec`](crate::message::Target::Exec): one program that is run in the guest.
//!
//! ```text
//! host:  Argument* Variable* Start   (Stdin | StdinEnd | Resize | Signal)*
//! guest: Failed                                       the program was not run
//!        Started (Stdout | Stderr | StdinCredit | StdinClosed)* Exit
//! ```
//!
//! Standard input has a credit of its own ([`STDIN_WINDOW`]), although the stream has one too: the guest can always
//! read on, so that a signal reaches a program that does not read its input. Standard output needs none: what follows
//! it may wait behind it.
//!
//! There is no IO here: [`encode`] makes the bytes, [`Decoder`] takes them apart.

mod wire;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use wire::{Decoder, ExecProtocolError, HEADER, Message, encode};

/// The longest payload of a frame.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// The most that the arguments and variables of one program take, each with [`ITEM_COST`] beside its bytes.
pub const MAX_WORDS: usize = 1 << 20;
/// What an argument or a variable counts beside its bytes.
pub const ITEM_COST: usize = 16;
/// How many bytes of standard input the host may send before the guest grants more.
pub const STDIN_WINDOW: u32 = 64 * 1024;

/// What the host says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToGuest {
    /// The next word of the command; the first is the program. Without any it is the user's shell, as at a login.
    Argument(Bytes),
    /// A variable of the environment, `NAME=value`.
    Variable(Bytes),
    /// Run it.
    Start(Start),
    /// Bytes of standard input.
    Stdin(Bytes),
    /// The end of standard input.
    StdinEnd,
    /// The terminal has another size.
    Resize(WindowSize),
    /// Send the program and its group a signal.
    Signal(Signal),
}

/// What the guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToHost {
    /// The program runs.
    Started,
    /// Bytes of standard output, and of everything where there is a terminal.
    Stdout(Bytes),
    /// Bytes of standard error.
    Stderr(Bytes),
    /// So many bytes more of standard input may be sent.
    StdinCredit(u32),
    /// The program reads no more: standard input may end here.
    StdinClosed,
    /// The program ended; nothing follows.
    Exit(Exit),
    /// The program was not run; nothing follows.
    Failed(Failure),
}

/// How to run a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// A user of the guest by name or number; the machine's user when there is none.
    #[serde(default)]
    pub user: Option<String>,
    /// Where to begin; the user's home when there is none.
    #[serde(default)]
    pub directory: Option<String>,
    /// The terminal, when the program gets one.
    #[serde(default)]
    pub terminal: Option<Terminal>,
}

/// The terminal of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// What it understands: the host's `TERM`.
    pub kind: String,
    /// Its size.
    pub size: WindowSize,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The signals that may be sent. On the wire they have Linux' numbers, whatever the host's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGKILL.
    Kill,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hangup,
        Self::Interrupt,
        Self::Quit,
        Self::Kill,
        Self::User1,
        Self::User2,
        Self::Terminate,
    ];

    /// Linux' number.
    pub fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Kill => 9,
            Self::User1 => 10,
            Self::User2 => 12,
            Self::Terminate => 15,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|signal| signal.number() == number)
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By the signal with this number, Linux'.
    Signal(u8),
}

impl Exit {
    /// The code as shells have it: 128 and the number for a signal.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => 128 | number,
        }
    }
}

/// Why a program was not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Of what kind.
    pub kind: FailureKind,
    /// In one sentence.
    pub reason: String,
}

/// The kinds of failure that a host tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// There is no such program.
    NotFound,
    /// It may not, or cannot, be executed.
    NotExecutable,
    /// There is no such user.
    NoSuchUser,
    /// Anything else.
    #[serde(other)]
    Other,
}
