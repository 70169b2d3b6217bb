//! `list`: all machines with what they are doing.
//!
//! It takes no lock and starts no process. Machines are asked at the same time, so that one that does not answer costs
//! its own wait only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;

use crate::machine::{MachineName, Status};
use crate::store::{MachineFiles, Store, StoreError, StoredMachine};

/// So many machines are asked at the same time.
const PROBES: usize = 16;

/// One machine of the list.
#[derive(Debug)]
pub struct ListedMachine {
    /// The name.
    pub name: MachineName,
    /// The machine, or why it cannot be read.
    pub machine: Result<StoredMachine, StoreError>,
    /// What it is doing. A machine that cannot be read may be running too.
    pub status: Status,
    /// When it was last up; `None` means never.
    pub last_up: Option<Timestamp>,
}

/// All machines: running ones first, then those that were up last; equal ones by name.
///
/// `probe` tells what a machine is doing. It is called from several threads.
pub fn list(
    store: &Store,
    probe: impl Fn(&MachineFiles) -> Status + Sync,
) -> Result<Vec<ListedMachine>, StoreError> {
    let found = store
        .list()?
        .into_iter()
        .map(|(name, machine)| {
            let files = match &machine {
                Ok(machine) => machine.files.clone(),
                Err(_) => store.files(&name)?,
            };
            Ok((name, machine, files))
        })
        // One that was removed meanwhile.
        .filter(|found| !matches!(found, Err(StoreError::NotFound { .. })))
        .collect::<Result<Vec<_>, StoreError>>()?;

    let files: Vec<_> = found.iter().map(|(_, _, files)| files).collect();
    let statuses = probe_all(&files, &probe);
    let mut machines: Vec<_> = found
        .into_iter()
        .zip(statuses)
        .map(|((name, machine, _), status)| ListedMachine {
            last_up: machine.as_ref().ok().and_then(StoredMachine::last_up),
            name,
            machine,
            status,
        })
        .collect();
    machines.sort_by(|one, other| {
        let running = other.status.is_running().cmp(&one.status.is_running());
        // `None` is before every time, so never comes last.
        running
            .then(other.last_up.cmp(&one.last_up))
            .then_with(|| one.name.cmp(&other.name))
    });
    Ok(machines)
}

/// The statuses in the order of the files. A machine without a control socket, and without a VM that might have been
/// left behind, answers at once and is worth no thread.
fn probe_all(
    files: &[&MachineFiles],
    probe: &(impl Fn(&MachineFiles) -> Status + Sync),
) -> Vec<Status> {
    let slow = |files: &MachineFiles| {
        files.control_socket().symlink_metadata().is_ok() || files.vm_record().exists()
    };
    let (later, at_once): (Vec<_>, Vec<_>) =
        files.iter().enumerate().partition(|(_, files)| slow(files));
    let mut statuses: Vec<_> = at_once
        .into_iter()
        .map(|(index, files)| (index, probe(files)))
        .collect();

    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        while let Some((index, files)) = later.get(next.fetch_add(1, Ordering::Relaxed)) {
            answers.push((*index, probe(files)));
        }
        answers
    };
    // This thread works too, so no answer is lost where no thread can be had.
    let helpers = later.len().min(PROBES).saturating_sub(1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..helpers)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        statuses.extend(work());
        for thread in threads {
            match thread.join() {
                Ok(answers) => statuses.extend(answers),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    statuses.sort_by_key(|(index, _)| *index);
    statuses.into_iter().map(|(_, status)| status).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::store::testing::{Bench, name};

    fn names(machines: &[ListedMachine]) -> Vec<&str> {
        machines
            .iter()
            .map(|machine| machine.name.as_str())
            .collect()
    }

    #[test]
    fn running_first_then_the_last_up_then_by_name() {
        let bench = Bench::new();
        for text in ["never-b", "never-a", "older", "newer", "running"] {
            bench.make(text);
        }
        for (text, time) in [
            ("older", "2026-01-01T00:00:00Z"),
            ("newer", "2026-02-01T00:00:00Z"),
        ] {
            let files = bench.files(text);
            crate::store::document::write_last_up(&files, time.parse().unwrap()).unwrap();
        }
        let running = bench.files("running").directory().to_owned();
        let machines = list(&bench.store, |files| {
            if files.directory() == running {
                Status::Unmanaged
            } else {
                Status::Stopped
            }
        })
        .unwrap();
        assert_eq!(
            names(&machines),
            ["running", "newer", "older", "never-a", "never-b"]
        );
        assert_eq!(machines[0].status, Status::Unmanaged);
        assert_eq!(machines[0].last_up, None);
    }

    #[test]
    fn an_unreadable_machine_is_listed_with_its_reason_and_status() {
        let bench = Bench::new();
        bench.make("good");
        let bad = bench.make("bad").files;
        fs_err::write(bad.config(), "format = \"9.0\"").unwrap();
        let machines = list(&bench.store, |files| {
            assert!(files.control_socket().starts_with(files.directory()));
            if *files == bad {
                Status::Running
            } else {
                Status::Stopped
            }
        })
        .unwrap();
        assert_eq!(names(&machines), ["bad", "good"]);
        assert!(matches!(machines[0].machine, Err(StoreError::Newer { .. })));
        assert_eq!(machines[0].status, Status::Running);
    }

    #[test]
    fn machines_that_may_be_slow_are_asked_at_the_same_time() {
        let bench = Bench::new();
        for number in 0..PROBES {
            let machine = bench.make(&format!("m{number}"));
            fs_err::write(machine.files.control_socket(), "").unwrap();
        }
        // Returns only when all are being asked.
        let all = Barrier::new(PROBES);
        let machines = list(&bench.store, |_| {
            all.wait();
            Status::Running
        })
        .unwrap();
        assert_eq!(machines.len(), PROBES);
    }

    #[test]
    fn each_machine_gets_its_own_answer() {
        let bench = Bench::new();
        for number in 0..50 {
            let machine = bench.make(&format!("m{number}"));
            if number % 3 == 0 {
                fs_err::write(machine.files.control_socket(), "").unwrap();
            }
        }
        let machines = list(&bench.store, |files| Status::Degraded {
            reason: files
                .directory()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        })
        .unwrap();
        assert_eq!(machines.len(), 50);
        for machine in machines {
            let Status::Degraded { reason } = machine.status else {
                panic!("another status");
            };
            assert_eq!(reason, machine.name.as_str());
        }
    }

    #[test]
    fn lists_while_machines_come_and_go() {
        let bench = Bench::new();
        bench.make("stays");
        thread::scope(|scope| {
            let lists: Vec<_> = (0..200)
                .map(|_| {
                    scope.spawn(|| {
                        let machines = list(&bench.store, |_| Status::Stopped).unwrap();
                        assert!(names(&machines).contains(&"stays"));
                        assert!(machines.iter().all(|machine| machine.machine.is_ok()));
                    })
                })
                .collect();
            for _ in 0..20 {
                bench.make("goes");
                bench.store.edit(&name("goes")).unwrap().remove().unwrap();
            }
            for list in lists {
                list.join().unwrap();
            }
        });
    }
}
