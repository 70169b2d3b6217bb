//! Published ports: the service by which the guest's engines ask for ports of the host.
//!
//! Podman posts one request for each port to `http://gateway.containers.internal/services/forwarder/`, as it does on
//! every machine of its own, where gvproxy answers. Here the agent does.
//!
//! * [`way`]: how that name leads to the agent, and the marker by which Podman knows that it does.
//! * [`http`]: what is answered.
//! * [`request`]: a port in gvproxy's words.
//! * [`table`]: which ports are published; kept where an agent that follows this one finds it.
//! * [`host`]: what the host is asked.
//!
//! Podman never asks again for what it has got. So the table is the agent's, and the host hears all of it with each
//! session.

mod host;
mod http;
mod request;
mod table;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::link::Link;
use machine_protocol::message::Part;
use machine_protocol::publish::{Port, Protocol, PublishReply, Wanted};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout_at};

use self::host::HostError;
use self::table::Table;
use super::guest::Guest;
use super::health;
use super::log::{log, log_error};
use super::paths::Paths;

/// Everything that one request may take: Podman waits for more than two minutes, and nobody else that long.
const ANSWER: Duration = Duration::from_secs(15);
/// The host's answer about servers of the guest, for which nobody waits: containers are in the queue behind it.
const LISTENERS_ANSWER: Duration = Duration::from_secs(5);
/// Where the service listens.
pub(super) const SERVICE_PORTS: RangeInclusive<u16> = way::PORTS;

/// What is published, and whether the host may think otherwise.
#[derive(Debug)]
pub(super) struct Published {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Table,
    boot: String,
    /// The number of the last request.
    number: u64,
    /// A request got no reply: it may have been carried out all the same.
    unclear: bool,
}

impl Published {
    /// What an agent of this boot left behind.
    pub(super) fn load(paths: &Paths, boot: &str) -> Self {
        let table = Table::load(&paths.published_ports(), boot);
        Self {
            state: Mutex::new(State {
                table,
                boot: boot.to_owned(),
                number: 0,
                unclear: false,
            }),
        }
    }
}

/// Why a port could not be had, in the one line that Podman shows its user.
type Refusal = String;

/// Answers engines for as long as the agent lives. A way that cannot be made yet, since file systems are not writable
/// early in a boot, is made once more when the boot is `over`.
pub(super) async fn serve(guest: Rc<Guest>, mut over: watch::Receiver<bool>) {
    let mut opened = way::open(&guest.paths).await;
    if let Err(problem) = &opened {
        log(problem);
        way::close(&guest.paths);
        // The end of its sender is as good.
        let _ = over.wait_for(|over| *over).await;
        opened = way::open(&guest.paths).await;
    }
    match opened {
        Ok(listener) => {
            health::tell(&guest, Part::Ports, None);
            http::serve(listener, guest).await;
        }
        Err(problem) => {
            way::close(&guest.paths);
            let problem = format!("containers cannot publish ports: {problem}");
            health::tell(&guest, Part::Ports, Some(problem));
        }
    }
}

/// Tells a host that has just come what is published.
pub(super) async fn introduce(link: Link, guest: Rc<Guest>) {
    let mut state = guest.published.state.lock().await;
    let ports = state.table.ports();
    let request = state.request(Wanted::Sync(ports));
    match host::ask(&link, &request, Instant::now() + ANSWER).await {
        Ok(PublishReply::Synced { missing: 0 } | PublishReply::Done) => {}
        Ok(PublishReply::Synced { missing }) => {
            log(&format!(
                "The host could not open {missing} published ports"
            ));
        }
        Ok(PublishReply::Failed { reason }) => {
            log(&format!("The host did not take the ports: {reason}"));
        }
        // Where the session is over, the next one begins with this.
        Err(error) => log_error("The host does not know which ports are published", &error),
    }
}

