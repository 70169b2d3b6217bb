//! Name-service modules that root's engine has to have loaded before it enters a container.
//!
//! Podman copies files with a thread that has the container's root as its own (`podman cp`, and the archive endpoints
//! of its API). The first look at a user's name there makes glibc search `libnss_systemd.so.2`, or whatever else
//! `nsswitch.conf` names, below that root. It finds not even the directories, and keeps in mind for the life of the
//! process that they do not exist. From then on no library can be opened: `logs` and `events` fail with "unable to open
//! a handle to the library" until the process ends (podman issue 29822). A module that is loaded from the start
//! is not searched.
//!
//! The service reads the file that is written here when it starts (see the Ignition configuration). Where `SELinux`
//! makes the change of domain a "secure execution", the loader ignores the variable and nothing is gained or lost.

use std::io;
use std::path::Path;

use super::log::log_error;
use super::paths::Paths;

/// The databases that are asked for owners of files.
const DATABASES: [&str; 2] = ["passwd", "group"];

/// Where the loader looks without being told.
const LIBRARIES: [&str; 6] = [
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib",
    "lib64",
    "lib",
];

/// Writes the environment of root's engine. It is needed by nothing else, so a failure is only logged.
pub(super) fn load_early(paths: &Paths) {
    if let Err(error) = write(paths) {
        log_error("Name services cannot be loaded early", &error);
    }
}

fn write(paths: &Paths) -> io::Result<()> {
    let text = match fs_err::read_to_string(paths.name_services()) {
        Ok(text) => text,
        // glibc then has its own, which need no module.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let there = modules(&text, |file| {
        LIBRARIES
            .iter()
            .any(|directory| paths.root().join(directory).join(file).is_file())
    });
    if there.is_empty() {
        return Ok(());
    }
    let file = paths.engine_environment();
    fs_err::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
    fs_err::write(file, format!("LD_PRELOAD={}\n", there.join(":")))
}

/// The modules of `nsswitch.conf` (nsswitch.conf(5)) that exist, each once. Names that cannot be part of a file's name
/// are passed over.
fn modules(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((database, services)) = line.split_once(':') else {
            continue;
        };
        if !DATABASES.contains(&database.trim()) {
            continue;
        }
        // `[NOTFOUND=return]` is an action, not a service.
        for service in services.split_whitespace() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            let file = format!("libnss_{service}.so.2");
            if service.bytes().all(plain) && !found.contains(&file) && exists(&file) {
                found.push(file);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_that_exists_once() {
        let text = "# passwd: nis\npasswd: files altfiles systemd # db\ngroup:\tfiles [SUCCESS=merge] systemd ../x\n\
                    hosts: mdns4 dns\nnonsense\n";
        let there = |file: &str| file != "libnss_files.so.2";
        assert_eq!(
            modules(text, there),
            ["libnss_altfiles.so.2", "libnss_systemd.so.2"]
        );
        assert_eq!(modules(text, |_| false), [""; 0]);
        assert_eq!(modules("", |_| true), [""; 0]);
    }

    #[test]
    fn written_where_there_is_something_to_load() {
        let guest = tempfile::tempdir().unwrap();
        let paths = Paths::new(guest.path().to_owned(), 1000);
        write(&paths).unwrap();
        fs_err::create_dir_all(guest.path().join("etc")).unwrap();
        fs_err::write(paths.name_services(), "passwd: files systemd\n").unwrap();
        write(&paths).unwrap();
        assert!(!paths.engine_environment().exists());

        let libraries = guest.path().join("usr/lib64");
        fs_err::create_dir_all(&libraries).unwrap();
        fs_err::write(libraries.join("libnss_systemd.so.2"), "").unwrap();
        write(&paths).unwrap();
        assert_eq!(
            fs_err::read_to_string(paths.engine_environment()).unwrap(),
            "LD_PRELOAD=libnss_systemd.so.2\n"
        );
    }
}
