//! `selftest`: whether machines work on this host: one is made, used and removed, step by step.
//!
//! It is a machine in the usual place with a name of its own, so it is what the user's machines are. A step that fails
//! hides no other that can be tried without it, and [`remove`] removes whatever there is of the machine. No container
//! runs, so nothing but the image is fetched.

mod parts;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use machine_images::Cache;

use super::doctor::Premises;
use super::host::Host;
use super::init::{self, InitReporter, InitRequest};
use super::rm;
use super::start::{StartOptions, start};
use super::stop::stop;
use crate::machine::MachineName;
use crate::machine::name::NameError;
use crate::store::{StoreError, StoredMachine};
use crate::supervisor::client;
use crate::supervisor::events::Stamped;

/// What the names of its machines begin with.
const PREFIX: &str = "selftest-";

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepName {
    /// A machine is made.
    Init,
    /// It is started.
    Start,
    /// Its engine answers at the machine's socket.
    Ping,
    /// Its engine tells what it is.
    Version,
    /// A program runs in it.
    Exec,
    /// A port of the host leads to it.
    Port,
    /// It is stopped.
    Stop,
    /// It is removed.
    Rm,
}

impl StepName {
    /// All but the last, which comes in any case.
    const TRIED: [Self; 7] = [
        Self::Init,
        Self::Start,
        Self::Ping,
        Self::Version,
        Self::Exec,
        Self::Port,
        Self::Stop,
    ];

    /// The word for it; it stays the same from release to release.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Start => "start",
            Self::Ping => "ping",
            Self::Version => "version",
            Self::Exec => "exec",
            Self::Port => "port",
            Self::Stop => "stop",
            Self::Rm => "rm",
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should; what was seen, in a few words.
    Passed(String),
    /// It did not.
    Failed(Trouble),
    /// An earlier one failed without which it cannot be tried.
    Skipped,
}

/// Why a step failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// What failed.
    pub what: String,
    /// Why, the causes and lines that explain it.
    pub why: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
}

impl Trouble {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    fn of(error: &(dyn Error + 'static), detail: Vec<String>, hints: Vec<String>) -> Self {
        let what = error.to_string();
        let mut why: Vec<String> = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent error says what its cause says.
            if *why.last().unwrap_or(&what) != text {
                why.push(text);
            }
            cause = error.source();
        }
        why.extend(detail);
        Self { what, why, hints }
    }
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

impl Step {
    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// Told about the steps, and asked whether to go on.
pub trait SelftestReporter: InitReporter {
    /// A step begins.
    fn began(&self, name: StepName);

    /// Something happened in the start.
    fn event(&self, stamped: &Stamped);

    /// A step has ended.
    fn ended(&self, step: &Step);
}

/// Where it is tried.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where everything lies.
    pub premises: &'a Premises,
    /// The images.
    pub cache: &'a Cache,
    /// What the host is like.
    pub host: &'a Host,
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Place")
            .field("premises", self.premises)
            .finish_non_exhaustive()
    }
}

/// A name that no machine has.
pub fn fresh_name() -> Result<MachineName, NameError> {
    // Without random numbers the process' own tells it from others.
    let number = getrandom::u32().unwrap_or_else(|_| std::process::id());
    MachineName::parse(&format!("{PREFIX}{number:08x}"))
}

/// Makes the machine, uses it and stops it.
pub async fn try_out(
    place: Place<'_>,
    request: &InitRequest,
    reporter: &dyn SelftestReporter,
) -> Vec<Step> {
    let mut trial = Trial {
        reporter,
        steps: Vec::new(),
    };
    Box::pin(trial.run(place, request)).await;
    let tried = trial.steps.len();
    for name in StepName::TRIED.into_iter().skip(tried) {
        trial.end(name, Outcome::Skipped, Duration::ZERO);
    }
    trial.steps
}

