//! Tests of the state machine: the paths a machine takes, and laws that hold for every sequence of inputs.

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

#[test]
fn ready_needs_the_modes_engine_and_the_others_socket() {
    let mut life = Lifecycle::new(false, false);
    life.handle(launched());
    life.handle(link_up());
    life.handle(ready(Engine::Rootless));
    assert_eq!(life.state(), &State::Starting(Phase::Engine));
    life.handle(listening(Engine::Rootful));
    assert_eq!(life.state(), &State::Starting(Phase::Engine));
    let actions = life.handle(health(Part::Ssh, None));
    assert_eq!(actions, [Action::OpenApi, Action::Announce(Event::Ready)]);
}

#[test]
fn a_machine_whose_ssh_server_is_off_comes_up_degraded() {
    let mut life = Lifecycle::new(false, false);
    for input in [
        launched(),
        link_up(),
        ready(Engine::Rootless),
        listening(Engine::Rootful),
    ] {
        life.handle(input);
    }
    let reason = "SSH is off".to_owned();
    let degraded = Event::Degraded {
        reason: reason.clone(),
    };
    assert_eq!(
        life.handle(health(Part::Ssh, Some("SSH is off"))),
        [
            Action::OpenApi,
            Action::Announce(degraded),
            Action::Announce(Event::Ready)
        ]
    );
    assert_eq!(life.state(), &State::Running(Some(reason)));
    assert_eq!(
        life.handle(health(Part::Ssh, None)),
        [Action::Announce(Event::Recovered)]
    );
}

const UNFIT: &str = "The data disk belongs to `ann`";

#[test]
fn a_data_disk_that_cannot_be_used_ends_a_start_at_once() {
    let mut life = Lifecycle::new(false, false);
    life.handle(launched());
    life.handle(link_up());
    let actions = life.handle(health(Part::DataDisk, Some(UNFIT)));
    let expected = [Action::Announce(Event::Stopping), Action::Climb(Rung::Quit)];
    assert_eq!(actions, expected);
    let actions = life.handle(exited(false));
    let failure = failure(&actions);
    assert_eq!(failure.code, Code::DataDisk);
    assert_eq!(failure.detail, [UNFIT]);
    assert_eq!(Code::DataDisk.word(), "data-disk");
}

#[test]
fn a_data_disk_that_can_be_used_is_no_news() {
    let mut life = Lifecycle::new(false, false);
    life.handle(launched());
    life.handle(link_up());
    assert_eq!(life.handle(health(Part::DataDisk, None)), []);
    assert_eq!(life.state(), &State::Starting(Phase::Engine));
}

#[test]
fn a_machine_whose_data_disk_cannot_be_used_is_kept_for_rescue_and_stays_degraded() {
    let mut life = Lifecycle::new(false, true);
    life.handle(launched());
    life.handle(link_up());
    life.handle(health(Part::DataDisk, Some(UNFIT)));
    let reason = format!("kept for rescue: {UNFIT}");
    assert_eq!(life.state(), &State::Running(Some(reason)));
    come_up(&mut life);
    assert_eq!(life.state(), &State::Running(Some(UNFIT.to_owned())));
    life.handle(health(Part::DataDisk, None));
    assert_eq!(life.state(), &State::Running(None));
}

#[test]
fn a_running_machine_is_degraded_by_its_data_disk_and_goes_on() {
    let mut life = running();
    life.handle(health(Part::DataDisk, Some(UNFIT)));
    assert_eq!(life.state(), &State::Running(Some(UNFIT.to_owned())));
    // Taken over by another supervisor.
    let mut life = Lifecycle::new(false, false);
    life.handle(Input::Launched {
        pid: 1,
        adopted: true,
    });
    life.handle(link_up());
    life.handle(health(Part::DataDisk, Some(UNFIT)));
    assert_eq!(life.state(), &State::Starting(Phase::Engine));
    come_up(&mut life);
    assert_eq!(life.state(), &State::Running(Some(UNFIT.to_owned())));
}

