//! What is known of the guest, by what its agent has said in this session.

use std::collections::BTreeMap;

use machine_protocol::message::{Engine, Part};

/// What the agent has said of its guest in this session.
#[derive(Debug, Default)]
pub(super) struct Guest {
    rootful: EngineState,
    rootless: EngineState,
    pub(super) ssh_known: bool,
    pub(super) sockets_told: bool,
    pub(super) problems: BTreeMap<Part, String>,
}

#[derive(Debug, Default)]
pub(super) struct EngineState {
    pub(super) listens: bool,
    pub(super) answers: bool,
    pub(super) problem: Option<String>,
}

impl Guest {
    pub(super) fn engine(&mut self, engine: Engine) -> &mut EngineState {
        match engine {
            Engine::Rootful => &mut self.rootful,
            Engine::Rootless => &mut self.rootless,
        }
    }

    pub(super) fn of_mode(&self, rootful: bool) -> &EngineState {
        if rootful {
            &self.rootful
        } else {
            &self.rootless
        }
    }

    /// Whether everything is there that a started machine promises; what is broken counts as known.
    pub(super) fn is_ready(&self, rootful: bool) -> bool {
        self.of_mode(rootful).answers && self.of_mode(!rootful).listens && self.ssh_known
    }
}
