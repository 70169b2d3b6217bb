//! What the commands say on standard output, in podman's words.

use std::path::Path;

use machine_protocol::sockets::MissingSocket;

use crate::docker_socket::Claim;
use crate::machine::MachineName;
use crate::machine::resources::{DEFAULT_MEMORY_MIB, HostResources};
use crate::machine::settings::DEFAULT_USER;

/// Behind the name of a command, nothing for the default machine.
fn suffix(name: &str) -> String {
    if name == MachineName::DEFAULT {
        String::new()
    } else {
        format!(" {name}")
    }
}

/// The image of an `init`.
pub fn image(description: &str) -> String {
    format!("Image: {description}\n")
}

/// A volume's option that nobody knows (spec 1.4.1).
pub fn unknown_option(option: &str) -> String {
    format!("Unknown option: {option}\n")
}

/// What a user should know.
pub fn notice(text: &str) -> String {
    format!("Notice: {text}\n")
}

/// A running machine has the folders of its start.
pub fn volumes_wait(name: &str) -> String {
    format!(
        "The machine has other volumes from its next start on: machine restart{}\n",
        suffix(name)
    )
}

/// A running machine does not have a socket that it should have.
pub fn missing_socket(missing: &MissingSocket) -> String {
    let MissingSocket { guest, reason } = missing;
    notice(&format!(
        "the machine does not have the socket `{guest}`: {reason}"
    ))
}

/// The end of a successful `init`.
pub const INIT_COMPLETE: &str = "Machine init complete\n";

/// `init` of a machine whose provider keeps its system itself.
pub const KEEPING: &str = "Importing the operating system, which may take a few minutes";

/// Less memory than usual, since the host has little.
pub fn clamped_memory(host: &HostResources) -> String {
    format!(
        "Memory: {} MiB instead of {DEFAULT_MEMORY_MIB} MiB, since this host has {} MiB; `--memory` gives another amount\n",
        host.default_memory_mib(),
        host.memory_mib
    )
}

/// How to go on after `init` without `--now`.
pub fn start_hint(name: &str) -> String {
    format!(
        "To start your machine run:\n\n\tmachine start{}\n\n",
        suffix(name)
    )
}

/// The first line of `start`.
pub fn starting(name: &str) -> String {
    format!("Starting machine \"{name}\"\n")
}

/// A line of `start` with `--import-native-ca`.
pub const CERTIFICATES_IMPORTED: &str =
    "The host trusted CA certificates have been imported successfully\n";

/// The last line of `start`.
pub fn started(name: &str) -> String {
    format!("Machine \"{name}\" started successfully\n")
}

/// `start` of a machine that was up under another build.
pub fn replaced(name: &str, build: &str) -> String {
    format!("Machine \"{name}\" runs on under this build, which took it over from build {build}\n")
}

/// The last line of `stop`.
pub fn stopped(name: &str) -> String {
    format!("Machine \"{name}\" stopped successfully\n")
}

/// The first line of `restart`.
pub fn restarting(name: &str) -> String {
    format!("Restarting machine \"{name}\"\n")
}

/// The last line of `restart`.
pub fn restarted(name: &str) -> String {
    format!("Machine \"{name}\" restarted successfully\n")
}

/// Before a session of `ssh` without a command.
pub fn connecting(name: &str) -> String {
    format!("Connecting to vm {name}. To close connection, use `~.` or `exit`\n")
}

/// The last line of `cp`, quiet or not.
pub const COPIED: &str = "Copy successful\n";

/// What rootless mode means for the user.
pub fn rootless(name: &str) -> String {
    format!(
        "\nThis machine is currently configured in rootless mode. If your containers\n\
         require root permissions (e.g. ports < 1024), or if you run into compatibility\n\
         issues with non-podman clients, you can switch using the following command:\n\n\
         \tmachine set --rootful{}\n\n",
        suffix(name)
    )
}

