//! Sessions: one link each, from its hello to its end, on each carrier one after the other for as long as the agent
//! lives. Carriers do not know of each other; the host chooses which of its links it uses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::boot::BootParameters;
use machine_protocol::link::{Hello, Link, LinkError, Role, accept};
use machine_protocol::message::{self, Engine, Target};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BUILD;
use super::carrier::{Carrier, CarrierError, CarrierStream};
use super::events::Events;
use super::listeners::Listeners;
use super::log::{chain, log, log_error};
use super::paths::{Paths, chosen_engine};
use super::publish::{self, Published};
use super::sockets::Sockets;
use super::targets;

/// The wait after the first failure to reach the host over a carrier; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest. A session on another carrier ends it, for then the host is there.
const LAST_RETRY: Duration = Duration::from_mins(1);
/// A session that is younger cannot be the one that the host says it has lost.
const FRESH: Duration = Duration::from_secs(1);

/// What all parts of the agent know.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) boot: BootParameters,
    pub(super) paths: Paths,
    pub(super) events: Events,
    /// The ports of the host that containers have.
    pub(super) published: Published,
    /// Whether the host wants to hear of servers of the guest.
    pub(super) listeners: Listeners,
    /// Where the guest's SSH server listens.
    pub(super) ssh_server: SocketAddr,
    /// The engine of the machine's mode. It may change while the guest runs.
    engine: Cell<Engine>,
    /// The links of the present sessions.
    sessions: RefCell<Vec<Session>>,
    next_session: Cell<u64>,
    /// Told when a session begins.
    host_is_there: Notify,
    closing: watch::Sender<bool>,
    facts_applied: watch::Sender<bool>,
    /// Places of folders that the host has lost; held while folders are mounted or given up.
    pub(super) lost_shares: tokio::sync::Mutex<BTreeSet<String>>,
    /// The sockets of the host.
    pub(super) sockets: Sockets,
}

#[derive(Debug)]
struct Session {
    number: u64,
    carrier: String,
    link: Link,
    begun: Instant,
    lost: Rc<Notify>,
}

impl Guest {
    pub(super) fn new(
        boot: BootParameters,
        paths: Paths,
        events: Events,
        published: Published,
        ssh_port: u16,
    ) -> Self {
        Self {
            engine: Cell::new(chosen_engine(boot.rootful)),
            boot,
            paths,
            events,
            published,
            listeners: Listeners::default(),
            ssh_server: SocketAddr::from((Ipv4Addr::LOCALHOST, ssh_port)),
            sessions: RefCell::default(),
            next_session: Cell::new(0),
            host_is_there: Notify::new(),
            closing: watch::Sender::new(false),
            facts_applied: watch::Sender::new(false),
            lost_shares: tokio::sync::Mutex::default(),
            sockets: Sockets::default(),
        }
    }

    /// The engine of the machine's mode.
    pub(super) fn engine(&self) -> Engine {
        self.engine.get()
    }

    /// Lets another engine be the machine's.
    pub(super) fn choose(&self, engine: Engine) {
        self.engine.set(engine);
    }

    /// The facts of the host are applied, as far as they can be.
    pub(super) fn set_facts_applied(&self) {
        self.facts_applied.send_replace(true);
    }

    /// Ready once they are. Before, no engine may be asked anything: the question starts it, and what is applied later
    /// ends it again.
    pub(super) async fn facts_applied(&self) {
        // The sender is this value's own, so it is never gone.
        let _ = self
            .facts_applied
            .subscribe()
            .wait_for(|applied| *applied)
            .await;
    }

    /// Ends the present sessions in good order, and has none follow. `false` if there is none.
    pub(super) fn close(&self) -> bool {
        self.closing.send_replace(true);
        let sessions = self.sessions.borrow();
        for session in &*sessions {
            session.link.close_with("The agent was asked to end");
        }
        !sessions.is_empty()
    }

    /// The links of the present sessions, the newest first.
    pub(super) fn links(&self) -> Vec<Link> {
        let sessions = self.sessions.borrow();
        let links = sessions.iter().rev().map(|session| session.link.clone());
        links.collect()
    }

    /// Ends the session over this carrier, whose other end the host has lost.
    pub(super) fn lose(&self, carrier: &str) {
        for session in &*self.sessions.borrow() {
            if session.carrier == carrier && session.begun.elapsed() >= FRESH {
                log(&format!("The host has lost the carrier {carrier}"));
                session.lost.notify_one();
            }
        }
    }

    /// Ready once no session is to begin any more.
    async fn closed(&self) {
        // The sender is this value's own, so it is never gone.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    fn enter(&self, carrier: &str, link: &Link) -> (u64, Rc<Notify>) {
        let number = self.next_session.replace(self.next_session.get() + 1);
        let lost = Rc::new(Notify::new());
        self.sessions.borrow_mut().push(Session {
            number,
            carrier: carrier.to_owned(),
            link: link.clone(),
            begun: Instant::now(),
            lost: Rc::clone(&lost),
        });
        self.host_is_there.notify_waiters();
        (number, lost)
    }

    fn leave(&self, number: u64) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|session| session.number != number);
    }
}

