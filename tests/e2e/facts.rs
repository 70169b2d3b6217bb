//! What a guest has in common with its host: given by the environment of one start, gone with the next.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::support::command::run;
use crate::support::home::{BOOT, Home};
use crate::support::{for_full, trial};

/// Programs in an emulated guest that has other things to do.
const PATIENCE: Duration = Duration::from_mins(2);

/// An authority that nobody else has; made by `openssl req -x509`.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBnjCCAUWgAwIBAgIURPDuaRNh3T1CQ3ccr1epXDYwffwwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZVGVzdCBhdXRob3JpdHkgb2YgbWFjaGluZTAgFw0yNjExMjQx
NTAxMDJaGA8yMTI2MTAzMTE1MDEwMlowJDEiMCAGA1UEAwwZVGVzdCBhdXRob3Jp
dHkgb2YgbWFjaGluZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMwqML8TrycO
aUGFO8b5gUd7LstdryK29+29qoYsyRbL4LAft0ghF9NToifzjORuOZxaRElXo/jQ
tvNtcGN8JoujUzBRMB0GA1UdDgQWBBQjFZJv9XEnM51tU+ZKrb89BHSNVjAfBgNV
HSMEGDAWgBQjFZJv9XEnM51tU+ZKrb89BHSNVjAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0cAMEQCICQoH10CvEmRilKAMkDYn8bMHW6g2DTk6J4y/3P5q5JZ
AiAWT6ECUc1y0X5mv2zYLONQgBOTNmFl2M35afTCf3Vvnw==
-----END CERTIFICATE-----
";
/// Enough of it to be found.
const AUTHORITY_LINE: &str = "aUGFO8b5gUd7LstdryK29";

/// What shells, systemd and URLs find special, and a word that must be in no log.
const USER: &str = "u%25:hunter2$HOME'%22%40";

/// What is reached without the proxy.
const EXCEPTIONS: &str = "localhost,.example.com,host.containers.internal";

pub(crate) fn trials() -> Vec<Trial> {
    // It waits minutes for Debian's update-ca-certificates. The other facts are in `life`, which starts a guest twice.
    for_full(vec![trial(
        "facts::authorities_given_and_taken_back",
        authorities,
    )])
}

/// A proxy on the host's loopback that answers one request; what it was asked.
fn proxy() -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the guest connects");
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while !request.windows(4).any(|four| four == b"\r\n\r\n") {
            let length = stream.read(&mut piece).expect("the guest asks");
            assert!(length > 0, "the guest asks for something");
            request.extend_from_slice(&piece[..length]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nyes\n")
            .expect("the guest reads");
        String::from_utf8_lossy(&request).into_owned()
    });
    (port, asked)
}

/// What a line of shell says in the guest.
fn guest(home: &Home, line: &str) -> String {
    home.machine(&["ssh", "m", line], PATIENCE).succeeded()
}

/// The proxies that the engines' services run with: the user's, then root's. A service that nobody asks ends soon, and
/// one that is about to end may be found and gone again: each is kept busy by a stream whose answer has begun, and
/// systemd says which process gave it.
fn engines(home: &Home) -> String {
    let of = |systemctl: &str, sudo: &str, socket: &str| {
        format!(
            "heard=$(mktemp); \
             {sudo} curl -sN --max-time 100 --unix-socket {socket} -D $heard http://d/events >/dev/null & asking=$!; \
             until [ -s $heard ]; do sleep 0.2; done; \
             sudo cat /proc/$({systemctl} show --property MainPID --value podman.service)/environ \
             | tr '\\0' '\\n' | grep -i '^http_proxy='; echo; sudo kill $asking; "
        )
    };
    let line = of(
        "systemctl --user",
        "",
        "/run/user/$(id -u)/podman/podman.sock",
    ) + &of("systemctl", "sudo", "/run/podman/podman.sock");
    guest(home, &line)
}

/// No file of the host and no line of the guest's journal has the password.
fn password_is_nowhere(home: &Home) {
    let directory = home.machine_dir("m");
    for entry in fs_err::read_dir(&directory).expect("it is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if [".log", ".jsonl", ".toml", ".json", ".old"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let text = fs_err::read(entry.path()).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&text).contains("hunter2"),
                "{name}"
            );
        }
    }
    // Its own line is in the journal too, if sudo writes it there.
    let line = "sudo journalctl --boot --quiet | grep -v COMMAND= | grep -c 'hunter[2]' || true";
    assert_eq!(guest(home, line), "0\n");
}

