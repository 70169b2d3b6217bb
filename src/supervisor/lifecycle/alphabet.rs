//! The alphabet of the state machine: what it learns, what it has done for that, and where it then stands.

use machine_protocol::message::AgentEvent;

use crate::supervisor::events::{Event, Failure, Phase};

/// Identifies a client that waits for the machine to stop.
pub type RequestId = u64;

/// A rung of the ladder that ends a VM, gentlest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The agent is asked to power the guest off.
    Agent,
    /// The power button is pressed.
    PowerButton,
    /// The hypervisor is told to quit.
    Quit,
    /// The VM process is killed.
    Kill,
}

/// What the owner task learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A step of the start begins.
    Entered(Phase),
    /// The VM process runs.
    Launched {
        /// Its process number.
        pid: u32,
        /// True when it outlived an earlier supervisor.
        adopted: bool,
    },
    /// A step of the start failed before there was a VM.
    BootFailed(Failure),
    /// The agent proved itself.
    LinkUp {
        /// The agent's build.
        agent: String,
        /// The carrier in use.
        carrier: String,
    },
    /// The link ended.
    LinkDown {
        /// Why.
        reason: String,
    },
    /// The agent reports.
    Agent(AgentEvent),
    /// Another engine is the machine's from now on.
    ModeChanged {
        /// Whether it is root's.
        rootful: bool,
    },
    /// The agent closed the carrier.
    AgentEnded,
    /// The agent will have nothing to do with this host: it has another secret, or another protocol.
    AgentRefused {
        /// Its words.
        reason: String,
    },
    /// The guest said something from which there is no way on.
    GuestFailed(Failure),
    /// The guest has a network again, or has lost it for this reason.
    Network(Option<String>),
    /// The guest is not told of all that the host changes in a folder.
    Unwatched {
        /// Why, for the user.
        reason: String,
    },
    /// The guest reset itself.
    Reset,
    /// The VM was paused by the hypervisor.
    Paused {
        /// Why, for the user.
        reason: String,
    },
    /// A paused VM goes on.
    Resumed,
    /// The machine is to have sockets of the host, or none.
    Sockets {
        /// Whether it is to have any.
        wanted: bool,
        /// What is wrong with them on this host, for the user.
        problem: Option<String>,
    },
    /// The agent knows of the sockets, as far as it ever will.
    SocketsTold,
    /// A folder of the host is not in the guest, for as long as this VM lives.
    ShareLost {
        /// Which and why, for the user.
        reason: String,
    },
    /// The VM process is gone.
    VmExited {
        /// How it ended, for the user.
        reason: String,
        /// True when the guest powered off in order.
        orderly: bool,
        /// What the guest said of it, if that is the cause of a start that fails.
        cause: Option<Failure>,
    },
    /// A client wants the machine stopped.
    Stop {
        /// Whom to answer.
        id: RequestId,
        /// True to skip the gentle rungs.
        force: bool,
    },
    /// The system wants this process to end (SIGTERM): stop in order.
    Terminated,
    /// The current rung's time is up.
    RungExpired,
    /// Nothing was heard of the guest for the whole quiet period.
    Silent {
        /// What was seen last, for the user.
        detail: Vec<String>,
    },
    /// The whole start took too long.
    StartExpired {
        /// What was seen last, for the user.
        detail: Vec<String>,
    },
}

/// What the owner task has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write and publish this event.
    Announce(Event),
    /// Climb this rung and watch its time.
    Climb(Rung),
    /// Ask the agent once more to power the guest off; the time of the rung goes on.
    AskAgain,
    /// Cut off what makes the VM, which then reports how far it got.
    CutOff,
    /// Open the API socket.
    OpenApi,
    /// Close the API socket and remove it.
    CloseApi,
    /// Tell this client that the machine has stopped.
    Answer(RequestId),
    /// All is over: leave.
    Exit,
}

/// What a client is told about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// On the way up.
    Starting(Phase),
    /// Up; `Some` says what does not work.
    Running(Option<String>),
    /// On the way down.
    Stopping(Rung),
    /// Over.
    Ended,
}
