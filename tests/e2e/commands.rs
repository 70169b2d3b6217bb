//! The commands of every day on a real guest: `ssh`, `cp`, `set`, `info`, `restart`, all machines at once, a start in
//! the foreground; and two hundred commands on one machine at the same time.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use crate::support::command::{begin, run};
use crate::support::follow::follow;
use crate::support::home::{BOOT, Home, SOON};
use crate::support::leftovers::leftovers;
use crate::support::shared::{self, IMAGE, NAME, podman};
use crate::support::{api, for_full, trial};
use crate::tour::free_port;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("commands::ssh_passes_input_output_and_exit_code", ssh),
        trial("commands::ssh_takes_no_settings_of_others", ssh_settings),
        trial("commands::ssh_refuses_another_host_key", ssh_host_key),
        trial("commands::ssh_after_many_failed_logins", ssh_penalties),
        trial("commands::ssh_without_the_client", ssh_missing),
        trial("commands::cp_with_blanks_and_umlauts", cp),
        trial("commands::cp_mistakes", cp_mistakes),
        trial("commands::info", info),
        trial("commands::doctor_of_a_running_machine", doctor),
        trial("commands::set_while_it_runs", set_while_it_runs),
        trial("commands::no_input_no_terminal_no_colour", no_terminal),
        trial("commands::two_hundred_at_once", two_hundred),
        trial("commands::the_mode_changes_while_it_runs", switch_mode),
    ]
}

/// With a machine of its own, which boots three times.
pub(crate) fn own_trials() -> Vec<Trial> {
    for_full(vec![trial(
        "commands::set_foreground_restart_and_all_in_a_home_with_blanks",
        a_day,
    )])
}

fn ssh() {
    shared::with(|home, _| {
        let ended = home.machine(&["ssh", NAME, "echo", "a  b;", "exit", "7"], SOON);
        assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
        // The guest's shell reads the words joined by blanks, as with podman.
        assert_eq!(ended.text(), "a b\n");
        assert_eq!(ended.stderr, "");
        let text = home.machine(&["ssh", NAME, "whoami"], SOON).succeeded();
        assert_eq!(text, "core\n");
        let long = vec![b'x'; 300_000];
        let counted = run(&mut home.command(&["ssh", NAME, "wc", "-c"]), &long, SOON);
        assert_eq!(counted.succeeded().trim(), "300000");
        // A string with a pipe in it, as Podman Desktop sends one.
        let line = "sudo mkdir -p /run/e2e && echo dGV4dA== | base64 -d | sudo tee /run/e2e/text";
        let text = home.machine(&["ssh", NAME, line], SOON).succeeded();
        assert_eq!(text, "text");
        // Nothing to run and no terminal: the login shell reads its input, which is at its end.
        let ended = home.machine(&["ssh", NAME], SOON);
        let greeting =
            format!("Connecting to vm {NAME}. To close connection, use `~.` or `exit`\n");
        assert!(ended.succeeded().starts_with(&greeting));
    });
}

fn ssh_settings() {
    shared::with(|home, _| {
        let settings = home.path().join(".ssh");
        fs_err::create_dir_all(&settings).expect("a directory can be made");
        let hostile = "Host *\n  ProxyCommand false\n  ControlMaster auto\n  ControlPath /nowhere/%C\n  User nobody\n";
        fs_err::write(settings.join("config"), hostile).expect("a file can be written");
        let ended = run(
            home.command(&["ssh", NAME, "true"])
                .env("SSH_AUTH_SOCK", "/nowhere/agent"),
            b"",
            SOON,
        );
        fs_err::remove_dir_all(&settings).expect("what was made can be removed");
        ended.succeeded();
    });
}

fn ssh_host_key() {
    shared::with(|home, _| {
        let known = home.machine_dir(NAME).join("ssh/known_hosts");
        let good = fs_err::read_to_string(&known).expect("there is one");
        let other = fs_err::read_to_string(home.machine_dir(NAME).join("ssh/id_ed25519.pub"))
            .expect("there is a key");
        let key: Vec<_> = other.split(' ').take(2).collect();
        fs_err::write(&known, format!("{NAME} {}\n", key.join(" "))).expect("it can be written");
        let ended = home.machine(&["ssh", NAME, "true"], SOON);
        fs_err::write(&known, good).expect("it can be written");
        assert_eq!(ended.status.code(), Some(255), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("Host key verification failed"),
            "{}",
            ended.stderr
        );
        home.machine(&["ssh", NAME, "true"], SOON).succeeded();
    });
}

