//! What is WSL's alone, through the command line: what is wrong with it, and imports that are cut off.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Trial;

use super::user::{User, wait_a_moment};
use crate::contract::trial;

/// The tests.
pub(super) fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 8] = [
        ("a_whole_life", a_whole_life),
        (
            "what_is_wrong_with_wsl_is_said_before_there_is_a_machine",
            what_is_wrong_with_wsl_is_said_before_there_is_a_machine,
        ),
        (
            "a_start_says_what_is_wrong_by_then",
            a_start_says_what_is_wrong_by_then,
        ),
        (
            "an_init_that_is_given_up_in_the_import_leaves_nothing",
            an_init_that_is_given_up_in_the_import_leaves_nothing,
        ),
        (
            "an_import_that_cannot_be_taken_back_leaves_a_machine_that_knows_of_it",
            an_import_that_cannot_be_taken_back_leaves_a_machine_that_knows_of_it,
        ),
        (
            "an_import_that_was_cut_off_is_told_and_mended",
            an_import_that_was_cut_off_is_told_and_mended,
        ),
        (
            "an_image_of_the_network_is_kept_for_the_next_machine",
            an_image_of_the_network_is_kept_for_the_next_machine,
        ),
        (
            "an_image_that_is_no_tree_makes_no_machine",
            an_image_that_is_no_tree_makes_no_machine,
        ),
    ];
    let trials = tests.map(|(name, test)| trial(&format!("wsl::{name}"), test));
    trials.into()
}

impl User {
    fn command(&self, words: &str) -> Command {
        let words: Vec<_> = words.split(' ').collect();
        self.place.command(&words)
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it says, to whomever and whatever comes of it.
    fn said(&self, words: &str) -> String {
        let output = self.run(words);
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8(said).unwrap()
    }

    /// What it says, which ends with exit code 125.
    fn fails(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(125), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn init_words(&self) -> String {
        let image = self.host.path("rootfs.tar");
        format!("init --volume= --image {} m", image.display())
    }

    /// An `init` that stands still in its import, as the leader of a group of processes.
    fn init_that_hangs(&self) -> Child {
        let imports = || {
            let calls = fs_err::read_to_string(self.host.path("calls"));
            calls.unwrap_or_default().matches("--import").count()
        };
        let before = imports();
        self.host.conditions("hang --import");
        let mut command = self.command(&self.init_words());
        command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let is_there = (0..600).any(|_| {
            let is_there = imports() > before;
            if !is_there {
                wait_a_moment();
            }
            is_there
        });
        assert!(is_there, "it does not come to the import");
        child
    }

    /// No machine, no connection, no distribution.
    fn has_nothing(&self, why: &str) {
        assert!(!self.file("").exists(), "{why}");
        assert_eq!(self.distributions(), "", "{why}");
        let connections = self.succeeds("system connection list --format {{.Name}}");
        assert_eq!(connections, "", "{why}");
        let left = fs_err::read_dir(self.file("..")).into_iter().flatten();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == ".lock"), "{why}: {left:?}");
    }

