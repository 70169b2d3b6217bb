//! The ways to start the program, best first: what keeps it to its folder, and who is who. Pure.

use std::ffi::OsString;
use std::fmt;

use machine_host::subordinate::OwnIds;

use super::ids::{self, Extent};
use crate::provider::GuestIds;

/// All ids that there are, but for the last, which is none.
const ALL_IDS: u32 = u32::MAX;

/// How it is without sub-ids.
const ALL_YOURS: &str = "everything in shared folders belongs to you, and containers cannot give files to other users, \
                         which databases do with their data";

/// What keeps the program to its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sandbox {
    /// Namespaces of its own, in which there is nothing but the folder.
    Namespace,
    /// The folder as its root; needs root.
    Chroot,
    /// The program's own care. Its filter of system calls stays.
    None,
}

impl fmt::Display for Sandbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Namespace => "namespace",
            Self::Chroot => "chroot",
            Self::None => "none",
        })
    }
}

/// One way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// What keeps it to its folder.
    pub(super) sandbox: Sandbox,
    /// Options that say who is who.
    ids: Vec<String>,
    /// What is missing in this way, and how to mend it.
    pub(super) limitation: Option<String>,
}

impl Way {
    /// The program's options for this way.
    pub(super) fn options(&self) -> impl Iterator<Item = OsString> + '_ {
        let sandbox = ["--sandbox".to_owned(), self.sandbox.to_string()];
        sandbox
            .into_iter()
            .chain(self.ids.iter().cloned())
            .map(OsString::from)
    }
}

/// The ways that this user has. `can_map` says that `newuidmap` and `newgidmap` are installed.
pub(super) fn ways(own: &OwnIds, can_map: bool, guest: GuestIds) -> Vec<Way> {
    if own.uid == 0 {
        return ways_of_root(guest);
    }
    let mut ways = Vec::new();
    if has_sub_ids(own, can_map) {
        let uids = ids::map(own.uid, &own.sub_uids, guest.user, guest.sub_ids);
        let gids = ids::map(own.gid, &own.sub_gids, guest.group, guest.sub_ids);
        let mut options = mapped("--uid-map", &uids);
        options.extend(mapped("--gid-map", &gids));
        // Root of the guest is the user, as far as owners go. Inside of the namespace the user has the guest's number.
        options.extend(translated(
            "uid",
            &format!("squash-guest:0:{}:1", guest.user),
        ));
        options.extend(translated(
            "gid",
            &format!("squash-guest:0:{}:1", guest.group),
        ));
        ways.push(Way {
            sandbox: Sandbox::Namespace,
            ids: options,
            limitation: None,
        });
    }
    let all_are_the_user = all_are_one(own, guest);
    let mend = mend(own, can_map);
    ways.push(Way {
        sandbox: Sandbox::Namespace,
        ids: all_are_the_user.clone(),
        limitation: Some(format!("{ALL_YOURS}; {mend}")),
    });
    ways.push(Way {
        sandbox: Sandbox::None,
        ids: all_are_the_user,
        limitation: Some(format!(
            "the program for shared folders runs without a sandbox, for this host allows no user namespaces, everything \
             in the folders belongs to you, and containers cannot give files to other users; {mend}"
        )),
    });
    ways
}

/// Whether the user has sub-ids and may use them.
fn has_sub_ids(own: &OwnIds, can_map: bool) -> bool {
    can_map && !own.sub_uids.is_empty() && !own.sub_gids.is_empty()
}

/// What this user lacks whatever the host allows, and how to get it.
pub(super) fn lack(own: &OwnIds, can_map: bool) -> Option<(String, String)> {
    let complete = own.uid == 0 || has_sub_ids(own, can_map);
    (!complete).then(|| (ALL_YOURS.to_owned(), mend(own, can_map)))
}

/// Root needs no namespace for ids: the guest's user stands for it, and every other id for itself.
fn ways_of_root(guest: GuestIds) -> Vec<Way> {
    let mut options = translated("uid", &format!("map:{}:0:1", guest.user)).to_vec();
    options.extend(translated("gid", &format!("map:{}:0:1", guest.group)));
    [Sandbox::Namespace, Sandbox::Chroot, Sandbox::None]
        .into_iter()
        .map(|sandbox| Way {
            sandbox,
            ids: options.clone(),
            limitation: (sandbox == Sandbox::None).then(|| {
                "the program for shared folders runs as root without a sandbox, for this host allows none"
                    .to_owned()
            }),
        })
        .collect()
}

fn mapped(option: &str, extents: &[Extent]) -> Vec<String> {
    extents
        .iter()
        .flat_map(|extent| {
            let Extent { guest, host, count } = extent;
            [option.to_owned(), format!(":{guest}:{host}:{count}:")]
        })
        .collect()
}

