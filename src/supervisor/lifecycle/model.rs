//! A machine's life against a simulated world: a boot task, a VM, an agent, clients and timers, in any order and with any
//! fault. [`laws`] watches what the state machine is told and what it does.
//!
//! Reports travel as in the owner task: each source has a queue of its own, in order, and nothing is known of the order
//! between two of them.

mod laws;

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use laws::Laws;

/// More times than the ladder has rungs.
const EXPIRIES: usize = 6;

/// Where reports come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Boot,
    Vm,
    Link,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    Rung,
    Quiet,
    Start,
}

/// What happens next in the world.
#[derive(Clone, Debug)]
enum Op {
    /// The boot task comes to its next report.
    Boot,
    /// The owner takes the oldest report of a source.
    Owner(Source),
    /// The agent dials.
    Connect,
    /// The link moves to another carrier.
    Move,
    /// The link is lost.
    Lose,
    /// The agent closes its port.
    AgentEnds,
    /// The agent says something.
    Say(AgentEvent),
    /// The agent has made the sockets, or has given up.
    SocketsTold,
    /// Something comes from the VM or from those who look after it.
    Vm(Input),
    /// The VM process ends by itself, or is killed.
    Die {
        orderly: bool,
        explained: bool,
    },
    /// The VM does what it was told.
    Obey,
    Stop {
        force: bool,
    },
    Terminate,
    /// What clients and the host change.
    Change(Input),
    Expire(Timer),
}

/// How a run begins, and what it is made of.
#[derive(Clone, Debug)]
struct Plan {
    rootful: bool,
    rescue: bool,
    /// The VM outlived another supervisor.
    adopted: bool,
    /// The boot task fails at this step.
    fails_at: Option<usize>,
    /// The machine is to have sockets of the host.
    sockets: bool,
    /// The gentlest rung that the VM obeys.
    obeys: Rung,
    /// The machine is up before anything happens.
    up: bool,
    force: bool,
}

enum Step {
    Enter(Phase),
    Launch,
    Fail,
}

struct World {
    life: Lifecycle,
    laws: Laws,
    plan: Plan,
    /// What the boot task has yet to do.
    boot: VecDeque<Step>,
    reports: [VecDeque<Input>; 3],
    alive: bool,
    /// The owner has the VM, and so a link to it.
    launched: bool,
    session: bool,
    /// What the VM was told and has not done yet.
    told: Option<Rung>,
    /// The owner watches a rung's time.
    armed: bool,
    exited: bool,
    clients: RequestId,
}

