//! Sessions: one link each, from its hello to its end, one after the other for as long as the agent lives.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use machine_protocol::boot::BootParameters;
use machine_protocol::link::{Hello, Link, LinkError, Role, accept};
use machine_protocol::message::{self, Target};
use tokio::task::JoinSet;

use super::BUILD;
use super::carrier::{Carrier, CarrierError, CarrierStream};
use super::events::Events;
use super::log::{log, log_error};
use super::paths::Paths;
use super::targets;

/// What all parts of the agent know.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) boot: BootParameters,
    pub(super) paths: Paths,
    pub(super) events: Events,
    /// The link of the present session.
    link: RefCell<Option<Link>>,
    closing: Cell<bool>,
}

impl Guest {
    pub(super) fn new(boot: BootParameters, paths: Paths, events: Events) -> Self {
        Self {
            boot,
            paths,
            events,
            link: RefCell::new(None),
            closing: Cell::new(false),
        }
    }

    /// Ends the present session in good order, and has none follow. `false` if there is none.
    pub(super) fn close(&self) -> bool {
        self.closing.set(true);
        let link = self.link.borrow();
        if let Some(link) = &*link {
            link.close_with("The agent was asked to end");
        }
        link.is_some()
    }
}

/// Serves the host until [`Guest::close`]. Whatever ends a session, the carrier is closed and opened again: that is how
/// the host learns that a new hello is wanted.
pub(super) async fn serve(carrier: Carrier, guest: Rc<Guest>) -> Result<(), CarrierError> {
    while !guest.closing.get() {
        let stream = carrier.open().await?;
        let error = session(stream, &carrier, &guest).await;
        guest.link.replace(None);
        log_error("The session ended", &error);
    }
    Ok(())
}

async fn session(stream: CarrierStream, carrier: &Carrier, guest: &Rc<Guest>) -> LinkError {
    let hello = Hello {
        role: Role::Guest,
        secret: guest.boot.secret.clone(),
        build: BUILD.to_owned(),
        carrier: carrier.name().to_owned(),
    };
    let (link, driver) = match accept(stream, &hello).await {
        Ok(both) => both,
        Err(error) => return error,
    };
    log(&format!("A session with host {}", link.peer().build));
    guest.link.replace(Some(link.clone()));

    // All that serves this session ends with it.
    let mut tasks = JoinSet::new();
    tasks.spawn_local(tell(link.clone(), Rc::clone(guest)));
    let mut driver = pin!(driver.run());
    loop {
        tokio::select! {
            error = &mut driver => return error,
            incoming = link.incoming() => match incoming {
                Some(incoming) => {
                    tasks.spawn_local(targets::serve(incoming, link.clone(), Rc::clone(guest)));
                }
                None => return driver.await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
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
