//! The life of one machine as a pure state machine: inputs in, actions out, no IO and no clock.
//!
//! ```text
//!            Launched           LinkUp            both engines
//! Starting(Launch) ─> Starting(Link) ─> Starting(Engine) ─> Running ──────┐
//!      │ failure, stop      │  <─ LinkDown ─┘ │               │ stop      │ VM gone
//!      └────────────────────┴─────────────────┴──> Stopping ──┴─> Ended <─┘
//! ```
//!
//! The supervisor's single owner task feeds every request, timer and report through [`Lifecycle::handle`] and carries
//! out what comes back. So what may happen in which order is decided, and tested, here alone.

mod alphabet;
mod guest;

use machine_protocol::message::{AgentEvent, Engine, Part};

pub use self::alphabet::{Action, Input, RequestId, Rung, State};
use self::guest::{EngineState, Guest};
use super::events::{Code, Event, Failure, Phase};

/// A reset during a start is normal (kernel arguments set by Ignition); this many are a loop.
const RESETS_OF_A_START: u32 = 4;

/// An agent that goes away this often during a start, without a reset, will not stay. One that ends by an error is
/// heard twice, for its unit opens the port once more to say so.
const AGENT_ENDS_OF_A_START: u32 = 6;

/// The state machine of one machine.
#[derive(Debug)]
pub struct Lifecycle {
    state: State,
    rootful: bool,
    /// True when the user wants to mend the guest.
    rescue: bool,
    /// What a machine that was kept for rescue failed at.
    rescued: Option<String>,
    vm: bool,
    /// True for a VM that outlived an earlier supervisor: its guest has long booted.
    adopted: bool,
    /// True when it was up under that supervisor: whatever fails now, its guest is not ended for it.
    was_up: bool,
    link: bool,
    guest: Guest,
    paused: Option<String>,
    network: Option<String>,
    /// Why the guest is not told of what the host changes.
    unwatched: Vec<String>,
    sockets_wanted: bool,
    sockets: Option<String>,
    /// The folders of the host that the VM lacks.
    lost_shares: Vec<String>,
    resets: u32,
    agent_ends: u32,
    waiting: Vec<RequestId>,
    /// A client does not want to wait for the guest's help.
    forced: bool,
    failure: Option<Failure>,
    /// The end of a VM that was told before its begin was.
    early_exit: Option<VmExit>,
}

/// How a VM process ended.
#[derive(Debug)]
struct VmExit {
    reason: String,
    orderly: bool,
    cause: Option<Failure>,
}

impl Lifecycle {
    /// A machine whose supervisor has just begun; `rootful` names the engine of its API socket.
    ///
    /// With `rescue`, a guest whose agent is there and whose engine is not is kept running, for somebody to mend it.
    pub fn new(rootful: bool, rescue: bool) -> Self {
        Self {
            state: State::Starting(Phase::Resolve),
            rootful,
            rescue,
            rescued: None,
            vm: false,
            adopted: false,
            was_up: false,
            link: false,
            guest: Guest::default(),
            paused: None,
            network: None,
            unwatched: Vec::new(),
            sockets_wanted: false,
            sockets: None,
            lost_shares: Vec::new(),
            resets: 0,
            agent_ends: 0,
            waiting: Vec::new(),
            forced: false,
            failure: None,
            early_exit: None,
        }
    }

    /// Where the machine stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The VM was up under an earlier supervisor: what does not come back makes it degraded.
    pub fn keep_running(&mut self) {
        self.was_up = true;
    }

