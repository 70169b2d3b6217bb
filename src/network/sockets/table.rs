//! Which sockets the guest may use, where they lead, and what is told of them. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Route;

/// Clients of all sockets at a time.
const STREAMS: usize = 64;
/// That a socket of the host takes no connection is told once in this time.
const TOLD_AGAIN: Duration = Duration::from_mins(10);

/// The sockets of a machine.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<String, Entry>,
    open: usize,
}

#[derive(Debug)]
struct Entry {
    host: Option<PathBuf>,
    told: Option<Instant>,
    /// Its end is the end of all clients of this socket.
    gone: watch::Sender<()>,
}

/// A client that may be joined.
#[derive(Debug)]
pub(super) struct Admitted {
    /// To this socket of the host.
    pub(super) host: PathBuf,
    /// Until this has no sender.
    pub(super) gone: watch::Receiver<()>,
}

/// Why a client may not be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The machine has no such socket")]
    Unknown,
    #[error("The host's socket is not known")]
    Nowhere,
    #[error("Too many clients of the host's sockets")]
    TooMany,
}

impl Table {
    /// Has exactly these. What stays as it is keeps its clients, all others are cut off.
    pub(super) fn set(&mut self, routes: Vec<Route>) {
        let mut old = std::mem::take(&mut self.entries);
        for Route { guest, host } in routes {
            let kept = old.remove(&guest).filter(|entry| entry.host == host);
            let entry = kept.unwrap_or_else(|| Entry {
                host,
                told: None,
                gone: watch::Sender::new(()),
            });
            self.entries.insert(guest, entry);
        }
    }

    /// The places in the guest.
    pub(super) fn places(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Takes a client of this place in; it is [let go](Self::release) at its end.
    pub(super) fn admit(&mut self, guest: &str) -> Result<Admitted, Refusal> {
        let entry = self.entries.get(guest).ok_or(Refusal::Unknown)?;
        let host = entry.host.clone().ok_or(Refusal::Nowhere)?;
        if self.open >= STREAMS {
            return Err(Refusal::TooMany);
        }
        self.open += 1;
        Ok(Admitted {
            host,
            gone: entry.gone.subscribe(),
        })
    }

    /// A client has gone.
    pub(super) fn release(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// The host's end of this place took no connection; whether that is to be told.
    pub(super) fn failed(&mut self, guest: &str, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(guest) else {
            return false;
        };
        let is_news = entry
            .told
            .is_none_or(|told| now.duration_since(told) >= TOLD_AGAIN);
        if is_news {
            entry.told = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(guest: &str, host: &str) -> Route {
        Route {
            guest: guest.to_owned(),
            host: (!host.is_empty()).then(|| host.into()),
        }
    }

    fn refusal(table: &mut Table, guest: &str) -> Refusal {
        table.admit(guest).unwrap_err()
    }

    #[test]
    fn only_what_is_configured_leads_somewhere() {
        let mut table = Table::default();
        assert_eq!(refusal(&mut table, "/run/a"), Refusal::Unknown);
        table.set(vec![route("/run/a", "/a"), route("/run/b", "")]);
        assert_eq!(table.places(), ["/run/a", "/run/b"]);
        assert_eq!(table.admit("/run/a").unwrap().host, PathBuf::from("/a"));
        assert_eq!(refusal(&mut table, "/run/b"), Refusal::Nowhere);
        // Neither the host's path nor another name of the guest's.
        for other in ["/a", "/run/a/", "/run/../run/a", ""] {
            assert_eq!(refusal(&mut table, other), Refusal::Unknown, "{other}");
        }
    }

    #[test]
    fn clients_have_an_end() {
        let mut table = Table::default();
        table.set(vec![route("/run/a", "/a"), route("/run/b", "/b")]);
        for _ in 0..32 {
            table.admit("/run/a").unwrap();
            table.admit("/run/b").unwrap();
        }
        assert_eq!(refusal(&mut table, "/run/a"), Refusal::TooMany);
        assert_eq!(refusal(&mut table, "/run/x"), Refusal::Unknown);
        table.release();
        table.admit("/run/b").unwrap();
        assert_eq!(refusal(&mut table, "/run/b"), Refusal::TooMany);
    }

    #[test]
    fn a_change_cuts_off_only_whom_it_concerns() {
        let mut table = Table::default();
        table.set(vec![
            route("/run/a", "/a"),
            route("/run/b", "/b"),
            route("/run/c", "/c"),
        ]);
        let [kept, turned, gone] =
            ["/run/a", "/run/b", "/run/c"].map(|guest| table.admit(guest).unwrap());
        table.set(vec![route("/run/b", "/else"), route("/run/a", "/a")]);
        assert!(kept.gone.has_changed().is_ok());
        assert!(turned.gone.has_changed().is_err());
        assert!(gone.gone.has_changed().is_err());
        assert_eq!(table.admit("/run/b").unwrap().host, PathBuf::from("/else"));
        assert_eq!(refusal(&mut table, "/run/c"), Refusal::Unknown);
    }

    #[test]
    fn a_failure_is_told_once_in_a_while() {
        let now = Instant::now();
        let mut table = Table::default();
        table.set(vec![route("/run/a", "/a"), route("/run/b", "/b")]);
        assert!(table.failed("/run/a", now));
        assert!(!table.failed("/run/a", now + TOLD_AGAIN / 2));
        assert!(table.failed("/run/b", now), "another one");
        assert!(table.failed("/run/a", now + TOLD_AGAIN));
        assert!(!table.failed("/run/x", now));
        // The same again is the same.
        table.set(vec![route("/run/a", "/a"), route("/run/b", "/else")]);
        assert!(!table.failed("/run/a", now + TOLD_AGAIN));
        assert!(table.failed("/run/b", now));
    }
}