/// Serves the host over all carriers until [`Guest::close`]. One that fails does not disturb the others and is tried
/// again; the only one ends the agent, which systemd starts again.
pub(super) async fn serve(carriers: Vec<Carrier>, guest: Rc<Guest>) -> Result<(), CarrierError> {
    let alone = carriers.len() == 1;
    let mut serving = JoinSet::new();
    for carrier in carriers {
        serving.spawn_local(serve_one(carrier, Rc::clone(&guest), alone));
    }
    while let Some(ended) = serving.join_next().await {
        match ended {
            Ok(served) => served?,
            Err(error) => log_error("A carrier is not served any more", &error),
        }
    }
    Ok(())
}

/// Whatever ends a session, the carrier is closed and opened again: that is how the host learns that a new hello is
/// wanted.
async fn serve_one(carrier: Carrier, guest: Rc<Guest>, alone: bool) -> Result<(), CarrierError> {
    let mut patience = Patience::default();
    while !*guest.closing.borrow() {
        let opened = tokio::select! {
            opened = carrier.open() => opened,
            () = guest.closed() => break,
        };
        let retry = match opened {
            Ok(stream) => {
                let (began, error) = session(stream, &carrier, &guest).await;
                patience.session(began, &error);
                !carrier.waits()
            }
            Err(error) if alone => return Err(error),
            Err(error) => {
                patience.failed(&error);
                true
            }
        };
        if retry && !alone {
            let news = async {
                tokio::select! {
                    () = guest.host_is_there.notified() => {}
                    () = guest.closed() => {}
                }
            };
            let _ = tokio::time::timeout(patience.next(), news).await;
        }
    }
    Ok(())
}

/// How long a carrier is left alone after a failure, and which failures were told already.
#[derive(Debug, Default)]
struct Patience {
    wait: Duration,
    told: String,
}

impl Patience {
    /// A session ended; `began` if it was one.
    fn session(&mut self, began: bool, error: &LinkError) {
        if began {
            *self = Self::default();
            log_error("The session ended", error);
        } else {
            self.failed(error);
        }
    }

    fn failed(&mut self, error: &dyn std::error::Error) {
        let text = chain(error);
        if text != self.told {
            log_error("There is no session over a carrier", error);
            self.told = text;
        }
    }

    fn next(&mut self) -> Duration {
        self.wait = (self.wait * 2).clamp(FIRST_RETRY, LAST_RETRY);
        self.wait
    }
}

/// One session; says whether the hello was completed, and what ended it.
async fn session(stream: CarrierStream, carrier: &Carrier, guest: &Rc<Guest>) -> (bool, LinkError) {
    let name = carrier.name().into_owned();
    let hello = Hello {
        role: Role::Guest,
        secret: guest.boot.secret.clone(),
        build: BUILD.to_owned(),
        carrier: name.clone(),
    };
    let accepted = tokio::select! {
        accepted = accept(stream, &hello) => accepted,
        () = guest.closed() => Err(LinkError::Closed),
    };
    let (link, driver) = match accepted {
        Ok(both) => both,
        Err(error) => return (false, error),
    };
    log(&format!(
        "A session with host {} over {name}",
        link.peer().build
    ));
    let (number, lost) = guest.enter(&name, &link);

    // All that serves this session ends with it.
    let mut tasks = JoinSet::new();
    tasks.spawn_local(tell(link.clone(), Rc::clone(guest)));
    tasks.spawn_local(publish::introduce(link.clone(), Rc::clone(guest)));
    let mut driver = pin!(driver.run());
    let error = loop {
        tokio::select! {
            error = &mut driver => break error,
            () = lost.notified() => break LinkError::Lost,
            incoming = link.incoming() => match incoming {
                Some(incoming) => {
                    tasks.spawn_local(targets::serve(incoming, link.clone(), Rc::clone(guest)));
                }
                None => break driver.await,
            },
            Some(_) = tasks.join_next() => {}
        }
    };
    guest.leave(number);
    (true, error)
}

/// Tells the host the state of the guest, and every change.
async fn tell(link: Link, guest: Rc<Guest>) {
    let stream = match link.open(&Target::AgentEvents) {
        Ok(stream) => stream,
        Err(error) => return log_error("The host cannot be told", &error),
    };
    let (_answers, mut lines) = stream.into_split();
    let mut listener = guest.events.listen();
    while let Some(news) = listener.news().await {
        for event in news {
            let sent = match message::to_line(&event) {
                Ok(line) => lines.write_all(&line).await,
                Err(error) => {
                    log_error("An event cannot be told", &error);
                    continue;
                }
            };
            if let Err(error) = sent {
                return log_error("The host listens no more", &error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_to_its_limit_and_begins_anew_after_a_session() {
        let mut patience = Patience::default();
        let waits: Vec<Duration> = (0..12).map(|_| patience.next()).collect();
        assert_eq!(waits[..3], [1, 2, 4].map(|times| FIRST_RETRY * times));
        assert_eq!(waits[11], LAST_RETRY);
        patience.session(false, &LinkError::Eof);
        assert_eq!(patience.next(), LAST_RETRY, "no session, no hope");
        patience.session(true, &LinkError::Eof);
        assert_eq!(patience.next(), FIRST_RETRY);
    }
}