/// Where the API is, and how other clients find it.
pub fn forwarding(name: &str, socket: &str, docker: &Claim) -> String {
    let (can, why) = match docker {
        Claim::Claimed(place) => {
            return format!(
                "API forwarding listening on: {}\n\
                 Docker API clients default to this address. You do not need to set DOCKER_HOST.\n\n",
                place.display()
            );
        }
        Claim::Unsupported => ("You can", String::new()),
        Claim::NoHelper(installer) => ("You can still", helper_missing(name, installer.as_deref())),
        Claim::Taken => (
            "You can still",
            "\nAnother process was listening on the default Docker API socket address.\n"
                .to_owned(),
        ),
        Claim::Refused(why) => (
            "You can still",
            format!("\nThe default Docker API socket address could not be had: {why}.\n"),
        ),
    };
    format!(
        "API forwarding listening on: {socket}\n\
         {why}\
         {can} connect Docker API clients by setting DOCKER_HOST using the\n\
         following command in your terminal session:\n\n\
         \x20       {}\n\n",
        export(socket)
    )
}

/// How Docker's clients would find the machine by themselves.
fn helper_missing(name: &str, installer: Option<&Path>) -> String {
    let installer = installer.unwrap_or("podman-mac-helper".as_ref());
    format!(
        "\nThe system helper service is not installed; the default Docker API socket\n\
         address can't be used by machine. If you would like to install it, run the\n\
         following commands:\n\n\
         \x20       sudo {} install\n\
         \x20       machine stop{suffix}; machine start{suffix}\n\n",
        installer.display(),
        suffix = suffix(name)
    )
}

