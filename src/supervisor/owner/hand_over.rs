//! Leaves a running machine to another supervisor: the VM and the programs beside it stay as they are.

use machine_host::lock::FileLock;
use machine_host::process::ProcessIdentity;
use tokio::sync::mpsc;

use super::Owner;
use crate::supervisor::control::{BUILD, Reply, told_apart};
use crate::supervisor::events::Event;
use crate::supervisor::lifecycle::State;
use crate::supervisor::record::VmRecord;
use crate::supervisor::server::Server;

/// Why the machine cannot be left now, for the user. Only a VM that is found again by its record may be left.
fn objection(
    state: &State,
    vm: Option<&ProcessIdentity>,
    record: Option<&VmRecord>,
) -> Option<&'static str> {
    match (state, vm) {
        (State::Running(_), Some(vm)) if record.is_some_and(|record| record.process == *vm) => None,
        (State::Running(_), _) => Some(
            "the record of its virtual machine is missing or damaged, so that nobody could find it again",
        ),
        (State::Starting(_), _) => Some("it is starting"),
        (State::Stopping(_) | State::Ended, _) => Some("it is being stopped"),
    }
}

impl Owner {
    /// Begins to leave, or says why not.
    pub(super) fn ask_to_leave(&mut self, to: &str, replies: mpsc::Sender<Reply>) {
        let record = VmRecord::read(&self.files.vm_record());
        let vm = self.vm.as_ref().map(|vm| vm.identity());
        if let Some(reason) = objection(self.life.state(), vm, record.as_ref()) {
            let reason = reason.to_owned();
            // A client that has hung up does not care.
            let _ = replies.try_send(Reply::Refused { reason });
            return;
        }
        self.audience.announce(Event::Warning {
            message: format!(
                "the supervisor of build {} leaves the machine to build {}",
                told_apart(BUILD, to),
                told_apart(to, BUILD)
            ),
        });
        self.note_last_up();
        self.successor = Some(replies);
        self.exiting = true;
    }

    /// Closes what is this process' own, and tells `successor` when all of it is free.
    pub(super) async fn hand_over(
        mut self,
        server: Server,
        lock: FileLock,
        successor: mpsc::Sender<Reply>,
    ) {
        if let Some(link) = self.link.take() {
            // It removes the sockets of the API. Those of the VM and its programs are theirs.
            link.close().await;
        }
        // Neither ends with its handle.
        drop((self.network.take(), self.vm.take()));
        server.unlink();
        drop(lock);
        // A client that has hung up finds the machine as it is.
        let _ = successor.try_send(Reply::HandedOver);
        drop(successor);
        self.audience.dismiss();
        server.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::events::Phase;
    use crate::supervisor::lifecycle::Rung;

    #[test]
    fn only_a_vm_that_is_found_again_is_left() {
        let vm = ProcessIdentity {
            pid: 7,
            started: 1,
            boot: "b".to_owned(),
        };
        let record = |started| VmRecord {
            process: ProcessIdentity {
                started,
                ..vm.clone()
            },
            helpers: Vec::new(),
            vsock: None,
            network: None,
            build: "x".to_owned(),
            was_up: true,
        };
        let degraded = State::Running(Some("no engine".to_owned()));
        for state in [State::Running(None), degraded] {
            assert_eq!(objection(&state, Some(&vm), Some(&record(1))), None);
            // Of an earlier VM, of none, and no VM.
            for (vm, record) in [
                (Some(&vm), Some(record(2))),
                (Some(&vm), None),
                (None, Some(record(1))),
            ] {
                let objection = objection(&state, vm, record.as_ref());
                assert!(objection.is_some_and(|text| text.contains("record")));
            }
        }
        for state in [
            State::Starting(Phase::Engine),
            State::Stopping(Rung::Agent),
            State::Ended,
        ] {
            assert!(objection(&state, Some(&vm), Some(&record(1))).is_some());
        }
    }
}
