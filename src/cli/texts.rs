//! What the commands say on standard output, in podman's words.

use crate::machine::MachineName;

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

/// The end of a successful `init`.
pub const INIT_COMPLETE: &str = "Machine init complete\n";

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

/// The last line of `start`.
pub fn started(name: &str) -> String {
    format!("Machine \"{name}\" started successfully\n")
}

/// The last line of `stop`.
pub fn stopped(name: &str) -> String {
    format!("Machine \"{name}\" stopped successfully\n")
}

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
pub fn forwarding(socket: &str) -> String {
    format!(
        "API forwarding listening on: {socket}\n\
         You can connect Docker API clients by setting DOCKER_HOST using the\n\
         following command in your terminal session:\n\n\
         \x20       {}\n\n",
        export(socket)
    )
}

/// The command that sets `DOCKER_HOST` in the user's shell.
fn export(socket: &str) -> String {
    match socket.strip_prefix(r"\\.\pipe\") {
        Some(pipe) => format!(r#"$Env:DOCKER_HOST="npipe:////./pipe/{pipe}""#),
        None => format!("export DOCKER_HOST='unix://{socket}'"),
    }
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

/// The question of `rm`.
pub const DELETION_QUESTION: &str = "Are you sure you want to continue?";

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
    fn first_start() {
        let text = [
            starting("vm"),
            rootless("vm"),
            forwarding("/home/u/.local/share/machine/machines/vm/podman.sock"),
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

    #[test]
    fn windows_pipe() {
        assert!(
            forwarding(r"\\.\pipe\podman-vm")
                .contains(r#"$Env:DOCKER_HOST="npipe:////./pipe/podman-vm""#)
        );
    }

    #[test]
    fn deletion_lists_paths_after_two_blank_lines() {
        assert_eq!(
            deletion(&["/a".to_owned(), "/b".to_owned()]),
            "The following files will be deleted:\n\n\n/a\n/b\n"
        );
    }
}
