//! The link at `/run/docker.sock`, for programs in the guest that look for Docker's engine.
//!
//! It leads to the socket of the machine's engine, and is made anew at each start, since the choice may have changed.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What became of the link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was right already.
    Kept,
    /// It was made, or led elsewhere before.
    Made,
    /// Something of somebody else's is there.
    Taken,
}

/// Makes `place` a link to `engine`, unless something is there that somebody may be using.
pub(super) fn link(place: &Path, engine: &Path) -> io::Result<Outcome> {
    match place.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(there) if there.is_symlink() => {
            if fs_err::read_link(place)? == engine {
                return Ok(Outcome::Kept);
            }
        }
        Ok(there) if there.file_type().is_socket() && is_dead(place) => {}
        Ok(_) => return Ok(Outcome::Taken),
    }
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = place.with_file_name(name);
    remove_if_there(&new)?;
    symlink(engine, &new)?;
    fs_err::rename(&new, place)?;
    Ok(Outcome::Made)
}

/// Whether nobody listens there any more.
fn is_dead(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn remove_if_there(path: &PathBuf) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn made_kept_and_changed() {
        let run = tempfile::tempdir().unwrap();
        let place = run.path().join("docker.sock");
        let (one, other) = (
            Path::new("/run/podman/podman.sock"),
            Path::new("/run/user/1/podman/podman.sock"),
        );
        assert_eq!(link(&place, one).unwrap(), Outcome::Made);
        assert_eq!(link(&place, one).unwrap(), Outcome::Kept);
        assert_eq!(link(&place, other).unwrap(), Outcome::Made);
        assert_eq!(fs_err::read_link(&place).unwrap(), other);
        assert_eq!(fs_err::read_dir(run.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_use_is_left_alone() {
        let run = tempfile::tempdir().unwrap();
        let engine = Path::new("/e");
        let place = run.path().join("docker.sock");
        let listener = UnixListener::bind(&place).unwrap();
        assert_eq!(link(&place, engine).unwrap(), Outcome::Taken);
        drop(listener);
        assert_eq!(link(&place, engine).unwrap(), Outcome::Made);

        fs_err::remove_file(&place).unwrap();
        fs_err::write(&place, "").unwrap();
        assert_eq!(link(&place, engine).unwrap(), Outcome::Taken);
        fs_err::write(run.path().join("docker.sock.new"), "left over").unwrap();
        fs_err::remove_file(&place).unwrap();
        assert_eq!(link(&place, engine).unwrap(), Outcome::Made);
    }
}
