//! From the monitor's events to ours. Pure.

use serde_json::Value;

use crate::provider::qemu::argv::{LINK_CHARDEV, LINK_DEVICE};
use crate::provider::qemu::qmp::RawEvent;
use crate::provider::{PauseReason, VmEvent};

/// What must be remembered from one event for the next.
#[derive(Debug, Default)]
pub(super) struct Translator {
    disk_error: Option<PauseReason>,
    paused: bool,
    shutdown: Option<String>,
    /// When the last reset was reported.
    reset: Option<i64>,
}

/// SeaBIOS that finds itself started a second time resets the machine once more, so each reboot is two resets, some
/// 100 ms apart. A guest that resets for ever is still reported once in this time, in milliseconds.
const ONE_RESET: i64 = 1000;

impl Translator {
    /// What the state at the time of connecting amounts to, from the answers to `query-status`, `query-chardev`
    /// and `query-block`.
    pub(super) fn begin(
        &mut self,
        status: &Value,
        chardevs: &Value,
        disks: &Value,
    ) -> Vec<VmEvent> {
        let mut events = Vec::new();
        let open = chardevs.as_array().into_iter().flatten().any(|chardev| {
            chardev["label"] == LINK_CHARDEV && chardev["frontend-open"] == Value::Bool(true)
        });
        if open {
            events.push(VmEvent::CarrierOpened);
        }
        self.disk_error = disks.as_array().into_iter().flatten().find_map(|disk| {
            match disk["io-status"].as_str()? {
                "nospace" => Some(PauseReason::HostDiskFull),
                "failed" => Some(PauseReason::DiskError("a request failed".to_owned())),
                _ => None,
            }
        });
        if status["running"] == Value::Bool(false) {
            events.extend(self.stopped(status["status"].as_str().unwrap_or("")));
        }
        events
    }

    /// Whether the run state must be asked for to tell what the event means.
    pub(super) fn needs_status(event: &RawEvent) -> bool {
        event.name == "STOP"
    }

    /// What an event means; `status` is the run state where it was [needed](Self::needs_status). Events without a
    /// meaning for us, known or not, are dropped.
    pub(super) fn translate(&mut self, event: &RawEvent, status: &str) -> Option<VmEvent> {
        match event.name.as_str() {
            "RESET" => self.reset(event),
            "SHUTDOWN" => {
                let reason = event.text("reason").to_owned();
                let by_guest = event.flag("guest") && reason != "guest-panic";
                self.shutdown = Some(reason);
                by_guest.then_some(VmEvent::PoweredDown)
            }
            "BLOCK_IO_ERROR" if event.text("action") == "stop" => {
                self.disk_error = Some(if event.flag("nospace") {
                    PauseReason::HostDiskFull
                } else {
                    PauseReason::DiskError(event.text("reason").to_owned())
                });
                None
            }
            "STOP" => self.stopped(status),
            "RESUME" => {
                self.disk_error = None;
                std::mem::take(&mut self.paused).then_some(VmEvent::Resumed)
            }
            "VSERPORT_CHANGE" if event.text("id") == LINK_DEVICE => Some(if event.flag("open") {
                VmEvent::CarrierOpened
            } else {
                VmEvent::CarrierClosed
            }),
            "GUEST_PANICKED" => Some(VmEvent::Panicked),
            _ => None,
        }
    }

    /// The hypervisor's word for the cause of an orderly end, once it has come.
    pub(super) fn shutdown(&self) -> Option<&str> {
        self.shutdown.as_deref()
    }

    fn reset(&mut self, event: &RawEvent) -> Option<VmEvent> {
        let now = event.milliseconds();
        let again = self
            .reset
            .is_some_and(|before| (before..before.saturating_add(ONE_RESET)).contains(&now));
        if again {
            return None;
        }
        self.reset = Some(now);
        Some(VmEvent::Reset {
            by_guest: event.flag("guest"),
            reason: event.text("reason").to_owned(),
        })
    }

    fn stopped(&mut self, status: &str) -> Option<VmEvent> {
        // The end of a VM also stops it, and so does a panic, which is an event of its own.
        if self.shutdown.is_some() || matches!(status, "shutdown" | "guest-panicked") {
            return None;
        }
        // The state was asked for while the event of it was on its way.
        if std::mem::replace(&mut self.paused, true) {
            return None;
        }
        let reason = match (self.disk_error.clone(), status) {
            (Some(reason), _) => reason,
            (None, "io-error") => PauseReason::DiskError("a request failed".to_owned()),
            (None, "paused") => PauseReason::Requested,
            (None, other) => PauseReason::Other(other.to_owned()),
        };
        Some(VmEvent::Paused { reason })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, data: Value) -> RawEvent {
        RawEvent::new(name, data, 0)
    }

    fn paused(reason: PauseReason) -> VmEvent {
        VmEvent::Paused { reason }
    }