/// The command that sets `DOCKER_HOST` in the user's shell.
fn export(socket: &str) -> String {
    match socket.strip_prefix(r"\\.\pipe\") {
        Some(pipe) => format!(r#"$Env:DOCKER_HOST="npipe:////./pipe/{pipe}""#),
        None => format!("export DOCKER_HOST='unix://{socket}'"),
    }
}

/// A disk that the host could not hold, were it full.
pub fn disk_shortage(disk_gib: u64, free_bytes: u64) -> String {
    format!(
        "Warning: the disk may grow to {disk_gib} GiB, and the host has {} GiB free\n",
        free_bytes >> 30
    )
}

/// Containers of the mode that was left, and how to see them.
pub fn left_behind(name: &str, containers: usize, rootful: bool) -> String {
    let (exist, mode, connection) = (
        if containers == 1 {
            "container exists"
        } else {
            "containers exist"
        },
        if rootful { "rootful" } else { "rootless" },
        if rootful { "-root" } else { "" },
    );
    format!(
        "{containers} {exist} in {mode} mode\n\
         hint: see them: podman --connection {name}{connection} ps --all\n"
    )
}

/// What `rm` is about to delete, before it asks.
pub fn deletion(paths: &[String]) -> String {
    let mut text = "The following files will be deleted:\n\n\n".to_owned();
    for path in paths {
        text.push_str(path);
        text.push('\n');
    }
    text
}

/// What `rm` does not delete, before it asks.
pub fn data_disk_stays(disk: &str, moves: bool) -> String {
    let what = if moves {
        "will be kept"
    } else {
        "stays where it is"
    };
    format!("The data disk {disk} {what}.\n")
}

/// Where a data disk is kept, and how it is used again: by the same user of the guest, for it belongs to that user.
pub fn data_disk_kept(disk: &str, name: &str, user: Option<&str>) -> String {
    let user = user.filter(|user| *user != DEFAULT_USER);
    let user = user.map_or_else(String::new, |user| format!(" --username {user}"));
    format!(
        "The data disk is kept: {disk}\n\
         To use it again run:\n\n\tmachine init --data-disk {}{user}{}\n\n",
        quoted(disk),
        suffix(name)
    )
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// The end of a successful `recreate`.
pub fn recreated(name: &str, has_new_data_disk: bool) -> String {
    let data = if has_new_data_disk {
        "It has a data disk now, and the next `machine recreate` keeps what is on it\n"
    } else {
        ""
    };
    format!("Machine \"{name}\" recreated successfully\n{data}")
}

/// The question of `rm`.
pub const DELETION_QUESTION: &str = "Are you sure you want to continue?";

/// Before the question of `start` whether the machine becomes the default.
pub const NOT_DEFAULT: &str = "Warning: The machine being started is not set as your default Podman connection.\n\
    As such, Podman commands may not work correctly.\n";

/// That question.
pub const DEFAULT_QUESTION: &str = "Set the default Podman connection to this machine?";

/// What follows from its answer.
pub fn default_decided(connection: &str, yes: bool) -> String {
    if yes {
        format!("\nDefault system connection will be changed to \"{connection}\"\n\n")
    } else {
        "\nDefault system connection will remain unchanged\n\n".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init() {
        insta::assert_snapshot!(INIT_COMPLETE.to_owned() + &start_hint("podman-machine-default"), @r"
        Machine init complete
        To start your machine run:

        	machine start
        ");
        assert!(start_hint("second").ends_with("\tmachine start second\n\n"));
    }

    #[test]
    fn little_memory_is_told() {
        let host = HostResources {
            cpus: 1,
            memory_mib: 3000,
        };
        assert_eq!(
            clamped_memory(&host),
            "Memory: 1500 MiB instead of 2048 MiB, since this host has 3000 MiB; `--memory` gives another amount\n"
        );
    }

    #[test]
    fn first_start() {
        let text = [
            starting("vm"),
            rootless("vm"),
            forwarding(
                "vm",
                "/home/u/.local/share/machine/machines/vm/podman.sock",
                &Claim::Unsupported,
            ),
            started("vm"),
        ]
        .concat();
        insta::assert_snapshot!(text, @r#"
        Starting machine "vm"

        This machine is currently configured in rootless mode. If your containers
        require root permissions (e.g. ports < 1024), or if you run into compatibility
        issues with non-podman clients, you can switch using the following command:

        	machine set --rootful vm

        API forwarding listening on: /home/u/.local/share/machine/machines/vm/podman.sock
        You can connect Docker API clients by setting DOCKER_HOST using the
        following command in your terminal session:

                export DOCKER_HOST='unix:///home/u/.local/share/machine/machines/vm/podman.sock'

        Machine "vm" started successfully
        "#);
    }

    /// Spec 1.4.2.
    #[test]
    fn where_dockers_clients_look_by_themselves() {
        let text = |claim| forwarding("vm", "/m/vm/podman.sock", &claim);
        insta::assert_snapshot!(text(Claim::Claimed("/var/run/docker.sock".into())), @r"
        API forwarding listening on: /var/run/docker.sock
        Docker API clients default to this address. You do not need to set DOCKER_HOST.
        ");
        insta::assert_snapshot!(text(Claim::NoHelper(Some("/opt/podman/bin/podman-mac-helper".into()))), @r"
        API forwarding listening on: /m/vm/podman.sock

        The system helper service is not installed; the default Docker API socket
        address can't be used by machine. If you would like to install it, run the
        following commands:

                sudo /opt/podman/bin/podman-mac-helper install
                machine stop vm; machine start vm

        You can still connect Docker API clients by setting DOCKER_HOST using the
        following command in your terminal session:

                export DOCKER_HOST='unix:///m/vm/podman.sock'
        ");
        let taken = text(Claim::Taken);
        let words = "\n\nAnother process was listening on the default Docker API socket address.\n\
            You can still connect Docker API clients";
        assert!(taken.contains(words), "{taken}");
        let refused = text(Claim::Refused("podman-mac-helper answered `NO`".to_owned()));
        let words = "could not be had: podman-mac-helper answered `NO`.\nYou can still connect";
        assert!(refused.contains(words), "{refused}");
    }

    #[test]
    fn windows_pipe() {
        assert!(
            forwarding("vm", r"\\.\pipe\podman-vm", &Claim::Unsupported)
                .contains(r#"$Env:DOCKER_HOST="npipe:////./pipe/podman-vm""#)
        );
    }

    #[test]
    fn what_a_switch_leaves_behind() {
        assert_eq!(
            left_behind("vm", 3, true),
            "3 containers exist in rootful mode\nhint: see them: podman --connection vm-root ps --all\n"
        );
        assert_eq!(
            left_behind("vm", 1, false),
            "1 container exists in rootless mode\nhint: see them: podman --connection vm ps --all\n"
        );
    }

    #[test]
    fn a_kept_disk_comes_with_the_command_that_uses_it() {
        let text = data_disk_kept("/d/it's/vm.raw", MachineName::DEFAULT, Some(DEFAULT_USER));
        assert_eq!(
            text,
            "The data disk is kept: /d/it's/vm.raw\nTo use it again run:\n\n\
             \tmachine init --data-disk '/d/it'\\''s/vm.raw'\n\n"
        );
        assert!(data_disk_kept("/d", "vm", None).ends_with("--data-disk '/d' vm\n\n"));
    }

    #[test]
    fn deletion_lists_paths_after_two_blank_lines() {
        assert_eq!(
            deletion(&["/a".to_owned(), "/b".to_owned()]),
            "The following files will be deleted:\n\n\n/a\n/b\n"
        );
    }
}
