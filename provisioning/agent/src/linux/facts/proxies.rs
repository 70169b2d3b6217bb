//! Proxies: files from which services of root and of users and login shells get their environment (podman's names).
//!
//! A change is made known to the service managers, and those that run already begin anew: they were started a moment ago
//! by the boot, so nobody uses them.

use std::collections::BTreeMap;
use std::time::Duration;

use machine_protocol::boot::HostFacts;

use super::{Applied, Problem, failed};
use crate::linux::log::log;
use crate::linux::paths::Paths;
use crate::linux::{files, program};

/// On an emulated processor, in the middle of a boot.
const RELOAD: Duration = Duration::from_mins(1);

/// And a user's manager with all its services.
const RESTART: Duration = Duration::from_mins(2);

/// From the variables to a file's text.
type Render = fn(&BTreeMap<String, String>) -> String;

/// The files, each with how it is written.
const FILES: [(&str, Render); 4] = [
    ("etc/systemd/system.conf.d/default-env.conf", managers),
    ("etc/systemd/user.conf.d/default-env.conf", managers),
    ("etc/environment.d/default-env.conf", environment),
    ("etc/profile.d/default-env.sh", shells),
];

pub(super) async fn apply(paths: &Paths, facts: &HostFacts, uid: u32) -> Result<Applied, Problem> {
    let proxies = &facts.proxies;
    // The host leaves these out; a line of its own in a file would set what nobody asked for.
    if proxies
        .iter()
        .any(|(name, value)| !is_name(name) || value.contains(char::is_control))
    {
        return Err("a proxy holds control characters".to_owned());
    }
    let what = "the guest's proxies cannot be set";
    let mut changed = false;
    for (name, render) in FILES {
        let path = paths.root().join(name);
        let done = if proxies.is_empty() {
            files::remove(&path)
        } else {
            files::write(&path, render(proxies).as_bytes())
        };
        changed |= done.map_err(failed(what))?;
    }
    if changed {
        make_known(paths, uid).await?;
    }
    Ok(if proxies.is_empty() && !changed {
        Applied::Unused
    } else {
        Applied::Done
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `[Manager]` of systemd: `%` begins a specifier.
fn managers(proxies: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        let value = escape(value, &['\\', '"']).replace('%', "%%");
        format!("DefaultEnvironment=\"{name}={value}\"\n")
    };
    let lines = proxies.iter().map(line);
    std::iter::once("[Manager]\n".to_owned())
        .chain(lines)
        .collect()
}

/// environment.d(5): `$` begins a variable, `$$` is one.
fn environment(proxies: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        let value = escape(value, &['\\', '"', '`']).replace('$', "$$");
        format!("{name}=\"{value}\"\n")
    };
    proxies.iter().map(line).collect()
}

/// POSIX shells: nothing is special between single quotes but they themselves.
fn shells(proxies: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
    };
    proxies.iter().map(line).collect()
}

