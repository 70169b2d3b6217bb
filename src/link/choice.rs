//! Which of a link's sessions is used. Pure.
//!
//! Every carrier has a session of its own for as long as it can; the best of those that stand is used for what is opened
//! from then on. A better one that comes later takes over, and what is open stays where it is. When the one in use is
//! lost another takes its place at once, for its hello is long over: the machine has no moment without a link.
//!
//! The agent reports over each session. Only what it says over the one in use is passed on, or everything would be told
//! twice and old news might follow new; what it said over another is kept, as far as it is still true, for the moment in
//! which that one takes over.

use std::mem::discriminant;

use machine_protocol::message::AgentEvent;

use super::LinkReport;

/// The sessions of a link's carriers, best carrier first.
pub(super) struct Choice<L> {
    carriers: Vec<Slot<L>>,
    used: Option<usize>,
}

struct Slot<L> {
    name: &'static str,
    session: Option<Session<L>>,
}

struct Session<L> {
    link: L,
    agent: String,
    told: Vec<AgentEvent>,
}

impl<L: Clone> Choice<L> {
    pub(super) fn new(carriers: impl IntoIterator<Item = &'static str>) -> Self {
        let slot = |name| Slot {
            name,
            session: None,
        };
        Self {
            carriers: carriers.into_iter().map(slot).collect(),
            used: None,
        }
    }

    /// The link in use.
    pub(super) fn link(&self) -> Option<L> {
        self.session(self.used?).map(|session| session.link.clone())
    }

    /// A carrier's name.
    pub(super) fn name(&self, carrier: usize) -> &'static str {
        self.carriers.get(carrier).map_or("", |slot| slot.name)
    }

    /// Whether a carrier has a session.
    pub(super) fn has(&self, carrier: usize) -> bool {
        self.session(carrier).is_some()
    }

    fn session(&self, carrier: usize) -> Option<&Session<L>> {
        self.carriers.get(carrier)?.session.as_ref()
    }

    /// A session began, in place of the carrier's last one. Returns what is to be reported.
    pub(super) fn up(&mut self, carrier: usize, link: L, agent: String) -> Vec<LinkReport> {
        let Some(slot) = self.carriers.get_mut(carrier) else {
            return Vec::new();
        };
        slot.session = Some(Session {
            link,
            agent,
            told: Vec::new(),
        });
        if self.used.is_some_and(|used| used < carrier) {
            return Vec::new();
        }
        self.use_carrier(carrier)
    }

    /// A carrier's session ended.
    pub(super) fn down(&mut self, carrier: usize, reason: &str) -> Vec<LinkReport> {
        let Some(slot) = self.carriers.get_mut(carrier) else {
            return Vec::new();
        };
        if slot.session.take().is_none() || self.used != Some(carrier) {
            return Vec::new();
        }
        let next = self.carriers.iter().position(|slot| slot.session.is_some());
        if let Some(next) = next {
            return self.use_carrier(next);
        }
        self.used = None;
        vec![LinkReport::Down {
            reason: reason.to_owned(),
        }]
    }

    /// The agent said something over a carrier.
    pub(super) fn told(&mut self, carrier: usize, event: AgentEvent) -> Option<LinkReport> {
        let used = self.used == Some(carrier);
        let slot = self.carriers.get_mut(carrier)?;
        let session = slot.session.as_mut()?;
        session.told.retain(|old| !replaces(&event, old));
        session.told.push(event.clone());
        used.then_some(LinkReport::Agent(event))
    }

    fn use_carrier(&mut self, carrier: usize) -> Vec<LinkReport> {
        self.used = Some(carrier);
        let carrier_name = self.name(carrier);
        let Some(session) = self.session(carrier) else {
            return Vec::new();
        };
        let up = LinkReport::Up {
            agent: session.agent.clone(),
            carrier: carrier_name,
        };
        let told = session.told.iter().cloned().map(LinkReport::Agent);
        std::iter::once(up).chain(told).collect()
    }
}

/// Whether an event makes an older one about the same untrue.
fn replaces(new: &AgentEvent, old: &AgentEvent) -> bool {
    use AgentEvent::{EngineFailed, EngineReady, Health, SocketListening};
    match (new, old) {
        (
            EngineReady { engine, .. } | EngineFailed { engine, .. },
            EngineReady { engine: other, .. } | EngineFailed { engine: other, .. },
        )
        | (SocketListening { engine }, SocketListening { engine: other }) => engine == other,
        (Health { part, .. }, Health { part: other, .. }) => part == other,
        _ => discriminant(new) == discriminant(old),
    }
}

