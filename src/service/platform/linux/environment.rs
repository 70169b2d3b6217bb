//! What a service gets of the environment of the command that starts it: a user manager has an environment of its own.

use std::ffi::OsString;

/// Variables that the supervisor, the programs that it starts, or what it tells the guest depend on. Those that are not
/// set are not set for the service either, whatever its manager has.
const NAMES: [&str; 26] = [
    "ALL_PROXY",
    "DBUS_SESSION_BUS_ADDRESS",
    "FTP_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// And all that begin so.
const PREFIXES: [&str; 7] = [
    "CONTAINERS_",
    "LC_",
    "MACHINE_",
    "NIX_",
    "PODMAN_",
    "QEMU_",
    "XDG_",
];

/// Names of variables. Their values never stand in arguments, which every user of the host can see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// To be taken over.
    pub(super) set: Vec<String>,
    /// To be removed.
    pub(super) unset: Vec<&'static str>,
}

/// What is taken over of `variables`.
pub(super) fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    let mut set: Vec<String> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            (is_passed(&name) && is_sendable(&value)).then_some(name)
        })
        .collect();
    set.sort();
    let unset = NAMES.into_iter();
    let unset = unset
        .filter(|name| !set.iter().any(|there| there == name))
        .collect();
    Environment { set, unset }
}

fn is_passed(name: &str) -> bool {
    let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    name.bytes().all(is_name)
        && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// systemd takes no control characters, and one bad variable would fail the whole start.
fn is_sendable(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn what_matters_is_taken_over_and_the_rest_stays_behind() {
        let variables = [
            ("PATH", "/bin"),
            ("SSH_AUTH_SOCK", "/run/a b"),
            ("https_proxy", "http://u:p@h"),
            ("MACHINE_HOME", "/m"),
            ("XDG_DATA_HOME", "/d"),
            ("LC_ALL", "C"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("NOTIFY_SOCKET", "/n"),
            ("INVOCATION_ID", "1"),
            ("PWD", "/"),
            ("MACHINE_BAD", "a\nb"),
            ("LC_%x", "x"),
        ];
        let bytes = (OsString::from("TZ"), OsString::from_vec(vec![0xff]));
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let found = of(variables.into_iter().chain([bytes]));
        assert_eq!(
            found.set,
            [
                "LC_ALL",
                "MACHINE_HOME",
                "PATH",
                "SSH_AUTH_SOCK",
                "XDG_DATA_HOME",
                "https_proxy"
            ]
        );
        assert!(found.unset.contains(&"HTTP_PROXY") && found.unset.contains(&"TZ"));
        assert!(!found.unset.contains(&"PATH"));
        assert_eq!(found.unset.len() + 3, NAMES.len());
    }
}
