//! Programs in the guest by `machine exec`, and what `logs` and `events` tell.

use std::process::Command;

use libtest_mimic::Trial;

use crate::support::command::{Finished, begin, clean, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{self, IMAGE, NAME};
use crate::support::stage::Stage;
use crate::support::trial;
use crate::tour::ports::{exchange, free_port};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("exec::the_user_and_root", users),
        trial("exec::codes_signals_and_streams", codes),
        trial("exec::words_reach_the_program_as_they_are", words),
        trial("exec::what_cannot_be_run", failures),
        trial("exec::a_terminal", terminal),
        trial("exec::input_in_bulk", bulk),
        trial("exec::twenty_at_once", twenty),
        trial("exec::without_ssh", without_ssh),
        trial("exec::the_users_engine", engine),
        trial("exec::a_killed_command_ends_its_program", killed),
        trial("exec::a_reader_that_goes_away", no_reader),
        trial("exec::logs_of_console_supervisor_and_agent", logs),
        trial("exec::events_of_a_restarted_agent", agent_restart),
    ]
}

fn exec(home: &Home, arguments: &[&str], input: &[u8]) -> Finished {
    let arguments = [&["exec"], arguments].concat();
    run(&mut home.command(&arguments), input, SOON)
}

fn code(finished: &Finished) -> Option<i32> {
    finished.status.code()
}

fn users() {
    shared::with(|home, _| {
        let script =
            "id -un; pwd; echo $HOME $XDG_RUNTIME_DIR; id -nG | tr ' ' '\\n' | grep -c sudo";
        let text = exec(home, &[NAME, "sh", "-c", script], b"").succeeded();
        let uid = exec(home, &[NAME, "id", "-u"], b"").succeeded();
        assert_eq!(
            text,
            format!(
                "core\n/var/home/core\n/var/home/core /run/user/{}\n1\n",
                uid.trim()
            )
        );
        let root = [
            "-u",
            "root",
            "-w",
            "/usr",
            NAME,
            "sh",
            "-c",
            "id -u; pwd; ulimit -n; cat /proc/self/oom_score_adj",
        ];
        assert_eq!(exec(home, &root, b"").succeeded(), "0\n/usr\n1024\n0\n");
        let error = exec(home, &["--user", "nobody-at-all", NAME, "true"], b"").failed();
        assert_eq!(error, "Error: The guest has no user `nobody-at-all`\n");
    });
}

fn codes() {
    shared::with(|home, _| {
        let both = exec(
            home,
            &[NAME, "sh", "-c", "echo out; echo err >&2; exit 3"],
            b"",
        );
        assert_eq!(code(&both), Some(3));
        assert_eq!(
            (both.text().as_str(), both.stderr.as_str()),
            ("out\n", "err\n")
        );
        let killed = exec(home, &[NAME, "sh", "-c", "kill -TERM $$"], b"");
        assert_eq!(code(&killed), Some(128 + 15));
        // Without a command it is the user's shell.
        let shell = exec(home, &[NAME], b"echo $0; exit 9\n");
        assert_eq!((code(&shell), shell.text().as_str()), (Some(9), "-bash\n"));
        assert_eq!(
            exec(home, &[NAME, "cat"], b"no newline").succeeded(),
            "no newline"
        );
    });
}

fn words() {
    shared::with(|home, _| {
        let line = [
            NAME, "--", "printf", "%s|", "-u", "a b", "", "$HOME", "ü", "--",
        ];
        assert_eq!(exec(home, &line, b"").succeeded(), "-u|a b||$HOME|ü|--|");
        let variables = [
            "-e",
            "A=b c",
            "--env",
            "HOME=/x",
            NAME,
            "sh",
            "-c",
            "echo $A $HOME",
        ];
        assert_eq!(exec(home, &variables, b"").succeeded(), "b c /x\n");
    });
}

fn failures() {
    shared::with(|home, _| {
        let missing = exec(home, &[NAME, "no-such-program"], b"");
        assert_eq!(code(&missing), Some(127));
        assert_eq!(
            missing.stderr,
            "Error: The guest has no program `no-such-program`\n"
        );
        let unfit = exec(home, &[NAME, "/etc/passwd"], b"");
        assert_eq!(code(&unfit), Some(126), "{}", unfit.stderr);
        let nowhere = exec(home, &["-w", "/nowhere", NAME, "true"], b"").failed();
        assert!(
            nowhere.contains("`/nowhere` in the guest cannot be entered"),
            "{nowhere}"
        );
        // A first word that is no machine begins a command for the default one, which is not there.
        let error = exec(home, &["nobody", "true"], b"").failed();
        assert!(
            error.starts_with("Error: podman-machine-default: VM does not exist\n"),
            "{error}"
        );
    });
}

