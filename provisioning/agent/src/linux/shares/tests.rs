//! The order of things, with a kernel that only takes notes.

use machine_protocol::boot::ShareKind;

use super::*;
use crate::linux::mounting::testing::Notes;

fn share(tag: &str, target: &str) -> Share {
    Share {
        tag: tag.to_owned(),
        kind: ShareKind::Virtiofs,
        target: target.to_owned(),
        read_only: false,
        context: String::new(),
        problem: None,
    }
}

#[tokio::test]
async fn what_fails_is_told_and_cannot_be_mistaken_for_an_empty_folder() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let kernel = Arc::new(Notes::default());
    let shares = [
        share("good", "/a"),
        share("bad", "/b c"),
        Share {
            problem: Some("it is gone".to_owned()),
            ..share("gone", "/d")
        },
    ];
    let problems = all(Arc::clone(&kernel), root.clone(), &shares).await;
    assert_eq!(problems[0], None);
    let bad = problems[1].as_ref().unwrap();
    assert!(
        bad.starts_with(
            "the folder `/b c` is missing: the guest's kernel cannot mount it by virtiofs: "
        ),
        "{bad}"
    );
    assert_eq!(
        problems[2].as_deref(),
        Some("the folder `/d` is missing: it is gone")
    );
    assert_eq!(kernel.sources(), ["good", MISSING, MISSING]);
    let blocked = [root.join("b c"), root.join("d")];
    assert_eq!(*kernel.read_only.lock().unwrap(), blocked);
    let note = fs_err::read_to_string(root.join("d").join(NOTE)).unwrap();
    assert!(note.contains("it is gone"), "{note}");

    // An agent that is started again finds all as it is.
    all(Arc::clone(&kernel), root.clone(), &shares).await;
    assert_eq!(kernel.sources(), ["good", MISSING, MISSING]);
    // What was missing at first takes the place of the note.
    let shares = [share("late", "/d")];
    assert_eq!(all(Arc::clone(&kernel), root, &shares).await, [None]);
    assert_eq!(kernel.sources(), ["good", MISSING, "late"]);
}

/// On images based on `OSTree` `/home` is a link.
#[tokio::test]
async fn places_are_found_through_links() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    fs_err::create_dir_all(root.join("var/home")).unwrap();
    std::os::unix::fs::symlink("var/home", root.join("home")).unwrap();
    let kernel = Arc::new(Notes::default());
    let shares = [share("one", "/home/ann")];
    for _ in 0..2 {
        assert_eq!(
            all(Arc::clone(&kernel), root.clone(), &shares).await,
            [None]
        );
        assert_eq!(
            *kernel.mounts.lock().unwrap(),
            [("one".to_owned(), root.join("var/home/ann"))]
        );
    }
}

/// What is lost stays below the note, and a second word changes nothing.
#[tokio::test]
async fn a_lost_folder_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let kernel = Arc::new(Notes::default());
    let shares = [share("one", "/a"), share("two", "/a/b c")];
    assert_eq!(
        all(Arc::clone(&kernel), root.clone(), &shares).await,
        [None, None]
    );
    for _ in 0..2 {
        give_up(&*kernel, &root, "/a/b c").unwrap();
        assert_eq!(kernel.sources(), ["one", "two", MISSING]);
    }
    assert!(root.join("a/b c").join(NOTE).is_file());
}