fn escape(value: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        if special.contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

async fn make_known(paths: &Paths, uid: u32) -> Result<(), Problem> {
    program::run(paths, "systemctl", &["daemon-reload"], RELOAD).await?;
    let restart = ["try-restart", "--no-block", "podman.service"];
    // Most of the time nothing runs yet; whoever starts later has the new environment.
    if let Err(problem) = program::run(paths, "systemctl", &restart, RELOAD).await {
        log(&problem);
    }
    // A user's manager has what it was started with, and hands it on, whatever it reads later. One that is not there yet
    // will start with the new environment.
    let manager = format!("user@{uid}.service");
    let question = ["show", "--property=ActiveState", "--value", &manager];
    let state = program::run(paths, "systemctl", &question, RELOAD).await?;
    if matches!(state.trim(), "active" | "activating" | "reloading") {
        program::run(paths, "systemctl", &["restart", &manager], RESTART).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    const NASTY: &str = r#"http://u:a%41"b'c\d$HOME`e f@host.containers.internal:1"#;

    const KNOWN: [&str; 3] = [
        "systemctl daemon-reload",
        "systemctl try-restart --no-block podman.service",
        "systemctl show --property=ActiveState --value user@1000.service",
    ];

    fn facts(proxies: &[(&str, &str)]) -> HostFacts {
        let proxies = proxies.iter();
        HostFacts {
            proxies: proxies
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..HostFacts::default()
        }
    }

    #[test]
    fn every_file_has_its_own_quotes() {
        let proxies = facts(&[("http_proxy", NASTY), ("no_proxy", "a,b")]).proxies;
        assert_eq!(
            managers(&proxies),
            "[Manager]\n\
             DefaultEnvironment=\"http_proxy=http://u:a%%41\\\"b'c\\\\d$HOME`e f@host.containers.internal:1\"\n\
             DefaultEnvironment=\"no_proxy=a,b\"\n"
        );
        assert_eq!(
            environment(&proxies),
            "http_proxy=\"http://u:a%41\\\"b'c\\\\d$$HOME\\`e f@host.containers.internal:1\"\nno_proxy=\"a,b\"\n"
        );
        assert_eq!(
            shells(&proxies),
            "export http_proxy='http://u:a%41\"b'\\''c\\d$HOME`e f@host.containers.internal:1'\nexport no_proxy='a,b'\n"
        );
    }

    /// A shell reads what was meant.
    #[tokio::test]
    async fn shells_agree() {
        let proxies = facts(&[("http_proxy", NASTY)]).proxies;
        let script = format!("{}printf %s \"$http_proxy\"", shells(&proxies));
        let output = tokio::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .output()
            .await
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), NASTY);
    }

    #[tokio::test]
    async fn written_once_changed_and_taken_back() {
        let stub = Stub::new();
        stub.program("usr/bin/systemctl", "");
        let apply = async |facts: &HostFacts| super::apply(&stub.paths, facts, 1000).await;
        let nothing = HostFacts::default();
        assert_eq!(apply(&nothing).await, Ok(Applied::Unused));
        assert_eq!(stub.calls(), [""; 0]);

        let some = facts(&[("http_proxy", NASTY)]);
        let known = KNOWN;
        assert_eq!(apply(&some).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), known);
        for (name, _) in FILES {
            assert!(stub.text(name).contains("http_proxy"), "{name}");
        }
        assert_eq!(apply(&some).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), [""; 0]);

        let other = facts(&[("http_proxy", "http://p:1")]);
        assert_eq!(apply(&other).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), known);

        assert_eq!(apply(&nothing).await, Ok(Applied::Done));
        assert_eq!(stub.calls(), known);
        for (name, _) in FILES {
            assert!(!stub.path(name).exists(), "{name}");
        }
        assert_eq!(apply(&nothing).await, Ok(Applied::Unused));
    }

    #[tokio::test]
    async fn a_users_manager_that_runs_begins_anew() {
        let some = facts(&[("http_proxy", "http://p:1")]);
        for (state, anew) in [
            ("active", true),
            ("activating", true),
            ("inactive", false),
            ("failed", false),
        ] {
            let stub = Stub::new();
            let script = format!("test \"$1\" != show || echo {state}");
            stub.program("usr/bin/systemctl", &script);
            super::apply(&stub.paths, &some, 1000).await.unwrap();
            let mut calls = KNOWN.to_vec();
            if anew {
                calls.push("systemctl restart user@1000.service");
            }
            assert_eq!(stub.calls(), calls, "{state}");
        }
    }

    #[tokio::test]
    async fn problems_are_told_without_values() {
        let stub = Stub::new();
        stub.program("usr/bin/systemctl", "echo no bus >&2; exit 1");
        let some = facts(&[("http_proxy", "http://u:hunter2@p:1")]);
        assert_eq!(
            super::apply(&stub.paths, &some, 1000).await,
            Err("`systemctl` ended with exit status: 1: no bus".to_owned())
        );
        let evil = facts(&[("http_proxy", "x\nPATH=/evil")]);
        assert_eq!(
            super::apply(&stub.paths, &evil, 1000).await,
            Err("a proxy holds control characters".to_owned())
        );
    }
}
