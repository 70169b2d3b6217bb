//! Images built by both clients, and what a client says about a Containerfile that it cannot use.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use libtest_mimic::Trial;

use super::{Engine, each, ended, says};
use crate::support::shared::IMAGE;

pub(super) fn trials() -> Vec<Trial> {
    [
        each("images_are_built_by_both_clients", built),
        each(
            "a_bad_containerfile_is_the_clients_whole_error",
            bad_containerfile,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn write(path: &Path, text: &str) {
    fs_err::write(path, text).expect("a file can be written");
}

fn built(engine: &Engine<'_>) {
    let context = engine.directory("build");
    write(&context.join("word"), "from the context\n");
    write(&context.join("left-out"), "");
    write(&context.join(".dockerignore"), "left-out\n");
    let file = format!(
        "FROM {IMAGE}\nCOPY . /copied/\nRUN ls /copied >/listed && id -u >>/listed\nCMD [\"cat\", \"/listed\", \"/copied/word\"]\n"
    );
    write(&context.join("Dockerfile"), &file);
    let mut podman = engine.podman();
    podman.arg("build").args([
        "--network",
        "none",
        "--quiet",
        "--tag",
        "localhost/built:podman",
    ]);
    says(podman.arg(&context));
    let run = ["run", "--rm", "--network", "none", "localhost/built:podman"];
    let text = engine.podman_says(&run);
    assert_eq!(text, "Dockerfile\nword\n0\nfrom the context");

    let mut docker = engine.docker();
    docker.env("DOCKER_BUILDKIT", "0");
    docker.args([
        "build",
        "--network",
        "none",
        "--tag",
        "localhost/built:docker",
    ]);
    let text = says(docker.arg(&context));
    assert!(
        text.contains("STEP 3/4: RUN"),
        "the steps are shown: {text}"
    );
    assert!(
        text.contains("Successfully tagged localhost/built:docker"),
        "{text}"
    );
}

fn bad_containerfile(engine: &Engine<'_>) {
    let context = engine.directory("bad");
    // The engine's own error comes back through the stream of the build.
    write(&context.join("Containerfile"), "FROM scratch\nBOGUS step\n");
    let stderr = ended(engine.podman().arg("build").arg(&context)).stderr;
    assert!(
        stderr.contains("Unknown instruction: \"BOGUS\""),
        "{stderr}"
    );

    // And this one is the client's. Root may read everything, so the link leads nowhere for it.
    fs_err::remove_file(context.join("Containerfile")).expect("a file can be removed");
    let file = context.join("Unreadable");
    let cause = if machine_host::facts::effective_root() {
        symlink("nowhere", &file).expect("a link can be made");
        "no such file or directory"
    } else {
        write(&file, "FROM scratch\n");
        let closed = std::fs::Permissions::from_mode(0o000);
        fs_err::set_permissions(&file, closed).expect("a mode can be set");
        "permission denied"
    };
    let ended = ended(
        engine
            .podman()
            .arg("build")
            .arg("--file")
            .arg(&file)
            .arg(&context),
    );
    assert!(!ended.status.success());
    assert!(ended.stderr.contains(cause), "{}", ended.stderr);
    assert!(ended.stderr.contains("Unreadable"), "{}", ended.stderr);
}
