//! What must hold in every life, judged by what was told to the state machine and what it did, and by nothing inside it.

use std::collections::BTreeSet;

use machine_protocol::message::{AgentEvent, Engine, Part};

use super::super::{Action, Event, Input, Lifecycle, Phase, RequestId, Rung, State};

/// What one session's agent has said.
#[derive(Debug, Default)]
struct Said {
    /// The engines that answer and those that listen, root's first.
    answers: [bool; 2],
    listens: [bool; 2],
    ssh: bool,
    sockets: bool,
    problems: BTreeSet<Part>,
}

/// How a life must be told to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stopped,
    Failed,
}

/// The watcher of one life.
#[derive(Debug)]
pub(super) struct Laws {
    // What the state machine was told.
    rootful: bool,
    adopted: bool,
    /// A guest that fails is to be kept.
    rescue: bool,
    vm: bool,
    boot_is_over: bool,
    /// The VM's end was told before its begin was.
    gone_early: bool,
    link: bool,
    said: Said,
    paused: bool,
    network: bool,
    unwatched: bool,
    sockets_wanted: bool,
    sockets_problem: bool,
    lost_shares: bool,
    asked: BTreeSet<RequestId>,
    forced: bool,
    // What it did.
    answered: BTreeSet<RequestId>,
    phase: Option<Phase>,
    link_told: bool,
    was_ready: bool,
    rescued: bool,
    degraded: bool,
    api: bool,
    rung: Option<Rung>,
    /// The time of a rung that needs the guest has run out.
    gentle_is_over: bool,
    ending: Option<Ending>,
    over: bool,
    exits: u32,
}

fn index(engine: Engine) -> usize {
    match engine {
        Engine::Rootful => 0,
        Engine::Rootless => 1,
    }
}

impl Laws {
    pub(super) fn new(rootful: bool, adopted: bool, rescue: bool) -> Self {
        Self {
            rootful,
            adopted,
            rescue,
            vm: false,
            boot_is_over: false,
            gone_early: false,
            link: false,
            said: Said::default(),
            paused: false,
            network: false,
            unwatched: false,
            sockets_wanted: false,
            sockets_problem: false,
            lost_shares: false,
            asked: BTreeSet::new(),
            forced: false,
            answered: BTreeSet::new(),
            phase: None,
            link_told: false,
            was_ready: false,
            rescued: false,
            degraded: false,
            api: false,
            rung: None,
            gentle_is_over: false,
            ending: None,
            over: false,
            exits: 0,
        }
    }

    /// The engine of the machine's mode.
    pub(super) fn mode(&self) -> Engine {
        if self.rootful {
            Engine::Rootful
        } else {
            Engine::Rootless
        }
    }

    /// Takes note of an input and judges what came of it.
    pub(super) fn watch(&mut self, input: &Input, actions: &[Action], life: &Lifecycle) {
        self.learn(input);
        for action in actions {
            self.judge(action, input);
        }
        self.judge_state(life.state());
        if let Input::Stop { .. } | Input::Terminated = input {
            let going = matches!(life.state(), State::Stopping(_) | State::Ended);
            assert!(going, "a stop is not heard in {:?}", life.state());
        }
        if let (State::Stopping(rung), true) = (life.state(), self.forced && self.vm) {
            assert!(*rung >= Rung::Quit, "who uses force does not wait");
        }
        if matches!(input, Input::RungExpired) && self.vm {
            let climbs = actions.iter().any(|one| matches!(one, Action::Climb(_)));
            assert!(climbs, "nothing watches the time any more");
        }
    }

    fn learn(&mut self, input: &Input) {
        match input {
            Input::Launched { .. } => {
                self.vm = !self.gone_early;
                self.boot_is_over = true;
            }
            Input::BootFailed(_) => self.boot_is_over = true,
            Input::VmExited { .. } => {
                self.gone_early = !self.vm;
                self.vm = false;
            }
            Input::LinkUp { .. } => self.link = true,
            Input::LinkDown { .. } => {
                self.link = false;
                self.said = Said::default();
            }
            Input::Agent(event) => self.hear(event),
            Input::SocketsTold => self.said.sockets = true,
            Input::ModeChanged { rootful } => self.rootful = *rootful,
            Input::Paused { .. } => self.paused = true,
            Input::Resumed => self.paused = false,
            Input::Network(problem) => self.network = problem.is_some(),
            Input::Unwatched { .. } => self.unwatched = true,
            Input::Sockets { wanted, problem } => {
                self.sockets_wanted = *wanted;
                self.sockets_problem = problem.is_some();
            }
            Input::ShareLost { .. } => self.lost_shares = true,
            Input::Stop { id, force } => {
                self.asked.insert(*id);
                self.forced |= force;
            }
            Input::RungExpired => self.gentle_is_over |= self.rung < Some(Rung::Quit),
            _ => {}
        }
    }

