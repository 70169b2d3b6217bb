//! What a start waits for, and what ends it.

use super::*;

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
fn a_start_that_is_cut_off_has_not_failed() {
    let mut life = Lifecycle::new(false, false);
    life.handle(Input::Entered(Phase::Launch));
    let actions = life.handle(Input::Terminated);
    assert_eq!(actions.last(), Some(&Action::CutOff));
    let failure = Failure::new("The start was cut off");
    let actions = life.handle(Input::BootFailed(failure));
    assert_eq!(actions, [Action::Announce(Event::Stopped), Action::Exit]);
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
fn the_other_modes_engine_alone_is_not_ready() {
    let mut life = Lifecycle::new(true, false);
    life.handle(launched());
    life.handle(link_up());
    life.handle(ready(Engine::Rootless));
    life.handle(listening(Engine::Rootful));
    assert!(life.is_starting());
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
