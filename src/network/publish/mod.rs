//! Published ports: listeners of the host that lead to ports of the guest's loopback.
//!
//! The guest's agent asks for the ports of containers ([`Publisher::answer`]), over any of the link's sessions; the
//! machine's own configuration asks for others ([`Publisher::configure`]). [`table`] decides what may be open; here it is
//! done. All of it lives on the link's thread, beside the mux: a byte crosses no thread.
//!
//! A guest is hostile: it may ask for any port at any rate. It gets at most so many, at addresses where the host's user
//! allows them, and leads clients nowhere but to itself.

mod datagrams;
mod listen;
mod listeners;
mod pace;
mod table;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use machine_protocol::link::{Incoming, Link, ResetCode};
use machine_protocol::message::{self, LineBuffer, Target};
use machine_protocol::publish::{MAX_LINE, Port, Protocol, PublishReply, PublishRequest, Wanted};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use self::listen::Unavailable;
use self::listeners::Forwarding;
use self::pace::Pace;
use self::table::{Key, Places, Step, Table};
use crate::forward::{self, Listener};
use crate::machine::deadlines;
pub use crate::machine::ports::{PortOwner as Owner, PortScope as Scope};

/// Requests of the guest that are read at a time. The agent has one under way, for each session one more.
const REQUESTS: usize = 8;
/// Of the ports of one request that cannot be opened, so many are told of.
const TOLD: usize = 16;

/// A port that should be open and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPort {
    /// Which.
    #[serde(flatten)]
    pub port: Port,
    /// Why, in one line.
    pub reason: String,
}

/// A port that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPort {
    /// Whose it is.
    pub owner: Owner,
    /// Which, and where it leads.
    #[serde(flatten)]
    pub port: Port,
}

/// What happens to ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortNews {
    /// One listens.
    Opened(OpenPort),
    /// One listens no more.
    Closed(OpenPort),
    /// One that should listen does not.
    Missing(MissingPort),
    /// More happened in a short time than is told one by one.
    LeftOut {
        /// How much.
        count: u64,
    },
}

/// Knows who has a port of the host, besides this machine.
#[async_trait]
pub trait Neighbours: fmt::Debug + Send + Sync {
    /// In words that complete "in use by"; `None` where it cannot be found out.
    async fn holder(&self, port: &Port) -> Option<String>;
}

/// What a machine's ports depend on.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// Where they may listen.
    pub scope: Scope,
    /// Who else may have one.
    pub neighbours: Arc<dyn Neighbours>,
}

const STOPPING: &str = "the machine is stopping";

type Tell = Box<dyn Fn(PortNews) + Send + Sync>;

/// The ports of one machine.
pub struct Publisher {
    link: watch::Receiver<Option<Link>>,
    neighbours: Arc<dyn Neighbours>,
    tell: Tell,
    reading: AtomicUsize,
    /// Held by the request that is carried out, whoever's it is: one that waits to learn who has a port must not go on
    /// after a later one.
    turn: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    table: Table,
    listening: BTreeMap<Key, Vec<JoinHandle<()>>>,
    forwarding: Forwarding,
    pace: Pace,
    closed: bool,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Ports that lead over the present link; `tell` hears what happens to them.
    pub fn new(
        config: PublishConfig,
        link: watch::Receiver<Option<Link>>,
        tell: impl Fn(PortNews) + Send + Sync + 'static,
    ) -> Self {
        Self {
            link,
            neighbours: config.neighbours,
            tell: Box::new(tell),
            reading: AtomicUsize::new(0),
            turn: Mutex::new(()),
            state: Mutex::new(State {
                table: Table::new(config.scope),
                listening: BTreeMap::new(),
                forwarding: Forwarding::default(),
                pace: Pace::default(),
                closed: false,
            }),
        }
    }