    #[test]
    fn resets_and_ends() {
        let mut translator = Translator::default();
        assert_eq!(
            translator.translate(
                &event("RESET", json!({"guest": true, "reason": "guest-reset"})),
                ""
            ),
            Some(VmEvent::Reset {
                by_guest: true,
                reason: "guest-reset".to_owned()
            })
        );
        assert_eq!(
            translator.translate(&event("POWERDOWN", Value::Null), ""),
            None
        );
        assert_eq!(translator.shutdown(), None);
        assert_eq!(
            translator.translate(
                &event(
                    "SHUTDOWN",
                    json!({"guest": true, "reason": "guest-shutdown"})
                ),
                ""
            ),
            Some(VmEvent::PoweredDown)
        );
        assert_eq!(
            translator.translate(&event("STOP", Value::Null), "shutdown"),
            None
        );
        assert_eq!(translator.shutdown(), Some("guest-shutdown"));
        let quit = event(
            "SHUTDOWN",
            json!({"guest": false, "reason": "host-qmp-quit"}),
        );
        assert_eq!(Translator::default().translate(&quit, ""), None);
    }

    #[test]
    fn second_reset_of_a_reboot_is_dropped_and_a_loop_is_not() {
        let mut translator = Translator::default();
        let data = json!({"guest": true, "reason": "guest-reset"});
        let reported: Vec<i64> = [5000, 5096, 5999, 6000, 6400, 7100, 4000, 4100]
            .into_iter()
            .filter(|&at| {
                let event = RawEvent::new("RESET", data.clone(), at);
                translator.translate(&event, "").is_some()
            })
            .collect();
        // The last two come from a clock that was put back.
        assert_eq!(reported, [5000, 6000, 7100, 4000]);
    }

    #[test]
    fn full_disk_of_the_host_is_told_from_other_pauses() {
        let mut translator = Translator::default();
        let full = event(
            "BLOCK_IO_ERROR",
            json!({"action": "stop", "nospace": true, "operation": "write"}),
        );
        let broken = event(
            "BLOCK_IO_ERROR",
            json!({"action": "stop", "nospace": false, "reason": "Input/output error"}),
        );
        let stop = event("STOP", Value::Null);
        let resume = event("RESUME", Value::Null);

        // QEMU says RESUME when a VM begins.
        assert_eq!(translator.translate(&resume, ""), None);
        assert_eq!(translator.translate(&full, ""), None);
        assert_eq!(
            translator.translate(&stop, "io-error"),
            Some(paused(PauseReason::HostDiskFull))
        );
        assert_eq!(translator.translate(&resume, ""), Some(VmEvent::Resumed));
        assert_eq!(translator.translate(&resume, ""), None);
        assert_eq!(translator.translate(&broken, ""), None);
        assert_eq!(
            translator.translate(&stop, "io-error"),
            Some(paused(PauseReason::DiskError(
                "Input/output error".to_owned()
            )))
        );
        assert_eq!(translator.translate(&resume, ""), Some(VmEvent::Resumed));
        assert_eq!(
            translator.translate(&stop, "paused"),
            Some(paused(PauseReason::Requested))
        );
        assert_eq!(translator.translate(&resume, ""), Some(VmEvent::Resumed));
        assert_eq!(
            translator.translate(&stop, "internal-error"),
            Some(paused(PauseReason::Other("internal-error".to_owned())))
        );
        assert_eq!(PauseReason::HostDiskFull.to_string(), "host disk full");
    }

    #[test]
    fn only_the_link_s_port_is_the_carrier() {
        let mut translator = Translator::default();
        let mut port = |id: &str, open: bool| {
            translator.translate(
                &event("VSERPORT_CHANGE", json!({"id": id, "open": open})),
                "",
            )
        };
        assert_eq!(port("link0", true), Some(VmEvent::CarrierOpened));
        assert_eq!(port("journal0", true), None);
        assert_eq!(port("link0", false), Some(VmEvent::CarrierClosed));
    }

    #[test]
    fn panic_is_one_event() {
        let mut translator = Translator::default();
        let panicked = event("GUEST_PANICKED", json!({"action": "poweroff"}));
        assert_eq!(translator.translate(&panicked, ""), Some(VmEvent::Panicked));
        assert_eq!(
            translator.translate(&event("STOP", Value::Null), "guest-panicked"),
            None
        );
        let shutdown = event("SHUTDOWN", json!({"guest": true, "reason": "guest-panic"}));
        assert_eq!(translator.translate(&shutdown, ""), None);
        assert_eq!(translator.shutdown(), Some("guest-panic"));
    }

    #[test]
    fn state_at_the_time_of_attaching_becomes_events() {
        let chardevs = json!([{"label": "monitor", "frontend-open": true}, {"label": "link", "frontend-open": true}]);
        let running = json!({"running": true, "status": "running"});
        assert_eq!(
            Translator::default().begin(&running, &chardevs, &Value::Null),
            [VmEvent::CarrierOpened]
        );
        let closed = json!([{"label": "link", "frontend-open": false}]);
        let stopped = |status: &str| json!({"running": false, "status": status});
        let mut translator = Translator::default();
        assert_eq!(
            translator.begin(&stopped("paused"), &closed, &json!([{"io-status": "ok"}])),
            [paused(PauseReason::Requested)]
        );
        assert_eq!(
            translator.translate(&event("STOP", Value::Null), "paused"),
            None,
            "the event of what was told already"
        );
        let full = json!([{"device": "", "qdev": "seed0"}, {"device": "", "io-status": "nospace"}]);
        assert_eq!(
            Translator::default().begin(&stopped("io-error"), &closed, &full),
            [paused(PauseReason::HostDiskFull)]
        );
        assert_eq!(
            Translator::default().begin(&running, &Value::Null, &Value::Null),
            []
        );
    }
}
