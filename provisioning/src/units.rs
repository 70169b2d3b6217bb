//! The systemd units that are sent to the guest, as they lie in `units/`.
//!
//! # The stub unit
//!
//! `machine-agent.service` is all that Ignition says about the agent: it finds the seed disk by its label and runs the
//! program on it. It is small, and without comments, because it travels through the firmware's slow channel. What each
//! line is for:
//!
//! * `DefaultDependencies=no`, and wanted by `sysinit.target`: the agent runs as early as its disk is there, long
//!   before the engine, so that a boot that hangs can be watched.
//! * `IgnoreOnIsolate=yes`, and wanted by `rescue.target` and `emergency.target` too: entering emergency mode must not
//!   kill the one that reports it.
//! * No `Conflicts=shutdown.target`: the agent keeps serving while the guest shuts down and goes with the last
//!   processes. It detaches the mount itself once it has read its parameters, so it never keeps a file system busy.
//! * `Requires=` and `After=` the disk's device unit: the driver may be loaded late, and `mount` would fail before.
//!   Without the disk the unit fails after the device's time limit and holds nothing up.
//! * `-` before `mount`: an agent that died before it detached the mount leaves it in place, and mounting the same
//!   disk there again is an error. A failure that matters shows in the next line, as a missing program.
//! * `X-mount.mkdir`: spares a process for `mkdir`. `umask=0077`: the seed holds the link's secret.
//! * `context=…bin_t`: `SELinux` lets systemd execute only what is labelled as a program; where it is off, `mount` drops
//!   the option (that of `BusyBox` does not, so the path is spelt out). Never `nosuid` or `noexec`, for the same reason.
//! * `Type=notify`: the engines and the user's services are ordered behind the agent, which says so when the folders of
//!   the host are mounted. An agent that cannot start holds nothing up.
//! * `Restart=always` without a start limit: the guest has no other way to its host.
//! * `OOMScoreAdjust=`: containers that eat all memory must not take the link along. `LimitNOFILE=`: every stream of
//!   the link is a socket in the guest.

/// Name of the stub unit.
pub const AGENT_UNIT: &str = "machine-agent.service";

/// The stub unit itself.
pub const AGENT_UNIT_TEXT: &str = include_str!("../units/machine-agent.service");

/// The unit of the agent where there is no seed disk, under the same name: the host puts the seed into its place and has
/// the unit started. What is not as in the stub unit is the disk, and who wants it.
pub const WSL_AGENT_UNIT_TEXT: &str = include_str!("../units/machine-agent-wsl.service");

#[cfg(test)]
mod tests {
    use machine_protocol::boot::{SEED_AGENT, SEED_LABEL};

    use super::*;

    #[test]
    fn stub_unit_is_small() {
        assert!(AGENT_UNIT_TEXT.len() < 1024);
    }

    #[test]
    fn stub_unit_names_the_seed() {
        assert!(AGENT_UNIT_TEXT.contains(&format!("LABEL={SEED_LABEL} ")));
        assert!(AGENT_UNIT_TEXT.contains(&format!("label-{SEED_LABEL}.device")));
        // An agent that cannot even start is heard by the port that this opens.
        let port = machine_protocol::boot::VIRTIO_SERIAL_PORT;
        assert!(AGENT_UNIT_TEXT.contains(&format!(">/dev/virtio-ports/{port}'\n")));
        assert!(AGENT_UNIT_TEXT.contains(&format!("ExecStart=/run/machine/seed/{SEED_AGENT}\n")));
    }

    #[test]
    fn both_units_run_the_same_program_in_the_same_way() {
        let service = |text: &'static str| {
            let lines = text.lines().skip_while(|line| *line != "[Service]");
            let lines = lines.take_while(|line| *line != "[Install]");
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("ExecSt"));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(service(AGENT_UNIT_TEXT), service(WSL_AGENT_UNIT_TEXT));
        let start = "ExecStart=/run/machine/seed/agent\n";
        assert!(AGENT_UNIT_TEXT.contains(start) && WSL_AGENT_UNIT_TEXT.contains(start));
    }
}
