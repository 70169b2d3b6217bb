//! A program beside QEMU: it ends with this value unless it is released, and once released it lives as long as its VM.

use std::io;
use std::path::Path;
use std::process::Command;

use machine_host::companion::Companion;

use crate::machine::deadlines;
use crate::provider::{HelperProcess, HelperRole, launching};

/// A program of a VM that is being made.
#[derive(Debug)]
pub(super) struct Helper(Option<Companion>);

impl Helper {
    /// Starts it; what it says is appended to `log`.
    pub(super) fn start(command: Command, log: &Path) -> io::Result<Self> {
        Companion::start(command, log).map(|program| Self(Some(program)))
    }

    /// Notes it for as long as nothing else tells of it.
    pub(super) fn note(&self, path: &Path) {
        if let Some(program) = &self.0 {
            launching::note(path, program.identity());
        }
    }

    /// Ready when it has ended.
    pub(super) async fn ended(&mut self) {
        if let Some(program) = &mut self.0 {
            program.ended().await;
        }
    }

    /// Lets it live on.
    pub(super) fn release(mut self, role: HelperRole) -> Option<Released> {
        self.0.take().map(|program| Released { role, program })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(program) = &mut self.0
            && let Err(error) = program.end()
        {
            tracing::warn!(%error, "A program beside a virtual machine could not be ended");
        }
    }
}

/// A program that lives as long as its VM.
#[derive(Debug)]
pub(super) struct Released {
    /// What it is for.
    pub(super) role: HelperRole,
    program: Companion,
}

impl Released {
    /// One of a VM that another process launched.
    pub(super) fn found(helper: &HelperProcess) -> Self {
        Self {
            role: helper.role.clone(),
            program: Companion::found(helper.process.clone()),
        }
    }

    /// The process, and what it is for.
    pub(super) fn process(&self) -> HelperProcess {
        HelperProcess {
            process: self.program.identity().clone(),
            role: self.role.clone(),
        }
    }

    /// Ready when it has ended, by itself or by another's hand.
    pub(super) async fn ended(&mut self) {
        self.program.ended().await;
    }

    /// Ends it.
    pub(super) async fn end(&mut self) {
        if let Err(error) = self.program.end() {
            tracing::warn!(%error, "A program beside a virtual machine could not be ended");
            return;
        }
        // What is not our child ends when the kernel has got to it.
        let _ = tokio::time::timeout(deadlines::KILLED.limit, self.ended()).await;
    }
}
