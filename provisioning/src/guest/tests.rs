//! What no rendering of the description shows.

use super::*;

#[test]
fn sshd_is_asked_before_the_word_is_written() {
    let command = NO_PENALTIES.lines().nth(1).unwrap();
    // One line, whose failure does not keep sshd from starting, and no `$` that systemd would replace.
    assert!(command.starts_with("ExecStartPre=-/bin/sh -c '[ -e /etc/"));
    assert!(!command.contains('$'));
    assert_eq!(NO_PENALTIES.lines().count(), 2);
    let asked = command.find("sshd -t -o PerSourcePenalties=no &&");
    assert!(asked < command.find("echo PerSourcePenalties no >"));
}

#[test]
fn sub_ids_avoid_the_user() {
    for (uid, first) in [
        (1, 100_000),
        (99_999, 100_000),
        (100_000, 100_001),
        (1_099_999, 1_100_000),
        (1_100_000, 100_000),
        (u32::MAX, 100_000),
    ] {
        assert_eq!(first_sub_id(uid), first, "{uid}");
    }
}

#[test]
fn groups_are_those_that_useradd_chooses() {
    for (uid, group) in [
        (1000, 1000),
        (4711, 4711),
        (60000, 60000),
        (60001, 1000),
        (501, 1000),
    ] {
        assert_eq!(group_id(uid), group, "{uid}");
    }
}

#[test]
fn debug_shows_no_private_key() {
    let key = HostKey {
        private: "-----BEGIN-----".to_owned(),
        public: "ssh-ed25519 AAAAhost".to_owned(),
    };
    assert!(!format!("{key:?}").contains("BEGIN"));
}