    fn ping(&self) -> String {
        let mut stream = UnixStream::connect(self.file("podman.sock")).unwrap();
        stream
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn distributions(&self) -> String {
        self.host.said(&["--list", "--all", "--quiet"]).1
    }
}

fn signal(which: &str, whom: &impl ToString) {
    let sent = Command::new("kill")
        .args([which, "--", &whom.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn a_whole_life() {
    let user = User::new();
    user.init();
    assert!(user.distributions().starts_with("machine-m-"));
    for _ in 0..2 {
        let said = user.succeeds("start m");
        assert!(
            said.ends_with("Machine \"m\" started successfully\n"),
            "{said}"
        );
        let answer = user.ping();
        assert!(answer.ends_with("\r\n\r\nOK"), "{answer}");
        let listed = user.succeeds("list --format {{.Name}}|{{.VMType}}|{{.Running}}");
        assert_eq!(listed, "m*|wsl|true\n");
        user.succeeds("stop m");
        let running = user.host.said(&["--list", "--running", "--quiet"]).1;
        assert_eq!(running, "");
    }
    // One import for both.
    let calls = fs_err::read_to_string(user.host.path("calls")).unwrap();
    assert_eq!(calls.matches("--import").count(), 1, "{calls}");
    let name = user.distributions();
    assert!(name.starts_with("machine-m-"), "{name}");
    user.succeeds("rm -f m");
    assert!(!user.file("").exists());
    assert_eq!(user.distributions(), "");
    assert_eq!(user.host.violations(), "");
}

/// Each ends in a sentence that says what to do, with exit code 125, and nothing of a machine is left.
fn what_is_wrong_with_wsl_is_said_before_there_is_a_machine() {
    let user = User::new();
    let cases = [
        ("not-installed", "hint: Run `wsl --install"),
        ("inbox", "hint: Run `wsl --update`"),
        ("version 0.66.2.0", "hint: Run `wsl --update`"),
        ("no-virtualization", "virtualization is off"),
        ("no-virtualization\nlanguage ja", "hint: Run `wsl --install"),
        ("reboot-pending", "restart Windows"),
        (
            "fail --status Wsl/Service/E_ACCESSDENIED\ndisk-full",
            "has no room",
        ),
        (
            "fail --list Wsl/Service/E_UNEXPECTED",
            "(Wsl/Service/E_UNEXPECTED)",
        ),
        // What only an import shows, which is taken back.
        ("firmware-off", "the firmware's settings"),
        ("version-1-only", "version 1 alone"),
        ("disk-full", "hint: Make room"),
        ("import-dies", "hint: Run `wsl --update`"),
    ];
    for (condition, said) in cases {
        user.host.conditions(condition);
        let error = user.fails(&user.init_words());
        assert!(error.contains(said), "{condition}: {error}");
        user.host.conditions("");
        user.has_nothing(condition);
    }
    let calls = fs_err::read_to_string(user.host.path("calls")).unwrap();
    assert_eq!(calls.matches("--import").count(), 5, "{calls}");
    // And an image that is no place for one is not even looked at.
    user.host.conditions("not-installed");
    let error = user.fails("init --image /nowhere m");
    assert!(error.contains("WSL is not installed"), "{error}");
    assert_eq!(user.host.violations(), "");
}

fn a_start_says_what_is_wrong_by_then() {
    let user = User::new();
    user.init();
    for (condition, said) in [
        ("not-installed", "hint: Run `wsl --install"),
        ("version 0.66.2.0", "hint: Run `wsl --update`"),
        ("firmware-off", "virtualization is off"),
        ("reboot-pending", "hint: Restart Windows"),
        (
            "reboot-pending\nlanguage ja\nstderr",
            "hint: Restart Windows",
        ),
    ] {
        user.host.conditions(condition);
        let error = user.fails("start m");
        assert!(error.contains(said), "{condition}: {error}");
        user.host.conditions("");
    }
    user.succeeds("start m");
    user.succeeds("stop m");
    // One that the user removed is not made anew behind his back.
    let name = user.distributions();
    user.host.said(&["--unregister", name.trim(), "--force"]);
    let error = user.fails("start m");
    assert!(error.contains("any more"), "{error}");
    let said = user.said("doctor --fix m");
    assert!(said.contains("is gone"), "{said}");
    // Without what was noted, one of that name is somebody's, and stays.
    user.succeeds("rm -f m");
    let image = user.host.path("rootfs.tar");
    let place = user.host.path("theirs");
    let (place, image) = (place.to_str().unwrap(), image.to_str().unwrap());
    let import = ["--import", name.trim(), place, image, "--version", "2"];
    assert_eq!(user.host.said(&import).0, 0);
    let error = user.fails(&user.init_words());
    assert!(error.contains("is not of this machine"), "{error}");
    assert!(!user.file("").exists());
    assert_eq!(user.distributions(), name);
    // Nobody can tell whose it is, so the user is told of it, and it stays.
    for words in ["doctor", "doctor --fix"] {
        let said = user.said(words);
        assert!(
            said.contains(&format!("wsl --unregister {}", name.trim())),
            "{said}"
        );
        assert_eq!(user.distributions(), name);
    }
    assert_eq!(user.host.violations(), "");
}

fn an_init_that_is_given_up_in_the_import_leaves_nothing() {
    let user = User::new();
    let mut init = user.init_that_hangs();
    signal("-INT", &init.id());
    let status = init.wait().unwrap();
    assert!(!status.success(), "{status}");
    user.host.conditions("");
    user.has_nothing("interrupted");
    user.init();
    user.succeeds("rm -f m");
}

/// Where even that cannot be done the machine says what is there, and both ways out of it work.
fn an_import_that_cannot_be_taken_back_leaves_a_machine_that_knows_of_it() {
    let user = User::new();
    for words in ["rm -f m", "start m"] {
        user.host
            .conditions("import-dies\nfail --unregister Wsl/Service/E_ACCESSDENIED");
        let error = user.fails(&user.init_words());
        assert!(error.contains("could not be taken back"), "{error}");
        assert!(error.contains("hint: `machine rm m` removes it"), "{error}");
        assert!(user.distributions().starts_with("machine-m-"));
        user.host.conditions("");
        user.succeeds(words);
    }
    user.succeeds("stop m");
    assert_eq!(user.host.violations(), "");
}

fn an_import_that_was_cut_off_is_told_and_mended() {
    let user = User::new();
    let mut init = user.init_that_hangs();
    // Its import dies with it.
    signal("-KILL", &format!("-{}", init.id()));
    init.wait().unwrap();
    // The machine is there, and its first start imports. That is cut off as well, and leaves half a distribution.
    user.host.conditions("import-dies");
    user.fails("start m");
    user.host.conditions("");
    let half = user.distributions();
    assert!(half.starts_with("machine-m-"), "{half}");
    let said = user.said("doctor m");
    assert!(
        said.contains(&format!("`{}` is there by half", half.trim())),
        "{said}"
    );
    assert_eq!(user.distributions(), half);
    // One whose hypervisor does not do it stays as it is.
    user.host
        .conditions("fail --unregister Wsl/Service/E_ACCESSDENIED");
    let said = user.said("doctor --fix m");
    assert!(said.contains("E_ACCESSDENIED"), "{said}");
    user.host.conditions("");
    let said = user.said("doctor --fix m");
    assert!(said.contains("the half was removed"), "{said}");
    assert_eq!(user.distributions(), "");
    assert!(!user.said("doctor m").contains("by half"));
    // Either way the next start makes it whole.
    for condition in ["", "import-dies"] {
        user.host.conditions(condition);
        if !condition.is_empty() {
            user.succeeds("rm -f m");
            user.host.conditions("");
            let mut init = user.init_that_hangs();
            signal("-KILL", &format!("-{}", init.id()));
            init.wait().unwrap();
            user.host.conditions(condition);
            user.fails("start m");
            user.host.conditions("");
        }
        user.succeeds("start m");
        user.succeeds("stop m");
    }
    assert_eq!(user.host.violations(), "");
}

/// Hands out this file to the first who asks, and to nobody after that.
fn serve_once(file: std::path::PathBuf) -> String {
    let server = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/rootfs.tar", server.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        drop(server);
        let mut asked = [0; 4096];
        assert!(client.read(&mut asked).unwrap() > 0);
        let bytes = fs_err::read(file).unwrap();
        let length = bytes.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&bytes).unwrap();
    });
    url
}

fn an_image_of_the_network_is_kept_for_the_next_machine() {
    let user = User::new();
    let tree = user.host.path("rootfs.tar");
    let packed = Command::new("gzip").arg("--keep").arg(&tree).status();
    assert!(packed.unwrap().success());
    let packed = tree.with_extension("tar.gz");
    let sum = Command::new("sha256sum").arg(&packed).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    // The checksum is of what came, and the cache has that unpacked.
    let checked = format!("--checksum sha256:{}", &sum[..64]);
    let url = serve_once(packed);
    for (name, how, said) in [
        ("n", checked.as_str(), "(tar)"),
        ("m", "--insecure", "what was fetched last is used"),
    ] {
        let words = format!("init --volume= {how} --image {url} {name}");
        let told = user.said(&words);
        assert!(told.contains(said), "{told}");
    }
    // The one that was made of what was kept is as good.
    user.succeeds("rm --force n");
    user.succeeds("start m");
    user.succeeds("rm --force m");
}

fn an_image_that_is_no_tree_makes_no_machine() {
    let user = User::new();
    let image = user.host.path("disk.raw");
    let mut disk = vec![0; 1 << 20];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    fs_err::write(&image, disk).unwrap();
    let error = user.fails(&format!("init --image {} m", image.display()));
    assert!(error.contains("is no tar archive"), "{error}");
    assert!(!user.file("").exists());
}
