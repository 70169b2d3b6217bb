//! Who is who between a guest and the host's folders. Pure.
//!
//! A guest has three kinds of owners: its user, who is the host's user; its other users, which root's containers use;
//! and the sub-ids of its user, in which rootless containers live. The host's user owns a range of sub-ids, usually 65536,
//! and each of them stands for one of the guest's:
//!
//! | the guest's | the host's |
//! |---|---|
//! | the user | the user |
//! | rootless containers' 1 to 32767 | the first 32767 sub-ids, so they are those of a rootless Podman on the host |
//! | 1 to 32767, of root's containers and the system | the next 32767 |
//! | rootless containers' 65534 (nobody), then 65534 itself | the next two |
//! | rootless containers' 32768 to 65533, the same of root's, all others of rootless ones | what follows, if anything does |
//!
//! More sub-ids lengthen the table and change none of it, for owners are written to the host's disk. Root of the guest
//! has no sub-id: what it makes is the user's.

use machine_host::subordinate::IdRange;

/// Half of the usual number of sub-ids, less the two that stand for `nobody`.
const HALF: u32 = 32767;
/// The user of the name `nobody`.
const NOBODY: u32 = 65534;
/// More lines than any system needs; the kernel takes 340 (`user_namespaces(7)`).
const MOST_EXTENTS: usize = 300;

/// Ids of the guest that follow each other, and those of the host that stand for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The guest's first.
    pub(super) guest: u32,
    /// The host's first.
    pub(super) host: u32,
    /// How many.
    pub(super) count: u32,
}

/// The map for the host's user (or group) `own`, who is the guest's `user` (or group), with these sub-ids on either side.
/// The user comes first.
pub(super) fn map(own: u32, sub_ids: &[IdRange], user: u32, guest_sub_ids: IdRange) -> Vec<Extent> {
    let mut wanted = wanted(guest_sub_ids).into_iter();
    let mut given = given(own, sub_ids).into_iter();
    let mut extents = vec![Extent {
        guest: user,
        host: own,
        count: 1,
    }];
    let (mut want, mut give) = (wanted.next(), given.next());
    while let (Some(ids), Some(range)) = (want, give) {
        let count = ids.count.min(range.count);
        extents.extend(without(user, ids.first, range.first, count));
        want = rest(ids, count).or_else(|| wanted.next());
        give = rest(range, count).or_else(|| given.next());
    }
    extents.truncate(MOST_EXTENTS);
    extents
}

fn rest(range: IdRange, used: u32) -> Option<IdRange> {
    (range.count > used).then(|| IdRange {
        first: range.first + used,
        count: range.count - used,
    })
}

/// The guest's ids in the order of the table above.
fn wanted(sub_ids: IdRange) -> Vec<IdRange> {
    // Container id 1 is the first sub-id.
    let rootless = |first: u32, last: u32| {
        let end = last.min(sub_ids.count);
        IdRange {
            first: sub_ids.first.saturating_add(first - 1),
            count: (end + 1).saturating_sub(first),
        }
    };
    let own = |first: u32, last: u32| IdRange {
        first,
        count: last - first + 1,
    };
    let all = [
        rootless(1, HALF),
        own(1, HALF),
        rootless(NOBODY, NOBODY),
        own(NOBODY, NOBODY),
        rootless(HALF + 1, NOBODY - 1),
        own(HALF + 1, NOBODY - 1),
        rootless(NOBODY + 1, u32::MAX - 1),
    ];
    all.into_iter().filter(|range| range.count > 0).collect()
}

/// The host's sub-ids, each once and none of them the user.
fn given(own: u32, sub_ids: &[IdRange]) -> Vec<IdRange> {
    let mut taken = vec![IdRange {
        first: own,
        count: 1,
    }];
    let mut given = Vec::new();
    for range in sub_ids {
        let mut parts = vec![*range];
        for other in &taken {
            parts = parts
                .into_iter()
                .flat_map(|part| cut(part, *other))
                .collect();
        }
        taken.extend(&parts);
        given.extend(parts);
    }
    given
}

/// What of `range` is not in `other`.
fn cut(range: IdRange, other: IdRange) -> impl Iterator<Item = IdRange> {
    let end = |range: IdRange| u64::from(range.first) + u64::from(range.count);
    let piece = |first: u64, end: u64| {
        let count = u32::try_from(end.saturating_sub(first)).ok()?;
        let first = u32::try_from(first).ok()?;
        (count > 0).then_some(IdRange { first, count })
    };
    let (start, stop) = (u64::from(range.first), end(range));
    let before = piece(start, stop.min(u64::from(other.first)));
    let after = piece(start.max(end(other)), stop);
    before.into_iter().chain(after)
}

