//! The folders of a VM that is being made: a device for each, and the programs behind them.
//!
//! A folder that cannot be had is no reason to have no machine: it is said, and the machine is degraded.

use crate::provider::qemu::argv::{ShareArguments, ShareDevice};
use crate::provider::qemu::helper::{Helper, Released};
use crate::provider::qemu::inherited;
use crate::provider::qemu::platform::Inherited;
use crate::provider::qemu::virtiofs::{self, Shared};
use crate::provider::{HelperRole, LaunchPlan, Resolved, SharePlan, ShareWay, VmEvent, VmEvents};

/// Folders that are ready to be given to QEMU.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// The devices.
    pub(super) arguments: Vec<ShareArguments>,
    /// The programs, each with the place of its folder in the guest.
    helpers: Vec<(Helper, String)>,
}

impl Shares {
    /// Lets the programs live on.
    pub(super) fn release(self) -> impl Iterator<Item = Released> {
        let helpers = self.helpers.into_iter();
        helpers.filter_map(|(helper, target)| helper.release(HelperRole::Share(target)))
    }
}

/// Prepares all folders of the plan. What QEMU inherits for them is added to `inherited`.
pub(super) async fn prepare(
    plan: &LaunchPlan,
    resolved: &Resolved,
    events: &VmEvents,
    inherited: &mut Vec<Inherited>,
) -> Shares {
    match &resolved.shares {
        Some(ShareWay::Virtiofs(program)) => {
            let started = start_all(program, plan).await;
            by_programs(plan, started, events, inherited)
        }
        Some(ShareWay::NineP) => Shares {
            arguments: plan.shares.iter().map(by_qemu).collect(),
            helpers: Vec::new(),
        },
        Some(ShareWay::BuiltIn) | None => Shares::default(),
    }
}

fn by_qemu(share: &SharePlan) -> ShareArguments {
    ShareArguments {
        tag: share.tag.clone(),
        device: ShareDevice::NineP {
            source: share.source.clone(),
            read_only: share.read_only,
        },
    }
}

/// Starts a program for each folder, all at the same time; in the order of the plan.
async fn start_all(program: &std::path::Path, plan: &LaunchPlan) -> Vec<Result<Shared, String>> {
    let mut tasks = tokio::task::JoinSet::new();
    for (number, share) in plan.shares.iter().cloned().enumerate() {
        let (program, guest) = (program.to_owned(), plan.guest_ids);
        tasks.spawn(async move { (number, virtiofs::share(&program, &share, guest).await) });
    }
    let mut started: Vec<Result<Shared, String>> = plan
        .shares
        .iter()
        .map(|_| Err("its task ended unexpectedly".to_owned()))
        .collect();
    while let Some(done) = tasks.join_next().await {
        if let Ok((number, result)) = done
            && let Some(place) = started.get_mut(number)
        {
            *place = result;
        }
    }
    started
}

fn by_programs(
    plan: &LaunchPlan,
    started: Vec<Result<Shared, String>>,
    events: &VmEvents,
    inherited: &mut Vec<Inherited>,
) -> Shares {
    let mut shares = Shares::default();
    let mut limitations: Vec<String> = Vec::new();
    for (share, result) in plan.shares.iter().zip(started) {
        match result {
            Ok(shared) => {
                let fd = inherited::number(inherited);
                inherited.push(shared.connection);
                shares.arguments.push(ShareArguments {
                    tag: share.tag.clone(),
                    device: ShareDevice::Virtiofs { fd },
                });
                shares.helpers.push((shared.helper, share.target.clone()));
                limitations.extend(
                    shared
                        .limitation
                        .filter(|limitation| !limitations.contains(limitation)),
                );
            }
            Err(error) => tell(
                events,
                VmEvent::ShareLost {
                    reason: format!("`{}` cannot be shared: {error}", share.source.display()),
                    target: share.target.clone(),
                },
            ),
        }
    }
    for limitation in limitations {
        tell(events, VmEvent::Warning(limitation));
    }
    shares
}

fn tell(events: &VmEvents, event: VmEvent) {
    // The owner may be on its way out.
    let _ = events.send(event);
}
