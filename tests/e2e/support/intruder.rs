//! Somebody who tries to get at files and sockets, as a role of this program: it has to run as another user.

use std::io::BufRead as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::command::{clean, run};
use super::home::{Owner, SOON};
use super::stage::Stage;

/// The variable that gives the role.
const ROLE: &str = "MACHINE_E2E_INTRUDER";

/// Plays the role, if it is ours: what is named by a line of the standard input is tried, and each way that leads in is a
/// line of the output.
#[expect(clippy::print_stdout, reason = "the role is a program of its own")]
pub(crate) fn plays() -> bool {
    if std::env::var_os(ROLE).is_none() {
        return false;
    }
    for path in std::io::stdin().lock().lines().map_while(Result::ok) {
        for way in ways(Path::new(&path)) {
            println!("{way} {path}");
        }
    }
    true
}

fn ways(path: &Path) -> Vec<&'static str> {
    let Ok(metadata) = fs_err::symlink_metadata(path) else {
        return Vec::new();
    };
    let kind = metadata.file_type();
    let leads: &[(&str, bool)] = if kind.is_dir() {
        &[
            ("list", fs_err::read_dir(path).is_ok()),
            ("plant", tempfile::NamedTempFile::new_in(path).is_ok()),
        ]
    } else if kind.is_file() {
        let mut append = fs_err::OpenOptions::new();
        &[
            ("read", fs_err::File::open(path).is_ok()),
            ("write", append.append(true).open(path).is_ok()),
        ]
    } else if kind.is_socket() {
        // Whoever may connect is told of another kind of socket, too, and of one that nobody listens at.
        let refused = UnixStream::connect(path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        &[("connect", !refused)]
    } else {
        &[]
    };
    let leads = leads.iter().filter(|(_, leads)| *leads);
    leads.map(|(way, _)| *way).collect()
}

/// The ways that lead this user into what is at these paths, each as its name and the path.
pub(crate) fn ways_in(owner: &Owner, paths: &[String]) -> Vec<String> {
    let mut command = clean(&Stage::get().program("e2e"), Path::new("/"));
    command.env(ROLE, "1");
    let tried = run(&mut owner.run(&command), paths.join("\n").as_bytes(), SOON);
    tried.succeeded().lines().map(str::to_owned).collect()
}
