//! Servers of the guest: which ports of its loopback have one, for a host that wants to hear of it.
//!
//! * [`diag`]: asking the kernel, and hearing of sockets that are closed.
//! * [`wire`]: the kernel's messages.
//! * [`choice`]: which servers the host is told of.
//!
//! The host asks with each of its links, and is then told all of it once, and again when it changes. A server that ends
//! is an event. For one that begins the kernel has none short of a program in the kernel (BPF), which needs what not
//! every kernel has: so the kernel is asked once in [`LOOK`], which costs it microseconds, for it keeps a list of
//! listeners alone. A host that does not ask costs nothing.

mod choice;
mod diag;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use machine_protocol::publish::Protocol;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use self::choice::Own;
use self::diag::Closed;
use super::guest::Guest;
use super::log::log_error;
use super::publish;

/// The time between two looks. Who starts a server and opens a browser takes as long.
const LOOK: Duration = Duration::from_secs(1);
/// Between a look and one for a server that ended: they may end by the thousand.
const BREATH: Duration = Duration::from_millis(100);

/// Whether the host wants to hear of servers.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    wish: watch::Sender<Wish>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    on: bool,
    /// Counts the host's requests: with each it is told all of it.
    requests: u64,
}

impl Listeners {
    /// Takes the host's wish.
    pub(super) fn watch(&self, on: bool) {
        self.wish.send_modify(|wish| {
            wish.on = on;
            wish.requests += 1;
        });
    }
}

/// Tells the host for as long as the agent lives, whenever it wants to hear.
pub(super) async fn serve(guest: &Guest) {
    let mut wish = guest.listeners.wish.subscribe();
    // The sender is the guest's own, so it is never gone.
    while wish.wait_for(|wish| wish.on).await.is_ok() {
        watch_on(guest, &mut wish).await;
    }
}

/// Until the host wants to hear no more.
async fn watch_on(guest: &Guest, wish: &mut watch::Receiver<Wish>) {
    let mut closed = Closed::listen()
        .inspect_err(|error| log_error("The end of servers is not heard of at once", error))
        .ok();
    let mut looks = interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut teller = Teller::default();
    loop {
        let now = *wish.borrow_and_update();
        if !now.on {
            return;
        }
        teller.look(guest, now.requests).await;
        let soonest = Instant::now() + BREATH;
        tokio::select! {
            _ = wish.changed() => {}
            _ = looks.tick() => {}
            () = ended(&mut closed, soonest) => {}
        }
    }
}

/// Ready when a server may have ended, not before `soonest`.
async fn ended(closed: &mut Option<Closed>, soonest: Instant) {
    sleep_until(soonest).await;
    if let Some(heard) = closed {
        match heard.wait().await {
            Ok(()) => return,
            Err(error) => log_error("The end of servers is not heard of any more", &error),
        }
        *closed = None;
    }
    std::future::pending::<()>().await;
}

/// What the host knows.
#[derive(Debug, Default)]
struct Teller {
    request: u64,
    told: BTreeMap<Protocol, Vec<u16>>,
    complained: bool,
}

impl Teller {
    /// Tells the host what has changed, and all of it when this is another request of the host's.
    async fn look(&mut self, guest: &Guest, request: u64) {
        if request != self.request {
            self.request = request;
            self.told.clear();
        }
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            self.look_for(guest, protocol).await;
        }
    }

    async fn look_for(&mut self, guest: &Guest, protocol: Protocol) {
        let asking = move || Ok((diag::listening(protocol)?, diag::client_ports()));
        let asked = tokio::task::spawn_blocking(asking).await;
        let (listening, clients) =
            match asked.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                Ok(found) => found,
                Err(error) => {
                    if !std::mem::replace(&mut self.complained, true) {
                        log_error("The guest's servers are not known", &error);
                    }
                    return;
                }
            };
        let choose = |published| {
            let own = Own {
                ssh: guest.ssh_server.port(),
                agent: publish::SERVICE_PORTS,
                clients,
                published,
            };
            choice::told(protocol, &listening, &own)
        };
        publish::tell_listeners(guest, protocol, choose, &mut self.told).await;
    }
}
