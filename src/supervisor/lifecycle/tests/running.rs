//! A machine that is up: what degrades it, and what it comes back from.

use super::*;

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

/// A folder that is missing is the reason for as long as the VM lives, whatever becomes of the guest.
#[test]
fn a_lost_folder_degrades_until_the_end() {
    let lost = |reason: &str| Input::ShareLost {
        reason: reason.to_owned(),
    };
    let mut life = Lifecycle::new(false, false);
    life.handle(lost("a"));
    come_up(&mut life);
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

#[test]
fn a_folder_of_which_the_guest_is_not_told_degrades_until_the_end() {
    let mut life = running();
    let reason = "changes of `/a` are not told to the guest".to_owned();
    life.handle(Input::Unwatched {
        reason: reason.clone(),
    });
    assert_eq!(life.state(), &State::Running(Some(reason.clone())));
    life.handle(Input::Network(None));
    assert_eq!(life.state(), &State::Running(Some(reason)));
}
