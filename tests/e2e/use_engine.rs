//! What people do with a running machine, by the clients they use.

use libtest_mimic::Trial;

use crate::support::command::run;
use crate::support::home::{BOOT, SOON};
use crate::support::shared::{self, IMAGE, NAME, docker, podman};
use crate::support::{api, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "engine::ping_answers_on_the_socket_that_inspect_names",
            ping,
        ),
        trial(
            "engine::docker_version_names_the_guests_engine",
            docker_version,
        ),
        trial("engine::podman_info_is_the_rootless_guest", podman_info),
        trial(
            "engine::standard_input_ends_and_all_output_comes_back",
            half_close,
        ),
        trial("engine::exit_codes_pass", exit_codes),
        trial(
            "engine::an_unknown_image_is_the_engines_own_error",
            engine_error,
        ),
        trial("engine::docker_runs_a_container", docker_run),
        trial("list::a_running_machine_in_json", list_json),
        trial("list::the_table_says_what_runs", list_table),
        trial("inspect::all_fields", inspect),
        trial("start::a_second_start_says_it_runs_already", second_start),
        trial("rm::a_running_machine_is_kept", rm_running),
    ]
}

fn ping() {
    shared::with(|_, socket| assert!(api::answers(socket)));
}

fn docker_version() {
    shared::with(|home, socket| {
        let text = run(
            docker(home, socket).args([
                "version",
                "--format",
                "{{(index .Server.Components 0).Name}}",
            ]),
            b"",
            SOON,
        )
        .succeeded();
        assert_eq!(text.trim(), "Podman Engine");
    });
}

fn podman_info() {
    shared::with(|home, socket| {
        let text = run(
            podman(home, socket).args([
                "info",
                "--format",
                "{{.Host.Security.Rootless}} {{.Host.Distribution.Variant}}",
            ]),
            b"",
            SOON,
        )
        .succeeded();
        assert_eq!(text.trim(), "true coreos-like");
    });
}

fn half_close() {
    shared::with(|home, socket| {
        let echoed = run(
            podman(home, socket).args(["run", "--rm", "-i", IMAGE, "cat"]),
            b"hi\n",
            BOOT,
        )
        .succeeded();
        assert_eq!(echoed, "hi\n");
        // The count can only be printed after the input has ended, so the input's end must not end the output.
        let long = vec![b'x'; 3_000_000];
        let counted = run(
            podman(home, socket).args(["run", "--rm", "-i", IMAGE, "wc", "-c"]),
            &long,
            BOOT,
        )
        .succeeded();
        assert_eq!(counted.trim(), "3000000");
    });
}

fn exit_codes() {
    shared::with(|home, socket| {
        let ended = run(
            podman(home, socket).args(["run", "--rm", IMAGE, "sh", "-c", "exit 42"]),
            b"",
            BOOT,
        );
        assert_eq!(ended.status.code(), Some(42), "{}", ended.stderr);
    });
}

fn engine_error() {
    shared::with(|home, socket| {
        let ended = run(
            podman(home, socket).args(["run", "--rm", "--pull", "never", "localhost/none"]),
            b"",
            BOOT,
        );
        assert!(!ended.status.success());
        assert!(
            ended.stderr.contains("localhost/none: image not known"),
            "{}",
            ended.stderr
        );
    });
}

fn docker_run() {
    shared::with(|home, socket| {
        let text = run(
            docker(home, socket).args(["run", "--rm", "-i", IMAGE, "cat"]),
            b"from docker",
            BOOT,
        )
        .succeeded();
        assert_eq!(text, "from docker");
    });
}

fn list_json() {
    shared::with(|home, _| {
        let text = home
            .machine(&["list", "--format", "json"], SOON)
            .succeeded();
        assert!(
            text.starts_with("[\n    {\n        \"Name\": \"shared\","),
            "{text}"
        );
        assert!(!text.ends_with('\n'));
        assert_eq!(home.listed(NAME, "Running"), true);
        assert_eq!(home.listed(NAME, "Starting"), false);
        assert_eq!(home.listed(NAME, "CPUs"), 2);
        assert_eq!(home.listed(NAME, "Memory"), "1610612736");
        assert_eq!(home.listed(NAME, "DiskSize"), "8589934592");
        assert_eq!(home.listed(NAME, "VMType"), "qemu");
    });
}

fn list_table() {
    shared::with(|home, _| {
        let text = home.machine(&["list"], SOON).succeeded();
        let mut lines = text.lines();
        let header: Vec<&str> = lines
            .next()
            .expect("a header")
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(
            header,
            [
                "NAME",
                "VM TYPE",
                "CREATED",
                "LAST UP",
                "CPUS",
                "MEMORY",
                "DISK SIZE"
            ]
        );
        let row = lines.next().expect("a row");
        assert!(
            row.starts_with("shared")
                && row.contains("Currently running")
                && row.contains("1.5GiB")
                && row.contains("8GiB"),
            "{row}"
        );
    });
}

fn inspect() {
    shared::with(|home, socket| {
        let text = home.machine(&["inspect", NAME], SOON).succeeded();
        let value: serde_json::Value = serde_json::from_str(&text).expect("inspect prints JSON");
        assert_eq!(value[0]["State"], "running");
        assert_eq!(value[0]["Rootful"], false);
        assert_eq!(value[0]["Resources"]["DiskSize"], 8);
        assert_eq!(
            value[0]["ConnectionInfo"]["PodmanSocket"]["Path"],
            socket.to_str().expect("text")
        );
        assert_eq!(
            value[0]["ConnectionInfo"]["PodmanPipe"],
            serde_json::Value::Null
        );
    });
}

fn second_start() {
    shared::with(|home, _| {
        let error = home.machine(&["start", NAME], SOON).failed();
        assert!(
            error.starts_with("Error: unable to start \"shared\": already running\n"),
            "{error}"
        );
    });
}

fn rm_running() {
    shared::with(|home, socket| {
        let error = home.machine(&["rm", NAME], SOON).failed();
        assert!(
            error.starts_with("Error: running vm \"shared\" cannot be destroyed\n"),
            "{error}"
        );
        assert!(api::answers(socket));
    });
}
