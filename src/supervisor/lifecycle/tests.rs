//! Tests of the state machine: the paths a machine takes, and laws that hold for every sequence of inputs.

mod running;
mod start;
mod stop;

use proptest::prelude::*;

use super::*;

fn ready(engine: Engine) -> Input {
    Input::Agent(AgentEvent::EngineReady {
        engine,
        uptime_ms: 1,
    })
}

fn listening(engine: Engine) -> Input {
    Input::Agent(AgentEvent::SocketListening { engine })
}

fn link_up() -> Input {
    Input::LinkUp {
        agent: "1".into(),
        carrier: "virtio-serial".into(),
    }
}

fn launched() -> Input {
    Input::Launched {
        pid: 1,
        adopted: false,
    }
}

fn health(part: Part, problem: Option<&str>) -> Input {
    Input::Agent(AgentEvent::Health {
        part,
        problem: problem.map(str::to_owned),
    })
}

fn exited(orderly: bool) -> Input {
    Input::VmExited {
        reason: "qemu exited unexpectedly with exit code 1, stderr: x".into(),
        orderly,
        cause: None,
    }
}

/// All that a start waits for, sockets of the host aside.
fn come_up(life: &mut Lifecycle) {
    for input in [
        launched(),
        link_up(),
        listening(Engine::Rootful),
        ready(Engine::Rootless),
        health(Part::Ssh, None),
    ] {
        life.handle(input);
    }
}

fn running() -> Lifecycle {
    let mut life = Lifecycle::new(false, false);
    come_up(&mut life);
    assert_eq!(life.state(), &State::Running(None));
    life
}

fn failure(actions: &[Action]) -> &Failure {
    actions
        .iter()
        .find_map(|action| match action {
            Action::Announce(Event::Failed(failure)) => Some(failure),
            _ => None,
        })
        .expect("a failure is announced")
}

const UNFIT: &str = "The data disk belongs to `ann`";

fn any_input() -> impl Strategy<Value = Input> {
    let engine = prop_oneof![Just(Engine::Rootful), Just(Engine::Rootless)];
    prop_oneof![
        Just(launched()),
        Just(Input::BootFailed(Failure::new("x"))),
        Just(link_up()),
        Just(Input::LinkDown { reason: "x".into() }),
        Just(Input::AgentEnded),
        Just(health(Part::Ssh, None)),
        Just(health(Part::Ssh, Some("off"))),
        any::<bool>().prop_map(|rootful| Input::ModeChanged { rootful }),
        engine.clone().prop_map(ready),
        engine.prop_map(listening),
        Just(Input::Agent(AgentEvent::BootFinished {
            state: "maintenance".into(),
            failed_units: vec![]
        })),
        Just(Input::GuestFailed(Failure::new("x"))),
        any::<bool>().prop_map(|wanted| Input::Sockets {
            wanted,
            problem: None
        }),
        Just(Input::SocketsTold),
        Just(Input::Reset),
        Just(Input::Paused {
            reason: "full".into()
        }),
        Just(Input::Resumed),
        any::<bool>().prop_map(exited),
        (any::<u64>(), any::<bool>()).prop_map(|(id, force)| Input::Stop { id, force }),
        Just(Input::Terminated),
        Just(Input::RungExpired),
        Just(Input::Silent { detail: vec![] }),
        Just(Input::StartExpired { detail: vec![] }),
    ]
}

proptest! {
    #[test]
    fn laws_hold_for_every_sequence(inputs in proptest::collection::vec(any_input(), 0..60), rootful: bool, rescue: bool) {
        let mut life = Lifecycle::new(rootful, rescue);
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let (mut open, mut exits, mut rung, mut has_vm) = (false, 0, None, false);
        // Whatever happened: the VM is launched or not, and in the end it is gone.
        let end = [launched(), exited(true)];
        for input in inputs.into_iter().chain(end) {
            if let Input::Stop { id, .. } = &input { asked.push(*id); }
            // There is one VM in a life.
            if matches!(input, Input::Launched { .. }) && std::mem::replace(&mut has_vm, true) { continue; }
            for action in life.handle(input) {
                match action {
                    Action::OpenApi => { prop_assert!(!open); open = true; }
                    Action::CloseApi => { prop_assert!(open); open = false; }
                    Action::Climb(next) => { prop_assert!(rung <= Some(next), "the ladder only climbs"); rung = Some(next); }
                    Action::Answer(id) => answered.push(id),
                    Action::AskAgain => prop_assert!(rung < Some(Rung::Quit)),
                    Action::CutOff => prop_assert_eq!(rung, None, "there is a VM"),
                    Action::Exit => exits += 1,
                    Action::Announce(_) => prop_assert_eq!(exits, 0, "nothing is announced after the end"),
                }
            }
            prop_assert_eq!(open, matches!(life.state(), State::Running(_)), "the API is open exactly while running");
        }
        asked.sort_unstable();
        answered.sort_unstable();
        prop_assert_eq!(asked, answered, "each request is answered once");
        prop_assert_eq!(exits, 1);
    }
}
