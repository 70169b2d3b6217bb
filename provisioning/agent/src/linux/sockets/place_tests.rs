//! Tests of the files of sockets.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;

use super::*;

struct Guest(tempfile::TempDir);

impl Guest {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, guest: &str) -> PathBuf {
        below(self.root(), guest)
    }

    fn listen(&self, guest: &str) -> io::Result<(UnixListener, Place)> {
        // Nobody else's, where the test is not root.
        let user = if rustix::process::geteuid().is_root() {
            1000
        } else {
            rustix::process::geteuid().as_raw()
        };
        listen(self.root(), guest, user)
    }
}

#[test]
fn file_and_directories_are_the_users() {
    let guest = Guest::new();
    fs_err::create_dir(guest.path("/run")).unwrap();
    let before = fs_err::metadata(guest.path("/run")).unwrap();
    let (_listener, mut place) = guest.listen("/run/a/b/c.sock").unwrap();
    let file = fs_err::symlink_metadata(guest.path("/run/a/b/c.sock")).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o7777, 0o600);
    let user = if rustix::process::geteuid().is_root() {
        1000
    } else {
        file.uid()
    };
    assert_eq!(file.uid(), user);
    for made in ["/run/a", "/run/a/b"] {
        let made = fs_err::metadata(guest.path(made)).unwrap();
        assert_eq!(
            (made.uid(), made.permissions().mode() & 0o7777),
            (user, 0o755)
        );
    }
    let after = fs_err::metadata(guest.path("/run")).unwrap();
    assert_eq!(
        (after.uid(), after.mode()),
        (before.uid(), before.mode()),
        "what was there"
    );
    UnixStream::connect(guest.path("/run/a/b/c.sock")).unwrap();
    assert!(place.is_at(guest.root(), "/run/a/b/c.sock"));
    place.remove();
    assert!(!place.is_at(guest.root(), "/run/a/b/c.sock"));
    assert!(!guest.path("/run/a/b/c.sock").exists());
}

#[test]
fn only_what_is_like_ours_and_dead_makes_room() {
    let guest = Guest::new();
    let (listener, place) = guest.listen("/run/a").unwrap();
    let taken = |name: &str| {
        let error = guest.listen(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}: {error}");
    };
    taken("/run/a");
    // Its agent dies without a word.
    drop((listener, place));
    drop(guest.listen("/run/a").unwrap());

    fs_err::write(guest.path("/run/file"), "mine").unwrap();
    fs_err::set_permissions(
        guest.path("/run/file"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    taken("/run/file");
    assert_eq!(
        fs_err::read_to_string(guest.path("/run/file")).unwrap(),
        "mine"
    );
    fs_err::create_dir(guest.path("/run/directory")).unwrap();
    taken("/run/directory");
    symlink("a", guest.path("/run/link")).unwrap();
    taken("/run/link");
    assert!(guest.path("/run/link").is_symlink());
    // A dead socket of another program's.
    drop(UnixListener::bind(guest.path("/run/other")).unwrap());
    fs_err::set_permissions(
        guest.path("/run/other"),
        std::fs::Permissions::from_mode(0o666),
    )
    .unwrap();
    taken("/run/other");
    // A socket of another kind, which nobody can connect a stream to.
    let datagram = std::os::unix::net::UnixDatagram::bind(guest.path("/run/datagram")).unwrap();
    fs_err::set_permissions(
        guest.path("/run/datagram"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    taken("/run/datagram");
    drop(datagram);
}

#[test]
fn what_took_its_place_is_kept() {
    let guest = Guest::new();
    let (_listener, mut place) = guest.listen("/run/a").unwrap();
    fs_err::rename(guest.path("/run/a"), guest.path("/run/moved")).unwrap();
    fs_err::write(guest.path("/run/a"), "another").unwrap();
    assert!(!place.is_at(guest.root(), "/run/a"));
    place.remove();
    assert_eq!(
        fs_err::read_to_string(guest.path("/run/a")).unwrap(),
        "another"
    );
}

#[test]
fn the_longest_path_of_the_guest_is_no_matter_of_the_root() {
    let guest = Guest::new();
    let long = format!("/run/{}", "x".repeat(LONGEST_PATH - 5));
    let (listener, place) = guest.listen(&long).unwrap();
    assert!(place.is_at(guest.root(), &long));
    let names = fs_err::read_dir(guest.path("/run")).unwrap();
    assert_eq!(names.count(), 1, "nothing is beside it");
    drop((listener, place));
    guest.listen(&long).unwrap();
    for wrong in [
        &*format!("{long}x"),
        "",
        "/",
        "a",
        "/a/",
        "//a",
        "/a/../b",
        "/./a",
        "/a\n",
        "/run/..",
    ] {
        let error = guest.listen(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
    }
}

#[test]
fn a_users_runtime_directory_is_waited_for() {
    let guest = Guest::new();
    let error = guest.listen("/run/user/1000/a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("`/run/user/1000`"), "{error}");
    fs_err::create_dir_all(guest.path("/run/user/1000")).unwrap();
    guest.listen("/run/user/1000/a/b").unwrap();
}

#[test]
fn a_file_is_no_directory() {
    let guest = Guest::new();
    fs_err::write(guest.path("/file"), "").unwrap();
    let error = guest.listen("/file/a").unwrap_err();
    assert!(error.to_string().contains("`/file`"), "{error}");
    symlink("nowhere", guest.path("/link")).unwrap();
    guest.listen("/link/a").unwrap_err();
    assert!(!guest.path("/nowhere").exists());
}
