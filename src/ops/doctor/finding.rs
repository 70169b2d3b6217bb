//! What the doctor finds: plain values, for people and for programs.

use std::error::Error;
use std::path::PathBuf;

use crate::machine::MachineName;

/// Whom a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// This host, and what all machines have in common.
    Host,
    /// One machine.
    Machine(MachineName),
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is as it should be.
    Ok,
    /// Something that may be better.
    Note,
    /// Something that does not work, or will not.
    Problem,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// What `--fix` does about a finding. Each may be done at any time and again, and none touches a machine that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Undoes what a killed `init` left, finishes what a killed `rm` left.
    ClearLeftovers,
    /// Removes connections of machines that are gone.
    SweepConnections,
    /// Removes the sockets at which nobody listens.
    RemoveSockets,
    /// Adds what is missing of the machine's pair of connections.
    CompleteConnections,
    /// Writes the machine's SSH port into its connections.
    CorrectPort,
    /// Takes a file or a directory from all other users.
    KeepPrivate(PathBuf),
    /// Has the provider remove what it has of the machine by half, which the next start makes anew.
    DiscardHalf,
    /// Makes a file of a machine anew that is lost, out of what is left.
    Remake(Lost),
}

/// A lost file that can be made anew without a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The secret: the guest is told of it by each start.
    Secret,
    /// What SSH clients know the guest by: the public half of the host key that is there.
    KnownHosts,
    /// The first-boot configuration: it follows from the keys and `machine.toml`.
    Ignition,
}

/// What becomes of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mending {
    /// The user has to do it, or nobody.
    ByHand,
    /// `--fix` would.
    Offered(Remedy),
    /// It was mended; what was done, in a sentence.
    Done(String),
    /// It could not be mended; why.
    Failed(String),
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whom it is about.
    pub about: About,
    /// How bad it is.
    pub severity: Severity,
    /// The word by which programs know it; see the [table](super).
    pub code: &'static str,
    /// What it is, in a sentence without a full stop.
    pub what: String,
    /// Why, where that is known; else empty.
    pub why: String,
    /// What mends it, each a command or a sentence.
    pub hints: Vec<String>,
    /// What becomes of it.
    pub mending: Mending,
}

impl Finding {
    fn new(about: About, severity: Severity, code: &'static str, what: impl Into<String>) -> Self {
        Self {
            about,
            severity,
            code,
            what: what.into(),
            why: String::new(),
            hints: Vec::new(),
            mending: Mending::ByHand,
        }
    }

    /// Something that is as it should be.
    pub(super) fn ok(about: About, code: &'static str, what: impl Into<String>) -> Self {
        Self::new(about, Severity::Ok, code, what)
    }

    /// Something that may be better.
    pub(super) fn note(about: About, code: &'static str, what: impl Into<String>) -> Self {
        Self::new(about, Severity::Note, code, what)
    }

    /// Something that does not work.
    pub(super) fn problem(about: About, code: &'static str, what: impl Into<String>) -> Self {
        Self::new(about, Severity::Problem, code, what)
    }

    /// A problem in the words of an error.
    pub(super) fn told(about: About, code: &'static str, told: &Told) -> Self {
        Self {
            why: told.why.clone(),
            hints: told.hints.clone(),
            ..Self::problem(about, code, told.what.clone())
        }
    }

    #[must_use]
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// It can be mended without a risk, and the command that does it is the first hint.
    #[must_use]
    pub(super) fn mended_by(mut self, remedy: Remedy) -> Self {
        let command = match &self.about {
            About::Host => "machine doctor --fix".to_owned(),
            About::Machine(name) => format!("machine doctor --fix {name}"),
        };
        self.hints.insert(0, command);
        self.mending = Mending::Offered(remedy);
        self
    }

    /// Whether it is a problem that is still there.
    pub fn is_open_problem(&self) -> bool {
        self.severity == Severity::Problem && !matches!(self.mending, Mending::Done(_))
    }
}

/// An error as a finding tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The error.
    pub(super) what: String,
    /// Its causes, the last one last.
    pub(super) why: String,
    /// What to do.
    pub(super) hints: Vec<String>,
}

impl Told {
    pub(super) fn of(error: &(dyn Error + 'static), hints: Vec<String>) -> Self {
        let what = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string().trim_end().to_owned();
            // A transparent error says what its cause says.
            if *causes.last().unwrap_or(&what) != text {
                causes.push(text);
            }
            cause = error.source();
        }
        let why = causes.join(": ");
        Self { what, why, hints }
    }

    /// The whole error in one line.
    pub(super) fn line(&self) -> String {
        if self.why.is_empty() {
            self.what.clone()
        } else {
            format!("{}: {}", self.what, self.why)
        }
    }
}