/// An extent without the guest's user, who stands elsewhere in the map.
fn without(user: u32, guest: u32, host: u32, count: u32) -> impl Iterator<Item = Extent> {
    let hole = user.checked_sub(guest).filter(|at| *at < count);
    let before = hole.unwrap_or(count);
    let after = hole.map_or(0, |at| count - at - 1);
    let skipped = before + u32::from(hole.is_some());
    [
        Extent {
            guest,
            host,
            count: before,
        },
        Extent {
            guest: guest.saturating_add(skipped),
            host: host.saturating_add(skipped),
            count: after,
        },
    ]
    .into_iter()
    .filter(|extent| extent.count > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUEST: IdRange = IdRange {
        first: 100_000,
        count: 1_000_000,
    };

    fn range(first: u32, count: u32) -> IdRange {
        IdRange { first, count }
    }

    fn host_of(extents: &[Extent], id: u32) -> Option<u32> {
        let mut found = extents.iter().filter_map(|extent| {
            let at = id.checked_sub(extent.guest)?;
            (at < extent.count).then(|| extent.host + at)
        });
        let host = found.next();
        assert_eq!(found.next(), None, "{id} is there twice");
        host
    }

    #[test]
    fn the_usual_host() {
        let extents = map(1000, &[range(524_288, 65536)], 1000, GUEST);
        let host = |id| host_of(&extents, id);
        assert_eq!(host(1000), Some(1000));
        assert_eq!(host(0), None, "root has no sub-id");
        // PostgreSQL's 999 in a rootless container, as a rootless Podman of the host has it.
        assert_eq!(host(100_998), Some(524_288 + 998));
        assert_eq!(host(100_000), Some(524_288));
        assert_eq!(host(132_766), Some(524_288 + 32766));
        assert_eq!(host(132_767), None);
        // The same for root.
        assert_eq!(host(1), Some(524_288 + 32767));
        assert_eq!(host(999), Some(524_288 + 32767 + 998));
        assert_eq!(host(1001), Some(524_288 + 32767 + 1000));
        assert_eq!(host(32767), Some(524_288 + 65533));
        assert_eq!(host(32768), None);
        assert_eq!(host(165_533), Some(524_288 + 65534));
        assert_eq!(host(65534), Some(524_288 + 65535));
        let total: u32 = extents.iter().map(|extent| extent.count).sum();
        assert_eq!(total, 65536, "one for the user, none for the hole");
    }

    #[test]
    fn more_sub_ids_and_none() {
        assert_eq!(
            map(1000, &[], 1000, GUEST),
            [Extent {
                guest: 1000,
                host: 1000,
                count: 1
            }]
        );
        let large = map(4711, &[range(200_000, 200_000)], 4711, GUEST);
        assert_eq!(host_of(&large, 132_767), Some(200_000 + 65536));
        assert_eq!(host_of(&large, 32768), Some(200_000 + 65536 + 32766));
        assert_eq!(host_of(&large, 165_534), Some(200_000 + 65536 + 2 * 32766));
        // A user from a directory service, and a file that says things twice.
        let odd = map(
            1_800_000_001,
            &[range(1_800_000_000, 3), range(1_800_000_000, 5)],
            1_800_000_001,
            GUEST,
        );
        let hosts: Vec<_> = (100_000..100_005).map(|id| host_of(&odd, id)).collect();
        let some = [
            Some(1_800_000_000),
            Some(1_800_000_002),
            Some(1_800_000_003),
            Some(1_800_000_004),
            None,
        ];
        assert_eq!(hosts, some);
    }

    fn ranges() -> impl Strategy<Value = Vec<IdRange>> {
        let one = (0_u32..300_000, 1_u32..100_000).prop_map(|(first, count)| range(first, count));
        proptest::collection::vec(one, 0..5)
    }

    proptest! {
        #[test]
        fn laws(own in 1_u32..300_000, user in 1_u32..2_000_000, subs in ranges(), more in ranges()) {
            let guest = range(if (100_000..1_100_000).contains(&user) { user + 1 } else { 100_000 }, 1_000_000);
            let extents = map(own, &subs, user, guest);
            prop_assert_eq!(extents[0], Extent { guest: user, host: own, count: 1 });
            // Each id of either side is there once, root never, and the host gives only what it has.
            for side in [|extent: &Extent| extent.guest, |extent: &Extent| extent.host] {
                let mut sorted = extents.clone();
                sorted.sort_by_key(side);
                for pair in sorted.windows(2) {
                    prop_assert!(u64::from(side(&pair[0])) + u64::from(pair[0].count) <= u64::from(side(&pair[1])), "{:?}", sorted);
                }
            }
            for extent in &extents {
                prop_assert!(extent.guest > 0 && extent.count > 0);
                if extent.host != own {
                    for id in [extent.host, extent.host + extent.count - 1] {
                        prop_assert!(subs.iter().any(|sub| id >= sub.first && id - sub.first < sub.count));
                    }
                }
            }
            // What an administrator adds changes nobody's owner.
            let longer = map(own, &[subs.clone(), more].concat(), user, guest);
            for extent in &extents {
                for at in [0, extent.count / 2, extent.count - 1] {
                    prop_assert_eq!(host_of(&longer, extent.guest + at), Some(extent.host + at));
                }
            }
        }
    }
}
