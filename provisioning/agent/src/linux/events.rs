//! What the host is told about the guest: the present state, then each change.
//!
//! A host may come at any time, and more than once (a new supervisor adopts a running guest). So what was said is kept,
//! as far as it is still true, and each listener gets all of it first.

use std::io;
use std::time::Duration;

use machine_protocol::message::{AgentEvent, Engine, Part};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use super::BUILD;

/// Events that are still true, in the order in which they happened.
#[derive(Debug)]
pub(super) struct Events {
    list: watch::Sender<List>,
}

#[derive(Debug)]
struct List {
    next: u64,
    current: Vec<(u64, AgentEvent)>,
}

impl Events {
    pub(super) fn new(started: AgentEvent) -> Self {
        let list = List {
            next: 1,
            current: vec![(0, started)],
        };
        Self {
            list: watch::Sender::new(list),
        }
    }

    /// Tells every listener, now and later.
    pub(super) fn publish(&self, event: AgentEvent) {
        self.list.send_modify(|list| {
            list.current
                .retain(|(_, old)| subject(old) != subject(&event));
            list.current.push((list.next, event));
            list.next += 1;
        });
    }

    /// Whether something like this was published and is still true.
    pub(super) fn holds(&self, is_it: impl Fn(&AgentEvent) -> bool) -> bool {
        self.list
            .borrow()
            .current
            .iter()
            .any(|(_, event)| is_it(event))
    }

    pub(super) fn listen(&self) -> Listener {
        let mut list = self.list.subscribe();
        list.mark_changed();
        Listener { list, next: 0 }
    }
}

/// One who has yet to be told some of the events.
#[derive(Debug)]
pub(super) struct Listener {
    list: watch::Receiver<List>,
    next: u64,
}

impl Listener {
    /// What is new to this listener: at first everything. `None` when there will be no more.
    pub(super) async fn news(&mut self) -> Option<Vec<AgentEvent>> {
        self.list.changed().await.ok()?;
        let list = self.list.borrow_and_update();
        let news = list
            .current
            .iter()
            .filter(|(number, _)| *number >= self.next);
        let news = news.map(|(_, event)| event.clone()).collect();
        self.next = list.next;
        Some(news)
    }
}

/// What an event is about. A new event about the same makes the old one untrue, or says it again.
#[derive(PartialEq, Eq)]
enum Subject {
    Agent,
    Boot,
    Socket(Engine),
    Answer(Engine),
    Part(Part),
}

fn subject(event: &AgentEvent) -> Subject {
    match event {
        AgentEvent::Started { .. } => Subject::Agent,
        AgentEvent::BootFinished { .. } => Subject::Boot,
        AgentEvent::SocketListening { engine } => Subject::Socket(*engine),
        AgentEvent::EngineReady { engine, .. } | AgentEvent::EngineFailed { engine, .. } => {
            Subject::Answer(*engine)
        }
        AgentEvent::Health { part, .. } => Subject::Part(*part),
    }
}

/// The first event.
pub(super) fn started(boot_id: String) -> AgentEvent {
    AgentEvent::Started {
        build: BUILD.to_owned(),
        boot_id,
        uptime_ms: uptime_ms(),
    }
}

/// The kernel's id of this boot.
pub(super) fn boot_id() -> io::Result<String> {
    let id = fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim_end().to_owned())
}

/// Time since the guest's kernel started.
pub(super) fn uptime_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let time = Duration::try_from(time).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use machine_protocol::message::Engine::{Rootful, Rootless};

    use super::*;

    fn listening(engine: Engine) -> AgentEvent {
        AgentEvent::SocketListening { engine }
    }

    fn ready(engine: Engine) -> AgentEvent {
        AgentEvent::EngineReady {
            engine,
            uptime_ms: 1,
        }
    }

    fn failed(engine: Engine) -> AgentEvent {
        AgentEvent::EngineFailed {
            engine,
            reason: "because".to_owned(),
            detail: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_listener_hears_the_state_and_then_the_changes() {
        let first = started("b".to_owned());
        let events = Events::new(first.clone());
        events.publish(listening(Rootful));
        let mut early = events.listen();
        assert_eq!(
            early.news().await.unwrap(),
            [first.clone(), listening(Rootful)]
        );
        events.publish(failed(Rootful));
        assert_eq!(early.news().await.unwrap(), [failed(Rootful)]);
        events.publish(listening(Rootless));
        events.publish(ready(Rootful));
        assert_eq!(
            early.news().await.unwrap(),
            [listening(Rootless), ready(Rootful)]
        );
        let mut late = events.listen();
        assert_eq!(
            late.news().await.unwrap(),
            [
                first,
                listening(Rootful),
                listening(Rootless),
                ready(Rootful)
            ]
        );
        drop(events);
        assert_eq!(late.news().await, None);
    }

    #[test]
    fn engines_are_told_apart() {
        let events = Events::new(started("b".to_owned()));
        events.publish(failed(Rootful));
        events.publish(ready(Rootless));
        assert!(events.holds(|event| *event == failed(Rootful)));
        events.publish(ready(Rootful));
        assert!(!events.holds(|event| *event == failed(Rootful)));
        assert!(events.holds(|event| *event == ready(Rootless)));
    }

    #[test]
    fn the_clock_runs() {
        assert!(uptime_ms() > 0);
    }
}
