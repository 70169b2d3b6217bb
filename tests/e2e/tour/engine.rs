//! The engine and the programs it is made of.

use libtest_mimic::Trial;

use super::{Engine, each, ended};
use crate::support::shared::IMAGE;

pub(super) fn trials() -> Vec<Trial> {
    [
        each("the_engine_names_its_parts", parts),
        each("docker_may_ask_for_another_runtime", other_runtime),
        each("a_short_name_is_resolved_without_a_question", short_name),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn parts(engine: &Engine<'_>) {
    let text = engine.podman_says(&[
        "info",
        "--format",
        "{{.Host.OCIRuntime.Name}}|{{.Host.Conmon.Version}}|{{.Host.RootlessNetworkCmd}}|{{.Host.NetworkBackend}}|\
         {{.Host.Security.SECCOMPEnabled}}|{{.Host.Security.Rootless}}|{{.Host.CgroupsVersion}}|{{.Store.GraphRoot}}",
    ]);
    let [
        runtime,
        conmon,
        network,
        backend,
        seccomp,
        rootless,
        cgroups,
        storage,
    ] = text.split('|').collect::<Vec<_>>()[..]
    else {
        panic!("{text}");
    };
    assert_eq!(runtime, "crun");
    assert!(conmon.starts_with("conmon version 2."), "{conmon}");
    assert_eq!(network, "pasta");
    assert_eq!(backend, "netavark");
    assert_eq!(seccomp, "true");
    assert_eq!(rootless, (!engine.rootful).to_string());
    assert_eq!(cgroups, "v2");
    let expected = if engine.rootful {
        "/var/lib/containers/storage"
    } else {
        "/var/home/core/.local/share/containers/storage"
    };
    assert_eq!(storage, expected);
    // Limits of all kinds can be set, also without root.
    let controllers = engine.podman_says(&["info", "--format", "{{.Host.CgroupControllers}}"]);
    for controller in ["cpu", "io", "memory", "pids"] {
        let words = controllers.trim_matches(['[', ']']);
        assert!(
            words.split(' ').any(|word| word == controller),
            "{controllers}"
        );
    }
}

/// The guest has crun alone. Podman's Docker API takes the name and runs what it has.
fn other_runtime(engine: &Engine<'_>) {
    let run = ["run", "--rm", "--network", "none", "--runtime", "runc"];
    engine.docker_says(&[&run[..], &[IMAGE, "true"]].concat());
}

/// By the aliases that the distribution ships: `hello-world` is that image wherever it came from.
fn short_name(engine: &Engine<'_>) {
    engine.podman_says(&["tag", IMAGE, "quay.io/podman/hello:latest"]);
    let names = [
        "image",
        "inspect",
        "--format",
        "{{.RepoTags}}",
        "hello-world",
    ];
    let names = engine.podman_says(&names);
    assert!(names.contains("quay.io/podman/hello:latest"), "{names}");
    let unknown = ["run", "--rm", "--pull", "never", "no-such-name"];
    let ended = ended(engine.podman().args(unknown));
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains("no-such-name: image not known"),
        "{}",
        ended.stderr
    );
}
