//! Root's quadlets on the disk. Their generator ran before it was mounted, so it runs once more in each boot, where there
//! are any, and what it makes and the boot would have started is started. The user's come by themselves: the user's
//! manager starts later.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use crate::linux::log::{log, log_error};
use crate::linux::paths::Paths;
use crate::linux::program::{self, Problem};
use crate::linux::{files, systemd};

/// Where root's lie (podman-systemd.unit(5)).
const PLACE: &str = "etc/containers/systemd";
/// Where their generator puts its units (systemd.generator(7)).
const GENERATED: &str = "run/systemd/generator";
/// A directory in [`PLACE`] for the managers of users.
const OF_USERS: &str = "users";
/// The names of files that are quadlets.
const KINDS: [&str; 8] = [
    "artifact",
    "build",
    "container",
    "image",
    "kube",
    "network",
    "pod",
    "volume",
];
/// systemd reads all its units again, and runs all generators.
const RELOAD: Duration = Duration::from_secs(90);
const START: Duration = Duration::from_secs(30);
/// More than anybody has; bounds what is read.
const ENTRIES: usize = 4096;
const DEPTH: usize = 4;
const UNIT_LIMIT: u64 = 64 * 1024;

/// Has systemd read root's quadlets, once in a boot, and starts what it would have started.
pub(in crate::linux) async fn start(paths: &Paths) {
    let done = paths.quadlets_read();
    let mut entries = ENTRIES;
    if done.exists() || !any(&paths.root().join(PLACE), &mut entries, DEPTH) {
        return;
    }
    match read_and_start(paths).await {
        Ok(units) => {
            log(&format!(
                "{} quadlets of the data disk are started",
                units.len()
            ));
            if let Err(error) = files::write(&done, b"") {
                log_error("Quadlets may be read again", &error);
            }
        }
        Err(problem) => log(&format!(
            "Quadlets of the data disk are not started: {problem}"
        )),
    }
}

async fn read_and_start(paths: &Paths) -> Result<BTreeSet<String>, Problem> {
    program::run(paths, "systemctl", &["daemon-reload"], RELOAD).await?;
    let wishes = wishes(paths.root());
    let wanting: BTreeSet<&str> = wishes.iter().map(|wish| wish.wanting.as_str()).collect();
    let wanting: Vec<&str> = wanting.into_iter().collect();
    if wanting.is_empty() {
        return Ok(BTreeSet::new());
    }
    let runs = systemd::on_their_way(paths, &wanting).await?;
    let running: BTreeSet<&str> = wanting
        .into_iter()
        .zip(runs)
        .filter_map(|(unit, runs)| runs.then_some(unit))
        .collect();
    let units: BTreeSet<String> = wishes
        .iter()
        .filter(|wish| running.contains(wish.wanting.as_str()))
        .map(|wish| wish.unit.clone())
        .collect();
    if !units.is_empty() {
        let mut arguments = vec!["start", "--no-block", "--"];
        arguments.extend(units.iter().map(String::as_str));
        program::run(paths, "systemctl", &arguments, START).await?;
    }
    Ok(units)
}

/// Whether there is a quadlet in a directory.
fn any(directory: &Path, entries: &mut usize, depth: usize) -> bool {
    let Ok(list) = fs::read_dir(directory) else {
        return false;
    };
    for entry in list.flatten() {
        if *entries == 0 {
            return false;
        }
        *entries -= 1;
        let path = entry.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if kind.is_some_and(|kind| KINDS.contains(&kind)) {
            return true;
        }
        let is_users = entry.file_name() == OF_USERS;
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if depth > 0 && is_directory && !is_users && any(&path, entries, depth - 1) {
            return true;
        }
    }
    false
}

/// That a unit is to run when another does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    wanting: String,
    unit: String,
}

/// What the generated units of our place are wanted by.
fn wishes(root: &Path) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let Ok(directories) = fs::read_dir(root.join(GENERATED)) else {
        return wishes;
    };
    for directory in directories.flatten().take(ENTRIES) {
        let name = directory.file_name();
        let name = name.to_string_lossy();
        let wanting = name
            .strip_suffix(".wants")
            .or_else(|| name.strip_suffix(".requires"));
        let (Some(wanting), Ok(links)) = (wanting, fs::read_dir(directory.path())) else {
            continue;
        };
        for link in links.flatten().take(ENTRIES) {
            if wishes.len() < ENTRIES && is_of_a_quadlet(&link.path()) {
                wishes.push(Wish {
                    wanting: wanting.to_owned(),
                    unit: link.file_name().to_string_lossy().into_owned(),
                });
            }
        }
    }
    wishes
}

/// Whether a unit was made from a file of our place, by its own words.
fn is_of_a_quadlet(unit: &Path) -> bool {
    let mut text = String::new();
    let file = fs::File::open(unit);
    let read = file.and_then(|file| file.take(UNIT_LIMIT).read_to_string(&mut text));
    let source = format!("SourcePath=/{PLACE}/");
    read.is_ok() && text.lines().any(|line| line.starts_with(&source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    /// A systemd whose generator makes a unit for a target that runs, one for a target that does not, and leaves others'.
    fn stub() -> Stub {
        let stub = Stub::new();
        stub.program(
            "usr/bin/systemctl",
            "case $1 in\n\
             daemon-reload)\n\
             G=$ROOT/run/systemd/generator\n\
             mkdir -p $G/multi-user.target.wants $G/odd.target.requires\n\
             printf '[Unit]\\nSourcePath=/etc/containers/systemd/web.container\\n' > $G/web.service\n\
             printf '[Unit]\\nSourcePath=/etc/containers/systemd/a/odd.kube\\n' > $G/odd.service\n\
             printf '[Unit]\\nSourcePath=/etc/fstab\\n' > $G/other.service\n\
             ln -sf ../web.service ../other.service $G/multi-user.target.wants/\n\
             ln -sf ../odd.service $G/odd.target.requires/ ;;\n\
             show) printf 'ActiveState=inactive\\nJob=12\\n\\nActiveState=inactive\\n' ;;\n\
             esac",
        );
        stub
    }

    #[tokio::test]
    async fn what_the_boot_would_have_started_once() {
        let stub = stub();
        stub.put("etc/containers/systemd/web.container", "[Container]\n");
        start(&stub.paths).await;
        let calls = [
            "systemctl daemon-reload",
            "systemctl show --property=ActiveState,Job -- multi-user.target odd.target",
            "systemctl start --no-block -- web.service",
        ];
        assert_eq!(stub.calls(), calls);
        start(&stub.paths).await;
        assert_eq!(stub.calls(), [""; 0]);
    }

    #[tokio::test]
    async fn nothing_without_quadlets_of_roots() {
        let stub = stub();
        stub.put("etc/containers/systemd/users/1000/web.container", "");
        stub.put("etc/containers/systemd/README", "");
        start(&stub.paths).await;
        assert_eq!(stub.calls(), [""; 0]);
        stub.put("etc/containers/systemd/a/b/net.network", "");
        start(&stub.paths).await;
        assert_eq!(stub.calls().len(), 3);
    }

    #[tokio::test]
    async fn a_failure_is_tried_again_by_the_next_agent() {
        let stub = stub();
        stub.put("etc/containers/systemd/web.container", "");
        stub.program("usr/bin/systemctl", "echo no >&2; exit 1");
        start(&stub.paths).await;
        assert!(!stub.paths.quadlets_read().exists());
    }
}
