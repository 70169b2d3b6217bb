//! Links where files of ours should be: nothing is followed, made or changed outside, and the command says which file.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use crate::support::command::run;
use crate::support::home::{Home, SOON};
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("injury::links_where_our_files_should_be", planted)]
}

const PRECIOUS: &str = "precious";

fn planted() {
    let home = Home::new("injury-links");
    let outside = home.path().join("outside");
    fs_err::create_dir(&outside).expect("it can be made");
    let image = home.path().join("small.qcow2");
    let mut command = Command::new("qemu-img");
    command
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&image)
        .arg("1M");
    run(&mut command, b"", SOON).succeeded();
    let image = image.to_str().expect("text");
    let init = ["init", "--image", image, "--volume", "", "dev"];
    home.machine(&init, SOON).succeeded();
    let machine = home.machine_dir("dev");
    let machines = machine.parent().expect("it has one").to_owned();

    let set: &[&str] = &["set", "--cpus", "1", "dev"];
    let start: &[&str] = &["start", "dev"];
    let other: &[&str] = &["init", "--image", image, "--volume", "", "other"];
    for (place, words) in [
        (machines.join(".lock"), other),
        (machine.join("edit.lock"), set),
        (machine.join("run.lock"), &["rm", "--force", "dev"]),
        (machine.join("supervisor.log"), start),
    ] {
        // A link to something, and one to nothing, behind which something would be made.
        for target in [victim(&outside), outside.join("nothing")] {
            let _ = fs_err::remove_file(&place);
            std::os::unix::fs::symlink(&target, &place).expect("a link can be made");
            let error = home.machine(words, SOON).failed();
            let named = format!("`{}`", place.display());
            assert!(error.contains(&named), "{words:?}: {error}");
            assert!(error.contains("symbolic link"), "{words:?}: {error}");
            untouched(&outside);
            assert!(place.is_symlink(), "{}", place.display());
            fs_err::remove_file(&place).expect("it is ours");
        }
    }

    // A file that is written anew takes the link's place.
    let config = machine.join("machine.toml");
    let moved = outside.join("machine.toml");
    fs_err::copy(&config, &moved).expect("it can be copied");
    let before = fs_err::read(&moved).expect("it is there");
    fs_err::remove_file(&config).expect("it is ours");
    std::os::unix::fs::symlink(&moved, &config).expect("a link can be made");
    home.machine(&["set", "--cpus", "2", "dev"], SOON)
        .succeeded();
    assert!(!config.is_symlink());
    assert_eq!(fs_err::read(&moved).expect("it is there"), before);
    fs_err::remove_file(&moved).expect("it is ours");

    // A removal does not go through links.
    std::os::unix::fs::symlink(&outside, machine.join("folder")).expect("a link can be made");
    victim(&outside);
    home.machine(&["rm", "--force", "dev"], SOON).succeeded();
    untouched(&outside);
    assert!(!machine.exists());
}

fn victim(outside: &Path) -> PathBuf {
    let path = outside.join("file");
    fs_err::write(&path, PRECIOUS).expect("it can be written");
    path
}

/// There is one file, and it is as it was.
fn untouched(outside: &Path) {
    let entries = fs_err::read_dir(outside).expect("it is there").flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["file"]);
    let text = fs_err::read_to_string(outside.join("file")).expect("it is there");
    assert_eq!(text, PRECIOUS);
}
