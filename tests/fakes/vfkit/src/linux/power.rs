//! The state of the machine, and who may change it.

use tokio::sync::watch;

/// What the framework says a machine does (`VZVirtualMachine.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Starting,
    Running,
    Paused,
    Stopping,
    Stopped,
}

impl State {
    /// The framework's word, as vfkit passes it on.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Starting => "VirtualMachineStateStarting",
            Self::Running => "VirtualMachineStateRunning",
            Self::Paused => "VirtualMachineStatePaused",
            Self::Stopping => "VirtualMachineStateStopping",
            Self::Stopped => "VirtualMachineStateStopped",
        }
    }
}

/// What is on at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Power {
    pub(super) state: State,
    /// Somebody pressed the power button.
    pub(super) button: bool,
}

/// The machine's switches. All copies are of the same machine.
#[derive(Clone, Debug)]
pub(super) struct Switch(watch::Sender<Power>);

impl Switch {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Power {
            state: State::Starting,
            button: false,
        }))
    }

    pub(super) fn state(&self) -> State {
        self.0.borrow().state
    }

    /// Changes the state, unless the machine has ended.
    pub(super) fn set(&self, state: State) {
        self.0.send_if_modified(|power| {
            let change = power.state != State::Stopped && power.state != state;
            if change {
                power.state = state;
            }
            change
        });
    }

    /// Asks the guest to switch itself off.
    pub(super) fn press(&self) {
        self.0.send_modify(|power| power.button = true);
    }

    /// Ready when the button was pressed.
    pub(super) async fn pressed(&self) {
        // The sender is this value itself.
        let _ = self.0.subscribe().wait_for(|power| power.button).await;
    }

    /// Ready when the machine stands still, or goes on, and did not before.
    pub(super) async fn stands(&self, still: bool) {
        let wanted = |power: &Power| (power.state == State::Paused) == still;
        let _ = self.0.subscribe().wait_for(wanted).await;
    }

    /// Ready when the machine has ended.
    pub(super) async fn off(&self) {
        let ended = |power: &Power| power.state == State::Stopped;
        let _ = self.0.subscribe().wait_for(ended).await;
    }
}
