//! To whom a file belongs, who else may use it, and how it is taken from all others.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use crate::sys;

/// The number of the file's owner; none on Windows.
pub fn owner(metadata: &Metadata) -> Option<u32> {
    sys::owner(metadata)
}

/// The file's mode, the permissions alone (`0o600`); none on Windows, where the user's profile is private by itself.
pub fn mode(metadata: &Metadata) -> Option<u32> {
    sys::mode(metadata)
}

/// Whether it is a Unix socket.
pub fn is_socket(metadata: &Metadata) -> bool {
    sys::is_socket(metadata)
}

/// Takes a file (0600) or a directory (0700) from all other users. A link is refused and never followed, as is anything
/// else. On Windows there is nothing to do.
pub fn make_private(path: &Path) -> io::Result<()> {
    sys::make_private(path).map_err(|source| {
        io::Error::new(
            source.kind(),
            format!("`{}` could not be made private: {source}", path.display()),
        )
    })
}

/// Opens a file for reading, and nothing else: no link is followed, no pipe waited for, no device asked. A file that has
/// another name as well is refused, for that may be one that others keep secret. What is opened is what was looked at.
pub fn open_regular(path: &Path) -> io::Result<File> {
    sys::open_regular(path).map_err(|source| {
        io::Error::new(
            source.kind(),
            format!("`{}` cannot be read: {source}", path.display()),
        )
    })
}

/// Opens a log of ours for appending and reading (0600), which is made where it is missing. A link in its place is not followed, and
/// what is no file is refused.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    sys::open_to_append(path).map_err(|source| {
        io::Error::new(
            source.kind(),
            format!("`{}` cannot be opened: {source}", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ours_is_ours_and_no_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs_err::write(&path, "").unwrap();
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        let user = crate::facts::user_id();
        assert!(owner(&metadata).is_none_or(|owner| owner == user));
        assert!(!is_socket(&metadata));
        make_private(&path).unwrap();
        make_private(directory.path()).unwrap();
    }

    #[test]
    fn a_file_is_opened_and_a_directory_is_not() {
        use std::io::Read as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs_err::write(&path, "words").unwrap();
        let mut text = String::new();
        open_regular(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "words");
        let error = open_regular(directory.path()).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
        let gone = open_regular(&directory.path().join("gone")).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn what_leads_elsewhere_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs_err::write(at("key"), "secret").unwrap();
        std::os::unix::fs::symlink(at("key"), at("link")).unwrap();
        open_regular(&at("link")).unwrap_err();
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        open_regular(&at("pipe")).unwrap_err();
        let _listener = std::os::unix::net::UnixListener::bind(at("sock")).unwrap();
        open_regular(&at("sock")).unwrap_err();
        open_regular(Path::new("/dev/null")).unwrap_err();
        open_regular(&at("key")).unwrap();
        fs_err::hard_link(at("key"), at("console.log")).unwrap();
        let error = open_regular(&at("console.log")).unwrap_err();
        assert!(error.to_string().contains("another name"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn only_files_and_directories_themselves_are_made_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let set = |path: &Path, bits| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
        };
        let found = |path: &Path| mode(&fs_err::symlink_metadata(path).unwrap()).unwrap();
        fs_err::write(at("key"), "secret").unwrap();
        fs_err::create_dir(at("ssh")).unwrap();
        for name in ["key", "ssh"] {
            set(&at(name), 0o777);
        }
        std::os::unix::fs::symlink(at("key"), at("link")).unwrap();
        make_private(&at("link")).unwrap_err();
        assert_eq!(found(&at("key")), 0o777);
        let _listener = std::os::unix::net::UnixListener::bind(at("sock")).unwrap();
        assert!(is_socket(&fs_err::symlink_metadata(at("sock")).unwrap()));
        make_private(&at("sock")).unwrap_err();
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        // A pipe without a writer keeps nobody waiting.
        let error = make_private(&at("pipe")).unwrap_err();
        assert!(error.to_string().contains("pipe"), "{error}");

        make_private(&at("key")).unwrap();
        make_private(&at("ssh")).unwrap();
        assert_eq!((found(&at("key")), found(&at("ssh"))), (0o600, 0o700));
        assert_eq!(fs_err::read(at("key")).unwrap(), b"secret");
        let gone = make_private(&at("gone")).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
