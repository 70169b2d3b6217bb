//! Which accelerator really runs a guest on this host.
//!
//! That `/dev/kvm` opens says little: nested virtualization may abort QEMU, or run 16-bit code and then spin in 64-bit
//! mode. So each candidate runs a firmware image of ours in a VM without disks, which leaves by itself when all is well.
//! A VM with disks is never used for that: a first boot that ran half breaks Ignition.

pub(super) mod attempt;
pub(super) mod cache;
pub(super) mod firmware;

use std::path::Path;
use std::time::Duration;

use machine_host::facts::Architecture;

use crate::machine::deadlines;
use crate::provider::Accelerator;
use crate::provider::qemu::platform;
use attempt::Verdict;
use cache::Cache;

/// What was chosen, and what the user should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) accelerator: Accelerator,
    pub(super) warnings: Vec<String>,
}

/// The first candidate that works, else emulation.
pub(super) async fn choose(
    program: &Path,
    architecture: Architecture,
    candidates: &[Accelerator],
    cache: &mut Cache,
) -> Choice {
    let ladder = Ladder {
        program,
        architecture,
        limit: deadlines::PROBE.limit,
        obstacle: &platform::obvious_obstacle,
    };
    ladder.choose(candidates, cache).await
}

/// The candidates' judge.
pub(super) struct Ladder<'a> {
    /// QEMU.
    pub(super) program: &'a Path,
    /// Its architecture.
    pub(super) architecture: Architecture,
    /// How long one try may take.
    pub(super) limit: Duration,
    /// Says why a candidate need not be tried.
    pub(super) obstacle: &'a (dyn Fn(Accelerator) -> Option<String> + Sync),
}

impl Ladder<'_> {
    pub(super) async fn choose(&self, candidates: &[Accelerator], cache: &mut Cache) -> Choice {
        let mut reasons = Vec::new();
        for &accelerator in candidates {
            // Looked at every time: a user who has just joined the group must not be told yesterday's verdict.
            if let Some(obstacle) = (self.obstacle)(accelerator) {
                reasons.push(obstacle);
                continue;
            }
            let verdict = if let Some(verdict) = cache.verdict(accelerator) {
                verdict
            } else {
                let verdict = self.attempt(accelerator).await;
                cache.set_verdict(accelerator, verdict.clone());
                verdict
            };
            match verdict {
                Verdict::Usable => {
                    return Choice {
                        accelerator,
                        warnings: Vec::new(),
                    };
                }
                Verdict::Unusable { reason, .. } => {
                    reasons.push(format!(
                        "{} does not work here: {reason}",
                        accelerator.word()
                    ));
                }
            }
        }
        Choice {
            accelerator: Accelerator::Tcg,
            warnings: vec![warning(&reasons)],
        }
    }

    async fn attempt(&self, accelerator: Accelerator) -> Verdict {
        let verdict = attempt::run(self.program, self.architecture, accelerator, self.limit).await;
        tracing::info!(
            accelerator = accelerator.word(),
            ?verdict,
            "Accelerator probed"
        );
        verdict
    }
}

fn warning(reasons: &[String]) -> String {
    let reasons = reasons.join("; ");
    let why = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({reasons})")
    };
    format!("Hardware virtualization is not usable, so the machine is emulated and slow{why}")
}
