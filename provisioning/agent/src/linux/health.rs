//! Parts of the guest besides the engines that the host is told about: the SSH server, name resolution, free space.

use std::io;
use std::path::Path;

use machine_protocol::message::{AgentEvent, Part};
use tokio::net::TcpStream;

use super::guest::Guest;
use super::log::log;
use super::watch;

/// With less free space than this the engine cannot even write its own state.
const LEAST_FREE: u64 = 16 << 20;

/// Tells the host that a part works, or what is wrong with it.
pub(super) fn tell(guest: &Guest, part: Part, problem: Option<String>) {
    if let Some(problem) = &problem {
        log(problem);
    }
    guest.events.publish(AgentEvent::Health { part, problem });
}

/// Reports the SSH server as soon as it takes connections. Never returns before that.
///
/// OpenSSH writes its process number once it listens; one that systemd starts by socket listens from the beginning.
pub(super) async fn ssh_listens(guest: &Guest) {
    let sign = guest.paths.ssh_server_sign();
    loop {
        if TcpStream::connect(guest.ssh_server).await.is_ok() {
            return tell(guest, Part::Ssh, None);
        }
        let before = sign.metadata().and_then(|sign| sign.modified()).ok();
        let newer = || {
            let now = sign.metadata().and_then(|sign| sign.modified()).ok();
            (now.is_some() && now != before).then_some(())
        };
        if let Err(error) = watch::until(&sign, newer).await {
            log(&format!("The SSH server cannot be waited for: {error}"));
            return;
        }
    }
}

/// Once the guest has booted, a server that takes no connections is a problem.
pub(super) async fn check_ssh(guest: &Guest) {
    let known = |event: &AgentEvent| {
        matches!(
            event,
            AgentEvent::Health {
                part: Part::Ssh,
                problem: None
            }
        )
    };
    if guest.events.holds(known) {
        return;
    }
    let problem = TcpStream::connect(guest.ssh_server).await.err().map(|error| {
        format!("the guest's SSH server takes no connections ({error}); `machine exec` works without it")
    });
    tell(guest, Part::Ssh, problem);
}

/// Whether the guest knows a name server at all. Whether one answers depends on the host's network.
pub(super) fn check_dns(guest: &Guest) {
    let path = guest.paths.resolver_configuration();
    let problem = match fs_err::read_to_string(&path) {
        Ok(text) if names_a_server(&text) => None,
        Ok(_) => Some(format!(
            "`{}` in the guest names no name server",
            path.display()
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("the guest has no `{}`", path.display()))
        }
        Err(error) => Some(format!("the guest's name servers are not known: {error}")),
    };
    tell(guest, Part::Dns, problem);
}

fn names_a_server(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver") && words.next().is_some()
    })
}

/// Tells whether there is room on the guest's disks; true when none is known of.
pub(super) fn check_storage(guest: &Guest) -> bool {
    let own = storage_problem(&guest.paths.storage(), "disk");
    let problem = own.or_else(|| {
        guest.boot.data_disk.as_ref()?;
        storage_problem(&guest.paths.data_disk(), "data disk")
    });
    let full = problem.is_some();
    tell(guest, Part::Storage, problem);
    full
}

fn storage_problem(place: &Path, disk: &str) -> Option<String> {
    match rustix::fs::statvfs(place) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            (free < LEAST_FREE).then(|| {
                format!(
                    "the guest's {disk} is full ({} MiB free): No space left on device",
                    free >> 20
                )
            })
        }
        Err(error) => Some(format!("the guest's free space is not known: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers() {
        assert!(names_a_server("search x\nnameserver 10.0.2.3\n"));
        assert!(names_a_server("  nameserver\t::1"));
        for text in [
            "",
            "# nameserver 1.1.1.1\n",
            "nameserver\n",
            "options edns0",
        ] {
            assert!(!names_a_server(text), "{text:?}");
        }
    }
}