fn failure() -> Failure {
    Failure::new("x")
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut boot: VecDeque<_> = if plan.adopted {
            VecDeque::new()
        } else {
            [Phase::Resolve, Phase::Seed, Phase::Launch]
                .map(Step::Enter)
                .into()
        };
        match plan.fails_at {
            Some(at) => {
                boot.truncate(at);
                boot.push_back(Step::Fail);
            }
            None => boot.push_back(Step::Launch),
        }
        let mut world = Self {
            life: Lifecycle::new(plan.rootful, plan.rescue),
            laws: Laws::new(plan.rootful, plan.adopted, plan.rescue),
            boot,
            reports: Default::default(),
            alive: false,
            launched: false,
            session: false,
            told: None,
            armed: false,
            exited: false,
            clients: 0,
            plan,
        };
        let (wanted, problem) = (world.plan.sockets, None);
        world.give(Input::Sockets { wanted, problem });
        if world.plan.up {
            world.settle();
        }
        world
    }

    fn report(&mut self, source: Source, input: Input) {
        self.reports[source as usize].push_back(input);
    }

    /// The owner takes an input and does what comes of it.
    fn give(&mut self, input: Input) {
        if self.exited {
            return;
        }
        self.launched |= matches!(input, Input::Launched { .. });
        let told = input.clone();
        let actions = self.life.handle(input);
        self.laws.watch(&told, &actions, &self.life);
        for action in actions {
            match action {
                Action::Climb(rung) => {
                    self.armed = true;
                    self.tell(rung);
                }
                Action::AskAgain => self.tell(Rung::Agent),
                Action::Exit => self.exited = true,
                _ => {}
            }
        }
    }

    fn tell(&mut self, rung: Rung) {
        let heard = self.alive && (rung != Rung::Agent || self.session);
        if heard && rung >= self.plan.obeys {
            self.told = Some(rung);
        }
    }

    fn lose(&mut self) {
        if std::mem::take(&mut self.session) {
            if self.told == Some(Rung::Agent) {
                // It had no time to hear of it.
                self.told = None;
            }
            self.report(Source::Link, Input::LinkDown { reason: "x".into() });
        }
    }

    fn die(&mut self, orderly: bool, explained: bool) {
        if std::mem::take(&mut self.alive) {
            self.lose();
            self.report(
                Source::Vm,
                Input::VmExited {
                    reason: "x".into(),
                    orderly,
                    cause: explained.then(failure),
                },
            );
        }
    }

    fn connect(&mut self) {
        if self.alive && self.launched {
            self.session = true;
            let (agent, carrier) = ("1".into(), "virtio-serial".into());
            self.report(Source::Link, Input::LinkUp { agent, carrier });
        }
    }

    fn say(&mut self, input: Input) {
        if self.session {
            self.report(Source::Link, input);
        }
    }

    fn boot(&mut self) {
        let report = match self.boot.pop_front() {
            Some(Step::Enter(phase)) => Input::Entered(phase),
            Some(Step::Fail) => Input::BootFailed(failure()),
            Some(Step::Launch) => {
                self.alive = true;
                let adopted = self.plan.adopted;
                Input::Launched { pid: 1, adopted }
            }
            None => return,
        };
        self.report(Source::Boot, report);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Boot => self.boot(),
            Op::Owner(source) => {
                if let Some(input) = self.reports[source as usize].pop_front() {
                    self.give(input);
                }
            }
            Op::Connect if !self.session => self.connect(),
            Op::Move if self.session => self.connect(),
            Op::Lose => self.lose(),
            Op::AgentEnds if self.alive => {
                self.lose();
                self.report(Source::Vm, Input::AgentEnded);
            }
            Op::Say(event) => self.say(Input::Agent(event)),
            Op::SocketsTold => self.say(Input::SocketsTold),
            Op::Vm(input) if self.alive => self.report(Source::Vm, input),
            Op::Die { orderly, explained } => self.die(orderly, explained),
            Op::Obey => {
                if let Some(rung) = self.told {
                    self.die(rung < Rung::Quit, false);
                }
            }
            Op::Stop { force } => {
                self.clients += 1;
                self.give(Input::Stop {
                    id: self.clients,
                    force,
                });
            }
            Op::Terminate => self.give(Input::Terminated),
            Op::Change(input) => self.give(input),
            Op::Expire(Timer::Rung) if self.armed => self.give(Input::RungExpired),
            Op::Expire(Timer::Quiet) if self.life.is_starting() => {
                self.give(Input::Silent { detail: vec![] });
            }
            Op::Expire(Timer::Start) if self.life.is_starting() => {
                self.give(Input::StartExpired { detail: vec![] });
            }
            Op::Connect | Op::Move | Op::AgentEnds | Op::Vm(_) | Op::Expire(_) => {}
        }
    }

    /// The agent says that all is well.
    fn say_all(&mut self) {
        let mode = self.laws.mode();
        let other = match mode {
            Engine::Rootful => Engine::Rootless,
            Engine::Rootless => Engine::Rootful,
        };
        let listening = Input::Agent(AgentEvent::SocketListening { engine: other });
        // The one that is said last ends the start.
        let last = self.plan.force;
        if !last {
            self.say(listening.clone());
        }
        let ready = AgentEvent::EngineReady {
            engine: mode,
            uptime_ms: 1,
        };
        self.say(Input::Agent(ready));
        for part in PARTS {
            let problem = None;
            self.say(Input::Agent(AgentEvent::Health { part, problem }));
        }
        self.say(Input::SocketsTold);
        if last {
            self.say(listening);
        }
    }

    /// No more faults, and whoever can go on does, until nothing moves but the clock.
    fn settle(&mut self) {
        if self.alive {
            self.report(Source::Vm, Input::Resumed);
        }
        self.give(Input::Network(None));
        let (wanted, problem) = (self.plan.sockets, None);
        self.give(Input::Sockets { wanted, problem });
        let mut said = false;
        while !self.exited {
            if let Some(source) = self.reports.iter().position(|queue| !queue.is_empty()) {
                if let Some(input) = self.reports[source].pop_front() {
                    self.give(input);
                }
            } else if !self.boot.is_empty() {
                self.boot();
            } else if self.told.is_some() {
                self.apply(Op::Obey);
                self.told = None;
            } else if self.alive && self.launched && !self.session {
                self.connect();
                said = false;
            } else if self.session && !said {
                said = true;
                self.say_all();
            } else {
                return;
            }
        }
    }

    /// The ladder is climbed until the end.
    fn run_out(&mut self) {
        for _ in 0..EXPIRIES {
            if self.exited {
                return;
            }
            self.apply(Op::Expire(Timer::Rung));
            self.settle();
        }
    }

    fn finish(mut self) {
        self.settle();
        match self.life.state() {
            State::Stopping(rung) => {
                let waits_for_nothing = *rung == Rung::Agent && self.plan.obeys == Rung::Agent;
                assert!(
                    !waits_for_nothing,
                    "the agent is there and would power off, and nobody tells it"
                );
                self.run_out();
                assert!(self.exited, "the ladder leads nowhere");
            }
            State::Running(health) => {
                assert!(
                    health.is_none() || self.laws.lacks_folders(),
                    "all is well, and {health:?}"
                );
            }
            State::Starting(phase) => panic!("the start stands still in {phase:?}"),
            State::Ended => assert!(self.exited),
        }
        let force = self.plan.force;
        self.apply(Op::Stop { force });
        self.settle();
        self.run_out();
        assert!(self.exited, "the machine cannot be stopped");
        self.laws.end();
    }
}