/// Somebody tries other keys at the port; sshd would answer nobody at this address for at least 15 s.
fn ssh_penalties() {
    shared::with(|home, _| {
        let format = "{{.SSHConfig.Port}}";
        let port = home
            .machine(&["inspect", "--format", format, NAME], SOON)
            .succeeded();
        let other = home.path().join("other_key");
        let quiet = ["-q", "-t", "ed25519", "-N", "", "-f"];
        let made = Command::new("ssh-keygen").args(quiet).arg(&other).status();
        assert!(made.expect("ssh-keygen runs").success());
        let mut tries = Vec::new();
        for _ in 0..5 {
            let mut ssh = Command::new("ssh");
            ssh.args(["-F", "none", "-p", port.trim(), "-i"])
                .arg(&other);
            for option in [
                "BatchMode=yes",
                "IdentitiesOnly=yes",
                "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null",
            ] {
                ssh.args(["-o", option]);
            }
            ssh.args(["core@127.0.0.1", "true"]);
            tries.push(begin(&mut ssh, b""));
        }
        for each in tries {
            let error = each.finish(SOON).stderr;
            // The server names what it would have taken: keys, and nothing else.
            assert!(error.contains("Permission denied (publickey)."), "{error}");
        }
        home.machine(&["ssh", NAME, "true"], SOON).succeeded();
    });
}

fn ssh_missing() {
    shared::with(|home, _| {
        let empty = home.path().join("no programs");
        fs_err::create_dir_all(&empty).expect("a directory can be made");
        let ssh = |program: Option<&str>| {
            if let Some(text) = program {
                fs_err::write(empty.join("ssh"), text).expect("a file can be written");
            }
            let mut command = home.command(&["ssh", NAME, "true"]);
            run(command.env("PATH", &empty), b"", SOON)
        };
        let ended = ssh(None);
        assert_eq!(ended.status.code(), Some(127), "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .starts_with("Error: exec: \"ssh\": executable file not found in $PATH\n"),
            "{}",
            ended.stderr
        );
        let ended = ssh(Some("not executable"));
        assert_eq!(ended.status.code(), Some(126), "{}", ended.stderr);
        fs_err::remove_dir_all(&empty).expect("what was made can be removed");
    });
}

fn cp() {
    shared::with(|home, _| {
        let place = home.path().join("from here ü");
        fs_err::create_dir_all(place.join("inner")).expect("a directory can be made");
        let content = b"a file\nof two lines".repeat(10_000);
        fs_err::write(place.join("inner/a b ü"), &content).expect("a file can be written");
        let local = place.to_str().expect("text");
        let remote = format!("{NAME}:/var/tmp/to there ü");
        let text = home.machine(&["cp", local, &remote], SOON).succeeded();
        assert!(text.ends_with("Copy successful\n"), "{text}");

        let back = home.path().join("back");
        let remote = format!("{NAME}:/var/tmp/to there ü/inner/a b ü");
        let ended = home.machine(&["cp", "-q", &remote, back.to_str().expect("text")], SOON);
        assert_eq!(ended.succeeded(), "Copy successful\n");
        assert_eq!(fs_err::read(&back).expect("it is there"), content);
        fs_err::remove_file(&back).expect("what was made can be removed");
        // A path of this directory, whatever it begins with.
        let mut command = home.command(&["cp", "--", "-r", &format!("{NAME}:")]);
        fs_err::write(place.join("-r"), "x").expect("a file can be written");
        let error = run(command.current_dir(&place), b"", SOON).failed();
        assert!(error.contains("you must specify paths"), "{error}");
        let remote = format!("{NAME}:/var/tmp/dash");
        let mut command = home.command(&["cp", "--", "-r", &remote]);
        run(command.current_dir(&place), b"", SOON).succeeded();
        fs_err::remove_dir_all(&place).expect("what was made can be removed");
    });
}

