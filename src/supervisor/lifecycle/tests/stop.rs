//! The ladder of a stop.

use super::*;

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
