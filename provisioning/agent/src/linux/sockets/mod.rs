//! Sockets of the host: listeners of the guest whose clients are joined to the host, which knows where they lead.
//!
//! The host says at which paths ([`set`]), with each session anew, so nothing is kept. A path may lie where a file system
//! is mounted later in the boot: [`refresh`] makes those that are hidden or could not be made. [`place`] is the file.

mod place;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::link::Link;
use machine_protocol::message::{AgentEvent, Part, Target};
use machine_protocol::relay::relay_unix;
use machine_protocol::sockets::{LONGEST_REASON, MOST, MissingSocket};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use self::place::Place;
use super::guest::Guest;
use super::health;
use super::log::log_error;

/// Clients at a time. The host takes fewer; one too many is closed at once.
const CLIENTS: usize = 128;
/// A listener that could not accept: descriptors come free without an event.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// A file is made in no time, but for one in a folder of the host, which may have been lost.
const FILES: Duration = Duration::from_secs(5);

/// Which sockets there are.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    state: Mutex<State>,
    /// The link that the host uses, as far as is known: it said over it what it wants.
    link: RefCell<Option<Link>>,
    /// Held by each client.
    clients: Rc<()>,
}

#[derive(Debug, Default)]
struct State {
    wanted: Vec<String>,
    open: BTreeMap<String, Open>,
}

/// A socket that listens.
#[derive(Debug)]
struct Open {
    place: Place,
    accepting: AbortHandle,
}

/// Listens at these paths and no others; those where it cannot.
pub(super) async fn set(
    guest: &Rc<Guest>,
    sockets: Vec<String>,
    link: &Link,
) -> Result<Vec<MissingSocket>, String> {
    if sockets.len() > MOST {
        return Err(format!("more than {MOST} sockets"));
    }
    let mut state = guest.sockets.state.lock().await;
    guest.sockets.link.replace(Some(link.clone()));
    state.wanted = sockets;
    Ok(settle(guest, &mut state).await)
}

/// Makes what is wanted and not there.
pub(super) async fn refresh(guest: &Rc<Guest>) {
    let mut state = guest.sockets.state.lock().await;
    if !state.wanted.is_empty() {
        settle(guest, &mut state).await;
    }
}

async fn settle(guest: &Rc<Guest>, state: &mut State) -> Vec<MissingSocket> {
    for (path, open) in std::mem::take(&mut state.open) {
        let is_wanted = state.wanted.contains(&path);
        if let Some(open) = keep(guest, &path, open, is_wanted).await {
            state.open.insert(path, open);
        }
    }
    let mut missing = Vec::new();
    for path in state.wanted.clone() {
        if state.open.contains_key(&path) {
            continue;
        }
        match open(guest, &path).await {
            Ok(open) => {
                state.open.insert(path, open);
            }
            Err(reason) => missing.push(MissingSocket {
                guest: path,
                reason: in_a_line(&reason),
            }),
        }
    }
    report(guest, &missing);
    missing
}

/// Removes a socket that is not wanted, or not to be found where it is wanted.
async fn keep(guest: &Rc<Guest>, path: &str, open: Open, is_wanted: bool) -> Option<Open> {
    let (root, path) = (guest.paths.root().to_path_buf(), path.to_owned());
    let Open {
        mut place,
        accepting,
    } = open;
    let kept = aside(move || {
        if is_wanted && place.is_at(&root, &path) {
            return Some(place);
        }
        place.remove();
        None
    });
    if let Ok(Some(place)) = kept.await {
        return Some(Open { place, accepting });
    }
    accepting.abort();
    None
}

/// Does what may wait for a file system.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match timeout(FILES, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "its file system did not answer for {} s",
            FILES.as_secs()
        )),
    }
}

async fn open(guest: &Rc<Guest>, path: &str) -> Result<Open, String> {
    let (root, user) = (guest.paths.root().to_path_buf(), guest.boot.uid);
    let owned = path.to_owned();
    let made = aside(move || place::listen(&root, &owned, user)).await?;
    let (listener, place) = made.map_err(|error| error.to_string())?;
    let listener = UnixListener::from_std(listener).map_err(|error| error.to_string())?;
    let serving = serve(listener, Rc::clone(guest), path.to_owned());
    Ok(Open {
        place,
        accepting: tokio::task::spawn_local(serving).abort_handle(),
    })
}

/// Tells the host what is missing. The same again is no news, nor is that all is well where it always was.
fn report(guest: &Guest, missing: &[MissingSocket]) {
    let problems: Vec<String> = missing
        .iter()
        .map(|MissingSocket { guest, reason }| format!("the socket `{guest}` is missing: {reason}"))
        .collect();
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    let told = |event: &AgentEvent| matches!(event, AgentEvent::Health { part: Part::Sockets, problem: told } if *told == problem);
    let anything = |event: &AgentEvent| {
        matches!(
            event,
            AgentEvent::Health {
                part: Part::Sockets,
                ..
            }
        )
    };
    let is_news = if problem.is_some() {
        !guest.events.holds(told)
    } else {
        guest.events.holds(anything) && !guest.events.holds(told)
    };
    if is_news {
        health::tell(guest, Part::Sockets, problem);
    }
}

/// As [`MissingSocket`] has it.
fn in_a_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line = String::new();
    for c in plain {
        if line.len() + c.len_utf8() > LONGEST_REASON {
            break;
        }
        line.push(c);
    }
    line
}

/// Joins clients to the host for as long as it is polled.
async fn serve(listener: UnixListener, guest: Rc<Guest>, path: String) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let held = Rc::clone(&guest.sockets.clients);
                // This one and the owner's own.
                if Rc::strong_count(&held) > CLIENTS + 1 {
                    continue;
                }
                let (guest, path) = (Rc::clone(&guest), path.clone());
                tokio::task::spawn_local(async move {
                    join(client, &guest, path).await;
                    drop(held);
                });
            }
            Err(error) => {
                log_error("A client of a socket of the host is not served", &error);
                let _ = timeout(ACCEPT_AGAIN, std::future::pending::<()>()).await;
            }
        }
    }
}

/// Without a session the client sees its end at once, as it does when the host refuses it.
async fn join(client: UnixStream, guest: &Guest, path: String) {
    let target = Target::Socket { guest: path };
    let used = guest.sockets.link.borrow().clone();
    let opened = used
        .into_iter()
        .chain(guest.links())
        .find_map(|link| link.open(&target).ok());
    if let Some(stream) = opened {
        // Clients and servers hang up, which is no news.
        let _ = relay_unix(client, stream).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_plain() {
        assert_eq!(in_a_line("a\nb\u{1b}c"), "a b c");
        assert_eq!(in_a_line(&"ä".repeat(200)), "ä".repeat(150));
        assert_eq!(in_a_line(&"x".repeat(300)), "x".repeat(300));
        assert_eq!(in_a_line(&"x".repeat(301)), "x".repeat(300));
    }
}
