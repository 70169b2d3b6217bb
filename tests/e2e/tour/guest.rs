//! What a user looks at or sets up inside the guest.

use libtest_mimic::Trial;

use super::{Engine, each, rootless, says};
use crate::support::command::{begin, eventually, run};
use crate::support::home::BOOT;
use crate::support::shared::{IMAGE, NAME};
use crate::support::{api, for_full};

pub(super) fn trials() -> Vec<Trial> {
    [
        each("a_request_starts_the_engine_again", socket_activation),
        each("settings_of_the_guide_are_accepted", settings),
        for_full(each("a_quadlet_becomes_a_service", quadlet)),
    ]
    .into_iter()
    .flatten()
    .chain([rootless(
        "updates_of_the_system_are_switched_off",
        no_updates,
    )])
    .collect()
}

/// Runs a script in the guest, by a shell of the machine's user; gives what it prints.
fn script(engine: &Engine<'_>, shell: &[&str], script: &str) -> String {
    let mut command = engine.home.command(&[&["ssh", NAME], shell].concat());
    let text = run(&mut command, script.as_bytes(), BOOT).succeeded();
    text.trim_end().to_owned()
}

/// Runs a script in the guest as root; gives what it prints.
pub(super) fn as_root(engine: &Engine<'_>, text: &str) -> String {
    script(engine, &["sudo", "sh", "-eu"], text)
}

/// Runs a script in the guest as the one whose engine this is. `$SCOPE` makes `systemctl` speak to his service manager,
/// `$CONFIGURATION` is where his engine looks for its files.
fn as_owner(engine: &Engine<'_>, text: &str) -> String {
    if engine.rootful {
        return as_root(
            engine,
            &format!("SCOPE=--system CONFIGURATION=/etc/containers\n{text}"),
        );
    }
    let own = "SCOPE=--user CONFIGURATION=~/.config/containers";
    script(engine, &["sh", "-eu"], &format!("{own}\n{text}"))
}

/// Lets the engine use registries on the host without TLS; it reads such settings when it starts.
pub(super) fn trust_plain_registries(engine: &Engine<'_>) {
    let text = "[[registry]]\nprefix = \"10.0.2.2\"\nlocation = \"10.0.2.2\"\ninsecure = true\n";
    let file = "$CONFIGURATION/registries.conf.d/90-tour.conf";
    as_owner(
        engine,
        &format!(
            "mkdir -p \"${{CONFIGURATION}}/registries.conf.d\"\ncat >\"{file}\" <<'END'\n{text}END\nsystemctl $SCOPE stop podman.service"
        ),
    );
}

fn no_updates(engine: &Engine<'_>) {
    let text = as_root(engine, "systemctl is-active zincati.service || true");
    assert_eq!(text, "inactive");
}

fn socket_activation(engine: &Engine<'_>) {
    let script = "systemctl $SCOPE stop podman.service; systemctl $SCOPE is-active podman.service podman.socket || true";
    assert_eq!(as_owner(engine, script), "inactive\nactive");
    assert!(api::answers(&engine.socket));
    // An engine that nobody uses ends after five seconds, which a guest under load may need for the question.
    let _in_use = begin(engine.podman().arg("events"), b"");
    let question = "systemctl $SCOPE is-active podman.service || true";
    eventually("the engine runs again", BOOT, || {
        (as_owner(engine, question) == "active").then_some(())
    });
}

/// `[engine]` as the guide has it.
fn settings(engine: &Engine<'_>) {
    let place = "$CONFIGURATION/containers.conf.d/90-tour.conf";
    as_owner(
        engine,
        &format!(
            "mkdir -p \"${{CONFIGURATION}}/containers.conf.d\"\n\
             printf '[engine]\\ncgroups=\"v2\"\\ncgroup_manager=\"cgroupfs\"\\n' >\"{place}\"\n\
             systemctl $SCOPE stop podman.service"
        ),
    );
    let format = "{{.Host.CgroupManager}} {{.Host.CgroupsVersion}}";
    assert_eq!(
        engine.podman_says(&["info", "--format", format]),
        "cgroupfs v2"
    );
    let script = format!("rm \"{place}\"\nsystemctl $SCOPE stop podman.service");
    as_owner(engine, &script);
    assert_eq!(
        engine.podman_says(&["info", "--format", format]),
        "systemd v2"
    );
}

fn quadlet(engine: &Engine<'_>) {
    let file = engine.directory("quadlet").join("tour-web.container");
    let text = format!(
        "[Container]\nImage={IMAGE}\nNetwork=none\nExec=sleep 100000\nContainerName=tour-web\n"
    );
    fs_err::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("the path is text");
    let copy = [
        "cp",
        "--quiet",
        file,
        &format!("{NAME}:/tmp/tour-web.container"),
    ];
    says(&mut engine.home.command(&copy));
    as_owner(
        engine,
        "mkdir -p \"$CONFIGURATION/systemd\"\ncp /tmp/tour-web.container \"$CONFIGURATION/systemd/\"\n\
         systemctl $SCOPE daemon-reload\nsystemctl $SCOPE start tour-web.service",
    );
    let names = ["ps", "--filter", "name=tour-web", "--format", "{{.State}}"];
    assert_eq!(engine.podman_says(&names), "running");
    as_owner(
        engine,
        "systemctl $SCOPE stop tour-web.service\nrm \"$CONFIGURATION/systemd/tour-web.container\"\nsystemctl $SCOPE daemon-reload",
    );
    assert_eq!(engine.podman_says(&names), "");
}