/// Runs a command line on a terminal of its own, by util-linux' `script`.
fn on_terminal(home: &Home, line: &str, input: &[u8]) -> Finished {
    let mut command = Command::new("script");
    let environment = home.command(&[]);
    for (name, value) in environment.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .args(["--quiet", "--return", "--command", line, "/dev/null"]);
    run(&mut command, input, SOON)
}

fn terminal() {
    shared::with(|home, _| {
        let machine = Stage::get().program("machine");
        let machine = machine.display();
        let line = format!(
            "stty rows 41 cols 123; {machine} exec {NAME} sh -c 'stty size; echo $TERM; tty; exit 4'; echo =$?; stty -a | grep -c -w icanon"
        );
        let text = on_terminal(home, &line, b"").text();
        assert!(
            text.contains("41 123\r\nxterm-256color\r\n/dev/pts/"),
            "{text:?}"
        );
        // The code, and the terminal as it was.
        assert!(text.ends_with("=4\r\n1\r\n"), "{text:?}");
        let none = on_terminal(home, &format!("{machine} exec -T {NAME} tty"), b"").text();
        assert!(none.ends_with("not a tty\r\n"), "{none:?}");
        // One without a terminal here.
        let text = exec(
            home,
            &["--tty", NAME, "sh", "-c", "test -t 0 && echo yes"],
            b"",
        )
        .succeeded();
        assert_eq!(text, "yes\r\n");
    });
}

fn bulk() {
    shared::with(|home, _| {
        let bytes: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let arguments = ["exec", NAME, "cat"];
        let back = run(&mut home.command(&arguments), &bytes, BOOT);
        assert!(back.status.success(), "{}", back.stderr);
        assert!(
            back.stdout == bytes,
            "{} bytes came back",
            back.stdout.len()
        );
    });
}

fn twenty() {
    shared::with(|home, _| {
        let running: Vec<_> = (0..20)
            .map(|number| {
                let script = format!("sleep 1; cat; exit {number}");
                let arguments = ["exec", NAME, "sh", "-c", &script];
                begin(
                    &mut home.command(&arguments),
                    format!("{number}").as_bytes(),
                )
            })
            .collect();
        for (number, running) in running.into_iter().enumerate() {
            let finished = running.finish(BOOT);
            assert_eq!(code(&finished), i32::try_from(number).ok());
            assert_eq!(finished.text(), number.to_string());
        }
    });
}

fn without_ssh() {
    shared::with(|home, _| {
        let systemctl = |verb: &str| {
            exec(
                home,
                &["-u", "root", NAME, "systemctl", verb, "ssh.service"],
                b"",
            )
        };
        systemctl("stop").succeeded();
        let stopped = exec(home, &[NAME, "echo", "still here"], b"");
        systemctl("start").succeeded();
        assert_eq!(stopped.succeeded(), "still here\n");
    });
}

fn engine() {
    shared::with(|home, _| {
        let script = "podman info --format '{{.Host.Security.Rootless}}'";
        let arguments = ["exec", NAME, "sh", "-c", script];
        let text = run(&mut home.command(&arguments), b"", BOOT).succeeded();
        assert_eq!(text, "true\n");
        let arguments = [
            "exec",
            NAME,
            "podman",
            "run",
            "--rm",
            shared::IMAGE,
            "echo",
            "inside",
        ];
        let text = run(&mut home.command(&arguments), b"", BOOT).succeeded();
        assert_eq!(text, "inside\n");
    });
}

fn killed() {
    shared::with(|home, _| {
        let mut command = home.command(&["exec", NAME, "sleep", "98765"]);
        let mut running = begin(&mut command, b"");
        let sleeps = || {
            let found = exec(home, &[NAME, "pgrep", "-f", "^sleep 98765"], b"");
            code(&found) == Some(0)
        };
        eventually("the program runs", SOON, || sleeps().then_some(()));
        running.child.kill().expect("it runs");
        eventually("the program is gone", SOON, || (!sleeps()).then_some(()));
        running.finish(SOON);
        // Interrupted, it ends as its program does.
        let mut command = home.command(&["exec", NAME, "sleep", "98766"]);
        let running = begin(&mut command, b"");
        eventually("the program runs", SOON, || {
            let found = exec(home, &[NAME, "pgrep", "-f", "^sleep 98766"], b"");
            (code(&found) == Some(0)).then_some(())
        });
        let pid = running.child.id().to_string();
        run(Command::new("kill").args(["-INT", &pid]), b"", SOON).succeeded();
        assert_eq!(code(&running.finish(SOON)), Some(128 + 2));
    });
}

