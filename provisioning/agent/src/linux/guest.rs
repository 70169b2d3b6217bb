//! What all parts of the agent know of the guest, and the sessions that there are with its host.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::boot::BootParameters;
use machine_protocol::link::Link;
use machine_protocol::message::Engine;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::events::Events;
use super::listeners::Listeners;
use super::log::log;
use super::paths::{Paths, chosen_engine};
use super::publish::Published;
use super::shares::touch::Touching;
use super::sockets::Sockets;

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
    /// Folders of which changes are being told.
    pub(super) touching: Touching,
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
            touching: Touching::default(),
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

    /// Whether no session is to begin any more.
    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Ready once no session is to begin any more.
    pub(super) async fn closed(&self) {
        // The sender is this value's own, so it is never gone.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Ready when the next session begins.
    pub(super) async fn host_is_there(&self) {
        self.host_is_there.notified().await;
    }

    /// A session begins over a carrier. Returns its number, and what tells it that the host has lost it.
    pub(super) fn enter(&self, carrier: &str, link: &Link) -> (u64, Rc<Notify>) {
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

    /// A session is over.
    pub(super) fn leave(&self, number: u64) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|session| session.number != number);
    }
}