const PARTS: [Part; 3] = [Part::Ssh, Part::Clock, Part::Certificates];

/// What an agent may say.
fn event(kind: u16, engine: Engine, flag: bool) -> AgentEvent {
    match kind {
        0..6 => AgentEvent::EngineReady {
            engine,
            uptime_ms: 1,
        },
        6..10 => AgentEvent::SocketListening { engine },
        10..14 => AgentEvent::Health {
            part: PARTS[usize::from(kind) % PARTS.len()],
            problem: flag.then(|| "part".into()),
        },
        14 => AgentEvent::EngineFailed {
            engine,
            reason: "x".into(),
            detail: vec![],
        },
        _ => AgentEvent::BootFinished {
            state: if flag { "maintenance" } else { "degraded" }.into(),
            failed_units: vec![],
        },
    }
}

fn of_the_vm(kind: u16) -> Input {
    match kind {
        0..3 => Input::Reset,
        3..5 => Input::Paused {
            reason: "paused".into(),
        },
        5..7 => Input::Resumed,
        7 => Input::ShareLost {
            reason: "share".into(),
        },
        8 => Input::GuestFailed(failure()),
        _ => Input::AgentRefused { reason: "x".into() },
    }
}

fn change(kind: u16, flag: bool) -> Input {
    match kind {
        0 => Input::ModeChanged { rootful: flag },
        1 => Input::Network(flag.then(|| "network".into())),
        2 => Input::Unwatched {
            reason: "unwatched".into(),
        },
        _ => Input::Sockets {
            wanted: kind == 3,
            problem: flag.then(|| "sockets".into()),
        },
    }
}

impl Op {
    /// What a number stands for: a strategy for each kind would take most of the time.
    fn of(number: u16) -> Self {
        let (kind, detail) = (number % 54, number / 54);
        let (flag, more) = (detail % 2 == 0, detail / 2);
        let engine = if more % 2 == 0 {
            Engine::Rootful
        } else {
            Engine::Rootless
        };
        match kind {
            0..8 => Self::Boot,
            8..12 => Self::Owner(Source::Boot),
            12..16 => Self::Owner(Source::Vm),
            16..20 => Self::Owner(Source::Link),
            20..24 => Self::Connect,
            24 => Self::Move,
            25..27 => Self::Lose,
            27 => Self::AgentEnds,
            28..36 => Self::Say(event(more / 2 % 16, engine, flag)),
            36..38 => Self::SocketsTold,
            38..41 => Self::Vm(of_the_vm(more % 10)),
            41 => Self::Die {
                orderly: flag,
                explained: more % 2 == 0,
            },
            42..45 => Self::Obey,
            45 => Self::Stop { force: flag },
            46 => Self::Terminate,
            47..50 => Self::Change(change(more % 5, flag)),
            50..52 => Self::Expire(Timer::Rung),
            52 => Self::Expire(Timer::Quiet),
            _ => Self::Expire(Timer::Start),
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    any::<u16>().prop_map(Op::of)
}

fn plan() -> impl Strategy<Value = Plan> {
    let rung = prop_oneof![
        3 => Just(Rung::Agent),
        1 => Just(Rung::PowerButton),
        1 => Just(Rung::Quit),
        1 => Just(Rung::Kill),
    ];
    let fails_at = prop_oneof![9 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    let flag = any::<bool>;
    let flags = [flag(), flag(), flag(), flag(), flag(), flag()];
    (flags, fails_at, rung).prop_map(
        |([rootful, rescue, adopted, up, force, sockets], fails_at, obeys)| Plan {
            rootful,
            rescue,
            adopted,
            fails_at,
            sockets,
            obeys,
            up,
            force,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4096), ..ProptestConfig::default() })]

    #[test]
    fn every_life_keeps_the_laws(plan in plan(), ops in prop::collection::vec(op(), 0..80)) {
        let mut world = World::new(plan);
        for op in ops {
            world.apply(op);
        }
        world.finish();
    }
}
