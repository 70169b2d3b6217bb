//! Proxies of the host for the guest (spec 1.2, 3.8), with addresses that mean the host from there.
//!
//! `127.0.0.1` in the guest is the guest, so a proxy on the host's loopback gets the name `host.containers.internal`.
//! Only the host in the address is exchanged: everything else may be a password. `no_proxy` is no address, and what is
//! local in the guest needs no proxy there either: it stays as it is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::hostconf::Environment;

/// The host's name in guest and containers.
const HOST: &str = "host.containers.internal";

/// The variables, as podman has them, each also in capitals.
const PROXIES: [&str; 3] = ["http_proxy", "https_proxy", "ftp_proxy"];
const EXCEPTIONS: &str = "no_proxy";

/// The proxies of this environment. A value that no file of the guest could hold is left out, and its variable named.
pub(super) fn gather(
    env: &Environment<'_>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let names = PROXIES.into_iter().chain([EXCEPTIONS]);
    let names = names.flat_map(|name| [name.to_owned(), name.to_uppercase()]);
    let mut found = BTreeMap::new();
    for name in names {
        let Some(value) = env(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        match value.to_str() {
            Some(value) if !value.contains(char::is_control) => {
                let value = if name.eq_ignore_ascii_case(EXCEPTIONS) {
                    value.to_owned()
                } else {
                    from_the_guest(value)
                };
                found.insert(name, value);
            }
            // The value may hold a password and is not shown.
            _ => warnings.push(format!(
                "the value of {name} holds control characters or is not Unicode; the machine does not get it"
            )),
        }
    }
    found
}

/// Whether any proxy is on the host.
pub(super) fn are_on_the_host(proxies: &BTreeMap<String, String>) -> bool {
    proxies.values().any(|value| value.contains(HOST))
}

/// The proxy's address as the guest has to write it.
fn from_the_guest(value: &str) -> String {
    let (start, end) = host_of(value);
    let host = &value[start..end];
    if is_loopback(host) {
        format!("{}{HOST}{}", &value[..start], &value[end..])
    } else {
        value.to_owned()
    }
}

/// Where the host stands in `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT][/…]`, brackets included.
fn host_of(value: &str) -> (usize, usize) {
    let start = value.find("://").map_or(0, |at| at + 3);
    // A password may hold what it should not: the last `@` before the path counts.
    let end = value[start..]
        .find(['/', '?', '#'])
        .map_or(value.len(), |at| start + at);
    let start = value[start..end]
        .rfind('@')
        .map_or(start, |at| start + at + 1);
    let length = match value[start..end].find(']') {
        Some(bracket) if value[start..end].starts_with('[') => bracket + 1,
        _ => value[start..end].rfind(':').unwrap_or(end - start),
    };
    (start, start + length)
}

fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let name = bare.strip_suffix('.').unwrap_or(bare);
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => {
                address.is_loopback()
                    || address
                        .to_ipv4_mapped()
                        .is_some_and(|address| address.is_loopback())
            }
        })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loopback_becomes_the_hosts_name() {
        for (value, expected) in [
            (
                "http://127.0.0.1:3128",
                "http://host.containers.internal:3128",
            ),
            (
                "http://127.8.9.1:3128/",
                "http://host.containers.internal:3128/",
            ),
            ("localhost:8080", "host.containers.internal:8080"),
            ("LocalHost", "host.containers.internal"),
            (
                "socks5://localhost.:1",
                "socks5://host.containers.internal:1",
            ),
            ("http://[::1]:3128", "http://host.containers.internal:3128"),
            (
                "http://[::ffff:127.0.0.1]",
                "http://host.containers.internal",
            ),
            (
                "http://me:p@ss:127.0.0.1@127.0.0.1:1/a@127.0.0.1",
                "http://me:p@ss:127.0.0.1@host.containers.internal:1/a@127.0.0.1",
            ),
            (
                "https://localhost:localhost@localhost?localhost",
                "https://localhost:localhost@host.containers.internal?localhost",
            ),
        ] {
            assert_eq!(from_the_guest(value), expected);
        }
    }

    #[test]
    fn other_addresses_stay() {
        for value in [
            "http://proxy.example.com:3128",
            "http://127.0.0.1.example.com:1",
            "http://localhost:secret@proxy:1",
            "http://notlocalhost:1",
            "http://[2001:db8::1]:3128",
            "http://[::1",
            "http://10.0.0.1",
            "http://0x7f000001",
            "://",
            ":",
            "@",
            "]",
        ] {
            assert_eq!(from_the_guest(value), value);
        }
    }

    fn of(set: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
        let mut warnings = Vec::new();
        let env = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        (gather(&env, &mut warnings), warnings)
    }

    #[test]
    fn podmans_variables_in_both_cases() {
        let set = [
            ("http_proxy", "http://localhost:1"),
            ("HTTPS_PROXY", "http://p:2"),
            ("ftp_proxy", ""),
            ("no_proxy", "localhost,127.0.0.1,.example.com"),
            ("all_proxy", "http://other"),
        ];
        let (found, warnings) = of(&set);
        let expected = [
            ("HTTPS_PROXY", "http://p:2"),
            ("http_proxy", "http://host.containers.internal:1"),
            ("no_proxy", "localhost,127.0.0.1,.example.com"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn what_no_file_can_hold_is_left_out_without_being_shown() {
        let (found, warnings) = of(&[("http_proxy", "http://u:hunter2@p:1\nPATH=/evil")]);
        assert_eq!(found, BTreeMap::new());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("http_proxy") && !warnings[0].contains("hunter2"));
    }

    proptest! {
        /// Around the host every byte stays.
        #[test]
        fn only_the_host_changes(
            before in "((http|socks5h)://)?([a-z0-9:@%!$&']{0,9}@)?",
            host in "localhost|127\\.0\\.0\\.1|\\[::1\\]|proxy|10\\.1\\.2\\.3",
            after in "(:[0-9]{1,5})?(/[ -~]{0,9})?",
        ) {
            let changed = from_the_guest(&format!("{before}{host}{after}"));
            let expected = if is_loopback(&host) { HOST } else { &host };
            prop_assert_eq!(changed, format!("{before}{expected}{after}"));
        }

        #[test]
        fn nothing_panics(value in "\\PC{0,40}") {
            from_the_guest(&value);
        }
    }
}