    fn hear(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::EngineReady { engine, .. } => {
                self.said.answers[index(*engine)] = true;
                self.said.listens[index(*engine)] = true;
            }
            AgentEvent::SocketListening { engine } => self.said.listens[index(*engine)] = true,
            AgentEvent::EngineFailed { engine, .. } => self.said.answers[index(*engine)] = false,
            AgentEvent::Health { part, problem } => {
                self.said.ssh |= *part == Part::Ssh;
                match problem {
                    Some(_) => self.said.problems.insert(*part),
                    None => self.said.problems.remove(part),
                };
            }
            AgentEvent::Started { .. } | AgentEvent::BootFinished { .. } => {}
        }
    }

    /// What a started machine promises is there.
    fn promises_are_kept(&self) -> bool {
        let mode = index(self.mode());
        self.said.answers[mode] && self.said.listens[1 - mode] && self.said.ssh
    }

    fn is_whole(&self) -> bool {
        self.link
            && self.said.answers[index(self.mode())]
            && self.said.problems.is_empty()
            && !(self.paused || self.network || self.sockets_problem)
            && !(self.lacks_folders() || self.rescued)
    }

    /// What this run does not get back: a folder, or the word of what changes in one.
    pub(super) fn lacks_folders(&self) -> bool {
        self.lost_shares || self.unwatched
    }

    fn judge(&mut self, action: &Action, input: &Input) {
        match action {
            Action::Announce(event) => self.judge_event(event, input),
            Action::OpenApi => {
                assert!(!self.api && self.vm && self.link, "nothing to open it for");
                assert!(self.rung.is_none(), "it opens on the way down");
                self.api = true;
            }
            Action::CloseApi => {
                assert!(self.api);
                self.api = false;
            }
            Action::Climb(rung) => {
                assert!(self.vm, "there is no VM to end");
                assert!(self.ending.is_some(), "nobody was told of the stop");
                assert!(self.rung <= Some(*rung), "the ladder only climbs");
                let hurts = self.adopted || self.was_ready;
                // One that stands still hears nothing.
                let may = self.forced || self.gentle_is_over || self.paused;
                let cuts = self.rung < Some(Rung::Quit) && *rung >= Rung::Quit;
                assert!(!(cuts && hurts) || may, "a guest is cut off");
                self.rung = Some(*rung);
            }
            Action::AskAgain => {
                assert!(self.link && self.vm && self.rung < Some(Rung::Quit));
            }
            Action::CutOff => assert!(
                !self.vm && !self.boot_is_over,
                "there is nothing to cut off"
            ),
            Action::Answer(id) => {
                assert!(self.over && self.exits == 0, "an answer before the end");
                assert!(self.asked.contains(id) && self.answered.insert(*id));
            }
            Action::Exit => {
                assert!(self.over && !self.api);
                assert!(!self.vm, "it leaves a VM behind");
                assert!(self.boot_is_over, "a VM may still come");
                assert_eq!(self.asked, self.answered);
                self.exits += 1;
            }
        }
    }

    fn judge_event(&mut self, event: &Event, input: &Input) {
        assert!(!self.over, "nothing follows the last event");
        match event {
            Event::Phase { phase } => {
                assert!(!self.was_ready && self.ending.is_none());
                let back = *phase == Phase::Link && self.phase == Some(Phase::Engine);
                assert!(back || self.phase < Some(*phase), "a step is told twice");
                self.phase = Some(*phase);
            }
            Event::LinkUp { .. } => self.link_told = true,
            Event::LinkDown { .. } => assert!(std::mem::take(&mut self.link_told)),
            Event::Ready => {
                assert!(!self.was_ready && self.ending.is_none() && self.api);
                self.was_ready = true;
                let sockets = self.said.sockets || !self.sockets_wanted;
                self.rescued = !(self.promises_are_kept() && sockets);
                assert!(!self.rescued || self.rescue, "it is not ready");
            }
            Event::Degraded { .. } => {
                assert!(self.api);
                self.degraded = true;
            }
            Event::Recovered => assert!(std::mem::take(&mut self.degraded)),
            Event::Stopping => {
                assert!(self.ending.is_none(), "it is told twice");
                self.ending = Some(match input {
                    Input::Stop { .. } | Input::Terminated => Ending::Stopped,
                    _ => Ending::Failed,
                });
            }
            Event::Stopped | Event::Failed(_) => {
                let found = match event {
                    Event::Stopped => Ending::Stopped,
                    _ => Ending::Failed,
                };
                let expected = self.ending.unwrap_or(match input {
                    Input::VmExited { orderly: true, .. } if self.was_ready => Ending::Stopped,
                    _ => Ending::Failed,
                });
                assert_eq!(found, expected, "the end is not told as it was");
                self.over = true;
            }
            _ => {}
        }
    }

    fn judge_state(&mut self, state: &State) {
        if self.promises_are_kept() && self.was_ready {
            self.rescued = false;
        }
        match state {
            State::Starting(_) => {
                assert!(!self.was_ready && self.ending.is_none() && !self.over);
                let sockets = self.said.sockets || !self.sockets_wanted;
                let ready = self.vm && self.link && sockets && self.promises_are_kept();
                assert!(!ready, "all is there, and it is not told");
            }
            State::Running(health) => {
                assert!(self.was_ready && self.vm && self.ending.is_none());
                assert_eq!(health.is_none(), self.is_whole(), "{health:?}, {self:?}");
                assert_eq!(health.is_some(), self.degraded, "it is not told");
            }
            State::Stopping(_) => assert!(self.ending.is_some() && !self.over),
            State::Ended => assert_eq!((self.over, self.exits), (true, 1)),
        }
        let running = matches!(state, State::Running(_));
        assert_eq!(self.api, running, "the API is open exactly while running");
    }

    /// The life is over.
    pub(super) fn end(&self) {
        assert_eq!(self.asked, self.answered, "each request is answered");
        assert_eq!(self.exits, 1);
    }
}