fn cp_mistakes() {
    shared::with(|home, _| {
        let missing = format!("{NAME}:/nowhere/at all");
        let error = home.machine(&["cp", &missing, "."], SOON).failed();
        // `scp` says why, podman's line comes after it.
        assert!(error.contains("No such file or directory"), "{error}");
        assert!(
            error.contains("\nError: copy failed: exit status 1\n"),
            "{error}"
        );
        let error = home.machine(&["cp", "a", "b"], SOON).failed();
        assert!(
            error.starts_with(
                "Error: a machine name must prefix either the source path or destination path\n"
            ),
            "{error}"
        );
    });
}

fn json(home: &Home, arguments: &[&str]) -> serde_json::Value {
    let text = home.machine(arguments, SOON).succeeded();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn info() {
    shared::with(|home, _| {
        let info = json(home, &["info", "--format", "json"]);
        let host = &info["Host"];
        assert_eq!(host["CurrentMachine"], NAME);
        assert_eq!(host["MachineState"], "Running");
        assert_eq!(host["NumberOfMachines"], 1);
        assert_eq!(
            (&host["OS"], &host["VMType"]),
            (&"linux".into(), &"qemu".into())
        );
        let yaml = home.machine(&["info"], SOON).succeeded();
        assert!(yaml.starts_with("host:\n    arch: "), "{yaml}");
        assert!(
            yaml.contains(&format!("\n    currentmachine: {NAME}\n")),
            "{yaml}"
        );
        let paths = json(home, &["info", "--paths", "--format", "json"]);
        let machines = paths["Machines"].as_str().expect("text");
        assert_eq!(Path::new(machines).join(NAME), home.machine_dir(NAME));
        let port = home.listed(NAME, "Port");
        assert!(port.as_u64().is_some_and(|port| port > 0), "{port}");
        assert_eq!(home.listed(NAME, "Health"), "healthy");
        assert_eq!(home.listed(NAME, "Reason"), "");
    });
}

/// The faults that it finds are planted in `life`.
fn doctor() {
    shared::with(|home, _| {
        let text = home.machine(&["doctor", NAME], SOON).succeeded();
        assert!(text.contains(&format!("machine {NAME}: ok\n")), "{text}");
        let format = "{{if eq .Code \"status\"}}{{.What}}{{end}}";
        let text = home.machine(&["doctor", "--fix", "--format", format, NAME], SOON);
        assert_eq!(text.succeeded().trim(), "It is running");
        assert_eq!(home.state(NAME), "running");
    });
}

fn set_while_it_runs() {
    shared::with(|home, _| {
        const REFUSED: &str = "Error: unable to change settings unless vm is stopped\n";
        for change in [
            &["--cpus", "1"][..],
            &["--rootful", "--memory", "1024"],
            &[],
        ] {
            let arguments = [&["set", NAME], change].concat();
            let error = home.machine(&arguments, SOON).failed();
            assert!(error.starts_with(REFUSED), "{change:?}: {error}");
        }
        let ended = home.machine(&["set", "--rootful=false", NAME], SOON);
        assert_eq!(ended.stderr, "");
        assert_eq!(ended.succeeded(), "", "the mode is what it was");
    });
}

/// A command without a standard input at all, with colours forbidden.
fn without_input(home: &Home, arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    let inner = home.command(arguments);
    command.args(["-c", "exec \"$0\" \"$@\" <&-"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env_clear();
    for (key, value) in inner.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn no_terminal() {
    shared::with(|home, _| {
        for arguments in [
            &["list"][..],
            &["info"],
            &["inspect", NAME],
            &["ssh", NAME, "true"],
            &["set", "--rootful=false", NAME],
        ] {
            let ended = run(&mut without_input(home, arguments), b"", SOON);
            assert!(!ended.text().contains('\u{1b}'), "{arguments:?}");
            ended.succeeded();
        }
        for arguments in [
            &["rm", "nobody"][..],
            &["start", "--foo"],
            &["cp", "a", "b"],
        ] {
            let error = run(&mut without_input(home, arguments), b"", SOON).failed();
            assert!(!error.contains('\u{1b}'), "{arguments:?}: {error}");
        }
        // A question that nobody can answer is an error and no removal.
        let error = run(&mut without_input(home, &["rm", NAME]), b"", SOON).failed();
        assert!(error.contains("cannot be destroyed"), "{error}");
    });
}

/// Those that read, and twenty of each that changes something of its own.
fn two_hundred() {
    const EACH: usize = 20;
    shared::with(|home, socket| {
        let before = home.processes().len();
        let uri = format!("unix://{}", socket.display());
        let ports: Vec<String> = (0..EACH)
            .map(|_| format!("127.0.0.1:{}", free_port()))
            .collect();
        let names: Vec<String> = (0..EACH)
            .map(|number| format!("at-once-{number}"))
            .collect();
        let mut begun = Vec::new();
        for (port, name) in ports.iter().zip(&names) {
            let kinds: [(&[&str], &str); 10] = [
                (&["list", "--format", "json"], "\"Running\": true"),
                (&["inspect", NAME], "\"State\": \"running\""),
                (
                    &["info", "--format", "json"],
                    "\"CurrentMachine\": \"shared\"",
                ),
                (&["set", "--rootful=false", NAME], ""),
                (&["set", "--forward-listeners=false", NAME], ""),
                (&["port", "list", NAME], ""),
                (&["port", "add", port, NAME], ""),
                (&["system", "connection", "add", name, &uri], ""),
                (&["exec", NAME, "echo", "here"], "here"),
                (&["start", NAME], "already running"),
            ];
            for (words, expected) in kinds {
                let line = words.join(" ");
                begun.push((line, expected, begin(&mut home.command(words), b"")));
            }
        }
        assert_eq!(begun.len(), 200);
        for (line, expected, command) in begun {
            let ended = command.finish(BOOT);
            if line.starts_with("start") {
                let error = ended.failed();
                assert!(error.contains(expected), "{line}: {error}");
                continue;
            }
            assert_eq!(ended.stderr, "", "{line}");
            let text = ended.succeeded();
            assert!(text.contains(expected), "{line}: {text}");
        }
        // No change was lost, and none is in anybody's way.
        let open = home.machine(&["port", "list", NAME], SOON).succeeded();
        let list = ["system", "connection", "list", "--format", "{{.Name}}"];
        let there = home.machine(&list, SOON).succeeded();
        for (port, name) in ports.iter().zip(&names) {
            let number = port.rsplit(':').next().expect("a port");
            assert!(open.contains(number), "{port}: {open}");
            assert!(there.lines().any(|line| line == name), "{name}: {there}");
            home.machine(&["port", "rm", port, NAME], SOON).succeeded();
            home.machine(&["system", "connection", "rm", name], SOON)
                .succeeded();
        }
        assert_eq!(home.processes().len(), before, "{:?}", home.processes());
        assert_eq!(leftovers(home), [""; 0]);
        assert!(api::answers(socket));
    });
}

fn rootless(home: &Home, socket: &Path) -> String {
    let format = "{{.Host.Security.Rootless}}";
    let text = run(
        podman(home, socket).args(["info", "--format", format]),
        b"",
        BOOT,
    );
    text.succeeded().trim().to_owned()
}

/// The name of the connection that podman's clients use.
fn default_connection(home: &Home) -> String {
    let list = json(home, &["system", "connection", "list", "--format", "json"]);
    let mut list = list.as_array().expect("an array").iter();
    let default = list.find(|connection| connection["Default"] == true);
    default.map_or_else(String::new, |found| {
        found["Name"].as_str().unwrap_or_default().to_owned()
    })
}

fn switch_mode() {
    shared::with(|home, socket| {
        let create = ["create", "--name", "stays", IMAGE, "true"];
        run(podman(home, socket).args(create), b"", BOOT).succeeded();
        assert_eq!(rootless(home, socket), "true");

        let ended = home.machine(&["set", "--rootful", NAME], BOOT);
        assert_eq!(ended.text(), "");
        let told = format!(
            "1 container exists in rootless mode\nhint: see them: podman --connection {NAME} ps --all\n"
        );
        assert_eq!(ended.stderr, told);
        ended.succeeded();
        assert_eq!(
            rootless(home, socket),
            "false",
            "the same socket, the other engine"
        );
        assert_eq!(default_connection(home), format!("{NAME}-root"));
        let inspected = json(home, &["inspect", NAME]);
        assert_eq!(inspected[0]["Rootful"], true);
        assert_eq!(inspected[0]["State"], "running");
        let text = home.machine(&["ssh", NAME, "whoami"], SOON).succeeded();
        assert_eq!(text, "root\n");

        let ended = home.machine(&["set", "--rootful=false", NAME], BOOT);
        assert_eq!(ended.stderr, "", "nothing was left in the other mode");
        ended.succeeded();
        assert_eq!(default_connection(home), NAME);
        assert_eq!(rootless(home, socket), "true");
        run(podman(home, socket).args(["rm", "stays"]), b"", BOOT).succeeded();
    });
}

fn a_day() {
    let mut home = Home::new("a day ü");
    home.init("m", &[]);
    let ended = home.machine(
        &[
            "set",
            "m",
            "--cpus",
            "1",
            "--memory",
            "1280",
            "--disk-size",
            "9",
            "--timezone",
            "Etc/GMT-5",
            "--swap",
            "128",
        ],
        SOON,
    );
    assert_eq!(ended.succeeded(), "");
    assert_eq!(home.listed("m", "CPUs"), 1);
    assert_eq!(home.listed("m", "Memory"), (1280_u64 << 20).to_string());
    assert_eq!(home.listed("m", "DiskSize"), (9_u64 << 30).to_string());
    assert_eq!(home.listed("m", "Swap"), (128_u64 << 20).to_string());
    // One processor is enough to be told of, and too slow to boot with.
    home.machine(&["set", "m", "--cpus", "2"], SOON).succeeded();
    let error = home
        .machine(&["set", "m", "--disk-size", "9"], SOON)
        .failed();
    assert!(
        error.starts_with("Error: new disk size must be larger than 9 GB\n"),
        "{error}"
    );

    // As a service manager has it.
    let mut service =
        follow(&mut home.command(&["start", "--foreground", "--format", "json", "m"]));
    service.until("\"event\":\"ready\"", BOOT);
    assert_eq!(home.state("m"), "running");
    let asked = "nproc; df --output=size -BG /var/lib/containers | tail -n 1; date +%z; grep MemTotal /proc/meminfo";
    let text = home.machine(&["ssh", "m", asked], SOON).succeeded();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines[..3],
        ["2", "9G", "+0500"],
        "the file system grows at the boot: {text}"
    );
    let words: Vec<_> = lines[3].split_whitespace().collect();
    let memory: u64 = words[1].parse().expect("a number of KiB");
    assert!((1024..1280).contains(&(memory >> 10)), "{text}");
    signal(service.pid(), "-TERM");
    let (status, lines) = service.finish(BOOT);
    assert!(status.success(), "{lines:?}");
    let events: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    assert!(
        events.iter().all(|event| event["machine"] == "m"),
        "{events:?}"
    );
    let ready = |event: &serde_json::Value| event["event"] == "ready";
    assert!(events.iter().any(ready), "{events:?}");
    assert_eq!(home.state("m"), "stopped");
    assert_eq!(home.processes(), [""; 0]);

    // A damaged machine is told and keeps no other from starting.
    home.init("broken", &[]);
    fs_err::write(home.machine_dir("broken").join("machine.toml"), "no TOML").expect("a file");
    let ended = home.machine(&["start", "--all", "--quiet"], BOOT);
    assert_eq!(ended.text(), "Machine \"m\" started successfully\n");
    let error = ended.failed();
    assert!(error.contains("Machine `broken` cannot be read"), "{error}");
    assert!(
        error.ends_with("Error: 1 of 2 machines could not be started\n"),
        "{error}"
    );

    let text = home.machine(&["restart", "m"], BOOT).succeeded();
    assert_eq!(
        text,
        "Restarting machine \"m\"\nMachine \"m\" restarted successfully\n"
    );
    assert!(api::answers(&home.api_socket("m")));
    let text = home.machine(&["stop", "--all"], BOOT).succeeded();
    assert_eq!(text, "Machine \"m\" stopped successfully\n");
    assert_eq!(home.processes(), [""; 0]);
    let ended = home.machine(&["start", "--format", "json", "nobody"], SOON);
    let line: serde_json::Value = serde_json::from_str(&ended.text()).expect("one line of JSON");
    assert_eq!(
        (&line["event"], &line["code"]),
        (&"failed".into(), &"not-found".into())
    );
    ended.failed();
    home.machine(&["rm", "--force", "broken"], SOON).succeeded();
    home.dispose().expect("nothing is left");
}

fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}
