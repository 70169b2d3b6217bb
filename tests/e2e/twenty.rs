//! Two hundred commands at once on twenty machines, of which some run. Their guest is the stub.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::command::{Running, begin};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::leftovers::leftovers;
use crate::support::{api, trial};
use crate::tour::free_port;

const MACHINES: usize = 20;
/// Emulated guests share the processors of the host.
const RUNNING: usize = 3;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("twenty::two_hundred_commands_at_once", at_once)]
}

struct Machine {
    name: String,
    port: String,
    runs: bool,
}

fn at_once() {
    let mut home = Home::new("twenty");
    let machines: Vec<_> = (0..MACHINES)
        .map(|number| Machine {
            name: format!("m{number:02}"),
            port: format!("127.0.0.1:{}", free_port()),
            runs: number < RUNNING,
        })
        .collect();
    // All of them at once, too.
    std::thread::scope(|scope| {
        for machine in &machines {
            scope.spawn(|| home.init_stub(&machine.name, &[]));
        }
    });
    let running = machines.iter().filter(|machine| machine.runs);
    finish(
        running
            .map(|machine| home.begin(&["start", &machine.name]))
            .collect(),
    );

    let begun: Vec<_> = machines
        .iter()
        .flat_map(|machine| commands(&home, machine))
        .collect();
    assert_eq!(begun.len(), 200);
    for (line, expected, command) in begun {
        let text = command.finish(BOOT).succeeded();
        assert!(text.contains(&expected), "{line}: {text}");
    }

    let text = home
        .machine(&["list", "--format", "json"], SOON)
        .succeeded();
    let list: Value = serde_json::from_str(&text).expect("the list is JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(MACHINES));
    let connections = ["system", "connection", "list", "--format", "{{.Name}}"];
    let connections = home.machine(&connections, SOON).succeeded();
    for machine in &machines {
        let name = machine.name.as_str();
        let number = machine.port.rsplit(':').next().expect("a port");
        let open = home.machine(&["port", "list", name], SOON).succeeded();
        assert!(open.contains(number), "{name}: {open}");
        for connection in [
            name.to_owned(),
            format!("{name}-root"),
            format!("own-{name}"),
        ] {
            assert!(
                connections.lines().any(|line| line == connection),
                "{connection}"
            );
        }
        let words = [
            "inspect",
            "--format",
            "{{.Resources.Memory}} {{.Rootful}}",
            name,
        ];
        let text = home.machine(&words, SOON).succeeded();
        // What needs a stopped machine is done with those that are.
        let memory = if machine.runs { 512 } else { 640 };
        assert_eq!(text.trim(), format!("{memory} true"), "{name}");
        assert_eq!(api::answers(&home.api_socket(name)), machine.runs, "{name}");
    }
    let own = |machine: &Machine| {
        let own = format!("own-{}", machine.name);
        home.begin(&["system", "connection", "rm", &own])
    };
    finish(machines.iter().map(own).collect());
    assert_eq!(leftovers(&home), [""; 0]);
    let removed = |machine: &Machine| home.begin(&["rm", "--force", &machine.name]);
    finish(machines.iter().map(removed).collect());
    assert_eq!(leftovers(&home), [""; 0]);
    home.dispose().expect("nothing is left");
}

/// Commands that are under way succeed.
fn finish(commands: Vec<Running>) {
    for command in commands {
        command.finish(BOOT).succeeded();
    }
}

/// Ten, with what each has to say.
fn commands(home: &Home, machine: &Machine) -> Vec<(String, String, Running)> {
    let Machine { name, port, runs } = machine;
    let own = format!("own-{name}");
    let format = "{{.Name}} {{.State}}";
    let state = if *runs { "running" } else { "stopped" };
    let memory: &[&str] = if *runs {
        &["exec", name, "echo", "m-here"]
    } else {
        &["set", "--memory", "640", name]
    };
    let kinds: [(&[&str], &str); 10] = [
        (&["list", "--format", "{{.Name}}"], name),
        (&["list", "--format", "json"], name),
        (
            &["inspect", "--format", format, name],
            &format!("{name} {state}"),
        ),
        (&["info"], ""),
        (&["set", "--rootful=true", name], ""),
        (memory, if *runs { "m-here" } else { "" }),
        (&["port", "add", port, name], ""),
        (&["port", "list", name], ""),
        (
            &[
                "system",
                "connection",
                "add",
                &own,
                "ssh://core@127.0.0.1:2/run/s",
            ],
            "",
        ),
        (
            &["system", "connection", "list", "--format", "{{.Name}}"],
            name,
        ),
    ];
    let begin = |(words, expected): (&[&str], &str)| {
        let command = begin(&mut home.command(words), b"");
        (words.join(" "), expected.to_owned(), command)
    };
    kinds.into_iter().map(begin).collect()
}
