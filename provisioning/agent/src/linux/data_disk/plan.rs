//! What is to be done with a disk, from what is known of it. Pure.
//!
//! Formatting loses what was there, so it needs both: nobody knows anything on the disk, and its ends are blank; or our own
//! mark says that formatting was cut off. Everything else is left as it is.

use machine_protocol::boot::DATA_DISK_LABEL;

use super::Problem;
use super::ends::Ends;
use super::signs::{Sign, Signs};

/// The file system of every data disk.
pub(super) const KIND: &str = "ext4";
/// What `mke2fs` may have made of it when it was cut off.
const UNFINISHED: [&str; 3] = ["ext2", "ext3", "ext4"];

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It becomes a data disk.
    Format,
    /// It is one.
    Use,
    /// It is left alone, for this reason.
    Refuse(Problem),
}

pub(super) fn decide(signs: &Signs, ends: Ends) -> Plan {
    match signs {
        Signs::One(sign) if ends.being_formatted && may_be_unfinished(sign) => Plan::Format,
        Signs::One(sign) if is_ours(sign) => Plan::Use,
        Signs::One(sign) => Plan::Refuse(format!(
            "the data disk holds something else and is left as it is: {sign}"
        )),
        Signs::Several => Plan::Refuse(
            "the data disk holds more than one thing at the same time and is left as it is: `blkid -p` in the guest cannot \
             tell which"
                .to_owned(),
        ),
        Signs::None if ends.being_formatted || ends.blank => Plan::Format,
        Signs::None => Plan::Refuse(
            "the data disk is not blank, and holds no file system that the guest knows; it is left as it is".to_owned(),
        ),
    }
}

fn is_ours(sign: &Sign) -> bool {
    sign.kind == KIND && !sign.partitions && sign.label.as_deref() == Some(DATA_DISK_LABEL)
}

fn may_be_unfinished(sign: &Sign) -> bool {
    let label = sign.label.as_deref();
    UNFINISHED.contains(&sign.kind.as_str())
        && !sign.partitions
        && label.is_none_or(|label| label == DATA_DISK_LABEL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLANK: Ends = Ends {
        blank: true,
        being_formatted: false,
    };
    const FULL: Ends = Ends {
        blank: false,
        being_formatted: false,
    };
    const MARKED: Ends = Ends {
        blank: false,
        being_formatted: true,
    };

    fn one(kind: &str, label: Option<&str>) -> Signs {
        Signs::One(Sign {
            kind: kind.to_owned(),
            partitions: false,
            label: label.map(str::to_owned),
        })
    }

    fn refused(signs: &Signs, ends: Ends) -> String {
        match decide(signs, ends) {
            Plan::Refuse(problem) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blank_disks_and_our_own() {
        assert_eq!(decide(&Signs::None, BLANK), Plan::Format);
        assert_eq!(decide(&one("ext4", Some("machine-data")), FULL), Plan::Use);
    }

    #[test]
    fn formatting_that_was_cut_off() {
        for signs in [
            Signs::None,
            one("ext4", Some("machine-data")),
            one("ext2", None),
        ] {
            assert_eq!(decide(&signs, MARKED), Plan::Format, "{signs:?}");
        }
        // Somebody else's by now.
        for signs in [Signs::Several, one("xfs", None), one("ext4", Some("home"))] {
            refused(&signs, MARKED);
        }
    }

    #[test]
    fn each_refusal_says_what_is_there() {
        let sentence = refused(&one("xfs", Some("photos")), FULL);
        assert!(sentence.ends_with("is left as it is: `xfs` with the label `photos`"));
        let sentence = refused(&one("ext4", None), FULL);
        assert!(sentence.ends_with("`ext4` without a label"));
        let table = Signs::One(Sign {
            kind: "ext4".to_owned(),
            partitions: true,
            label: Some("machine-data".to_owned()),
        });
        assert!(refused(&table, FULL).contains("a table of partitions"));
        assert!(refused(&Signs::None, FULL).contains("is not blank"));
        assert!(refused(&Signs::Several, FULL).contains("more than one thing"));
    }

    fn signs() -> impl Strategy<Value = Signs> {
        let kinds = prop_oneof![
            Just("ext4".to_owned()),
            Just("ext2".to_owned()),
            "[a-z]{1,8}"
        ];
        let labels = prop_oneof![Just("machine-data".to_owned()), "[a-z-]{0,16}"];
        let sign = (kinds, any::<bool>(), proptest::option::of(labels));
        prop_oneof![
            Just(Signs::None),
            Just(Signs::Several),
            sign.prop_map(|(kind, partitions, label)| Signs::One(Sign {
                kind,
                partitions,
                label
            })),
        ]
    }

    proptest! {
        /// What anybody could miss is never formatted.
        #[test]
        fn only_what_holds_nothing_is_formatted(signs in signs(), blank: bool, being_formatted: bool) {
            let ends = Ends { blank, being_formatted };
            match decide(&signs, ends) {
                Plan::Format => {
                    let nothing_known = signs == Signs::None;
                    prop_assert!(being_formatted || (nothing_known && blank));
                    if let Signs::One(sign) = &signs {
                        prop_assert!(sign.kind.starts_with("ext") && !sign.partitions);
                        prop_assert!(sign.label.is_none() || sign.label.as_deref() == Some("machine-data"));
                    }
                }
                Plan::Use => prop_assert_eq!(signs, one("ext4", Some("machine-data"))),
                Plan::Refuse(problem) => prop_assert!(problem.starts_with("the data disk ")),
            }
        }
    }
}