#[test]
fn a_start_waits_until_the_agent_knows_of_the_sockets_and_no_longer() {
    let sockets = |wanted, problem: Option<&str>| Input::Sockets {
        wanted,
        problem: problem.map(str::to_owned),
    };
    let mut life = Lifecycle::new(false, false);
    for input in [
        sockets(true, None),
        launched(),
        link_up(),
        Input::SocketsTold,
        // What was told to the agent of another session counts no more.
        Input::LinkDown { reason: "x".into() },
        link_up(),
        listening(Engine::Rootful),
        ready(Engine::Rootless),
        health(Part::Ssh, None),
    ] {
        life.handle(input);
    }
    assert_eq!(life.state(), &State::Starting(Phase::Engine));
    let actions = life.handle(Input::SocketsTold);
    assert_eq!(actions, [Action::OpenApi, Action::Announce(Event::Ready)]);

    // A machine that runs is as it was, whatever is changed; only what is wrong is told.
    assert_eq!(life.handle(sockets(true, None)), []);
    let degraded = life.handle(sockets(true, Some("no agent")));
    let reason = "no agent".to_owned();
    assert_eq!(degraded, [Action::Announce(Event::Degraded { reason })]);
    life.handle(Input::LinkDown { reason: "x".into() });
    life.handle(sockets(false, None));
    assert_eq!(
        life.state(),
        &State::Running(Some("the link to the guest is lost".into()))
    );

    // Sockets that are given up do not keep a start waiting.
    let mut life = Lifecycle::new(false, false);
    life.handle(sockets(true, None));
    come_up(&mut life);
    assert!(life.is_starting());
    life.handle(sockets(false, None));
    assert_eq!(life.state(), &State::Running(None));
}

#[test]
fn problems_are_told_together() {
    let mut life = running();
    life.handle(health(Part::TimeZone, Some("no zone")));
    life.handle(health(Part::Clock, Some("no clock")));
    assert_eq!(
        life.state(),
        &State::Running(Some("no clock; no zone".into()))
    );
}

#[test]
fn another_mode_needs_the_answer_of_its_engine() {
    let mut life = running();
    let actions = life.handle(Input::ModeChanged { rootful: true });
    assert!(
        matches!(actions[..], [Action::Announce(Event::Degraded { .. })]),
        "{actions:?}"
    );
    let actions = life.handle(ready(Engine::Rootful));
    assert!(
        actions.contains(&Action::Announce(Event::Recovered)),
        "{actions:?}"
    );
    assert_eq!(life.handle(Input::ModeChanged { rootful: false }), []);
}

#[test]
fn an_agent_that_ends_again_and_again_is_a_failure() {
    let mut life = Lifecycle::new(false, false);
    life.handle(launched());
    for _ in 1..AGENT_ENDS_OF_A_START {
        assert_eq!(life.handle(Input::AgentEnded), []);
    }
    life.handle(Input::AgentEnded);
    let failure = failure(&life.handle(exited(false))).clone();
    assert_eq!(failure.code, Code::AgentCrash);
}

#[test]
fn rescue_keeps_a_guest_with_an_agent_and_only_that() {
    let broken = AgentEvent::EngineFailed {
        engine: Engine::Rootless,
        reason: "masked".into(),
        detail: vec![],
    };
    let mut life = Lifecycle::new(false, true);
    life.handle(launched());
    life.handle(link_up());
    let actions = life.handle(Input::Agent(broken.clone()));
    assert_eq!(actions.last(), Some(&Action::Announce(Event::Ready)));
    let State::Running(Some(reason)) = life.state() else {
        panic!("{:?}", life.state());
    };
    assert!(reason.starts_with("kept for rescue: "), "{reason}");
    for input in [
        ready(Engine::Rootless),
        listening(Engine::Rootful),
        health(Part::Ssh, None),
    ] {
        life.handle(input);
    }
    assert_eq!(life.state(), &State::Running(None), "it was mended");

    let mut life = Lifecycle::new(false, true);
    life.handle(launched());
    let actions = life.handle(Input::Silent { detail: vec![] });
    assert_eq!(actions.last(), Some(&Action::Climb(Rung::Quit)));
}

