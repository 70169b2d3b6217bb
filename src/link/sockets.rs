//! Keeps the guest's agent told at which places it has to listen for clients of the host's sockets: whenever another link
//! is in use, and whenever the list is another.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use machine_protocol::link::{Link, LinkError, StreamError};
use machine_protocol::message::{AgentReply, AgentRequest};
use machine_protocol::sockets::MissingSocket;
use tokio::sync::{Mutex, mpsc, watch};

use super::LinkReport;
use super::session::ask;
use crate::machine::deadlines;
use crate::network::sockets::HostSockets;

/// What the agent is told of a machine's sockets.
pub(super) struct Sockets {
    host: Arc<HostSockets>,
    link: watch::Receiver<Option<Link>>,
    reports: mpsc::UnboundedSender<LinkReport>,
    /// Held while the agent is told, so that what it hears last is what counts.
    turn: Mutex<()>,
}

impl Sockets {
    pub(super) fn new(
        host: Arc<HostSockets>,
        link: watch::Receiver<Option<Link>>,
        reports: mpsc::UnboundedSender<LinkReport>,
    ) -> Self {
        Self {
            host,
            link,
            reports,
            turn: Mutex::new(()),
        }
    }

    /// Tells each link that comes into use, for as long as it is polled.
    pub(super) async fn keep_told(self: Arc<Self>) {
        let mut link = self.link.clone();
        while link.changed().await.is_ok() {
            self.tell().await;
        }
    }

    /// Tells the agent the list of now; the sockets that it could not make, all of them where it does not answer. Without
    /// a link it is told when there is one.
    pub(super) async fn tell(&self) -> Vec<MissingSocket> {
        let _turn = self.turn.lock().await;
        let Some(link) = self.link.borrow().clone() else {
            return Vec::new();
        };
        let sockets = self.host.places();
        let request = AgentRequest::SetSockets {
            sockets: sockets.clone(),
        };
        let limit = deadlines::AGENT_SOCKETS.limit;
        let reason = match tokio::time::timeout(limit, ask(&link, &request)).await {
            Ok(Ok(AgentReply::Sockets { missing })) => {
                if !sockets.is_empty() {
                    self.report(None);
                }
                return believable(missing, &sockets);
            }
            Ok(Ok(AgentReply::Failed { reason })) => reason,
            Ok(Ok(_)) => "it answered something else".to_owned(),
            // The next link is told.
            Ok(Err(error)) if is_lost(&*error) => return Vec::new(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not answer within {} s", limit.as_secs()),
        };
        // An older agent knows of no sockets, which is as good where there are none.
        if !sockets.is_empty() {
            self.report(Some(reason.clone()));
        }
        let reason = format!("the guest's agent was not told of it: {reason}");
        let missing = sockets.into_iter().map(|guest| MissingSocket {
            guest,
            reason: reason.clone(),
        });
        missing.collect()
    }

    fn report(&self, problem: Option<String>) {
        // The owner that hears no more is on its way out.
        let _ = self.reports.send(LinkReport::SocketsTold { problem });
    }
}

fn is_lost(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(StreamError::LinkLost))
        || matches!(error.downcast_ref(), Some(LinkError::Lost))
}

/// What a guest may say is missing: what it was asked for, each once.
fn believable(mut missing: Vec<MissingSocket>, sockets: &[String]) -> Vec<MissingSocket> {
    let mut asked: BTreeSet<&String> = sockets.iter().collect();
    missing.retain(|missing| asked.remove(&missing.guest));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_complains_of_what_it_was_asked_for() {
        let missing = |guest: &str| MissingSocket {
            guest: guest.to_owned(),
            reason: "r".to_owned(),
        };
        let said = ["/b", "/x", "/a", "/b"].map(missing).to_vec();
        let sockets = ["/a", "/b", "/c"].map(str::to_owned);
        assert_eq!(believable(said, &sockets), ["/b", "/a"].map(missing));
    }
}
