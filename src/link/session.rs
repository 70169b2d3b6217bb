//! Sessions of a link, one after another: connect the carrier, say hello, run the mux, begin again.
//!
//! A session ends when the stream breaks, when the guest closes its end (the hypervisor tells), or when the mux meets
//! bytes that are not its own. What starts the next one is an event as well: the broken stream itself, or the guest
//! opening its end again.

use std::sync::Arc;

use machine_protocol::link::{self, Hello, Incoming, Link, ResetCode, Role};
use machine_protocol::message::{AgentEvent, AgentRequest, Target};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::{Carrier, LinkConfig, LinkReport};

/// An agent's report longer than this is no report.
const REPORT_LIMIT: usize = 64 * 1024;

/// The task that keeps a session up, and what wakes it.
pub(super) struct Session {
    signals: Arc<Signals>,
    link: watch::Receiver<Option<Link>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Signals {
    opened: Notify,
    closed: Notify,
}

impl Session {
    /// Starts the task; `publish` always holds the link that works, or nothing.
    pub(super) fn spawn(
        config: LinkConfig,
        publish: watch::Sender<Option<Link>>,
        reports: mpsc::UnboundedSender<LinkReport>,
    ) -> Self {
        let signals = Arc::new(Signals::default());
        let link = publish.subscribe();
        let task = tokio::spawn(keep_up(config, Arc::clone(&signals), publish, reports));
        Self {
            signals,
            link,
            task,
        }
    }

    pub(super) fn guest_opened(&self) {
        self.signals.opened.notify_one();
    }

    pub(super) fn guest_closed(&self) {
        self.signals.closed.notify_waiters();
    }

    /// Sends a request without waiting for what it brings: its effect is an event.
    pub(super) fn ask(&self, request: AgentRequest) {
        let Some(link) = self.link.borrow().clone() else {
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = ask(&link, &request).await {
                tracing::warn!(%error, ?request, "The agent did not take a request");
            }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_up(
    config: LinkConfig,
    signals: Arc<Signals>,
    publish: watch::Sender<Option<Link>>,
    reports: mpsc::UnboundedSender<LinkReport>,
) {
    loop {
        let ended = tokio::select! {
            ended = session(&config, &signals, &publish, &reports) => ended,
            () = signals.closed.notified() => Ended::AfterHello("the guest closed its end".to_owned()),
        };
        publish.send_replace(None);
        let report = match &ended {
            Ended::AfterHello(reason) => LinkReport::Down {
                reason: reason.clone(),
            },
            Ended::BeforeHello(reason) => LinkReport::Refused {
                reason: reason.clone(),
            },
        };
        if reports.send(report).is_err() {
            return;
        }
        if let Ended::BeforeHello(_) = ended {
            // Trying again at once would spin; a guest that comes back opens its end, which is an event.
            signals.opened.notified().await;
        }
    }
}

enum Ended {
    BeforeHello(String),
    AfterHello(String),
}

async fn session(
    config: &LinkConfig,
    signals: &Signals,
    publish: &watch::Sender<Option<Link>>,
    reports: &mpsc::UnboundedSender<LinkReport>,
) -> Ended {
    let Carrier::VirtioSerial { socket } = &config.carrier;
    let stream = match machine_host::local_socket::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            return Ended::BeforeHello(format!("no carrier at `{}`: {error}", socket.display()));
        }
    };
    let hello = Hello {
        role: Role::Host,
        secret: config.secret.clone(),
        build: config.build.clone(),
        carrier: config.carrier.name().to_owned(),
    };
    let (link, driver) = match link::connect(stream, &hello, &signals.opened).await {
        Ok(session) => session,
        Err(error) => return Ended::BeforeHello(error.to_string()),
    };
    publish.send_replace(Some(link.clone()));
    let up = LinkReport::Up {
        agent: link.peer().build.clone(),
    };
    // A closed channel is noticed by the caller, whose next report fails as well.
    let _ = reports.send(up);
    let events = accept_streams(link, reports.clone());
    tokio::select! {
        error = driver.run() => Ended::AfterHello(error.to_string()),
        () = events => Ended::AfterHello("the link closed".to_owned()),
    }
}

/// Takes the streams that the agent opens: its reports, and nothing else.
async fn accept_streams(link: Link, reports: mpsc::UnboundedSender<LinkReport>) {
    while let Some(incoming) = link.incoming().await {
        match incoming.target {
            Target::AgentEvents => {
                tokio::spawn(read_reports(incoming, reports.clone()));
            }
            _ => incoming.refuse(ResetCode::UnknownTarget),
        }
    }
}

async fn read_reports(incoming: Incoming, reports: mpsc::UnboundedSender<LinkReport>) {
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
                    Ok(event) => {
                        if reports.send(LinkReport::Agent(event)).is_err() {
                            return;
                        }
                    }
                    // A newer agent may know more than this build.
                    Err(error) => tracing::info!(%error, "The agent reports something unknown"),
                }
                line.clear();
            }
        }
    }
}

async fn ask(link: &Link, request: &AgentRequest) -> Result<(), Box<dyn std::error::Error>> {
    let (mut receive, mut send) = link.open(&Target::AgentControl)?.into_split();
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    send.write_all(&text).await?;
    send.finish();
    while receive.read().await?.is_some() {}
    Ok(())
}