#[test]
fn a_machine_that_was_up_is_not_ended_for_what_does_not_come_back() {
    let adopted = Input::Launched {
        pid: 1,
        adopted: true,
    };
    let silent = Input::Silent { detail: vec![] };
    let mut life = Lifecycle::new(false, false);
    life.keep_running();
    life.handle(adopted.clone());
    let actions = life.handle(silent.clone());
    assert_eq!(actions.last(), Some(&Action::Announce(Event::Ready)));
    assert!(matches!(life.state(), State::Running(Some(_))));
    for input in [
        link_up(),
        listening(Engine::Rootful),
        ready(Engine::Rootless),
        health(Part::Ssh, None),
    ] {
        life.handle(input);
    }
    assert_eq!(life.state(), &State::Running(None), "all of it came back");

    // One that was still starting is a start like any other, with a gentle end.
    let mut life = Lifecycle::new(false, false);
    life.handle(adopted);
    let actions = life.handle(silent);
    assert_eq!(actions.last(), Some(&Action::Climb(Rung::PowerButton)));
}

#[test]
fn a_start_that_is_cut_off_has_not_failed() {
    let mut life = Lifecycle::new(false, false);
    life.handle(Input::Entered(Phase::Launch));
    let actions = life.handle(Input::Terminated);
    assert_eq!(actions.last(), Some(&Action::CutOff));
    let failure = Failure::new("The start was cut off");
    let actions = life.handle(Input::BootFailed(failure));
    assert_eq!(actions, [Action::Announce(Event::Stopped), Action::Exit]);
}

/// Whatever is told first.
#[test]
fn nobody_waits_for_a_paused_guest_that_outlived_its_supervisor() {
    let adopted = Input::Launched {
        pid: 1,
        adopted: true,
    };
    let paused = Input::Paused {
        reason: "paused".into(),
    };
    for inputs in [
        [adopted.clone(), paused.clone()],
        [paused.clone(), adopted.clone()],
    ] {
        let mut life = Lifecycle::new(false, false);
        life.keep_running();
        let actions: Vec<_> = inputs
            .into_iter()
            .flat_map(|input| life.handle(input))
            .collect();
        assert_eq!(actions.last(), Some(&Action::Announce(Event::Ready)));
        assert_eq!(life.state(), &State::Running(Some("paused".into())));
    }
    // One that was still on its way up may not have what a start promises.
    let mut life = Lifecycle::new(false, false);
    life.handle(adopted);
    life.handle(paused);
    assert!(life.is_starting());
}

#[test]
fn a_guest_that_outlived_its_supervisor_is_not_cut_off() {
    let mut life = Lifecycle::new(false, false);
    life.handle(Input::Launched {
        pid: 1,
        adopted: true,
    });
    let actions = life.handle(Input::AgentRefused {
        reason: "another secret".into(),
    });
    assert_eq!(actions.last(), Some(&Action::Climb(Rung::PowerButton)));
    let failure = failure(&life.handle(exited(true))).clone();
    assert_eq!(failure.code, Code::AgentRefused);
}

/// Its agent is about to dial, and then hears of it.
#[test]
fn a_stop_while_a_guest_is_taken_over_is_no_power_cut() {
    let adopted = || Input::Launched {
        pid: 1,
        adopted: true,
    };
    for stop in [
        Input::Terminated,
        Input::Stop {
            id: 1,
            force: false,
        },
    ] {
        let mut life = Lifecycle::new(false, false);
        life.handle(stop);
        let actions = life.handle(adopted());
        assert_eq!(actions.last(), Some(&Action::Climb(Rung::Agent)));
        assert_eq!(life.handle(link_up()).last(), Some(&Action::AskAgain));
    }
    // A stop by force is one.
    for force in [[false, true], [true, false]] {
        let mut life = Lifecycle::new(false, false);
        for force in force {
            life.handle(Input::Stop { id: 1, force });
        }
        let actions = life.handle(adopted());
        assert_eq!(actions.last(), Some(&Action::Climb(Rung::Quit)));
        assert_eq!(life.handle(link_up()).len(), 1, "nobody is asked any more");
    }
}

#[test]
fn an_agent_that_comes_back_is_asked_again_to_power_off() {
    let mut life = running();
    life.handle(Input::Stop {
        id: 1,
        force: false,
    });
    life.handle(Input::LinkDown { reason: "x".into() });
    assert_eq!(life.handle(link_up()).last(), Some(&Action::AskAgain));
    assert_eq!(life.state(), &State::Stopping(Rung::Agent));
}

