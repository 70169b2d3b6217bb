//! The stand-in keeps to the documentation.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::Host;

const RUNNING: [&str; 3] = ["--list", "--running", "--quiet"];

fn import(host: &Host, name: &str) {
    let tar = host.tar(&[]);
    let place = host.path(&format!("place-{name}"));
    let (code, said) = host.said(&[
        "--import",
        name,
        place.to_str().unwrap(),
        tar.to_str().unwrap(),
        "--version",
        "2",
    ]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_distribution_from_its_import_to_its_end() {
    let host = Host::new();
    assert_eq!(
        host.said(&["--list", "--all", "--quiet"]),
        (0, String::new())
    );
    import(&host, "machine-a");
    assert_eq!(
        host.said(&["--list", "--all", "--quiet"]),
        (0, "machine-a\r\n".to_owned())
    );
    assert_eq!(host.said(&RUNNING), (0, String::new()));
    let run = |words: &[&str]| {
        let mut all = vec!["-d", "machine-a", "-u", "root", "--cd", "/", "--exec"];
        all.extend(words);
        host.said(&all)
    };
    assert_eq!(run(&["/bin/echo", "a  b"]), (0, "a  b\n".to_owned()));
    assert_eq!(run(&["/bin/sh", "-c", "exit 7"]).0, 7);
    // Its own processes, and a place of its own for `/`.
    let (_, said) = run(&["/bin/sh", "-c", "echo $$ $(id -u); test -e /work"]);
    let pid: u32 = said.split(' ').next().unwrap().parse().unwrap();
    assert!(pid < 100 && said.ends_with(" 0\n"), "{said}");
    // Nothing keeps it alive.
    assert_eq!(host.said(&RUNNING), (0, String::new()));
    assert_eq!(host.said(&["--unregister", "MACHINE-A", "--force"]).0, 0);
    assert_eq!(
        host.said(&["--list", "--all", "--quiet"]),
        (0, String::new())
    );
    assert!(!host.path("place-machine-a").exists());
    assert_eq!(host.violations(), "");
}

#[test]
fn it_runs_as_long_as_a_program_of_a_caller() {
    let host = Host::new();
    import(&host, "machine-a");
    let mut alive = host
        .command(&[
            "-d",
            "machine-a",
            "--cd",
            "/",
            "--exec",
            "/bin/sh",
            "-c",
            "echo up; exec sleep 1000",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let out = alive.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut said).unwrap();
    assert_eq!(said, "up\n");
    assert_eq!(host.said(&RUNNING), (0, "machine-a\r\n".to_owned()));
    // Another comes and goes.
    let touch = [
        "-d",
        "machine-a",
        "--cd",
        "/",
        "--exec",
        "/bin/touch",
        "/run/here",
    ];
    assert_eq!(host.said(&touch).0, 0);
    assert_eq!(host.said(&RUNNING).1, "machine-a\r\n");
    assert_eq!(host.said(&["--terminate", "machine-a"]).0, 0);
    assert!(!alive.wait().unwrap().success());
    assert_eq!(host.said(&RUNNING), (0, String::new()));
    // A new instance has nothing of the old one's /run.
    let look = [
        "-d",
        "machine-a",
        "--cd",
        "/",
        "--exec",
        "/bin/test",
        "-e",
        "/run/here",
    ];
    assert_eq!(host.said(&look).0, 1);
}

#[test]
fn answers_in_both_encodings_and_three_languages() {
    let host = Host::new();
    import(&host, "machine-a");
    let plain = host
        .command(&RUNNING)
        .env_remove("WSL_UTF8")
        .output()
        .unwrap();
    assert_eq!(plain.stdout, b"");
    let list = ["--list", "--all", "--quiet"];
    let wide = host.command(&list).env_remove("WSL_UTF8").output().unwrap();
    assert!(wide.stdout.starts_with(b"m\0a\0c\0"), "{:?}", wide.stdout);
    for (language, label, heading) in [
        ("", "Error code: Wsl/", "STATE"),
        ("language de", "Fehlercode: Wsl/", "STATUS"),
        ("language ja", "エラー コード: Wsl/", "状態"),
    ] {
        host.conditions(language);
        let (code, said) = host.said(&["--terminate", "nobody"]);
        assert_eq!(code, 255);
        let expected = format!("{label}Service/WSL_E_DISTRO_NOT_FOUND\r\n");
        assert!(said.ends_with(&expected), "{said}");
        let (_, table) = host.said(&["--list", "--verbose"]);
        assert!(
            table.contains(heading) && table.contains("machine-a"),
            "{table}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_host() {
    let host = Host::new();
    let tar = host.tar(&[]);
    let place = host.path("place");
    let words = [
        "--import",
        "machine-a",
        place.to_str().unwrap(),
        tar.to_str().unwrap(),
        "--version",
        "2",
    ];
    for (condition, code) in [
        ("no-virtualization", "HCS_E_HYPERV_NOT_INSTALLED"),
        ("firmware-off", "HCS_E_HYPERV_NOT_INSTALLED"),
        ("reboot-pending", "HCS_E_SERVICE_NOT_AVAILABLE"),
        ("version-1-only", "WSL_E_VM_MODE_NOT_SUPPORTED"),
        ("disk-full", "ERROR_DISK_FULL"),
        ("fail --import Wsl/Service/E_ACCESSDENIED", "E_ACCESSDENIED"),
    ] {
        host.conditions(condition);
        let (failed, said) = host.said(&words);
        assert_eq!(failed, 255, "{condition}");
        assert!(said.contains(code), "{said}");
        assert_eq!(
            host.said(&["--list", "--all", "--quiet"]),
            (0, String::new())
        );
    }
    host.conditions("import-dies");
    assert_eq!(host.said(&words).0, 255);
    host.conditions("");
    // Half a distribution is in the way, and is listed only where all are.
    assert_eq!(host.said(&["--list", "--quiet"]), (0, String::new()));
    assert_eq!(
        host.said(&["--list", "--all", "--quiet"]).1,
        "machine-a\r\n"
    );
    assert!(host.said(&words).1.contains("ERROR_ALREADY_EXISTS"));
    host.conditions("not-installed");
    assert_eq!(host.said(&["--version"]).0, 1);
    host.conditions("inbox");
    assert_eq!(host.said(&["--version"]).0, 255);
}

/// Its status tells of the platform alone, by an address and in no code.
#[test]
fn the_status_knows_whether_the_platform_is_there() {
    let host = Host::new();
    for (condition, is_told) in [
        ("", false),
        ("version-1-only", false),
        ("firmware-off", false),
        ("no-virtualization", true),
        ("reboot-pending", true),
    ] {
        for language in ["", "language de", "language ja"] {
            host.conditions(&format!("{condition}\n{language}"));
            // Text of both streams.
            let (code, said) = host.said(&["--status"]);
            assert_eq!(code, 0, "{condition}");
            let found = said.contains("https://aka.ms/enablevirtualization");
            assert_eq!(found, is_told, "{condition}: {said}");
        }
    }
}

#[test]
fn it_can_hang() {
    let host = Host::new();
    host.conditions("hang --version");
    let mut child = host.command(&["--version"]).spawn().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_nobody_may_do_is_noted() {
    let host = Host::new();
    assert_eq!(host.said(&["--shutdown"]).0, 99);
    assert_eq!(host.said(&["--cd", "/", "--exec", "ls"]).0, 99);
    let noted = host.violations();
    assert_eq!(noted.lines().count(), 2, "{noted}");
    assert!(noted.starts_with("--shutdown: "), "{noted}");
}

#[test]
fn a_service_does_not_keep_it_alive_and_is_started_anew() {
    let host = Host::new();
    let unit = b"[Service]\nExecStart=/bin/sh -c 'echo $$ >>/root/runs'\n";
    let tar = host.tar(&[
        ("etc/wsl.conf", b"[boot]\nsystemd=true\n"),
        ("etc/systemd/system/a.service", unit),
    ]);
    let place = host.path("place");
    let (place, tar) = (place.to_str().unwrap(), tar.to_str().unwrap());
    assert_eq!(
        host.said(&["--import", "a", place, tar, "--version", "2"])
            .0,
        0
    );
    let script = "systemctl start b.service && exit 1; systemctl start a.service; \
         while [ \"$(sed -n 2p /root/runs 2>/dev/null)\" = '' ]; do sleep 0.1; done";
    let run = ["-d", "a", "--cd", "/", "--exec", "/bin/sh", "-c", script];
    assert_eq!(
        host.said(&run),
        (0, "Unit b.service not found.\n".to_owned())
    );
    assert_eq!(host.said(&RUNNING), (0, String::new()));
}