fn translated(kind: &str, rule: &str) -> [String; 2] {
    [format!("--translate-{kind}"), rule.to_owned()]
}

fn all_are_one(own: &OwnIds, guest: GuestIds) -> Vec<String> {
    let mut options = Vec::new();
    for (kind, id, guests) in [("uid", own.uid, guest.user), ("gid", own.gid, guest.group)] {
        options.extend(translated(kind, &format!("squash-guest:0:{id}:{ALL_IDS}")));
        if id != guests {
            options.extend(translated(kind, &format!("host:{id}:{guests}:1")));
        }
    }
    options
}

/// How to get sub-ids.
fn mend(own: &OwnIds, can_map: bool) -> String {
    if !can_map {
        return "install `newuidmap` and `newgidmap` (Debian: uidmap, Fedora: shadow-utils)"
            .to_owned();
    }
    if own.sub_uids.is_empty() || own.sub_gids.is_empty() {
        return "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER` gives you the numbers for it, \
                if nobody else has them in /etc/subuid"
            .to_owned();
    }
    "`unshare --map-auto --map-root-user true` shows what this host refuses".to_owned()
}

#[cfg(test)]
mod tests {
    use machine_host::subordinate::IdRange;

    use super::*;

    const GUEST: GuestIds = GuestIds {
        user: 1000,
        group: 1001,
        sub_ids: IdRange {
            first: 100_000,
            count: 1_000_000,
        },
    };

    fn own(uid: u32, gid: u32, subs: &[(u32, u32)]) -> OwnIds {
        let ranges: Vec<IdRange> = subs
            .iter()
            .map(|(first, count)| IdRange {
                first: *first,
                count: *count,
            })
            .collect();
        OwnIds {
            uid,
            gid,
            sub_uids: ranges.clone(),
            sub_gids: ranges,
        }
    }

    fn lines(ways: &[Way]) -> Vec<String> {
        ways.iter()
            .map(|way| {
                let options: Vec<String> = way
                    .options()
                    .map(|option| option.into_string().unwrap())
                    .collect();
                options.join(" ")
            })
            .collect()
    }

    #[test]
    fn a_user_with_sub_ids() {
        assert_eq!(lack(&own(1000, 100, &[(200_000, 10)]), true), None);
        let ways = ways(&own(1000, 100, &[(200_000, 10)]), true, GUEST);
        assert_eq!(
            lines(&ways)[0],
            "--sandbox namespace --uid-map :1000:1000:1: --uid-map :100000:200000:10: \
             --gid-map :1001:100:1: --gid-map :100000:200000:10: \
             --translate-uid squash-guest:0:1000:1 --translate-gid squash-guest:0:1001:1"
        );
        assert_eq!(ways[0].limitation, None);
        assert_eq!(ways.len(), 3);
        assert!(ways[1].limitation.as_ref().unwrap().contains("unshare"));
    }

    #[test]
    fn a_user_without() {
        let all = "--translate-uid squash-guest:0:1000:4294967295 --translate-gid squash-guest:0:100:4294967295 \
                   --translate-gid host:100:1001:1";
        let without = ways(&own(1000, 100, &[]), true, GUEST);
        assert_eq!(
            lines(&without),
            [
                format!("--sandbox namespace {all}"),
                format!("--sandbox none {all}")
            ]
        );
        let limitation = |ways: &[Way]| ways[0].limitation.clone().unwrap();
        assert!(limitation(&without).contains("usermod --add-subuids"));
        let no_program = ways(&own(1000, 100, &[(200_000, 10)]), false, GUEST);
        assert_eq!(lines(&no_program), lines(&without));
        assert!(limitation(&no_program).contains("uidmap"));
        // The lack is the limitation of the best way.
        for (subs, can_map, ways) in [
            (&[][..], true, &without),
            (&[(200_000, 10)], false, &no_program),
        ] {
            let (what, mend) = lack(&own(1000, 100, subs), can_map).unwrap();
            assert_eq!(format!("{what}; {mend}"), limitation(ways));
        }
    }

    #[test]
    fn root() {
        let ways = ways(&own(0, 0, &[(200_000, 10)]), true, GUEST);
        assert_eq!(lack(&own(0, 0, &[]), false), None);
        let ids = "--translate-uid map:1000:0:1 --translate-gid map:1001:0:1";
        assert_eq!(
            lines(&ways),
            ["namespace", "chroot", "none"].map(|sandbox| format!("--sandbox {sandbox} {ids}"))
        );
        assert!(ways[1].limitation.is_none() && ways[2].limitation.is_some());
    }
}
