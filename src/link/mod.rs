//! The link to a machine's agent: carriers, the hello, and the thread that carries every stream.
//!
//! A machine's bytes are moved by one thread with a runtime of its own: the listeners, the copy loops and the mux
//! share it, so that a byte crosses no thread boundary and bulk traffic never delays the supervisor's decisions.
//! The owner task talks to it by [`LinkHandle`] and hears of it by [`LinkReport`].

use machine_host::local_socket::Stream;
use machine_protocol::link::LinkStatistics;
use machine_protocol::message::{AgentEvent, AgentReply, AgentRequest, Target};
use machine_protocol::publish::Port;
use machine_protocol::secret::Secret;
use machine_protocol::sockets::MissingSocket;
use tokio::sync::{mpsc, oneshot};

use crate::machine::deadlines;
use crate::network::publish::{MissingPort, OpenPort, PortNews, PublishConfig};
use crate::network::sockets::{Route, Unreachable};

mod awaited;
mod carrier;
mod choice;
mod dialled;
mod services;
mod session;
mod sockets;
mod started;
mod thread;

pub use carrier::{Carrier, CarrierProgram, VsockEnd, in_order};
pub use services::Place;
pub use thread::spawn;

/// What the agent replied, or why there is no reply.
pub type Answer = Result<AgentReply, String>;

/// What a link needs to know.
#[derive(Debug)]
pub struct LinkConfig {
    /// The ways to the agent, best first.
    pub carriers: Vec<Carrier>,
    /// What both ends must know.
    pub secret: Secret,
    /// This build, as told to the agent.
    pub build: String,
    /// What the guest's ports on this host depend on.
    pub ports: PublishConfig,
}

/// What the link's thread reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkReport {
    /// The agent proved itself over a carrier that is used from now on. Without a `Down` before it, the machine was
    /// never without a link.
    Up {
        /// The agent's build.
        agent: String,
        /// The carrier.
        carrier: &'static str,
    },
    /// The last session ended.
    Down {
        /// Why.
        reason: String,
    },
    /// A hello was answered wrongly; the link goes on trying.
    Refused {
        /// Why, for the user.
        reason: String,
        /// True when an agent answered that it will have nothing to do with this host.
        rejected: bool,
    },
    /// The agent reports.
    Agent(AgentEvent),
    /// Something happened to the guest's ports on this host.
    Port(PortNews),
    /// The agent of the link in use knows at which places it has to listen; or why it does not.
    SocketsTold {
        /// In one line.
        problem: Option<String>,
    },
    /// A socket of the host took no connection.
    SocketUnreachable(Unreachable),
}

/// An order to the link's thread.
#[derive(Debug)]
enum Order {
    /// Serve this target at this place, and report whether the place could be had.
    Serve {
        place: Place,
        target: Target,
        opened: oneshot::Sender<std::io::Result<()>>,
    },
    /// Stop serving and remove the sockets.
    Unserve,
    /// The guest opened its end of the carrier: say hello.
    GuestOpened,
    /// The guest closed its end of the carrier: the session is over.
    GuestClosed,
    /// The guest was reset: what it dialled is gone.
    GuestReset,
    /// Send the agent a request.
    Ask {
        request: AgentRequest,
        answer: oneshot::Sender<Answer>,
    },
    /// Join a client to a target in the guest.
    Tunnel { stream: Stream, target: Target },
    /// Open these ports for the machine's configuration, and no others.
    Configure {
        ports: Vec<Port>,
        done: oneshot::Sender<Vec<MissingPort>>,
    },
    /// Let the guest use these sockets of the host, and no others.
    Sockets {
        routes: Vec<Route>,
        done: oneshot::Sender<Vec<MissingSocket>>,
    },
    /// Let servers of the guest be ports of this host, or no more.
    ForwardListeners { on: bool, done: oneshot::Sender<()> },
    /// Say which ports are open.
    Ports(oneshot::Sender<Vec<OpenPort>>),
    /// Say what the link holds.
    Statistics(oneshot::Sender<LinkStatistics>),
}

