//! What WSL is asked: the arguments of every call. Pure.
//!
//! Source: Microsoft's "Basic commands for WSL". Nothing here reaches beyond one distribution: `--shutdown` would end
//! those of the user.

use std::ffi::OsString;
use std::path::Path;

/// Where the host puts the seed in the guest; the agent's unit has the same.
pub const SEED: &str = "/run/machine/seed";

/// What keeps a distribution alive, which WSL ends when no program of a caller runs in it: it takes the seed as a tar
/// archive from its standard input, has the agent started with it, says `up` and stays. In the power-off of the guest
/// it says its [farewell](FAREWELL).
const KEEPER: &str = "trap 'echo down >&2; exit 0' TERM; umask 077 && mkdir -p /run/machine/seed && tar -xf - -C /run/machine/seed && \
     systemctl start machine-agent.service && echo up && while :; do sleep 86400 & wait; done";

/// The keeper's last word in an orderly end of the distribution, where systemd asks each program to end.
pub const FAREWELL: &str = "down";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is called in messages.
    pub name: &'static str,
    /// The arguments.
    pub arguments: Vec<OsString>,
}

impl Call {
    fn new(words: &[&str]) -> Self {
        Self::named("", words)
    }

    fn named(name: &'static str, words: &[&str]) -> Self {
        Self {
            name,
            arguments: words.iter().map(OsString::from).collect(),
        }
    }
}

/// Asks for the versions.
pub fn version() -> Call {
    Call::named("--version", &["--version"])
}

/// Asks what WSL thinks of its host.
pub fn status() -> Call {
    Call::named("--status", &["--status"])
}

/// Asks for the names of all distributions, those that are being imported too.
pub fn registered() -> Call {
    Call::named("--list", &["--list", "--all", "--quiet"])
}

/// Asks for the names of those that run.
pub fn running() -> Call {
    Call::named("--list", &["--list", "--running", "--quiet"])
}

/// Makes a distribution of version 2 from a tar file; its disk will be in the directory `place`.
pub fn import(distro: &str, place: &Path, tar: &Path) -> Call {
    let mut call = Call::named("--import", &["--import", distro]);
    call.arguments.extend([place.into(), tar.into()]);
    call.arguments.extend(["--version".into(), "2".into()]);
    call
}

/// Ends a distribution at once.
pub fn terminate(distro: &str) -> Call {
    Call::named("--terminate", &["--terminate", distro])
}

/// Removes a distribution and its disk. Newer versions ask without the last word, and older ones read nothing behind the
/// name.
pub fn unregister(distro: &str) -> Call {
    Call::named("--unregister", &["--unregister", distro, "--force"])
}

/// Keeps a distribution alive, with an agent that has the seed.
pub fn keep(distro: &str) -> Call {
    program("keeper", distro, &["/bin/sh", "-c", KEEPER])
}

/// Has the guest power itself off.
pub fn power_off(distro: &str) -> Call {
    program("poweroff", distro, &["systemctl", "poweroff", "--no-block"])
}

/// Joins the standard streams to the agent.
pub fn bridge(distro: &str) -> Call {
    let agent = format!("{SEED}/{}", machine_protocol::boot::SEED_AGENT);
    program("bridge", distro, &[&agent, "--bridge"])
}

/// A program in a distribution, as root and without a shell of its. WSL would begin in the caller's directory, which the
/// distribution may not have.
fn program(name: &'static str, distro: &str, words: &[&str]) -> Call {
    let mut call = Call::new(&["-d", distro, "-u", "root", "--cd", "/", "--exec"]);
    call.name = name;
    call.arguments.extend(words.iter().map(OsString::from));
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(call: &Call) -> String {
        let words: Vec<_> = call
            .arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }

    #[test]
    fn calls_name_one_distribution_and_the_version() {
        let import = import("machine-a", Path::new("p q"), Path::new("t.tar"));
        assert_eq!(line(&import), "--import machine-a p q t.tar --version 2");
        assert_eq!(import.arguments.len(), 6);
        assert_eq!(line(&unregister("a")), "--unregister a --force");
        assert_eq!(
            line(&bridge("a")),
            "-d a -u root --cd / --exec /run/machine/seed/agent --bridge"
        );
        assert_eq!(line(&running()), "--list --running --quiet");
        assert_eq!(line(&status()), "--status");
    }

    #[test]
    fn the_keeper_says_its_farewell() {
        assert!(KEEPER.starts_with(&format!("trap 'echo {FAREWELL} >&2; exit 0' TERM; ")));
    }

    #[test]
    fn the_keeper_puts_the_seed_where_the_unit_looks() {
        let text = machine_provisioning::units::WSL_AGENT_UNIT_TEXT;
        assert!(text.contains(&format!("ExecStart={SEED}/agent\n")));
        assert!(KEEPER.contains(&format!("-C {SEED} ")));
        assert!(KEEPER.contains(machine_provisioning::units::AGENT_UNIT));
    }
}
