//! What the owner can say of a guest that is silent, slow or gone: from its console, its journal and its agent.

use machine_protocol::message::{AgentReply, AgentRequest};

use super::Owner;
use crate::machine::deadlines;
use crate::supervisor::events::{Event, Failure};
use crate::supervisor::lifecycle::Input;
use crate::supervisor::{diagnosis, evidence};

impl Owner {
    /// The quiet period is over: has the guest really been silent?
    pub(super) async fn silence(&mut self) -> Option<Input> {
        if let Some(failure) = self.first_boot_failure() {
            return Some(Input::GuestFailed(failure));
        }
        let console = self.files.console_log();
        if self.quiet.is_silent(self.vm.as_deref(), &console).await {
            return Some(Input::Silent {
                detail: self.last_seen().await,
            });
        }
        None
    }

    pub(super) fn first_boot_failure(&self) -> Option<Failure> {
        let lines = evidence::first_boot_journal(&self.files.guest_journal());
        (!lines.is_empty()).then(|| diagnosis::first_boot(lines))
    }

    /// What explains a start that takes too long: the agent knows best, if there is one.
    pub(super) async fn last_seen(&self) -> Vec<String> {
        if let Some(refusal) = &self.last_refusal {
            return vec![format!("The last attempt to reach the agent: {refusal}")];
        }
        let Some(link) = &self.link else {
            return Vec::new();
        };
        let diagnosis = link.asker();
        let diagnosis = diagnosis.ask(AgentRequest::Diagnose);
        match tokio::time::timeout(deadlines::DIAGNOSIS.limit, diagnosis).await {
            Ok(Ok(AgentReply::Diagnosis {
                state,
                failed_units,
                detail,
            })) => {
                let mut lines = vec![format!("The guest's systemd reports `{state}`")];
                if !failed_units.is_empty() {
                    lines.push(format!("Failed units: {}", failed_units.join(", ")));
                }
                lines.extend(detail);
                lines
            }
            _ => Vec::new(),
        }
    }

    /// A failure of the guest is explained by what it said last, and gets the command that mends it.
    pub(super) fn explained(&self, event: Event) -> Event {
        let Event::Failed(mut failure) = event else {
            return event;
        };
        if self.vm.is_some() {
            let console = evidence::tail(&self.files.console_log());
            if !console.is_empty() {
                failure
                    .detail
                    .push("The guest's console ended with:".to_owned());
                failure
                    .detail
                    .extend(console.into_iter().map(|line| format!("    {line}")));
            }
            failure.hints.push(format!(
                "The whole console is in `{}`",
                self.files.console_log().display()
            ));
        }
        Event::Failed(diagnosis::explain(self.config.name.as_str(), failure))
    }
}
