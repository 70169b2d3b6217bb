//! The link to a machine's agent: carriers, the hello, and the thread that carries every stream.
//!
//! A machine's bytes are moved by one thread with a runtime of its own: the API listener, the copy loops and the mux
//! share it, so that a byte crosses no thread boundary and bulk traffic never delays the supervisor's decisions.
//! The owner task talks to it by [`LinkHandle`] and hears of it by [`LinkReport`].

use std::path::PathBuf;

use machine_host::local_socket::Stream;
use machine_protocol::link::LinkStatistics;
use machine_protocol::message::{AgentEvent, AgentRequest, Engine, Target};
use machine_protocol::secret::Secret;
use tokio::sync::mpsc;

use crate::machine::deadlines;

mod session;
mod thread;

pub use thread::spawn;

/// Where an agent can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A virtio-serial port whose host end is a unix socket served by the hypervisor.
    VirtioSerial {
        /// The socket.
        socket: PathBuf,
    },
}

impl Carrier {
    /// The carrier's name in the hello and in events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::VirtioSerial { .. } => "virtio-serial",
        }
    }
}

/// What a link needs to know.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Where the agent is reached.
    pub carrier: Carrier,
    /// What both ends must know.
    pub secret: Secret,
    /// This build, as told to the agent.
    pub build: String,
}

/// What the link's thread reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkReport {
    /// The agent proved itself.
    Up {
        /// The agent's build.
        agent: String,
    },
    /// A session ended.
    Down {
        /// Why.
        reason: String,
    },
    /// A hello was answered wrongly; the link goes on trying.
    Refused {
        /// Why, for the user.
        reason: String,
    },
    /// The agent reports.
    Agent(AgentEvent),
}

/// An order to the link's thread.
#[derive(Debug)]
enum Order {
    /// Serve this engine to the clients of this socket until the listener is replaced or dropped.
    Serve {
        socket: PathBuf,
        engine: Engine,
        opened: tokio::sync::oneshot::Sender<std::io::Result<()>>,
    },
    /// Stop serving and remove the socket.
    Unserve,
    /// The guest opened its end of the carrier: say hello.
    GuestOpened,
    /// The guest closed its end of the carrier: the session is over.
    GuestClosed,
    /// Send the agent a request.
    Ask(AgentRequest),
    /// Join a client to a target in the guest.
    Tunnel { stream: Stream, target: Target },
    /// Say what the link holds.
    Statistics(tokio::sync::oneshot::Sender<LinkStatistics>),
}

/// The owner's end of a link.
#[derive(Debug)]
pub struct LinkHandle {
    orders: mpsc::UnboundedSender<Order>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl LinkHandle {
    /// Serves `engine` to the clients of the unix socket at `socket`, which is made anew.
    pub async fn serve(&self, socket: PathBuf, engine: Engine) -> std::io::Result<()> {
        let (opened, answer) = tokio::sync::oneshot::channel();
        self.order(Order::Serve {
            socket,
            engine,
            opened,
        });
        answer
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("The link's thread has ended")))
    }

    /// Closes the API socket and removes it; open connections live until their ends close.
    pub fn unserve(&self) {
        self.order(Order::Unserve);
    }

    /// Tells the link that the guest opened its end of the carrier.
    pub fn guest_opened(&self) {
        self.order(Order::GuestOpened);
    }

    /// Tells the link that the guest closed its end of the carrier.
    pub fn guest_closed(&self) {
        self.order(Order::GuestClosed);
    }

    /// Sends the agent a request, if there is a link.
    pub fn ask(&self, request: AgentRequest) {
        self.order(Order::Ask(request));
    }

    /// Joins a connection to a target in the guest; without a link it is closed.
    pub fn tunnel(&self, stream: Stream, target: Target) {
        self.order(Order::Tunnel { stream, target });
    }

    /// What the link holds; nothing comes when there is none.
    pub fn statistics(&self) -> tokio::sync::oneshot::Receiver<LinkStatistics> {
        let (answer, receiver) = tokio::sync::oneshot::channel();
        self.order(Order::Statistics(answer));
        receiver
    }

    /// Ends the thread and waits, for a bounded time, until it has let go of its sockets.
    pub async fn close(self) {
        drop(self.orders);
        if tokio::time::timeout(deadlines::LINK_CLOSE.limit, self.ended)
            .await
            .is_err()
        {
            tracing::warn!("The link's thread does not end");
        }
    }

    fn order(&self, order: Order) {
        // The thread outlives this handle; if it died, its reports' channel is closed, which the owner sees.
        let _ = self.orders.send(order);
    }
}
