//! One session over one carrier, from its hello to its end, and what all sessions of a link have in common.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use machine_protocol::link::{self, Hello, Incoming, Link, LinkDriver, LinkError, ResetCode, Role};
use machine_protocol::message::{self, AgentEvent, AgentReply, AgentRequest, LineBuffer, Target};
use machine_protocol::secret::Secret;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::carrier::Io;
use super::choice::Choice;
use super::{Answer, LinkReport};
use crate::network::publish::Publisher;
use crate::network::sockets::HostSockets;

/// An agent's report longer than this is no report.
const REPORT_LIMIT: usize = 64 * 1024;

/// What answers the streams that the guest opens, over whatever carrier.
#[derive(Clone, Debug)]
pub(super) struct GuestServices {
    /// Its requests for ports.
    pub(super) publisher: Arc<Publisher>,
    /// Its clients of the host's sockets.
    pub(super) sockets: Arc<HostSockets>,
}

/// What a link's carriers share: the choice among their sessions, and who is told of it.
pub(super) struct Hub {
    secret: Secret,
    build: String,
    choice: Mutex<Choice<Link>>,
    publish: watch::Sender<Option<Link>>,
    guest: GuestServices,
    reports: mpsc::UnboundedSender<LinkReport>,
}

impl Hub {
    /// `publish` will always hold the link in use, or nothing. `guest` answers what the guest asks over any session.
    pub(super) fn new(
        (secret, build): (Secret, String),
        carriers: impl IntoIterator<Item = &'static str>,
        publish: watch::Sender<Option<Link>>,
        guest: GuestServices,
        reports: mpsc::UnboundedSender<LinkReport>,
    ) -> Self {
        Self {
            secret,
            build,
            choice: Mutex::new(Choice::new(carriers)),
            publish,
            guest,
            reports,
        }
    }

    /// Says hello over a new stream. `again` has it said anew.
    pub(super) async fn hello<S: Io>(
        &self,
        carrier: usize,
        stream: S,
        again: &Notify,
    ) -> Result<(Link, LinkDriver<S>), LinkError> {
        let hello = Hello {
            role: Role::Host,
            secret: self.secret.clone(),
            build: self.build.clone(),
            carrier: self.name(carrier).to_owned(),
        };
        link::connect(stream, &hello, again).await
    }

    /// Runs a session to its end, and says why it ended. The caller says that it is [down](Self::down).
    pub(super) async fn run<S: Io>(
        self: &Arc<Self>,
        carrier: usize,
        link: Link,
        driver: LinkDriver<S>,
    ) -> String {
        self.up(carrier, &link);
        let events = accept_streams(Arc::clone(self), carrier, link);
        tokio::select! {
            error = driver.run() => error.to_string(),
            () = events => "the link closed".to_owned(),
        }
    }

    fn up(&self, carrier: usize, link: &Link) {
        let agent = link.peer().build.clone();
        self.change(|choice| choice.up(carrier, link.clone(), agent));
    }

    /// The carrier has no session any more, if it had one. Another session takes over, and its agent hears of the loss.
    pub(super) fn down(&self, carrier: usize, reason: &str) {
        let mut there = false;
        self.change(|choice| {
            there = choice.has(carrier);
            choice.down(carrier, reason)
        });
        if !there {
            return;
        }
        tracing::info!(carrier = self.name(carrier), reason, "A session ended");
        let Some(link) = self.publish.borrow().clone() else {
            return;
        };
        let carrier = self.name(carrier).to_owned();
        tokio::spawn(async move {
            let request = AgentRequest::CarrierLost { carrier };
            if let Err(error) = ask(&link, &request).await {
                tracing::debug!(%error, "The agent was not told of a lost carrier");
            }
        });
    }

    /// There is no session over a carrier, and the user should know why if it stays like this.
    pub(super) fn refused(&self, reason: String, rejected: bool) {
        self.report(LinkReport::Refused { reason, rejected });
    }

    /// Whether nobody hears reports any more.
    pub(super) fn is_over(&self) -> bool {
        self.reports.is_closed()
    }

    fn name(&self, carrier: usize) -> &'static str {
        self.choice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .name(carrier)
    }

    fn change(&self, change: impl FnOnce(&mut Choice<Link>) -> Vec<LinkReport>) {
        let mut choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = change(&mut choice);
        if !reports.is_empty() {
            self.publish.send_replace(choice.link());
        }
        for report in reports {
            self.report(report);
        }
    }

    fn told(&self, carrier: usize, event: AgentEvent) {
        let mut choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = choice.told(carrier, event) {
            self.report(report);
        }
    }

    fn report(&self, report: LinkReport) {
        // The owner that hears no more is on its way out, and with it this link.
        let _ = self.reports.send(report);
    }
}

/// Takes the streams that the agent opens: its reports, its requests for ports, clients of the host's sockets, and nothing
/// else.
async fn accept_streams(hub: Arc<Hub>, carrier: usize, link: Link) {
    while let Some(incoming) = link.incoming().await {
        match incoming.target.clone() {
            Target::AgentEvents => {
                tokio::spawn(read_reports(incoming, Arc::clone(&hub), carrier));
            }
            Target::Publish => {
                let publisher = Arc::clone(&hub.guest.publisher);
                tokio::spawn(async move { publisher.answer(incoming).await });
            }
            Target::Socket { guest } => {
                let sockets = Arc::clone(&hub.guest.sockets);
                tokio::spawn(async move { sockets.serve(incoming, &guest).await });
            }
            _ => incoming.refuse(ResetCode::UnknownTarget),
        }
    }
}

async fn read_reports(incoming: Incoming, hub: Arc<Hub>, carrier: usize) {
    let (mut receive, _send) = incoming.accept().into_split();
    let mut line = Vec::new();
    while let Ok(Some(bytes)) = receive.read().await {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.len() > REPORT_LIMIT {
                tracing::warn!("The agent sent a report without an end");
                return;
            }
            if line.ends_with(b"\n") {
                match serde_json::from_slice::<AgentEvent>(&line) {
                    Ok(event) => hub.told(carrier, event),
                    // A newer agent may know more than this build.
                    Err(error) => tracing::info!(%error, "The agent reports something unknown"),
                }
                line.clear();
            }
        }
    }
}

/// Sends a request over the link in use; its reply, or why there is none, goes to `answer`.
pub(super) fn ask_present(
    link: &watch::Receiver<Option<Link>>,
    request: AgentRequest,
    answer: oneshot::Sender<Answer>,
) {
    let Some(link) = link.borrow().clone() else {
        // Nobody waits any more when the owner gave up.
        let _ = answer.send(Err("there is no link to the guest".to_owned()));
        return;
    };
    tokio::spawn(async move {
        let reply = ask(&link, &request).await.map_err(|error| {
            tracing::warn!(%error, ?request, "The agent did not take a request");
            error.to_string()
        });
        // Whoever does not care has dropped the other end.
        let _ = answer.send(reply);
    });
}

pub(super) async fn ask(
    link: &Link,
    request: &AgentRequest,
) -> Result<AgentReply, Box<dyn Error + Send + Sync>> {
    let (mut receive, mut send) = link.open(&Target::AgentControl)?.into_split();
    send.write_all(&message::to_line(request)?).await?;
    send.finish();
    let mut lines = LineBuffer::default();
    while let Some(bytes) = receive.read().await? {
        lines.push(&bytes);
        if let Some(reply) = lines.next_message()? {
            return Ok(reply);
        }
    }
    Err("the agent closed the stream without a reply".into())
}
