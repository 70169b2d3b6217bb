//! Tests of sockets: every form, every refusal, and laws.

use proptest::prelude::*;

use super::*;

fn unix(text: &str) -> Result<ForwardSocket, SocketError> {
    parse(text, PathStyle::Unix, "core")
}

fn socket(host: &str, guest: &str) -> ForwardSocket {
    ForwardSocket {
        host: HostSocket::from(host.to_owned()),
        guest: guest.to_owned(),
    }
}

#[test]
fn host_and_guest() {
    for (text, host, guest) in [
        ("ssh-agent:/run/host/a", HostSocket::SshAgent, "/run/host/a"),
        (
            "/a/b c.sock:/tmp/ä",
            HostSocket::Path("/a/b c.sock".to_owned()),
            "/tmp/ä",
        ),
        (
            "/a:b:/tmp//x/./y/../z",
            HostSocket::Path("/a:b".to_owned()),
            "/tmp/x/z",
        ),
        (
            "/ssh-agent:/home/core/a",
            HostSocket::Path("/ssh-agent".to_owned()),
            "/home/core/a",
        ),
    ] {
        let parsed = unix(text).unwrap();
        assert_eq!(
            (&parsed.host, parsed.guest.as_str()),
            (&host, guest),
            "{text}"
        );
        assert_eq!(unix(&parsed.to_string()), Ok(parsed));
    }
}

#[test]
fn windows_has_drives_and_pipes() {
    for host in [
        r"C:\a\b.sock",
        r"\\.\pipe\openssh-ssh-agent",
        "c:/a",
        SSH_AGENT,
    ] {
        let parsed = parse(&format!("{host}:/run/host/a"), PathStyle::Windows, "core");
        assert_eq!(parsed, Ok(socket(host, "/run/host/a")));
    }
    let only_a_drive = parse(r"C:\a", PathStyle::Windows, "core");
    assert_eq!(only_a_drive, Err(SocketError::HostRelative("C".to_owned())));
    let relative = parse("a:/run/host/a", PathStyle::Windows, "core");
    assert_eq!(relative, Err(SocketError::HostRelative("a".to_owned())));
}