    /// Reads a request of the guest and answers it.
    pub async fn answer(&self, incoming: Incoming) {
        if self.reading.fetch_add(1, Ordering::Relaxed) >= REQUESTS {
            incoming.refuse_with(ResetCode::Refused, "Too many requests for ports");
        } else if let Err(error) = self.read_and_answer(incoming).await {
            tracing::info!(error, "A request for a port was not answered");
        }
        self.reading.fetch_sub(1, Ordering::Relaxed);
    }

    async fn read_and_answer(&self, incoming: Incoming) -> Result<(), String> {
        let (mut from, mut to) = incoming.accept().into_split();
        let reading = async {
            let mut lines = LineBuffer::with_limit(MAX_LINE);
            while let Some(bytes) = from.read().await.map_err(|error| error.to_string())? {
                lines.push(&bytes);
                if let Some(request) = lines.next_message().map_err(|error| error.to_string())? {
                    return Ok::<PublishRequest, String>(request);
                }
            }
            Err("it has no end".to_owned())
        };
        let limit = deadlines::PUBLISH_REQUEST.limit;
        let request = tokio::time::timeout(limit, reading)
            .await
            .map_err(|_| "it did not come to its end".to_owned())??;
        let reply = self.carry_out(request).await;
        let line = message::to_line(&reply).map_err(|error| error.to_string())?;
        to.write_all(&line)
            .await
            .map_err(|error| error.to_string())?;
        to.finish();
        Ok(())
    }

    async fn carry_out(&self, request: PublishRequest) -> PublishReply {
        let _turn = self.turn.lock().await;
        let is_news = {
            let mut state = self.state.lock().await;
            state.table.is_news(&request.boot, request.number)
        };
        if !is_news {
            let reason = "the request is out of date".to_owned();
            return PublishReply::Failed { reason };
        }
        match request.wanted {
            Wanted::Expose(port) => match self.open(port, Owner::Container).await {
                Ok(()) => PublishReply::Done,
                Err(reason) => PublishReply::Failed { reason },
            },
            Wanted::Unexpose(port) => {
                self.close_port(&port, Owner::Container).await;
                PublishReply::Done
            }
            Wanted::Sync(ports) => {
                let missing = self.set(Owner::Container, &ports).await;
                PublishReply::Synced {
                    missing: missing.len(),
                }
            }
            Wanted::Listeners(ports) => PublishReply::Synced {
                missing: self.set_listeners(Protocol::Tcp, &ports).await,
            },
            Wanted::UdpListeners(ports) => PublishReply::Synced {
                missing: self.set_listeners(Protocol::Udp, &ports).await,
            },
        }
    }

    /// Opens these ports for the machine's configuration, and closes what it wanted before; those that cannot be had.
    pub async fn configure(&self, ports: &[Port]) -> Vec<MissingPort> {
        let _turn = self.turn.lock().await;
        self.set(Owner::Configured, ports).await
    }

    /// Has exactly these open for an owner, as far as they can be had; those that cannot.
    async fn set(&self, owner: Owner, ports: &[Port]) -> Vec<MissingPort> {
        let unwanted = self.state.lock().await.table.unwanted(owner, ports);
        for port in unwanted {
            self.close_port(&port, owner).await;
        }
        let mut missing = Vec::new();
        for port in ports {
            if let Err(reason) = self.open(*port, owner).await {
                let port = *port;
                missing.push(MissingPort { port, reason });
            }
        }
        for told in missing.iter().take(TOLD) {
            (self.tell)(PortNews::Missing(told.clone()));
        }
        missing
    }