/// The machine's secret, a line of each private key, and the password.
fn secrets(home: &Home) -> Vec<String> {
    let directory = home.machine_dir("m");
    let read = |path: &str| fs_err::read_to_string(directory.join(path)).expect("it is there");
    let mut secrets = vec!["hunter2".to_owned(), read("secret").trim().to_owned()];
    for key in ["ssh/id_ed25519", "ssh/host_ed25519"] {
        // Behind the first line of the body, which begins alike for all keys.
        let line = read(key).lines().nth(2).map(str::to_owned);
        secrets.push(line.expect("a key has several lines"));
    }
    secrets
}

fn holds_none(secrets: &[String], place: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{place}: {secret}");
    }
}

/// No log, no list of processes, no event and no report has a secret; each is looked at, so each is there.
fn secrets_are_nowhere(home: &Home) {
    let secrets = secrets(home);
    let directory = home.machine_dir("m");
    let keeps = [
        "secret",
        "ignition.json",
        "seed.img",
        "disk.qcow2",
        "disk.raw",
    ];
    let mut seen = Vec::new();
    for entry in fs_err::read_dir(&directory).expect("it is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().expect("it is there").is_file();
        if is_file && !name.starts_with("base.") && !keeps.contains(&name.as_str()) {
            let text = fs_err::read(entry.path()).expect("it can be read");
            holds_none(&secrets, &name, &text);
            seen.push(name);
        }
    }
    for name in [
        "console.log",
        "events.jsonl",
        "supervisor.log",
        "machine.toml",
    ] {
        assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
    }
    let processes = home.processes();
    for program in ["supervise", "qemu"] {
        let is_there = processes.iter().any(|line| line.contains(program));
        assert!(is_there, "{program}: {processes:?}");
    }
    for line in &processes {
        holds_none(&secrets, "processes", line.as_bytes());
    }
    for command in [&["events", "m"][..], &["inspect", "m"], &["logs", "m"]] {
        let text = home.machine(command, PATIENCE).succeeded();
        holds_none(&secrets, command[0], text.as_bytes());
    }
    let file = home.path().join("report.tar.gz");
    let option = format!("--report={}", file.display());
    // Notes of the doctor's are no failure of this test.
    let text = home.machine(&["doctor", &option, "m"], PATIENCE);
    assert!(
        text.text().contains("machines/m/console.log"),
        "{}",
        text.stderr
    );
    let unpacked = home.path().join("report");
    fs_err::create_dir(&unpacked).expect("it can be made");
    let mut tar = Command::new("tar");
    tar.arg("-xzf")
        .arg(&file)
        .arg("-C")
        .arg(&unpacked)
        .arg("--strip-components=1");
    run(&mut tar, b"", PATIENCE).succeeded();
    let mut left = vec![unpacked.clone()];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs_err::read_dir(&path).expect("it is there");
            left.extend(entries.flatten().map(|entry| entry.path()));
            continue;
        }
        let text = fs_err::read(&path).expect("it can be read");
        let name = path.strip_prefix(&unpacked).expect("it is below");
        holds_none(&secrets, &name.display().to_string(), &text);
        let home = home.path().display().to_string();
        assert!(
            !String::from_utf8_lossy(&text).contains(&home),
            "{}",
            name.display()
        );
        found.push(name.display().to_string());
    }
    for name in [
        "README.txt",
        "doctor.json",
        "versions.txt",
        "machines/m/events.jsonl",
    ] {
        assert!(found.iter().any(|found| found == name), "{name}: {found:?}");
    }
    fs_err::remove_dir_all(&unpacked).expect("it can be removed");
    fs_err::remove_file(&file).expect("it can be removed");
}

/// What one start gives and the next one takes back, in the machine `m` of another test, which starts it twice.
pub(crate) struct Given {
    port: u16,
    asked: JoinHandle<String>,
}

