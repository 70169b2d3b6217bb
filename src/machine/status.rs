//! What a machine is doing, and podman's word for it.

use serde::{Deserialize, Serialize};

/// What a machine is doing, as seen at one moment.
///
/// It is never stored: it follows from the control socket, the lock of the supervisor and the record of the VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum Status {
    /// Nothing of it runs.
    Stopped,
    /// The supervisor is up, the engine does not answer yet.
    Starting,
    /// The engine answers.
    Running,
    /// The VM runs, something that was asked for does not work.
    Degraded {
        /// What does not work, and why.
        reason: String,
    },
    /// It is being shut down.
    Stopping,
    /// The VM runs without a supervisor; the next start adopts it.
    Unmanaged,
    /// A supervisor holds the lock and does not answer.
    Busy,
}

impl Status {
    /// The word podman has for it: `running`, `stopped`, `starting` or `unknown`.
    ///
    /// A machine is running as long as its VM is: scripts that wait for `stopped` want to wait for that.
    pub fn podman_word(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running | Self::Degraded { .. } | Self::Stopping | Self::Unmanaged => "running",
            Self::Busy => "unknown",
        }
    }

    /// Our own word, which tells more.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded { .. } => "degraded",
            Self::Stopping => "stopping",
            Self::Unmanaged => "unmanaged",
            Self::Busy => "busy",
        }
    }

    /// Whether all of it works: `healthy`, `degraded`, `unmanaged` or `unknown`; nothing for a machine that is not up.
    pub fn health(&self) -> &'static str {
        match self {
            Self::Running => "healthy",
            Self::Degraded { .. } => "degraded",
            Self::Unmanaged => "unmanaged",
            Self::Busy => "unknown",
            Self::Stopped | Self::Starting | Self::Stopping => "",
        }
    }

    /// What does not work, and why; nothing where all is as it should be.
    pub fn reason(&self) -> &str {
        match self {
            Self::Degraded { reason } => reason,
            Self::Unmanaged => "its supervisor has ended; the next start takes the machine over",
            Self::Busy => "its supervisor does not answer",
            _ => "",
        }
    }

    /// Whether podman would call it running.
    pub fn is_running(&self) -> bool {
        self.podman_word() == "running"
    }

    /// Whether it is certain that nothing of the machine runs, so that its files may be taken away.
    pub fn is_stopped(&self) -> bool {
        *self == Self::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_that_runs_is_never_called_stopped() {
        let running = [
            Status::Running,
            Status::Stopping,
            Status::Unmanaged,
            Status::Degraded {
                reason: "x".to_owned(),
            },
        ];
        for status in running {
            assert_eq!(status.podman_word(), "running", "{status:?}");
            assert!(!status.is_stopped());
        }
        assert_eq!(Status::Busy.podman_word(), "unknown");
        assert_eq!(Status::Starting.podman_word(), "starting");
        assert_eq!(Status::Stopped.podman_word(), "stopped");
    }

    #[test]
    fn what_is_not_healthy_has_a_reason() {
        let degraded = Status::Degraded {
            reason: "no agent".to_owned(),
        };
        for (status, health) in [
            (Status::Stopped, ""),
            (Status::Running, "healthy"),
            (degraded, "degraded"),
            (Status::Unmanaged, "unmanaged"),
            (Status::Busy, "unknown"),
        ] {
            assert_eq!(status.health(), health);
            let sound = matches!(health, "" | "healthy");
            assert_eq!(status.reason().is_empty(), sound, "{status:?}");
        }
    }

    #[test]
    fn it_travels_as_json() {
        let status = Status::Degraded {
            reason: "no agent".to_owned(),
        };
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(json, r#"{"status":"degraded","reason":"no agent"}"#);
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    }
}
