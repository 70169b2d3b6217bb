//! What a service gets of the environment of the command that starts it: a manager of services has an environment of its own.

use std::collections::BTreeMap;
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

/// What is taken over of `variables`: names and values. Values never stand in arguments, which every user of the host can see.
pub(in crate::service) fn passed(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, String> {
    let passed = variables.into_iter().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        (is_passed(&name) && is_sendable(&value)).then_some((name, value))
    });
    passed.collect()
}

/// The variables that a manager may have and this program has not.
#[cfg(any(target_os = "linux", test))]
pub(in crate::service) fn absent(set: &BTreeMap<String, String>) -> Vec<&'static str> {
    let names = NAMES.into_iter();
    names.filter(|name| !set.contains_key(*name)).collect()
}

fn is_passed(name: &str) -> bool {
    let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    name.bytes().all(is_name)
        && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Neither systemd nor a property list takes control characters, and one bad variable would fail the whole start.
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
        let found = passed(variables.into_iter().chain([bytes]));
        assert_eq!(found["SSH_AUTH_SOCK"], "/run/a b");
        let names: Vec<_> = found.keys().collect();
        assert_eq!(
            names,
            [
                "LC_ALL",
                "MACHINE_HOME",
                "PATH",
                "SSH_AUTH_SOCK",
                "XDG_DATA_HOME",
                "https_proxy"
            ]
        );
        let absent = absent(&found);
        assert!(absent.contains(&"HTTP_PROXY") && absent.contains(&"TZ"));
        assert!(!absent.contains(&"PATH"));
        assert_eq!(absent.len() + 3, NAMES.len());
    }
}
