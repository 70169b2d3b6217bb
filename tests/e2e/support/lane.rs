//! The two halves of the tests that run side by side; see the crate's first lines.

/// A half of the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// What uses the machine that is booted once.
    Shared,
    /// What needs a machine of its own, or none.
    Own,
}

impl Lane {
    /// The lane that `MACHINE_E2E_LANE` names; without it, both.
    pub(crate) fn asked_for() -> Option<Self> {
        match std::env::var("MACHINE_E2E_LANE").ok()?.as_str() {
            "shared" => Some(Self::Shared),
            "own" => Some(Self::Own),
            other => panic!("MACHINE_E2E_LANE is `{other}`; `shared` and `own` are known"),
        }
    }

    /// The name of its scratch directory, short because sockets lie below it.
    pub(crate) fn directory(lane: Option<Self>) -> &'static str {
        match lane {
            None => "t",
            Some(Self::Shared) => "s",
            Some(Self::Own) => "o",
        }
    }
}