    /// True while the start is under way, which is when silence counts.
    pub fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting(_))
    }

    /// True when the guest lost a folder of the host: its kernel then waits for ever when it unmounts that folder, so it
    /// cannot power off.
    pub fn lacks_shares(&self) -> bool {
        !self.lost_shares.is_empty()
    }

    /// Takes one input; returns what has to be done, in order.
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        if self.state == State::Ended {
            return match input {
                Input::Stop { id, .. } => vec![Action::Answer(id)],
                _ => Vec::new(),
            };
        }
        let mut actions = Vec::new();
        match input {
            Input::Entered(phase) => self.enter(phase, &mut actions),
            Input::Launched { pid, adopted } => {
                self.vm = true;
                self.adopted = adopted;
                actions.push(Action::Announce(Event::Launched { pid }));
                if let Some(exit) = self.early_exit.take() {
                    self.vm_gone(exit, &mut actions);
                } else if let State::Stopping(_) = self.state {
                    // A stop came while the VM was being made, or found.
                    self.climb(self.first_rung(false), &mut actions);
                } else {
                    self.enter(Phase::Link, &mut actions);
                    self.wait_for_nothing(&mut actions);
                }
            }
            Input::BootFailed(failure) => {
                if self.is_starting() {
                    self.failure = Some(failure);
                }
                self.end(&mut actions);
            }
            Input::LinkUp { agent, carrier } => {
                let was_up = std::mem::replace(&mut self.link, true);
                actions.push(Action::Announce(Event::LinkUp { agent, carrier }));
                // Over another carrier the link goes on where it was.
                if self.is_starting() && !was_up {
                    self.enter(Phase::Engine, &mut actions);
                }
                // The agent of before may not have heard of it.
                if matches!(self.state, State::Stopping(rung) if rung < Rung::Quit) {
                    actions.push(Action::AskAgain);
                }
            }
            Input::LinkDown { reason } => self.link_lost(reason, &mut actions),
            Input::Agent(event) => self.agent(event, &mut actions),
            Input::ModeChanged { rootful } => {
                self.rootful = rootful;
                self.settle(&mut actions);
            }
            Input::AgentEnded => {
                self.agent_ends += 1;
                if self.is_starting() && self.agent_ends >= AGENT_ENDS_OF_A_START {
                    self.fail(agent_loop(self.agent_ends), &mut actions);
                }
            }
            Input::AgentRefused { reason } => {
                if self.is_starting() {
                    self.fail(refused(reason), &mut actions);
                }
            }
            Input::GuestFailed(failure) => {
                if self.is_starting() {
                    self.fail(failure, &mut actions);
                }
            }
            Input::Network(problem) => {
                self.network = problem;
                self.refresh_health(&mut actions);
            }
            Input::Unwatched { reason } => {
                self.unwatched.push(reason);
                self.refresh_health(&mut actions);
            }
            Input::Sockets { wanted, problem } => {
                self.sockets_wanted = wanted;
                self.sockets = problem;
                self.settle(&mut actions);
            }
            Input::SocketsTold => {
                self.guest.sockets_told = true;
                self.settle(&mut actions);
            }
            Input::Reset => self.reset(&mut actions),
            Input::Paused { reason } => {
                self.paused = Some(reason);
                self.wait_for_nothing(&mut actions);
                self.refresh_health(&mut actions);
            }
            Input::Resumed => {
                self.paused = None;
                self.refresh_health(&mut actions);
            }
            Input::ShareLost { reason } => {
                self.lost_shares.push(reason);
                self.refresh_health(&mut actions);
            }
            Input::VmExited {
                reason,
                orderly,
                cause,
            } => {
                let exit = VmExit {
                    reason,
                    orderly,
                    cause,
                };
                if self.vm {
                    self.vm_gone(exit, &mut actions);
                } else {
                    // What the boot task has in hand comes with its last report, and it knows best what failed.
                    self.early_exit = Some(exit);
                }
            }
            Input::Stop { id, force } => {
                self.waiting.push(id);
                self.stop(force, &mut actions);
            }
            Input::Terminated => self.stop(false, &mut actions),
            Input::RungExpired => {
                if let (State::Stopping(rung), true) = (&self.state, self.vm) {
                    let next = match rung {
                        // It does what it can, and the button asks for no more.
                        Rung::Agent if self.lacks_shares() => Rung::Quit,
                        Rung::Agent => Rung::PowerButton,
                        Rung::PowerButton => Rung::Quit,
                        Rung::Quit | Rung::Kill => Rung::Kill,
                    };
                    self.climb(next, &mut actions);
                }
            }
            Input::Silent { detail } => self.too_slow(
                "Nothing was heard from the guest for too long",
                detail,
                &mut actions,
            ),
            Input::StartExpired { detail } => {
                self.too_slow("The start took too long", detail, &mut actions);
            }
        }
        actions
    }

    fn enter(&mut self, phase: Phase, actions: &mut Vec<Action>) {
        if self.is_starting() {
            self.state = State::Starting(phase);
            actions.push(Action::Announce(Event::Phase { phase }));
        }
    }

    fn agent(&mut self, event: AgentEvent, actions: &mut Vec<Action>) {
        match event {
            AgentEvent::EngineReady { engine, .. } => {
                if engine == self.mode() && !self.guest.engine(engine).answers {
                    actions.push(Action::Announce(Event::EngineAnswers));
                }
                *self.guest.engine(engine) = EngineState {
                    listens: true,
                    answers: true,
                    problem: None,
                };
            }
            AgentEvent::SocketListening { engine } => self.guest.engine(engine).listens = true,
            AgentEvent::EngineFailed {
                engine,
                reason,
                detail,
            } => {
                let state = self.guest.engine(engine);
                state.answers = false;
                state.problem = Some(reason.clone());
                if self.is_starting() {
                    let cause = format!(
                        "The {} engine does not answer: {reason}",
                        engine_name(engine)
                    );
                    let mut failure = not_ready(Code::EngineFailed).because(cause);
                    failure.detail.extend(detail);
                    return self.fail(failure, actions);
                }
            }
            AgentEvent::BootFinished {
                state,
                failed_units,
            } if self.is_starting() && !matches!(state.as_str(), "running" | "degraded") => {
                let mut failure = not_ready(Code::EmergencyMode)
                    .because(format!("The guest's systemd reports `{state}`"));
                if !failed_units.is_empty() {
                    failure = failure.because(format!("Failed units: {}", failed_units.join(", ")));
                }
                return self.fail(failure, actions);
            }
            // What the engines keep is not there: a machine without it would look as if all had been lost. One that was
            // running before is left running.
            AgentEvent::Health {
                part: Part::DataDisk,
                problem: Some(problem),
            } if self.is_starting() && !self.adopted => {
                let failure = not_ready(Code::DataDisk).because(problem.clone());
                self.fail(failure, actions);
                self.guest.problems.insert(Part::DataDisk, problem);
                return self.refresh_health(actions);
            }
            AgentEvent::Health { part, problem } => {
                self.guest.ssh_known |= part == Part::Ssh;
                if part == Part::Certificates && problem.is_none() && self.is_starting() {
                    actions.push(Action::Announce(Event::CertificatesImported));
                }
                match problem {
                    Some(problem) => self.guest.problems.insert(part, problem),
                    None => self.guest.problems.remove(&part),
                };
            }
            AgentEvent::BootFinished { .. } | AgentEvent::Started { .. } => {}
        }
        self.settle(actions);
    }

    fn mode(&self) -> Engine {
        if self.rootful {
            Engine::Rootful
        } else {
            Engine::Rootless
        }
    }

    /// Ends a start whose promises are kept; keeps the health of a running machine up to date.
    fn settle(&mut self, actions: &mut Vec<Action>) {
        let sockets_known = self.guest.sockets_told || !self.sockets_wanted;
        let is_ready = self.link && sockets_known && self.guest.is_ready(self.rootful);
        if self.is_starting() && is_ready {
            self.run(actions);
        } else {
            self.refresh_health(actions);
        }
    }

    fn link_lost(&mut self, reason: String, actions: &mut Vec<Action>) {
        if !std::mem::take(&mut self.link) {
            return;
        }
        self.guest = Guest::default();
        actions.push(Action::Announce(Event::LinkDown { reason }));
        if self.is_starting() {
            self.enter(Phase::Link, actions);
        }
        if self.state == State::Stopping(Rung::Agent) {
            // Asking the agent is pointless now, unless the guest is just going down: the rung's time decides.
            return;
        }
        self.refresh_health(actions);
    }

    fn reset(&mut self, actions: &mut Vec<Action>) {
        self.resets += 1;
        actions.push(Action::Announce(Event::Rebooting));
        if self.is_starting() && self.resets >= RESETS_OF_A_START {
            let failure = not_ready(Code::ResetLoop).because(format!(
                "The guest reset itself {} times without getting ready",
                self.resets
            ));
            self.fail(failure, actions);
        }
    }

    fn vm_gone(&mut self, exit: VmExit, actions: &mut Vec<Action>) {
        self.vm = false;
        let died = |reason| Failure::new(reason).coded(Code::VmDied);
        match self.state {
            State::Starting(_) => {
                self.failure = Some(match exit.cause {
                    Some(cause) => self.with_problems(cause),
                    None if exit.orderly => not_ready(Code::PoweredOff)
                        .because("The guest powered itself off while starting"),
                    None => died(exit.reason),
                });
            }
            State::Running(_) if !exit.orderly => self.failure = Some(died(exit.reason)),
            _ => {}
        }
        self.end(actions);
    }

    fn stop(&mut self, force: bool, actions: &mut Vec<Action>) {
        self.forced |= force;
        match self.state {
            State::Stopping(rung) => {
                if force && rung < Rung::Quit {
                    self.climb(Rung::Quit, actions);
                }
            }
            _ => self.descend(actions),
        }
    }

    /// The gentlest rung that suits the machine, which is running or on its way up.
    fn first_rung(&self, running: bool) -> Rung {
        let fails = self.failure.is_some();
        // A guest that stands still hears nothing. That of a failed start has nothing to lose, one that outlived its
        // supervisor may have.
        if self.forced || self.paused.is_some() || (fails && !self.adopted) {
            Rung::Quit
        } else if self.link || (self.adopted && !fails && !running) {
            // The agent of a guest that was taken over is about to dial, and is then asked again.
            Rung::Agent
        } else if running || self.adopted {
            Rung::PowerButton
        } else {
            // A guest that is still booting without an agent ignores the button.
            Rung::Quit
        }
    }

    /// Begins to end the VM.
    fn descend(&mut self, actions: &mut Vec<Action>) {
        let running = matches!(self.state, State::Running(_));
        actions.push(Action::Announce(Event::Stopping));
        if running {
            actions.push(Action::CloseApi);
        }
        let rung = self.first_rung(running);
        if self.vm {
            self.climb(rung, actions);
        } else {
            // The boot task ends with `Launched` or `BootFailed`, which goes on from here and chooses the rung anew.
            self.state = State::Stopping(rung);
            actions.push(Action::CutOff);
        }
    }

    fn climb(&mut self, rung: Rung, actions: &mut Vec<Action>) {
        self.state = State::Stopping(rung);
        actions.push(Action::Climb(rung));
    }

    fn too_slow(&mut self, what: &str, detail: Vec<String>, actions: &mut Vec<Action>) {
        if let State::Starting(phase) = self.state {
            let mut failure =
                not_ready(Code::TooSlow).because(format!("{what} while {}", phase.description()));
            failure.detail.extend(detail);
            self.fail(failure, actions);
        }
    }

    fn fail(&mut self, failure: Failure, actions: &mut Vec<Action>) {
        let failure = self.with_problems(failure);
        if self.was_up || (self.rescue && self.link) {
            let cause = failure.detail.first().unwrap_or(&failure.message).clone();
            self.rescued = Some(if self.was_up {
                cause
            } else {
                format!("kept for rescue: {cause}")
            });
            return self.run(actions);
        }
        self.failure = Some(failure);
        self.descend(actions);
    }

    /// A guest that stands still does not come back by waiting: a machine that was up is as up as it will be.
    fn wait_for_nothing(&mut self, actions: &mut Vec<Action>) {
        if self.is_starting() && self.vm && self.was_up && self.paused.is_some() {
            self.run(actions);
        }
    }

    /// The start is over, whatever does not work.
    fn run(&mut self, actions: &mut Vec<Action>) {
        self.state = State::Running(None);
        actions.push(Action::OpenApi);
        self.refresh_health(actions);
        actions.push(Action::Announce(Event::Ready));
    }

    fn with_problems(&self, failure: Failure) -> Failure {
        let paused = self.paused.as_deref().into_iter();
        paused
            .chain(self.problems())
            .fold(failure, Failure::because)
    }

    fn end(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Running(_)) {
            actions.push(Action::CloseApi);
        }
        self.state = State::Ended;
        actions.push(Action::Announce(match self.failure.take() {
            Some(failure) => Event::Failed(failure),
            None => Event::Stopped,
        }));
        actions.extend(self.waiting.drain(..).map(Action::Answer));
        actions.push(Action::Exit);
    }

    /// What does not work besides the engine.
    fn problems(&self) -> impl Iterator<Item = &str> {
        let shares = self.lost_shares.iter();
        shares
            .chain(self.guest.problems.values())
            .chain(&self.network)
            .chain(&self.sockets)
            .chain(&self.unwatched)
            .map(String::as_str)
    }

    fn refresh_health(&mut self, actions: &mut Vec<Action>) {
        let State::Running(before) = &self.state else {
            return;
        };
        if self.guest.is_ready(self.rootful) {
            self.rescued = None;
        }
        let engine = self.guest.of_mode(self.rootful);
        let now = if let Some(reason) = self.paused.as_ref().or(self.rescued.as_ref()) {
            Some(reason.clone())
        } else if !self.link {
            Some("the link to the guest is lost".to_owned())
        } else if let (false, Some(problem)) = (engine.answers, &engine.problem) {
            Some(format!("the container engine does not answer: {problem}"))
        } else if !engine.answers {
            Some("the container engine does not answer yet".to_owned())
        } else {
            let problems: Vec<&str> = self.problems().collect();
            (!problems.is_empty()).then(|| problems.join("; "))
        };
        if *before == now {
            return;
        }
        actions.push(Action::Announce(match &now {
            Some(reason) => Event::Degraded {
                reason: reason.clone(),
            },
            None => Event::Recovered,
        }));
        self.state = State::Running(now);
    }
}

/// The first line that podman prints when a machine does not come up (spec 1.4.2).
pub(super) fn not_ready(code: Code) -> Failure {
    Failure::new("machine did not transition into running state").coded(code)
}

fn agent_loop(times: u32) -> Failure {
    not_ready(Code::AgentCrash)
        .because(format!(
            "The guest's agent ended {times} times while the machine started"
        ))
        .hint("Install `machine` again: the agent that belongs to it may be damaged")
}

fn refused(reason: String) -> Failure {
    not_ready(Code::AgentRefused)
        .because(reason)
        .hint("The guest was started by another program or with another `secret` file; start the machine again, which gives the guest the ones of now")
}

fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Rootful => "rootful",
        Engine::Rootless => "rootless",
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