/// Tells the host which servers the guest has, if that is not what it was `told` last. `choose` gets the ports of the
/// guest that belong to containers that publish them. A host that does not answer is told with the next look.
pub(super) async fn tell_listeners(
    guest: &Guest,
    protocol: Protocol,
    choose: impl FnOnce(BTreeSet<u16>) -> Vec<u16>,
    told: &mut BTreeMap<Protocol, Vec<u16>>,
) {
    let mut state = guest.published.state.lock().await;
    let published = state.table.ports().into_iter();
    let published = published.filter(|port| port.protocol == protocol);
    let ports = choose(published.map(|port| port.guest_port).collect());
    if told.get(&protocol) == Some(&ports) {
        return;
    }
    let wanted = match protocol {
        Protocol::Tcp => Wanted::Listeners(ports.clone()),
        Protocol::Udp => Wanted::UdpListeners(ports.clone()),
    };
    let request = state.request(wanted);
    match host::ask_any(guest, &request, Instant::now() + LISTENERS_ANSWER).await {
        Ok(PublishReply::Done | PublishReply::Synced { .. }) => {}
        Ok(PublishReply::Failed { reason }) => {
            log(&format!("The host did not take the servers: {reason}"));
        }
        Err(HostError::NoLink | HostError::Silent | HostError::Broken(_)) => return,
    }
    told.insert(protocol, ports);
}

/// Publishes a port, which leads to the guest's when this returns. `local` is the caller's own form of it.
async fn expose(guest: &Guest, local: &str, port: Port) -> Result<(), Refusal> {
    let deadline = Instant::now() + ANSWER;
    let Ok(mut state) = timeout_at(deadline, guest.published.state.lock()).await else {
        return Err(busy());
    };
    state.table.check(&port)?;
    state.ask(guest, Wanted::Expose(port), deadline).await?;
    state.table.insert(local.to_owned(), port);
    if let Err(error) = state.save(&guest.paths) {
        state.table.remove(&port);
        // The next agent would not know of it, so it must not be.
        let _ = state.ask(guest, Wanted::Unexpose(port), deadline).await;
        return Err(format!("the machine could not note the port: {error}"));
    }
    Ok(())
}

/// Gives a port back; one that is not published is given back already. Without a host to be told it counts as well: the
/// next one hears that it is not published.
async fn unexpose(guest: &Guest, port: Port) -> Result<(), Refusal> {
    let deadline = Instant::now() + ANSWER;
    let Ok(mut state) = timeout_at(deadline, guest.published.state.lock()).await else {
        return Err(busy());
    };
    let Some(port) = state.table.remove(&port) else {
        return Ok(());
    };
    if let Err(error) = state.save(&guest.paths) {
        log_error("The published ports cannot be noted", &error);
    }
    if let Err(refusal) = state.ask(guest, Wanted::Unexpose(port), deadline).await {
        log(&format!(
            "The host was not told that {port} is free: {refusal}"
        ));
    }
    Ok(())
}

fn busy() -> Refusal {
    "the machine is busy with other ports: try again".to_owned()
}

impl State {
    fn request(&mut self, wanted: Wanted) -> machine_protocol::publish::PublishRequest {
        // Time goes on when an agent ends, so the numbers of the next are higher, though nothing is kept for that.
        self.number = host::number_after(self.number);
        machine_protocol::publish::PublishRequest {
            boot: self.boot.clone(),
            number: self.number,
            wanted,
        }
    }

    fn save(&self, paths: &Paths) -> std::io::Result<()> {
        self.table.save(&paths.published_ports(), &self.boot)
    }

    async fn ask(
        &mut self,
        guest: &Guest,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        if self.unclear {
            let ports = self.table.ports();
            let request = self.request(Wanted::Sync(ports));
            self.unclear = host::ask_any(guest, &request, deadline).await.is_err();
        }
        let request = self.request(wanted);
        // Also when the caller goes away meanwhile.
        self.unclear = true;
        let answer = host::ask_any(guest, &request, deadline).await;
        self.unclear = matches!(answer, Err(HostError::Silent | HostError::Broken(_)));
        match answer {
            Ok(PublishReply::Failed { reason }) => Err(reason),
            Ok(PublishReply::Done | PublishReply::Synced { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
