//! Pods, made by hand, written down as Kubernetes does it, and made again from that.

use libtest_mimic::Trial;

use super::{Engine, each, says};
use crate::support::shared::IMAGE;

pub(super) fn trials() -> Vec<Trial> {
    each("a_pod_is_written_down_and_played", pod)
}

fn pod(engine: &Engine<'_>) {
    let file = engine.directory("kube").join("pod.yaml");
    let pod = [
        "run",
        "--detach",
        "--pod",
        "new:tour-pod",
        "--network",
        "none",
        "--name",
        "worker",
    ];
    engine.podman_says(&[&pod[..], &[IMAGE, "sleep", "100000"]].concat());
    let text = engine.podman_says(&["kube", "generate", "tour-pod"]);
    assert!(
        text.contains("kind: Pod") && text.contains("name: tour-pod"),
        "{text}"
    );
    fs_err::write(&file, &text).expect("a file can be written");
    engine.podman_says(&["pod", "rm", "--force", "--time", "0", "tour-pod"]);

    says(
        engine
            .podman()
            .args(["kube", "play", "--network", "none"])
            .arg(&file),
    );
    let ps = [
        "ps",
        "--filter",
        "pod=tour-pod",
        "--format",
        "{{.Names}} {{.State}}",
    ];
    let mut running: Vec<String> = engine.podman_says(&ps).lines().map(str::to_owned).collect();
    running.sort();
    assert!(
        running[0].ends_with("-infra running"),
        "catatonit holds the pod: {running:?}"
    );
    assert_eq!(running[1..], ["tour-pod-worker running"]);

    says(engine.podman().args(["kube", "play", "--down"]).arg(&file));
    let all = ["ps", "--all", "--filter", "pod=tour-pod", "--quiet"];
    assert_eq!(engine.podman_says(&all), "");
}