#[test]
fn a_vm_whose_end_is_told_first_ends_when_its_begin_is() {
    let mut life = Lifecycle::new(false, false);
    assert_eq!(life.handle(exited(false)), []);
    assert!(life.is_starting());
    let actions = life.handle(launched());
    assert_eq!(failure(&actions).code, Code::VmDied);
    assert_eq!(actions.last(), Some(&Action::Exit));
    // The boot task knows better what failed.
    let mut life = Lifecycle::new(false, false);
    life.handle(exited(false));
    let cause = Failure::new("x").coded(Code::Provider);
    let actions = life.handle(Input::BootFailed(cause));
    assert_eq!(failure(&actions).code, Code::Provider);
}

#[test]
fn what_the_guest_said_is_why_its_start_failed_and_rescue_keeps_no_dead_guest() {
    let mut life = Lifecycle::new(false, true);
    life.handle(launched());
    life.handle(link_up());
    let cause = Failure::new("x").coded(Code::Ignition);
    let actions = life.handle(Input::VmExited {
        reason: "y".into(),
        orderly: true,
        cause: Some(cause),
    });
    assert_eq!(failure(&actions).code, Code::Ignition);
    assert!(!actions.contains(&Action::Announce(Event::Ready)));
}

#[test]
fn an_engine_that_failed_is_not_ready_because_it_was() {
    let mut life = Lifecycle::new(false, true);
    for input in [
        launched(),
        link_up(),
        ready(Engine::Rootless),
        Input::Agent(AgentEvent::EngineFailed {
            engine: Engine::Rootless,
            reason: "gone".into(),
            detail: vec![],
        }),
        listening(Engine::Rootful),
        health(Part::Ssh, None),
    ] {
        life.handle(input);
    }
    let State::Running(Some(reason)) = life.state() else {
        panic!("{:?}", life.state());
    };
    assert!(reason.starts_with("kept for rescue: "), "{reason}");
}

#[test]
fn the_other_modes_engine_alone_is_not_ready() {
    let mut life = Lifecycle::new(true, false);
    life.handle(launched());
    life.handle(link_up());
    life.handle(ready(Engine::Rootless));
    life.handle(listening(Engine::Rootful));
    assert!(life.is_starting());
}

#[test]
fn a_reboot_while_running_degrades_and_recovers() {
    let mut life = running();
    life.handle(Input::Reset);
    let lost = life.handle(Input::LinkDown {
        reason: "closed".into(),
    });
    assert!(
        matches!(
            lost[..],
            [
                Action::Announce(Event::LinkDown { .. }),
                Action::Announce(Event::Degraded { .. })
            ]
        ),
        "{lost:?}"
    );
    life.handle(link_up());
    let back = life.handle(ready(Engine::Rootless));
    assert!(
        back.contains(&Action::Announce(Event::Recovered)),
        "{back:?}"
    );
}

#[test]
fn a_reset_loop_while_starting_is_a_failure() {
    let mut life = Lifecycle::new(false, false);
    life.handle(launched());
    for _ in 1..RESETS_OF_A_START {
        life.handle(Input::Reset);
        assert!(life.is_starting());
    }
    life.handle(Input::Reset);
    let actions = life.handle(exited(true));
    assert_eq!(
        failure(&actions).detail,
        ["The guest reset itself 4 times without getting ready"]
    );
}

#[test]
fn the_ladder_climbs_one_rung_at_a_time_and_ends_with_the_vm() {
    let mut life = running();
    let actions = life.handle(Input::Stop {
        id: 7,
        force: false,
    });
    assert_eq!(
        actions,
        [
            Action::Announce(Event::Stopping),
            Action::CloseApi,
            Action::Climb(Rung::Agent)
        ]
    );
    for rung in [Rung::PowerButton, Rung::Quit, Rung::Kill, Rung::Kill] {
        assert_eq!(life.handle(Input::RungExpired), [Action::Climb(rung)]);
    }
    assert_eq!(
        life.handle(exited(false)),
        [
            Action::Announce(Event::Stopped),
            Action::Answer(7),
            Action::Exit
        ]
    );
}

