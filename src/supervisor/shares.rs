//! The folders of the host in one run of a machine: what the provider is told, and what the guest is told.

use std::io;
use std::path::Path;

use fs_err as fs;
use machine_host::subordinate::IdRange;
use machine_protocol::boot::{Share, ShareKind};
use machine_provisioning::{group_id, sub_ids};

use crate::machine::{MachineConfig, Volume};
use crate::provider::{GuestIds, SharePlan, ShareWay};
use crate::store::layout::MachineFiles;

/// What `SELinux` in the guest is to take the files for: containers and services may use them as they use those of a
/// file server (podman has the same, spec 3.5).
const CONTEXT: &str = "system_u:object_r:nfs_t:s0";

/// A folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunShare {
    /// What the provider is told.
    pub(super) plan: SharePlan,
    /// Why the folder cannot be shared.
    problem: Option<String>,
}

/// The folders that the machine is to have, each before those that lie in it.
pub(super) fn of(config: &MachineConfig, files: &MachineFiles) -> Vec<RunShare> {
    let mut volumes: Vec<&Volume> = config.volumes.iter().collect();
    volumes.sort_by_key(|volume| volume.target.split('/').collect::<Vec<_>>());
    let shares = volumes.into_iter().enumerate();
    shares
        .map(|(number, volume)| RunShare {
            problem: look(&volume.source).err().map(|error| {
                format!(
                    "`{}` of the host cannot be shared: {error}",
                    volume.source.display()
                )
            }),
            plan: SharePlan {
                tag: format!("machine-share-{number}"),
                source: volume.source.clone(),
                target: volume.target.clone(),
                read_only: volume.read_only,
                socket: files.share_socket(number),
                log: files.share_log(number),
            },
        })
        .collect()
}

fn look(source: &Path) -> io::Result<()> {
    let not_a_folder = || io::Error::new(io::ErrorKind::NotADirectory, "it is no folder");
    if !fs::metadata(source)
        .map_err(|error| plain(&error))?
        .is_dir()
    {
        return Err(not_a_folder());
    }
    fs::read_dir(source)
        .map_err(|error| plain(&error))
        .map(drop)
}

/// Without the path, which is named already.
fn plain(error: &io::Error) -> io::Error {
    error.kind().into()
}

/// Those that can be had.
pub(super) fn for_provider(shares: &[RunShare]) -> Vec<SharePlan> {
    let good = shares.iter().filter(|share| share.problem.is_none());
    good.map(|share| share.plan.clone()).collect()
}

/// All of them, for the agent, which also sees to the places of those that cannot be had.
pub(super) fn for_guest(shares: &[RunShare], way: Option<&ShareWay>) -> Vec<Share> {
    let kind = match way {
        Some(ShareWay::NineP) => ShareKind::NineP,
        Some(ShareWay::Virtiofs(_) | ShareWay::BuiltIn) | None => ShareKind::Virtiofs,
    };
    shares
        .iter()
        .map(|RunShare { plan, problem }| Share {
            tag: plan.tag.clone(),
            kind,
            target: plan.target.clone(),
            read_only: plan.read_only,
            context: CONTEXT.to_owned(),
            problem: problem.clone(),
        })
        .collect()
}

/// Who owns files in the guest.
pub(super) fn guest_ids(config: &MachineConfig) -> GuestIds {
    let (first, count) = sub_ids(config.uid);
    GuestIds {
        user: config.uid,
        group: group_id(config.uid),
        sub_ids: IdRange { first, count },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_first_and_what_is_missing_is_told_to_the_guest_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str, target: &str| Volume {
            source: root.path().join(name),
            target: target.to_owned(),
            read_only: name == "b",
            watch: false,
        };
        for name in ["a", "b"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("file"), "").unwrap();
        let config = MachineConfig {
            volumes: vec![
                folder("b", "/x/y z"),
                folder("gone", "/x-1"),
                folder("a", "/x"),
                folder("file", "/a"),
            ],
            ..crate::store::testing::config("dev", "/m/dev")
        };
        let files = MachineFiles::new("/m".into(), "/s".into());
        let shares = of(&config, &files);
        let targets: Vec<_> = shares.iter().map(|share| &*share.plan.target).collect();
        assert_eq!(targets, ["/a", "/x", "/x/y z", "/x-1"]);

        let plans = for_provider(&shares);
        let told: Vec<_> = plans
            .iter()
            .map(|plan| (&*plan.target, &*plan.tag))
            .collect();
        assert_eq!(
            told,
            [("/x", "machine-share-1"), ("/x/y z", "machine-share-2")]
        );
        let told = for_guest(&shares, Some(&ShareWay::NineP));
        assert!(told.iter().all(|share| share.kind == ShareKind::NineP));
        let read_only: Vec<_> = told.iter().map(|share| share.read_only).collect();
        assert_eq!(read_only, [false, false, true, false]);
        let problems: Vec<_> = told.iter().map(|share| share.problem.is_some()).collect();
        assert_eq!(problems, [true, false, false, true]);
        assert!(
            told[0]
                .problem
                .as_ref()
                .unwrap()
                .ends_with("it is no folder")
        );
    }
}