fn no_reader() {
    shared::with(|home, _| {
        let machine = Stage::get().program("machine");
        let script = format!("{} exec {NAME} yes | head -n 1", machine.display());
        let mut command = clean(std::path::Path::new("/bin/sh"), home.path());
        command
            .env("MACHINE_HOME", home.path())
            .args(["-c", &script]);
        let finished = run(&mut command, b"", SOON);
        assert_eq!(
            (finished.text().as_str(), finished.stderr.as_str()),
            ("y\n", "")
        );
        eventually("the program is gone", SOON, || {
            let found = exec(home, &[NAME, "pgrep", "-x", "yes"], b"");
            (code(&found) == Some(1)).then_some(())
        });
    });
}

fn logs() {
    shared::with(|home, _| {
        let console = home.machine(&["logs", NAME], SOON).succeeded();
        assert!(console.contains("Debian GNU/Linux"), "{console}");
        home.machine(&["logs", "--supervisor", NAME], SOON)
            .succeeded();
        let agent = home.machine(&["logs", "--agent", NAME], SOON).succeeded();
        assert!(agent.contains("A session with host"), "{agent}");
    });
}

/// The events of some lines of JSON.
pub(crate) fn events(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            assert!(
                event["time"].is_string() && event["machine"].is_string(),
                "{line}"
            );
            event["event"]
                .as_str()
                .expect("an event has a kind")
                .to_owned()
        })
        .collect()
}

/// Whether these come in this order, whatever else comes.
pub(crate) fn come_in_order(events: &[String], wanted: &[&str]) -> bool {
    let mut left = wanted.iter().peekable();
    for event in events {
        left.next_if(|wanted| *wanted == event);
    }
    left.peek().is_none()
}

fn agent_restart() {
    shared::with(|home, socket| {
        let port = free_port();
        let published = format!("{port}:7");
        let nc = ["nc", "-ll", "-p", "7", "-e", "cat"];
        let server = [
            "run", "--detach", "--name", "restart", "-p", &published, IMAGE,
        ];
        run(
            shared::podman(home, socket).args(server).args(nc),
            b"",
            BOOT,
        )
        .succeeded();
        let address = format!("127.0.0.1:{port}");
        let echo = || exchange(&address, b"echo").is_ok_and(|answer| answer == b"echo");
        eventually("the container's port answers", SOON, || {
            echo().then_some(())
        });
        let forward = |on: bool| {
            let flag = format!("--forward-listeners={on}");
            home.machine(&["set", &flag, NAME], SOON).succeeded();
        };
        forward(true);
        let told = || {
            home.machine(&["events", "--format", "json", NAME], SOON)
                .succeeded()
        };
        let before = events(&told());
        assert!(
            come_in_order(&before, &["phase", "launched", "link-up", "ready"]),
            "{before:?}"
        );
        let follow = ["events", "--follow", "--format", "json", NAME];
        let follower = begin(&mut home.command(&follow), b"");
        let restart = [
            "-u",
            "root",
            NAME,
            "systemctl",
            "restart",
            "--no-block",
            "machine-agent.service",
        ];
        // It goes down with the agent, or is just quick enough.
        exec(home, &restart, b"");
        let wanted = ["link-down", "link-up", "recovered"];
        eventually("the agent is back", SOON, || {
            let news = events(&told()).split_off(before.len());
            come_in_order(&news, &wanted).then_some(())
        });
        // The next agent knows what is published, and that it can be given back.
        eventually("the container's port answers", SOON, || {
            echo().then_some(())
        });
        // It is told anew that servers are to be forwarded.
        let late = free_port();
        let server = format!("TCP-LISTEN:{late},fork,reuseaddr");
        let unit = ["systemd-run", "--quiet", "--unit", "e2e-late", "socat"];
        let as_root = ["-u", "root", NAME];
        exec(
            home,
            &[&as_root[..], &unit, &[&server, "EXEC:cat"]].concat(),
            b"",
        )
        .succeeded();
        let address_of_late = format!("127.0.0.1:{late}");
        eventually("a server that began later answers", SOON, || {
            let answer = exchange(&address_of_late, b"late");
            answer.is_ok_and(|answer| answer == b"late").then_some(())
        });
        forward(false);
        let stop = ["systemctl", "stop", "e2e-late"];
        exec(home, &[&as_root[..], &stop].concat(), b"").succeeded();
        let remove = ["rm", "--force", "--time", "0", "restart"];
        run(shared::podman(home, socket).args(remove), b"", BOOT).succeeded();
        assert!(exchange(&address, b"echo").is_err(), "it is closed");
        let pid = follower.child.id().to_string();
        run(Command::new("kill").arg(&pid), b"", SOON).succeeded();
        let followed = events(&follower.finish(SOON).text());
        assert!(
            come_in_order(&followed[before.len()..], &wanted),
            "{followed:?}"
        );
        let text = home.machine(&["events", NAME], SOON).succeeded();
        assert!(
            text.lines().any(|line| line.ends_with(" shared ready")),
            "{text}"
        );
    });
}