#[test]
fn a_vm_that_dies_while_running_is_a_failure_with_its_reason() {
    let mut life = running();
    let actions = life.handle(exited(false));
    assert!(failure(&actions).message.contains("exit code 1"));
    let mut life = running();
    assert!(
        life.handle(exited(true))
            .contains(&Action::Announce(Event::Stopped))
    );
}

#[test]
fn a_stop_before_there_is_a_vm_quits_it_as_soon_as_it_is_there() {
    let mut life = Lifecycle::new(false, false);
    life.handle(Input::Entered(Phase::Seed));
    let actions = life.handle(Input::Stop {
        id: 1,
        force: false,
    });
    assert_eq!(actions.last(), Some(&Action::CutOff));
    assert!(life.handle(launched()).contains(&Action::Climb(Rung::Quit)));
    assert!(life.handle(exited(false)).contains(&Action::Answer(1)));
}

#[test]
fn an_engine_that_fails_ends_the_start_with_its_cause() {
    let mut life = Lifecycle::new(true, false);
    life.handle(launched());
    life.handle(link_up());
    let event = AgentEvent::EngineFailed {
        engine: Engine::Rootful,
        reason: "masked".into(),
        detail: vec!["a".into()],
    };
    assert!(
        life.handle(Input::Agent(event))
            .contains(&Action::Climb(Rung::Quit))
    );
    let actions = life.handle(exited(false));
    assert_eq!(
        failure(&actions).detail,
        ["The rootful engine does not answer: masked", "a"]
    );
}

#[test]
fn a_pause_shows_until_the_vm_goes_on() {
    let mut life = running();
    life.handle(Input::Paused {
        reason: "host disk full".into(),
    });
    assert_eq!(life.state(), &State::Running(Some("host disk full".into())));
    assert_eq!(
        life.handle(Input::Resumed),
        [Action::Announce(Event::Recovered)]
    );
}

#[test]
fn a_guest_that_stands_still_is_not_asked_to_power_off() {
    let mut life = running();
    life.handle(Input::Paused {
        reason: "paused: host disk full".into(),
    });
    let actions = life.handle(Input::Stop {
        id: 1,
        force: false,
    });
    assert!(actions.contains(&Action::Climb(Rung::Quit)), "{actions:?}");
}

#[test]
fn a_start_that_stands_still_fails_with_the_cause_of_it() {
    let mut life = Lifecycle::new(false, false);
    life.handle(launched());
    life.handle(Input::Paused {
        reason: "paused: host disk full".into(),
    });
    life.handle(Input::Silent { detail: Vec::new() });
    let actions = life.handle(exited(false));
    let detail = &failure(&actions).detail;
    assert!(
        detail.contains(&"paused: host disk full".to_owned()),
        "{detail:?}"
    );
}

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

/// A folder that is missing is the reason for as long as the VM lives, whatever becomes of the guest.
#[test]
fn a_lost_folder_degrades_until_the_end() {
    let lost = |reason: &str| Input::ShareLost {
        reason: reason.to_owned(),
    };
    let mut life = Lifecycle::new(false, false);
    for input in [
        lost("a"),
        launched(),
        link_up(),
        listening(Engine::Rootful),
        ready(Engine::Rootless),
        health(Part::Ssh, None),
    ] {
        life.handle(input);
    }
    assert_eq!(life.state(), &State::Running(Some("a".to_owned())));
    life.handle(health(Part::Shares, Some("b")));
    life.handle(lost("c"));
    assert_eq!(life.state(), &State::Running(Some("a; c; b".to_owned())));
    life.handle(health(Part::Shares, None));
    assert_eq!(life.state(), &State::Running(Some("a; c".to_owned())));

    // Such a guest cannot power off, and is not asked again.
    life.handle(Input::Stop {
        id: 1,
        force: false,
    });
    assert_eq!(life.state(), &State::Stopping(Rung::Agent));
    assert!(life.lacks_shares());
    let actions = life.handle(Input::RungExpired);
    assert_eq!(actions, [Action::Climb(Rung::Quit)]);
}
