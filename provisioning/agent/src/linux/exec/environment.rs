//! The environment of a program: what a login would give it, then what the host adds.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use super::order::Order;
use crate::linux::users::User;

/// For every user, so that the machine's finds what root finds.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Every guest has it.
const LANGUAGE: &str = "C.UTF-8";
const ENVIRONMENT_LIMIT: u64 = 256 * 1024;

/// Names and values; a later one replaces an earlier one of its name.
pub(super) fn variables(root: &Path, user: &User, order: &Order) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &str, value: &OsStr| variables.push((name.into(), value.into()));
    set("PATH", OsStr::new(PATH));
    set("LANG", OsStr::new(LANGUAGE));
    for (name, value) in system_wide(root) {
        set(&name, OsStr::new(&value));
    }
    set("HOME", user.home.as_os_str());
    set("USER", OsStr::new(&user.name));
    set("LOGNAME", OsStr::new(&user.name));
    set("SHELL", user.shell.as_os_str());
    // Engines and the user's service manager are found by these.
    let runtime = format!("/run/user/{}", user.uid);
    let there = root.join(runtime.trim_start_matches('/'));
    if there.is_dir() {
        set("XDG_RUNTIME_DIR", OsStr::new(&runtime));
        if there.join("bus").exists() {
            let bus = format!("unix:path={runtime}/bus");
            set("DBUS_SESSION_BUS_ADDRESS", OsStr::new(&bus));
        }
    }
    if let Some(terminal) = &order.start.terminal {
        set("TERM", OsStr::new(&terminal.kind));
    }
    variables.extend(order.variables.iter().cloned());
    variables
}

/// What every login gets: `/etc/environment`, where proxies stand.
fn system_wide(root: &Path) -> Vec<(String, String)> {
    let mut text = Vec::new();
    let Ok(file) = fs_err::File::open(root.join("etc/environment")) else {
        return Vec::new();
    };
    if file.take(ENVIRONMENT_LIMIT).read_to_end(&mut text).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(assignment).collect()
}

/// `NAME=value`, `export NAME="value"`: as `pam_env` reads them.
fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, value) = line.split_once('=')?;
    let is_name = |text: &str| {
        !text.starts_with(|first: char| first.is_ascii_digit())
            && !text.is_empty()
            && text
                .chars()
                .all(|next| next == '_' || next.is_ascii_alphanumeric())
    };
    (is_name(name) && !value.contains('\0')).then_some(())?;
    let bare = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some((name.to_owned(), bare.unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use machine_protocol::exec::{Start, Terminal, WindowSize};

    use super::*;

    fn user() -> User {
        User {
            name: "core".to_owned(),
            uid: 1000,
            gid: 1000,
            home: "/var/home/core".into(),
            shell: "/bin/bash".into(),
            groups: vec![1000],
        }
    }

    fn of(root: &Path, order: &Order) -> BTreeMap<String, String> {
        let text = |part: OsString| part.into_string().unwrap();
        variables(root, &user(), order)
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn as_at_a_login() {
        let root = tempfile::tempdir().unwrap();
        let order = Order {
            variables: vec![
                ("LANG".into(), "de_DE.UTF-8".into()),
                ("EMPTY".into(), "".into()),
            ],
            start: Start {
                terminal: Some(Terminal {
                    kind: "xterm".to_owned(),
                    size: WindowSize {
                        rows: 1,
                        columns: 1,
                    },
                }),
                ..Start::default()
            },
            ..Order::default()
        };
        let expected: BTreeMap<String, String> = [
            ("PATH", PATH),
            ("LANG", "de_DE.UTF-8"),
            ("HOME", "/var/home/core"),
            ("USER", "core"),
            ("LOGNAME", "core"),
            ("SHELL", "/bin/bash"),
            ("TERM", "xterm"),
            ("EMPTY", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        assert_eq!(of(root.path(), &order), expected);
    }

    #[test]
    fn what_is_there_in_the_guest() {
        let root = tempfile::tempdir().unwrap();
        let runtime = root.path().join("run/user/1000");
        fs_err::create_dir_all(&runtime).unwrap();
        fs_err::create_dir_all(root.path().join("etc")).unwrap();
        fs_err::write(
            root.path().join("etc/environment"),
            "# a comment = none\nHTTP_PROXY=http://p:1\n  export A=\"b c\"\nQ='x\n1=2\nno\nHOME=/x\n",
        )
        .unwrap();
        let found = of(root.path(), &Order::default());
        assert_eq!(found["XDG_RUNTIME_DIR"], "/run/user/1000");
        assert!(!found.contains_key("DBUS_SESSION_BUS_ADDRESS"));
        assert_eq!(
            (found["HTTP_PROXY"].as_str(), found["A"].as_str()),
            ("http://p:1", "b c")
        );
        assert_eq!(
            (found["Q"].as_str(), found["HOME"].as_str()),
            ("'x", "/var/home/core")
        );
        assert!(!found.contains_key("1") && !found.contains_key("TERM"));
        fs_err::write(runtime.join("bus"), "").unwrap();
        let found = of(root.path(), &Order::default());
        assert_eq!(
            found["DBUS_SESSION_BUS_ADDRESS"],
            "unix:path=/run/user/1000/bus"
        );
    }
}
