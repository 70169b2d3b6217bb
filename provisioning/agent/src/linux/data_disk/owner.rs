//! Whose the disk is: a file at its root. Podman's databases hold the user's paths and ids, so another user cannot use
//! what is there.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::SystemTime;

use machine_protocol::boot::BootParameters;
use serde::{Deserialize, Serialize};

use super::Problem;
use super::signs::shown;
use crate::linux::files;
use crate::linux::log::chain;

/// The file.
pub(super) const FILE: &str = ".machine-data.json";
/// The [`Owner::format`] that this build writes.
const FORMAT: u32 = 1;
/// More than the file has.
const LIMIT: u64 = 64 * 1024;
/// What a fresh disk has, and what is left of a file that was being written ([`files::write`]).
const NOBODYS: [&str; 2] = ["lost+found", "..machine-data.json.new"];

/// What the file says. Keys that are not known are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// 1.
    format: u32,
    /// The machine that it was made for, for people.
    machine: String,
    /// The user's name in the guest.
    user: String,
    /// The user's id, which is that of the host's user.
    uid: u32,
    /// When, in seconds since 1970, by the guest's clock.
    created: u64,
}

impl Owner {
    pub(super) fn of(boot: &BootParameters) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            format: FORMAT,
            machine: boot.machine.clone(),
            user: boot.user.clone(),
            uid: boot.uid,
            created: now.unwrap_or_default().as_secs(),
        }
    }
}

/// Only the format, so that a later one can be told from a broken file.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What the file means for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Claim {
    /// The disk is this user's.
    Ours,
    /// It is nobody's yet.
    Nobodys,
    /// It cannot be used, for this reason.
    Refused(Problem),
}

/// Decides by the file's text, where there is one, and by whether there is anything else.
fn claim(text: Option<&[u8]>, empty: bool, wanted: &Owner) -> Claim {
    let Some(text) = text else {
        return if empty {
            Claim::Nobodys
        } else {
            Claim::Refused(format!(
                "the data disk does not say whose it is (`{FILE}` at its root is missing), and it is not empty"
            ))
        };
    };
    match serde_json::from_slice(text) {
        Ok(Format { format: FORMAT }) => {}
        Ok(Format { format }) => {
            return Claim::Refused(format!(
                "the data disk has format {format}, and this build of machine knows format {FORMAT}"
            ));
        }
        Err(error) => return Claim::Refused(unreadable(&error)),
    }
    match serde_json::from_slice::<Owner>(text) {
        Ok(there) if (&there.user, there.uid) == (&wanted.user, wanted.uid) => Claim::Ours,
        Ok(there) => Claim::Refused(format!(
            "the data disk belongs to another user: it was made by the machine `{}` for `{}` (uid {}), and this machine's \
             user is `{}` (uid {})",
            shown(&there.machine),
            shown(&there.user),
            there.uid,
            wanted.user,
            wanted.uid
        )),
        Err(error) => Claim::Refused(unreadable(&error)),
    }
}

fn unreadable(error: &serde_json::Error) -> Problem {
    format!("the data disk does not say whose it is: `{FILE}` at its root cannot be read: {error}")
}

/// Looks whether the mounted disk is the user's, and makes it so when it is nobody's.
pub(super) fn check(disk: &Path, wanted: &Owner) -> Result<(), Problem> {
    let failed = |error: std::io::Error| {
        format!(
            "whose the data disk is could not be found out: {}",
            chain(&error)
        )
    };
    let file = disk.join(FILE);
    let text = read(&file).map_err(failed)?;
    let empty = text.is_none() && is_empty(disk).map_err(failed)?;
    match claim(text.as_deref(), empty, wanted) {
        Claim::Ours => Ok(()),
        Claim::Refused(problem) => Err(problem),
        Claim::Nobodys => {
            let mut text = serde_json::to_vec(wanted).map_err(|error| error.to_string())?;
            text.push(b'\n');
            files::write(&file, &text).map_err(failed)?;
            Ok(())
        }
    }
}

fn read(file: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    match fs_err::File::open(file) {
        Ok(file) => file.take(LIMIT).read_to_end(&mut text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(text))
}

fn is_empty(disk: &Path) -> std::io::Result<bool> {
    for entry in fs_err::read_dir(disk)? {
        let name = entry?.file_name();
        if !NOBODYS.iter().any(|nobodys| name == *nobodys) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(user: &str, uid: u32) -> Owner {
        Owner {
            format: 1,
            machine: "default".to_owned(),
            user: user.to_owned(),
            uid,
            created: 1_700_000_000,
        }
    }

    fn refusal(text: &[u8]) -> String {
        match claim(Some(text), false, &owner("core", 1000)) {
            Claim::Refused(problem) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file() {
        let json =
            r#"{"format":1,"machine":"default","user":"core","uid":1000,"created":1700000000}"#;
        assert_eq!(serde_json::to_string(&owner("core", 1000)).unwrap(), json);
        let later = json
            .replace("1000,", "1000,\"more\":[],")
            .replace("default", "other");
        assert_eq!(
            claim(Some(later.as_bytes()), false, &owner("core", 1000)),
            Claim::Ours
        );
    }

    #[test]
    fn others_are_told() {
        let text = |user, uid| serde_json::to_vec(&owner(user, uid)).unwrap();
        let sentence = refusal(&text("ann", 1000));
        assert!(
            sentence.contains("for `ann` (uid 1000), and this machine's user is `core` (uid 1000)"),
            "{sentence}"
        );
        assert!(refusal(&text("core", 1001)).contains("another user"));
        assert!(refusal(br#"{"format":2}"#).contains("has format 2"));
        for broken in [&b""[..], b"{", b"{\"format\":1}", b"[]", b"\xff"] {
            assert!(refusal(broken).contains("cannot be read"));
        }
    }

    #[test]
    fn an_empty_disk_gets_its_owner() {
        let disk = tempfile::tempdir().unwrap();
        fs_err::create_dir(disk.path().join("lost+found")).unwrap();
        fs_err::write(disk.path().join("..machine-data.json.new"), "half").unwrap();
        check(disk.path(), &owner("core", 1000)).unwrap();
        check(disk.path(), &owner("core", 1000)).unwrap();
        let problem = check(disk.path(), &owner("ann", 1000)).unwrap_err();
        assert!(problem.contains("another user"), "{problem}");
        assert!(!disk.path().join("..machine-data.json.new").exists());

        fs_err::remove_file(disk.path().join(FILE)).unwrap();
        fs_err::create_dir(disk.path().join("root")).unwrap();
        let problem = check(disk.path(), &owner("core", 1000)).unwrap_err();
        assert!(
            problem.contains("is missing), and it is not empty"),
            "{problem}"
        );
        assert!(!disk.path().join(FILE).exists());
    }

    proptest! {
        /// Nobody but the same name with the same id.
        #[test]
        fn only_the_same_user(user in "[a-c]", uid in 0..3_u32, other in "[a-c]", number in 0..3_u32) {
            let text = serde_json::to_vec(&owner(&other, number)).unwrap();
            let claim = claim(Some(&text), true, &owner(&user, uid));
            prop_assert_eq!(claim == Claim::Ours, user == other && uid == number);
            prop_assert!(claim != Claim::Nobodys);
        }

        #[test]
        fn any_bytes(text: Vec<u8>) {
            prop_assert!(matches!(claim(Some(&text), true, &owner("core", 1)), Claim::Refused(_)));
        }
    }
}
