//! Programs that are not virtiofsd in its place: what is tried, and what is said about it.

use fs_err as fs;
use machine_host::subordinate::{IdRange, OwnIds};

use super::launch_tests::write_program;
use crate::provider::qemu::virtiofs::{choose, share_as};
use crate::provider::{GuestIds, SharePlan, ShareWay};

const IDS: IdRange = IdRange {
    first: 100_000,
    count: 1_000_000,
};

#[tokio::test]
async fn every_way_is_tried_and_what_they_say_is_told_once() {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("virtiofsd");
    let text = "#!/bin/sh\necho \"$*\" >>$0.calls\necho noise >&2\necho \"no: $6\" >&2\nexit 1\n";
    write_program(&program, text);
    let share = SharePlan {
        tag: "t".to_owned(),
        source: root.path().join("a b"),
        target: "/a".to_owned(),
        read_only: true,
        socket: root.path().join("s"),
        log: root.path().join("log"),
    };
    let own = OwnIds {
        uid: 1000,
        gid: 1000,
        sub_uids: vec![IDS],
        sub_gids: vec![IDS],
    };
    let guest = GuestIds {
        user: 1000,
        group: 1000,
        sub_ids: IDS,
    };
    let error = share_as(&program, &share, &own, true, guest)
        .await
        .unwrap_err();
    assert_eq!(error, "no: namespace; no: none");
    let calls = fs::read_to_string(root.path().join("virtiofsd.calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!(calls.len(), 3);
    let start = format!(
        "--fd 3 --shared-dir {}/a b --sandbox",
        root.path().display()
    );
    for call in calls {
        assert!(call.starts_with(&start), "{call}");
        assert!(call.ends_with(" --readonly"), "{call}");
        assert!(!call.contains("seccomp"), "{call}");
    }
    assert!(!share.socket.exists());
}

#[tokio::test]
async fn a_program_that_lacks_an_option_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let directories: Vec<_> = ["old", "new"].map(|name| root.path().join(name)).into();
    for directory in &directories {
        fs::create_dir(directory).unwrap();
    }
    let options = "--fd --translate-uid=X --uid-map";
    write_program(
        &directories[0].join("virtiofsd"),
        &format!("#!/bin/sh\necho {options}\n"),
    );
    let new = directories[1].join("virtiofsd");
    write_program(
        &new,
        &format!("#!/bin/sh\ncase $1 in --help) echo {options} --readonly ;; esac\n"),
    );
    assert_eq!(choose(&directories).await, (ShareWay::Virtiofs(new), None));
}