    /// Opens a port, which listens when this returns.
    async fn open(&self, port: Port, owner: Owner) -> Result<(), String> {
        let failure = {
            let mut state = self.state.lock().await;
            if state.closed {
                return Err(STOPPING.to_owned());
            }
            let places = match state.table.check(&port, owner) {
                Ok(Step::Nothing) => return Ok(()),
                Ok(Step::Open(places)) => places,
                Err(refusal) => return Err(words::refused(&port, refusal)),
            };
            let yielding = state.table.yielding(&port);
            for listener in &yielding {
                self.end(&mut state, listener, Owner::Listener).await;
            }
            match self.begin(&mut state, port, owner, &places) {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    for listener in yielding {
                        self.begin_again(&mut state, listener);
                    }
                    failure
                }
            }
        };
        let holder = if failure.error.kind() == ErrorKind::AddrInUse {
            let holder = self.neighbours.holder(&port);
            let limit = deadlines::PORT_HOLDER.limit;
            tokio::time::timeout(limit, holder).await.unwrap_or(None)
        } else {
            None
        };
        Err(words::unavailable(&port, &failure, holder.as_deref()))
    }

    /// Listens, and notes and tells it.
    fn begin(
        &self,
        state: &mut State,
        port: Port,
        owner: Owner,
        places: &Places,
    ) -> Result<(), Unavailable> {
        let tasks = self.listen(&port, places)?;
        let key = state.table.insert(port, owner);
        state.listening.insert(key, tasks);
        self.tell(state, PortNews::Opened(OpenPort { owner, port }));
        Ok(())
    }

    fn listen(&self, port: &Port, places: &Places) -> Result<Vec<JoinHandle<()>>, Unavailable> {
        let link = || self.link.clone();
        Ok(match port.protocol {
            Protocol::Tcp => {
                let serve = |listener| {
                    let (_, target) = watch::channel(Target::Port {
                        protocol: port.protocol,
                        port: port.guest_port,
                    });
                    tokio::spawn(forward::serve(Listener::Tcp(listener), target, link()))
                };
                listen::tcp(places)?.into_iter().map(serve).collect()
            }
            Protocol::Udp => {
                let serve =
                    |socket| tokio::spawn(datagrams::serve(socket, port.guest_port, link()));
                listen::udp(places)?.into_iter().map(serve).collect()
            }
        })
    }

    /// Closes a port; TCP clients that are connected stay so until their ends close. It can be opened again at once.
    async fn close_port(&self, port: &Port, owner: Owner) {
        let mut state = self.state.lock().await;
        self.end(&mut state, port, owner).await;
    }

    async fn end(&self, state: &mut State, port: &Port, owner: Owner) {
        let Some((key, port)) = state.table.remove(port, owner) else {
            return;
        };
        let tasks = state.listening.remove(&key).unwrap_or_default();
        end(tasks).await;
        self.tell(state, PortNews::Closed(OpenPort { owner, port }));
    }

    /// What is open.
    pub async fn list(&self) -> Vec<OpenPort> {
        let entries = self.state.lock().await.table.entries();
        let ports = entries.into_iter().map(|entry| OpenPort {
            owner: entry.owner,
            port: entry.port,
        });
        ports.collect()
    }

    /// Closes all of it for good.
    pub async fn close(&self) {
        let mut state = self.state.lock().await;
        state.closed = true;
        for entry in state.table.entries() {
            self.end(&mut state, &entry.port, entry.owner).await;
        }
    }

    fn tell(&self, state: &mut State, news: PortNews) {
        let (told, left_out) = state.pace.step(tokio::time::Instant::now());
        if let Some(count) = left_out {
            (self.tell)(PortNews::LeftOut { count });
        }
        if told {
            (self.tell)(news);
        }
    }
}

/// A listener goes with its task, which is over when it was waited for.
async fn end(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
}

/// What tests of others need.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Nobody has a port.
    #[derive(Debug)]
    pub(crate) struct Nobody;

    #[async_trait]
    impl Neighbours for Nobody {
        async fn holder(&self, _port: &Port) -> Option<String> {
            None
        }
    }

    pub(crate) fn config() -> PublishConfig {
        PublishConfig {
            scope: Scope::All,
            neighbours: Arc::new(Nobody),
        }
    }
}

#[cfg(test)]
mod tests;
