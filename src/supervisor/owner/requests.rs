//! What clients ask of the owner, and how each is answered.

use machine_protocol::message::AgentRequest;
use tokio::sync::{mpsc, oneshot};

use super::Owner;
use crate::link::LinkHandle;
use crate::machine::ports::Forward;
use crate::network::publish::MissingPort;
use crate::supervisor::access;
use crate::supervisor::control::{Reply, Request};
use crate::supervisor::events::Event;
use crate::supervisor::lifecycle::{Input, State};
use crate::supervisor::server::ClientRequest;

impl Owner {
    pub(super) async fn request(&mut self, request: ClientRequest) -> Option<Input> {
        let (request, replies) = match request {
            ClientRequest::Ask { request, replies } => (request, replies),
            ClientRequest::Tunnel { stream, target } => {
                // Without a link the stream is dropped, which the client sees as its end.
                self.link.as_ref()?.tunnel(stream, target);
                return None;
            }
        };
        match request {
            Request::Follow { .. } => {
                self.audience.follow(replies);
                None
            }
            Request::Stop { force, .. } => {
                let id = self.audience.wait_for_stop(replies);
                Some(Input::Stop { id, force })
            }
            Request::Statistics { .. } => {
                let statistics = self.link.as_ref()?.statistics();
                tokio::spawn(async move {
                    if let Ok(held) = statistics.await {
                        let reply = Reply::Statistics {
                            streams: held.streams as u64,
                            buffered_bytes: held.buffered_bytes as u64,
                            peak_buffered_bytes: held.peak_buffered_bytes as u64,
                        };
                        // A client that has hung up does not care.
                        let _ = replies.send(reply).await;
                    }
                });
                None
            }
            Request::Reload { .. } => self.reload(replies).await,
            Request::Ports { .. } => {
                let open = self.link.as_ref().map(LinkHandle::ports);
                tokio::spawn(async move {
                    let ports = match open {
                        Some(open) => open.await.unwrap_or_default(),
                        None => Vec::new(),
                    };
                    for port in ports {
                        if replies.send(Reply::Port(port)).await.is_err() {
                            return;
                        }
                    }
                    // A client that has hung up does not care.
                    let _ = replies.send(Reply::Listed).await;
                });
                None
            }
            Request::HandOver { to, .. } => {
                self.ask_to_leave(&to, replies);
                None
            }
            // The server passes these on in the form above.
            Request::Tunnel { .. } => None,
        }
    }

    /// Takes what a running machine can take of a changed file: its mode, its ports, its sockets, and whether servers of
    /// the guest are ports too.
    async fn reload(&mut self, replies: mpsc::Sender<Reply>) -> Option<Input> {
        let wanted = match self.store.load(&self.config.name) {
            Ok(machine) => machine.config,
            Err(error) => {
                let reason = error.to_string();
                // A client that has hung up does not care.
                let _ = replies.try_send(Reply::Refused { reason });
                return None;
            }
        };
        let rootful = wanted.rootful;
        let mode_changes = rootful != self.config.rootful;
        self.config.rootful = rootful;
        self.config.ports = wanted.ports;
        let ports = self.link.as_ref().map(|link| self.configure_ports(link));
        let sockets = if wanted.forward_sockets == self.config.forward_sockets {
            None
        } else {
            self.config.forward_sockets = wanted.forward_sockets;
            self.handle(self.sockets()).await;
            let link = self.link.as_ref();
            link.map(|link| link.configure_sockets(self.routes()))
        };
        let listeners = self.forward_listeners(wanted.forward_listeners);
        let mut agent = None;
        if let Some(link) = self.link.as_ref().filter(|_| mode_changes) {
            if matches!(self.life.state(), State::Running(_))
                && let Err(error) = access::open_engines(link, &self.files, rootful).await
            {
                self.audience.announce(Event::Warning {
                    message: format!("The API socket cannot be opened: {error}"),
                });
            }
            agent = Some(link.asker());
        }
        tokio::spawn(async move {
            if let Some(agent) = agent {
                // Without a link the guest is told when there is one.
                if let Err(error) = agent.ask(AgentRequest::SetMode { rootful }).await {
                    tracing::info!(error, "The guest does not know of its mode yet");
                }
            }
            let missing = match ports {
                Some(ports) => ports.await.unwrap_or_default(),
                None => Vec::new(),
            };
            if let Some(listeners) = listeners {
                let _ = listeners.await;
            }
            let missing_sockets = match sockets {
                Some(sockets) => sockets.await.unwrap_or_default(),
                None => Vec::new(),
            };
            let missing_sockets = missing_sockets.into_iter().map(Reply::MissingSocket);
            for reply in missing
                .into_iter()
                .map(Reply::Missing)
                .chain(missing_sockets)
            {
                if replies.send(reply).await.is_err() {
                    return;
                }
            }
            // A client that has hung up does not care.
            let _ = replies.send(Reply::Reloaded).await;
        });
        if !mode_changes {
            return None;
        }
        self.audience.announce(Event::ModeChanged { rootful });
        Some(Input::ModeChanged { rootful })
    }

    /// Has servers of the guest forwarded or not, if that is a change; the guest is told as well. Without a link it hears of
    /// it when there is one.
    fn forward_listeners(&mut self, on: bool) -> Option<oneshot::Receiver<()>> {
        let changes = std::mem::replace(&mut self.config.forward_listeners, on) != on;
        let link = self.link.as_ref().filter(|_| changes)?;
        let done = link.forward_listeners(on);
        link.tell(AgentRequest::WatchListeners { on });
        Some(done)
    }

    /// Has the link's thread open the ports of the configuration.
    pub(super) fn configure_ports(&self, link: &LinkHandle) -> oneshot::Receiver<Vec<MissingPort>> {
        let ports = self.config.ports.iter().map(Forward::port).collect();
        link.configure_ports(ports)
    }
}