/// Removes whatever there is of the machine; none where there is nothing.
pub async fn remove(
    premises: &Premises,
    name: &MachineName,
    reporter: &dyn SelftestReporter,
) -> Option<Step> {
    let mut trial = Trial {
        reporter,
        steps: Vec::new(),
    };
    let store = &premises.store;
    let plan = match rm::plan(store, name.as_str(), true, client::probe) {
        Err(rm::RemoveError::Store(StoreError::NotFound { .. })) => return None,
        plan => plan,
    };
    let work = async {
        let told = |error: rm::RemoveError| {
            let hints = error.hints();
            Trouble::of(&error, Vec::new(), hints)
        };
        let plan = plan.map_err(told)?;
        let stopping = async |files: &_| stop(store, &plan.name, files, true).await;
        let connections = &premises.connections;
        let removed = rm::remove(store, connections, &plan, true, client::probe, stopping);
        match removed.await.map_err(told)?.connections {
            None => Ok(((), "nothing is left of it".to_owned())),
            Some(error) => Err(Trouble::of(&error, Vec::new(), error.hints())),
        }
    };
    trial.step(StepName::Rm, work).await;
    trial.steps.pop()
}

/// A trial that goes on.
struct Trial<'a> {
    reporter: &'a dyn SelftestReporter,
    steps: Vec<Step>,
}

impl Trial<'_> {
    async fn run(&mut self, place: Place<'_>, request: &InitRequest) {
        let Some(machine) = self.make(place, request).await else {
            return;
        };
        let store = &place.premises.store;
        let name = &machine.config.name;
        let reporter = self.reporter;
        let work = async {
            let observe = |stamped: &Stamped| reporter.event(stamped);
            let options = StartOptions::default();
            let started = start(store, name, options, observe, reporter.stopped());
            let started = started.await.map_err(|error| {
                let (detail, hints) = (error.detail(), error.hints());
                Trouble::of(&error, detail, hints)
            })?;
            let socket = started.api_socket.display().to_string();
            Ok((started.api_socket, socket))
        };
        let Some(socket) = self.step(StepName::Start, work).await else {
            return;
        };
        self.try_to(StepName::Ping, parts::ping(&socket)).await;
        self.try_to(StepName::Version, parts::version(&socket))
            .await;
        self.try_to(StepName::Exec, parts::exec(&machine)).await;
        self.try_to(StepName::Port, parts::port(store, &machine))
            .await;
        if reporter.cancelled() {
            return;
        }
        let work = async {
            let stopped = stop(store, name, &machine.files, false).await;
            stopped.map_err(|error| Trouble::of(&error, Vec::new(), error.hints()))?;
            Ok(((), "in order".to_owned()))
        };
        self.step(StepName::Stop, work).await;
    }

    async fn make(&mut self, place: Place<'_>, request: &InitRequest) -> Option<StoredMachine> {
        let Premises {
            store, connections, ..
        } = place.premises;
        let reporter = self.reporter;
        let work = async {
            let made = init::init(
                store,
                place.cache,
                connections,
                place.host,
                request,
                reporter,
            );
            let made = Box::pin(made).await.map_err(|error| {
                let hints = error.hints();
                Trouble::of(&error, Vec::new(), hints)
            })?;
            Ok((made.machine, made.image))
        };
        self.step(StepName::Init, work).await
    }

    /// A step that can be broken off.
    async fn try_to(
        &mut self,
        name: StepName,
        work: impl Future<Output = Result<String, Trouble>>,
    ) {
        let reporter = self.reporter;
        let work = async {
            tokio::select! {
                biased;
                () = reporter.stopped() => Err(Trouble::new("It was interrupted")),
                seen = work => seen.map(|seen| ((), seen)),
            }
        };
        self.step(name, work).await;
    }

    async fn step<T>(
        &mut self,
        name: StepName,
        work: impl Future<Output = Result<(T, String), Trouble>>,
    ) -> Option<T> {
        self.reporter.began(name);
        let begun = Instant::now();
        let (outcome, gained) = match work.await {
            Ok((gained, seen)) => (Outcome::Passed(seen), Some(gained)),
            Err(trouble) => (Outcome::Failed(trouble), None),
        };
        self.end(name, outcome, begun.elapsed());
        gained
    }

    fn end(&mut self, name: StepName, outcome: Outcome, took: Duration) {
        let step = Step {
            name,
            outcome,
            took,
        };
        self.reporter.ended(&step);
        self.steps.push(step);
    }
}

#[cfg(test)]
mod tests;