impl Given {
    /// What `init` is told besides.
    pub(crate) const INIT: [&'static str; 2] = ["--swap", "64"];

    /// Has this start give the guest a time zone, and a proxy for all but the host itself.
    pub(crate) fn by(start: &mut Command) -> Self {
        let (port, asked) = proxy();
        start
            .env("TZ", "Asia/Tokyo")
            .env("http_proxy", format!("http://{USER}@127.0.0.1:{port}"))
            .env("NO_PROXY", EXCEPTIONS);
        Self { port, asked }
    }

    /// The guest has all of it, and nobody else has a secret of it. `stderr` is the start's.
    pub(crate) fn came(self, home: &Home, stderr: &str) {
        for word in ["hunter2", "time zone", "swap"] {
            assert!(!stderr.contains(word), "{word}: {stderr}");
        }
        let expected = format!("http://{USER}@host.containers.internal:{}", self.port);
        // The name leads to the host, and the password arrives as it was meant: `u%:hunter2$HOME'"@`.
        let script = "readlink /etc/localtime; date +%Z
            bash -lc 'echo $http_proxy; echo $NO_PROXY'
            systemd-run --user --pipe --quiet sh -c 'echo \"$http_proxy\"'
            bash -lc 'curl -s http://anything.test/'
            awk 'NR > 1 { print $1, int(($3 + 500) / 1024) }' /proc/swaps";
        assert_eq!(
            guest(home, script),
            format!(
                "../usr/share/zoneinfo/Asia/Tokyo\nJST\n{expected}\n{EXCEPTIONS}\n{expected}\nyes\n/dev/zram0 64\n"
            )
        );
        assert_eq!(
            engines(home),
            format!("http_proxy={expected}\n\nhttp_proxy={expected}\n\n")
        );
        let request = self.asked.join().expect("the proxy does not panic");
        assert!(
            request.starts_with("GET http://anything.test/ "),
            "{request}"
        );
        assert!(
            request.contains("Proxy-Authorization: Basic dSU6aHVudGVyMiRIT01FJyJA"),
            "{request}"
        );
        password_is_nowhere(home);
        secrets_are_nowhere(home);
    }

    /// Asks for what no guest has, and for no swap.
    pub(crate) fn other(home: &Home, start: &mut Command) {
        let config = home.machine_dir("m").join("machine.toml");
        let text = fs_err::read_to_string(&config).expect("there is one");
        let text = text
            .replace("swap_mib = 64", "swap_mib = 0")
            .replace("time_zone = \"local\"", "time_zone = \"Mars/Phobos\"");
        fs_err::write(&config, text).expect("it can be written");
        start.env("TZ", "Asia/Tokyo");
    }

    /// Nothing is left of it after a start that gave [`other`](Self::other) facts.
    pub(crate) fn went(home: &Home, stderr: &str) {
        assert!(
            stderr.contains("the guest does not know the time zone `Mars/Phobos`"),
            "{stderr}"
        );
        let script = "bash -lc 'echo \"$http_proxy$NO_PROXY\"'
            ls /etc/*/default-env.* /etc/systemd/*/default-env.* 2>/dev/null | wc -l
            wc -l < /proc/swaps";
        assert_eq!(guest(home, script), "\n0\n1\n");
        assert_eq!(engines(home), "\n\n");
    }
}

fn authorities() {
    let mut home = Home::new("authorities");
    home.init("m", &["--import-native-ca"]);
    let file = home.path().join("authority.pem");
    fs_err::write(&file, AUTHORITY).expect("it can be written");
    let start = || {
        let mut command = home.command(&["start", "m"]);
        run(command.env("SSL_CERT_FILE", &file), b"", BOOT)
    };
    let trusted = format!("grep -c {AUTHORITY_LINE} /etc/ssl/certs/ca-certificates.crt || true");
    let started = start();
    assert!(
        !started.stderr.contains("certificate"),
        "{}",
        started.stderr
    );
    let stdout = started.succeeded();
    let imported = "The host trusted CA certificates have been imported successfully\n";
    assert!(stdout.contains(imported), "{stdout}");
    assert_eq!(guest(&home, &trusted), "1\n");

    home.machine(&["stop", "m"], BOOT).succeeded();
    let config = home.machine_dir("m").join("machine.toml");
    let text = fs_err::read_to_string(&config).expect("there is one");
    let text = text.replace("import_native_ca = true", "import_native_ca = false");
    fs_err::write(&config, text).expect("it can be written");
    let stdout = start().succeeded();
    assert!(!stdout.contains(imported), "{stdout}");
    assert_eq!(guest(&home, &trusted), "0\n");
    home.dispose().expect("nothing is left");
}
