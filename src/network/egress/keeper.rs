//! Looks after the program that carries a guest's packets: tells when it has ended, and starts it anew where it can. One
//! that asks the name servers of its start for ever is started anew when the host has others.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use machine_host::companion::Companion;
use machine_host::process::ProcessIdentity;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::backend::{Joint, backend};
use super::choice::EgressPlan;
use super::host;
use super::names::NameServers;
use super::program::Place;
use crate::machine::deadlines;

/// A program that has run for this long begins again at once when it ends.
const STEADY: Duration = Duration::from_secs(30);
/// The first pause before one that ends soon is started anew; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What becomes of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressReport {
    /// It runs, as this process.
    Up(ProcessIdentity),
    /// The guest has no network, for this reason.
    Down(String),
}

/// One who looks after the program of a machine. The program lives on when this value is dropped.
#[derive(Debug)]
pub struct Keeper {
    present: Arc<Mutex<Option<ProcessIdentity>>>,
    watching: AbortHandle,
}

impl Keeper {
    /// Begins with the program of now; its end is reported, and what follows it.
    pub fn begin(
        plan: EgressPlan,
        place: Place,
        program: Option<Companion>,
        reports: mpsc::UnboundedSender<EgressReport>,
    ) -> Self {
        let identity = program.as_ref().map(|program| program.identity().clone());
        let present = Arc::new(Mutex::new(identity));
        let watching = tokio::spawn(keep(plan, place, program, Arc::clone(&present), reports));
        Self {
            present,
            watching: watching.abort_handle(),
        }
    }

    /// Ends the program, whose machine has ended.
    pub fn end(self) {
        self.watching.abort();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = present.take()
            && let Err(error) = identity.kill()
        {
            tracing::warn!(%error, "The program of the machine's network could not be ended");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// How a run of the program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// There was no program.
    NeverBegan,
    /// By itself, or by somebody else's hand.
    Unasked,
    /// By ours, for the host has other name servers.
    Renewed,
}

async fn keep(
    plan: EgressPlan,
    place: Place,
    mut program: Option<Companion>,
    present: Arc<Mutex<Option<ProcessIdentity>>>,
    reports: mpsc::UnboundedSender<EgressReport>,
) {
    let mut names = follow_names(&plan);
    let again = plan.joint() == Some(Joint::Hypervisor);
    let mut pause = Duration::ZERO;
    loop {
        let begun = Instant::now();
        let ended = run(&mut program, &mut names).await;
        *present.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(problem) = problem(&plan, &place, ended, again) {
            // The owner that hears no more is on its way out, and with it this machine.
            if reports.send(EgressReport::Down(problem)).is_err() || !again {
                return;
            }
            pause = next_pause(pause, begun.elapsed());
            rest(pause).await;
        }
        program = match plan.start(&place) {
            Ok(program) => {
                let identity = program.identity().clone();
                *present.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity.clone());
                if reports.send(EgressReport::Up(identity)).is_err() {
                    return;
                }
                Some(program)
            }
            Err(error) => {
                tracing::info!(%error, "The program of the machine's network does not start");
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    // There is no hypervisor any more that it could serve.
                    return;
                }
                None
            }
        };
    }
}

/// The host's name servers, for a program that has to be told of others and can be started anew.
fn follow_names(plan: &EgressPlan) -> Option<NameServers> {
    let is_of_use =
        plan.joint() == Some(Joint::Hypervisor) && !backend(plan.egress).follows_name_server();
    let file = host::resolver().filter(|_| is_of_use)?;
    NameServers::follow(file)
        .inspect_err(|error| tracing::warn!(%error, "The host's name servers are not followed"))
        .ok()
}

/// Waits for the program's end, and brings it about when the host has other name servers.
async fn run(program: &mut Option<Companion>, names: &mut Option<NameServers>) -> Ended {
    let Some(program) = program else {
        return Ended::NeverBegan;
    };
    tokio::select! {
        () = program.ended() => return Ended::Unasked,
        () = renamed(names) => {}
    }
    tracing::info!("The host has other name servers, so the program of the network begins anew");
    if let Err(error) = program.identity().kill() {
        tracing::warn!(%error, "The program of the machine's network could not be ended");
    }
    program.ended().await;
    Ended::Renewed
}

/// Ready when the host has other name servers.
async fn renamed(names: &mut Option<NameServers>) {
    if let Some(followed) = names {
        match followed.changed().await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "The host's name servers are followed no more"),
        }
        *names = None;
    }
    std::future::pending::<()>().await;
}

/// What the guest lacks.
fn problem(plan: &EgressPlan, place: &Place, ended: Ended, again: bool) -> Option<String> {
    let name = plan.egress.word();
    let problem = match ended {
        Ended::Renewed => return None,
        Ended::Unasked => {
            let log = place.log.display();
            format!("the guest has no network, for `{name}` has ended; what it said is in `{log}`")
        }
        Ended::NeverBegan => format!("the guest has no network, for `{name}` does not run"),
    };
    Some(if again {
        problem
    } else {
        format!("{problem}; it has one again after its next start")
    })
}

/// How long to wait before the program is started anew, by the pause of before and how long it ran.
fn next_pause(before: Duration, ran: Duration) -> Duration {
    if ran >= STEADY {
        return Duration::ZERO;
    }
    let longest = deadlines::NETWORK_PAUSE.limit;
    (before * 2).clamp(FIRST_PAUSE, longest)
}

#[expect(
    clippy::disallowed_methods,
    reason = "whatever makes a program end again and again tells nobody when it is over"
)]
async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_a_steady_program_needs_none() {
        let soon = Duration::from_secs(1);
        let mut pause = Duration::ZERO;
        let pauses: Vec<Duration> = (0..12)
            .map(|_| {
                pause = next_pause(pause, soon);
                pause
            })
            .collect();
        assert_eq!(pauses[..3], [1, 2, 4].map(|times| FIRST_PAUSE * times));
        assert_eq!(pauses[11], deadlines::NETWORK_PAUSE.limit);
        assert_eq!(next_pause(pause, STEADY), Duration::ZERO);
    }
}