#[cfg(test)]
mod tests {
    use machine_protocol::message::{Engine, Part};

    use super::*;

    const VSOCK: usize = 0;
    const SERIAL: usize = 1;

    fn choice() -> Choice<&'static str> {
        Choice::new(["vsock", "virtio-serial"])
    }

    fn up(carrier: &'static str) -> LinkReport {
        LinkReport::Up {
            agent: "a".to_owned(),
            carrier,
        }
    }

    fn begin(
        choice: &mut Choice<&'static str>,
        carrier: usize,
        link: &'static str,
    ) -> Vec<LinkReport> {
        choice.up(carrier, link, "a".to_owned())
    }

    fn health(problem: Option<&str>) -> AgentEvent {
        AgentEvent::Health {
            part: Part::Dns,
            problem: problem.map(str::to_owned),
        }
    }

    fn listening(engine: Engine) -> AgentEvent {
        AgentEvent::SocketListening { engine }
    }

    #[test]
    fn the_best_that_stands_is_used_whatever_comes_first() {
        let mut first_serial = choice();
        assert_eq!(begin(&mut first_serial, SERIAL, "s"), [up("virtio-serial")]);
        assert_eq!(first_serial.link(), Some("s"));
        assert_eq!(begin(&mut first_serial, VSOCK, "v"), [up("vsock")]);
        assert_eq!(first_serial.link(), Some("v"));

        let mut first_vsock = choice();
        assert_eq!(begin(&mut first_vsock, VSOCK, "v"), [up("vsock")]);
        assert_eq!(begin(&mut first_vsock, SERIAL, "s"), []);
        assert_eq!(first_vsock.link(), Some("v"));
    }

    #[test]
    fn the_loss_of_one_is_no_loss_of_the_link() {
        let mut choice = choice();
        begin(&mut choice, VSOCK, "v");
        begin(&mut choice, SERIAL, "s");
        assert_eq!(choice.down(VSOCK, "gone"), [up("virtio-serial")]);
        assert_eq!(choice.link(), Some("s"));
        assert_eq!(choice.down(VSOCK, "gone again"), []);
        let reason = "the guest closed its end".to_owned();
        assert_eq!(choice.down(SERIAL, &reason), [LinkReport::Down { reason }]);
        assert_eq!(choice.link(), None);
        assert_eq!(begin(&mut choice, SERIAL, "s2"), [up("virtio-serial")]);
    }

    #[test]
    fn the_loss_of_the_stand_by_is_nothing() {
        let mut choice = choice();
        begin(&mut choice, VSOCK, "v");
        begin(&mut choice, SERIAL, "s");
        assert_eq!(choice.down(SERIAL, "gone"), []);
        assert_eq!(choice.link(), Some("v"));
    }

    #[test]
    fn a_second_session_of_a_carrier_takes_the_place_of_its_first() {
        let mut choice = choice();
        begin(&mut choice, VSOCK, "v");
        assert_eq!(begin(&mut choice, VSOCK, "v2"), [up("vsock")]);
        assert_eq!(choice.link(), Some("v2"));
    }

    #[test]
    fn news_is_told_once_and_what_is_true_follows_a_change() {
        let mut choice = choice();
        begin(&mut choice, VSOCK, "v");
        begin(&mut choice, SERIAL, "s");
        let story = [
            listening(Engine::Rootful),
            listening(Engine::Rootless),
            health(Some("no name server")),
            health(None),
        ];
        for event in story {
            assert_eq!(
                choice.told(VSOCK, event.clone()),
                Some(LinkReport::Agent(event.clone()))
            );
            assert_eq!(choice.told(SERIAL, event), None);
        }
        let failed = AgentEvent::EngineFailed {
            engine: Engine::Rootful,
            reason: String::new(),
            detail: Vec::new(),
        };
        let ready = AgentEvent::EngineReady {
            engine: Engine::Rootful,
            uptime_ms: 1,
        };
        choice.told(SERIAL, failed);
        choice.told(SERIAL, ready.clone());
        let told = [
            listening(Engine::Rootful),
            listening(Engine::Rootless),
            health(None),
            ready,
        ];
        let expected: Vec<LinkReport> = std::iter::once(up("virtio-serial"))
            .chain(told.into_iter().map(LinkReport::Agent))
            .collect();
        assert_eq!(choice.down(VSOCK, "gone"), expected);
        // Nothing of a session outlives it.
        choice.down(SERIAL, "gone");
        assert_eq!(choice.told(SERIAL, health(None)), None);
        assert_eq!(begin(&mut choice, SERIAL, "s2"), [up("virtio-serial")]);
    }
}