/// The owner's end of a link.
#[derive(Debug)]
pub struct LinkHandle {
    orders: mpsc::UnboundedSender<Order>,
    ended: oneshot::Receiver<()>,
}

/// Asks the agent; it does not keep the link's thread alive.
#[derive(Clone, Debug)]
pub struct Asker {
    orders: mpsc::WeakUnboundedSender<Order>,
}

impl Asker {
    /// Sends the agent a request and waits for its reply, which a guest that stands still may never send.
    pub async fn ask(&self, request: AgentRequest) -> Answer {
        let (answer, reply) = oneshot::channel();
        let order = Order::Ask { request, answer };
        let sent = self
            .orders
            .upgrade()
            .is_some_and(|orders| orders.send(order).is_ok());
        let gone = || Err("the link has ended".to_owned());
        if !sent {
            return gone();
        }
        reply.await.unwrap_or_else(|_| gone())
    }
}

impl LinkHandle {
    /// Serves `target` to the clients of `place`. A socket that is served already leads new clients there from now on.
    pub async fn serve(&self, place: Place, target: Target) -> std::io::Result<()> {
        let (opened, answer) = oneshot::channel();
        self.order(Order::Serve {
            place,
            target,
            opened,
        });
        answer
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("The link's thread has ended")))
    }

    /// Closes all that is served and removes its sockets; open connections live until their ends close.
    pub fn unserve(&self) {
        self.order(Order::Unserve);
    }

    /// Tells the link that the guest opened its end of the virtio-serial port.
    pub fn guest_opened(&self) {
        self.order(Order::GuestOpened);
    }

    /// Tells the link that the guest closed its end of the virtio-serial port.
    pub fn guest_closed(&self) {
        self.order(Order::GuestClosed);
    }

    /// Tells the link that the guest was reset, of which a vsock may say nothing.
    pub fn guest_reset(&self) {
        self.order(Order::GuestReset);
    }

    /// Sends the agent a request without caring for its reply: its effect is an event.
    pub fn tell(&self, request: AgentRequest) {
        let (answer, _) = oneshot::channel();
        self.order(Order::Ask { request, answer });
    }

    /// Somebody who can ask the agent for as long as this handle lives.
    pub fn asker(&self) -> Asker {
        Asker {
            orders: self.orders.downgrade(),
        }
    }

    /// Joins a connection to a target in the guest; without a link it is closed.
    pub fn tunnel(&self, stream: Stream, target: Target) {
        self.order(Order::Tunnel { stream, target });
    }

    /// What the link holds; nothing comes when there is none.
    pub fn statistics(&self) -> oneshot::Receiver<LinkStatistics> {
        let (answer, receiver) = oneshot::channel();
        self.order(Order::Statistics(answer));
        receiver
    }

    /// Opens these ports for the machine's configuration, and closes what it had open before; ready when that is done,
    /// with those that cannot be had, which are reported, too.
    pub fn configure_ports(&self, ports: Vec<Port>) -> oneshot::Receiver<Vec<MissingPort>> {
        let (done, receiver) = oneshot::channel();
        self.order(Order::Configure { ports, done });
        receiver
    }

    /// Lets the guest use these sockets of the host and no others; ready when its agent has done its part, with those
    /// that it could not make. Without a link the agent is told when there is one.
    pub fn configure_sockets(&self, routes: Vec<Route>) -> oneshot::Receiver<Vec<MissingSocket>> {
        let (done, receiver) = oneshot::channel();
        self.order(Order::Sockets { routes, done });
        receiver
    }

    /// Lets servers of the guest be ports of this host as the guest tells of them, or closes all that are; ready when
    /// that is done. The guest has to be asked to tell.
    pub fn forward_listeners(&self, on: bool) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        self.order(Order::ForwardListeners { on, done });
        receiver
    }

    /// The guest's ports on this host.
    pub fn ports(&self) -> oneshot::Receiver<Vec<OpenPort>> {
        let (answer, receiver) = oneshot::channel();
        self.order(Order::Ports(answer));
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

#[cfg(test)]
mod tests;