#[test]
fn mistakes_are_named() {
    for text in ["", "/a", "/a:", ":/run/host/a", "ssh-agent"] {
        assert_eq!(
            unix(text),
            Err(SocketError::Form(text.to_owned())),
            "{text}"
        );
    }
    for (text, words) in [
        (
            "a.sock:/run/host/a",
            "`a.sock` is neither an absolute path nor",
        ),
        ("SSH-AGENT:/run/host/a", "`SSH-AGENT` is neither"),
        ("/a:run/a", "`run/a` is not an absolute path in the machine"),
        ("/a\n:/run/host/a", "control character"),
        ("/a:/run/host/\u{1b}", "control character"),
    ] {
        let error = unix(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(unix("/a:b").unwrap_err().hints()[0].contains("ssh-agent:/run/host"));
}

#[test]
fn a_place_is_as_long_as_an_address() {
    let long = |length: usize| format!("/run/host/{}", "x".repeat(length - 10));
    assert!(unix(&format!("/a:{}", long(107))).is_ok());
    assert_eq!(
        unix(&format!("/a:{}", long(108))),
        Err(SocketError::TooLong(long(108)))
    );
}

#[test]
fn what_the_guest_has_itself_stays_its_own() {
    for place in [
        "/",
        "/proc/x",
        "/sys/x",
        "/dev/x",
        "/dev",
        "/etc/containers/x",
        "/etc/x",
        "/run",
        "/tmp",
        "/home",
        "/usr/bin/x",
        "/bin/x",
        "/run/machine/x",
        "/run/podman/podman.sock",
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/systemd/private",
        "/run/user",
        "/run/user/1000",
        "/run/user/1000/podman/podman.sock",
        "/run/user/1000/bus",
        "/home/core/.ssh/a",
        "/var/home/core/.ssh/a",
        "/run/podman-machine",
        "/boot/x",
    ] {
        assert_eq!(
            unix(&format!("/a:{place}")),
            Err(SocketError::Forbidden(place.to_owned()))
        );
    }
    for place in [
        "/run/a",
        "/run/host/a",
        "/tmp/a",
        "/home/core/a",
        "/run/podman2",
        "/run/user/1000/a",
        "/run/user/1000/buses",
        "/var/lib/a/b",
        "/etcetera",
        "/srv/a",
    ] {
        assert!(unix(&format!("/a:{place}")).is_ok(), "{place}");
    }
}

#[test]
fn together() {
    let check = |sockets: &[ForwardSocket]| check(sockets, &[], "core");
    assert_eq!(
        check(&[socket("/a", "/run/a"), socket("/a", "/run/ab")]),
        Ok(())
    );
    for (one, other) in [
        ("/run/a", "/run/a"),
        ("/run/a", "/var/run/a"),
        ("/run/a", "/run/a/b"),
        ("/run/a/b", "/run/a"),
    ] {
        assert_eq!(
            check(&[socket("/x", one), socket("/y", other)]),
            Err(SocketError::Clash(one.to_owned(), other.to_owned()))
        );
    }
    let many: Vec<_> = (0..=MOST)
        .map(|n| socket("/a", &format!("/run/{n}")))
        .collect();
    assert_eq!(check(&many), Err(SocketError::TooMany(65)));
    assert_eq!(check(&many[1..]), Ok(()));
    // What a person may have written into the file.
    assert_eq!(
        check(&[socket("a", "/run/a")]),
        Err(SocketError::HostRelative("a".to_owned()))
    );
    assert_eq!(
        check(&[socket("/a\n", "/run/a")]),
        Err(SocketError::ControlCharacter("/a\n".to_owned()))
    );
    for unclean in ["/run/a/", "/run/../a", "run/a", ""] {
        assert_eq!(
            check(&[socket("/a", unclean)]),
            Err(SocketError::Relative(unclean.to_owned()))
        );
    }
    assert_eq!(
        check(&[socket("/a", "/run/a:b")]),
        Err(SocketError::Colon("/run/a:b".to_owned()))
    );
}

#[test]
fn not_in_a_folder_of_the_host() {
    let volume = |target: &str| Volume {
        source: "/a".into(),
        target: target.to_owned(),
        read_only: false,
        watch: false,
    };
    let check = |target, guest| check(&[socket("/a", guest)], &[volume(target)], "core");
    for (target, guest) in [
        ("/mnt/a", "/mnt/a/b/c"),
        ("/mnt/a", "/var/mnt/a/b"),
        ("/var/mnt/a", "/mnt/a/b"),
        ("/mnt/a", "/mnt/a"),
    ] {
        let error = check(target, guest);
        assert!(
            matches!(error, Err(SocketError::InFolder { .. })),
            "{guest}: {error:?}"
        );
    }
    assert_eq!(check("/mnt/a", "/mnt/ab"), Ok(()));
    assert_eq!(check("/mnt/a/b", "/mnt/a/c"), Ok(()));
}

proptest! {
    /// What is taken can be written and read again, is checked alike in the file, and lies at no forbidden place.
    #[test]
    fn what_is_taken_is_whole(text in "(ssh-agent|/[a-z:/]{0,6})?:?[a-z./:]{0,12}") {
        if let Ok(parsed) = unix(&text) {
            prop_assert_eq!(unix(&parsed.to_string()), Ok(parsed.clone()));
            prop_assert_eq!(check(std::slice::from_ref(&parsed), &[], "core"), Ok(()));
            prop_assert!(parsed.guest.starts_with('/') && !parsed.guest.contains(':') && !parsed.guest.contains("//"));
            let stored = toml::to_string(&parsed).unwrap();
            prop_assert_eq!(toml::from_str::<ForwardSocket>(&stored).unwrap(), parsed);
        }
    }

    /// No text panics.
    #[test]
    fn any_text_has_an_answer(text in ".*") {
        let _ = unix(&text);
        let _ = parse(&text, PathStyle::Windows, "core");
    }
}
