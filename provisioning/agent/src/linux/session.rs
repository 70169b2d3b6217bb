//! Sessions: one link each, from its hello to its end, on each carrier one after the other for as long as the agent
//! lives. Carriers do not know of each other; the host chooses which of its links it uses.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::link::{Hello, Link, LinkError, Role, accept};
use machine_protocol::message::{self, Target};
use tokio::task::JoinSet;

use super::BUILD;
use super::carrier::{Carrier, CarrierError, CarrierStream};
use super::guest::Guest;
use super::log::{chain, log, log_error};
use super::{publish, targets};

/// The wait after the first failure to reach the host over a carrier; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest. A session on another carrier ends it, for then the host is there.
const LAST_RETRY: Duration = Duration::from_mins(1);

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
    while !guest.is_closing() {
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
                    () = guest.host_is_there() => {}
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
