//! Tests of the SSH programs' command lines.

use super::*;
use crate::store::testing::{Bench, name};

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn begin(bench: &Bench, user: Option<&str>, given: &[&str]) -> Result<SshSession, SshError> {
    let words = words(given);
    let request = SshRequest {
        user,
        words: &words,
    };
    session(&bench.store, request, |_| Status::Running)
}

fn set_up(bench: &Bench, machine: &str, change: impl FnOnce(&mut crate::machine::MachineConfig)) {
    bench.make(machine);
    let guard = bench.store.edit(&name(machine)).unwrap();
    let changed = guard.update::<StoreError>(|config| {
        change(config);
        Ok(())
    });
    changed.unwrap();
}

/// The words behind the address, and the user.
fn sent(session: &SshSession) -> (String, Vec<OsString>) {
    let arguments = &session.invocation.arguments;
    let at = arguments.iter().position(|word| word == HOST).unwrap();
    let user = arguments.iter().find_map(|word| {
        let user = word.to_str()?.strip_prefix("User=\"")?;
        Some(user.trim_end_matches('"').to_owned())
    });
    (user.unwrap(), arguments[at + 1..].to_vec())
}

#[test]
fn one_key_one_host_key_and_no_settings_of_others() {
    let bench = Bench::new();
    let machine = bench.make("dev");
    let session = begin(&bench, None, &["dev", "ls", "-l", "a b"]).unwrap();
    let directory = machine.files.directory().display();
    let expected = format!(
        "-F none -o User=\"core\" -o IdentityFile=\"{directory}/ssh/id_ed25519\" -o IdentitiesOnly=yes \
         -o IdentityAgent=none -o HostKeyAlias=dev -o StrictHostKeyChecking=yes \
         -o UserKnownHostsFile=\"{directory}/ssh/known_hosts\" -o GlobalKnownHostsFile={null} \
         -o UpdateHostKeys=no -o CheckHostIP=no -o BatchMode=yes -o ConnectTimeout=30 -o LogLevel=ERROR \
         -o SetEnv=LC_ALL= -p 41913 127.0.0.1 ls -l",
        null = platform::NULL_DEVICE
    );
    let mut expected = words(&expected.split(' ').collect::<Vec<_>>());
    expected.push("a b".into());
    assert_eq!(session.invocation.program, "ssh");
    if std::path::MAIN_SEPARATOR == '/' {
        assert_eq!(session.invocation.arguments, expected);
    }
    assert!(!session.interactive);
}

#[test]
fn the_first_word_is_a_machine_or_part_of_the_command() {
    let bench = Bench::new();
    bench.make("podman-machine-default");
    bench.make("dev");
    let cases: [(&[&str], &str, &[&str]); 6] = [
        (&[], "podman-machine-default", &["-t"]),
        (&["dev"], "dev", &["-t"]),
        (&["dev", "dev"], "dev", &["dev"]),
        (&["ls", "dev"], "podman-machine-default", &["ls", "dev"]),
        (&["", "ls"], "podman-machine-default", &["ls"]),
        (&["dev", "--", "-x"], "dev", &["--", "-x"]),
    ];
    for (given, machine, command) in cases {
        let session = begin(&bench, None, given).unwrap();
        assert_eq!(session.name.as_str(), machine, "{given:?}");
        assert_eq!(sent(&session).1, words(command), "{given:?}");
        assert_eq!(session.interactive, command == ["-t"], "{given:?}");
    }
}

#[test]
fn the_user_is_that_of_the_mode() {
    let bench = Bench::new();
    set_up(&bench, "dev", |config| config.rootful = true);
    let user = |user| sent(&begin(&bench, user, &["dev"]).unwrap()).0;
    assert_eq!(user(None), "root");
    assert_eq!(user(Some("")), "root");
    assert_eq!(user(Some("core")), "core");
    // It cannot become an option.
    assert_eq!(user(Some("-oProxyCommand=x")), "-oProxyCommand=x");
}

#[test]
fn settings_are_quoted() {
    assert_eq!(setting("A", r#"a b\c"d"#), r#"A="a b\\c\"d""#);
    assert_eq!(file(PathBuf::from("/a%h b")).unwrap(), "/a%%h b");
}

#[test]
fn a_machine_that_cannot_be_reached() {
    let bench = Bench::new();
    let text = |given: &[&str]| begin(&bench, None, given).unwrap_err().to_string();
    assert_eq!(
        text(&["nobody"]),
        "vm podman-machine-default not found: podman-machine-default: VM does not exist"
    );
    let bad = bench.make("bad").files;
    fs_err::write(bad.config(), "no TOML").unwrap();
    assert!(text(&["bad", "ls"]).starts_with("Machine `bad` cannot be read"));
    set_up(&bench, "old", |config| config.ssh_port = 0);
    assert_eq!(text(&["old"]), "Machine `old` has no SSH port yet");

    bench.make("dev");
    for (status, runs) in [
        (Status::Stopped, false),
        (Status::Starting, false),
        (Status::Unmanaged, false),
        (Status::Busy, false),
        (Status::Stopping, true),
    ] {
        let words = words(&["dev"]);
        let request = SshRequest {
            user: None,
            words: &words,
        };
        match session(&bench.store, request, |_| status.clone()) {
            Ok(_) => assert!(runs, "{status:?}"),
            Err(error) => {
                assert!(!runs, "{status:?}");
                assert_eq!(error.to_string(), "vm \"dev\" is not running");
                assert_eq!(error.hints().len(), 1);
            }
        }
    }
}
