//! Ranges of ids that the administrator has given to a user besides their own (`subuid(5)`, `subgid(5)`).

use std::path::Path;

use fs_err as fs;

use crate::{facts, sys};

const USERS: &str = "/etc/passwd";
const SUB_UIDS: &str = "/etc/subuid";
const SUB_GIDS: &str = "/etc/subgid";

/// Ids that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Who this process is, and which ids it may use besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnIds {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    /// Further users, in the order of the file.
    pub sub_uids: Vec<IdRange>,
    /// Further groups, in the order of the file.
    pub sub_gids: Vec<IdRange>,
}

/// Those of this process. Where a file cannot be read, or the system has no such files, there are none besides.
pub fn own_ids() -> OwnIds {
    let uid = facts::user_id();
    let users = text(USERS);
    let name = user_name(&users, uid)
        .map(str::to_owned)
        .or_else(|| std::env::var("LOGNAME").ok())
        .unwrap_or_default();
    OwnIds {
        uid,
        gid: sys::group_id(),
        sub_uids: ranges(&text(SUB_UIDS), &name, uid),
        sub_gids: ranges(&text(SUB_GIDS), &name, uid),
    }
}

fn text(path: &str) -> String {
    let bytes = fs::read(Path::new(path)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `NAME:PASSWORD:UID:…`.
fn user_name(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// `NAME:FIRST:COUNT`, where the name may be a number.
fn ranges(text: &str, name: &str, uid: u32) -> Vec<IdRange> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let is_own = (!name.is_empty() && owner == name) || owner.parse() == Ok(uid);
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        // The last number of all is none: it means "no change" to the kernel.
        let fits = first.checked_add(count).is_some();
        (is_own && count > 0 && fits).then_some(IdRange { first, count })
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_user_by_name_and_number() {
        let text = "# none\nann:100000:65536\nbob:165536:65536\n1000:300000:10\nann:0x1:2\nann:1\nann:5:0\n\
                    ann:4294967295:1\nann:4294967290:5\n:7:7\n";
        let of = |name, uid| {
            ranges(text, name, uid)
                .iter()
                .map(|range| (range.first, range.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("ann", 1000),
            [(100_000, 65536), (300_000, 10), (4_294_967_290, 5)]
        );
        assert_eq!(of("bob", 1001), [(165_536, 65536)]);
        assert_eq!(of("", 1001), []);
    }

    #[test]
    fn names_of_users() {
        let users = "root:x:0:0::/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(user_name(users, 1000), Some("ann"));
        assert_eq!(user_name(users, 1), None);
    }

    #[test]
    fn this_process_is_somebody() {
        assert_eq!(own_ids().uid, facts::user_id());
    }
}
