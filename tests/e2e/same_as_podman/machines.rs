//! The commands of `machine`, as far as they need no machine: lists of none, errors, usage.

use libtest_mimic::Trial;

use super::compare::Compare::{All, Differs, Help, Json};
use super::compare::{Step, Twins};
use crate::support::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("same_as_podman::no_machine", no_machine),
        trial("same_as_podman::bad_machines", bad_machines),
        trial("same_as_podman::usage_of_machines", usage),
    ]
}

fn no_machine() {
    Twins::new("nomachine", &[]).play(&[
        Step("list", All),
        Step("ls", All),
        Step("list -q", All),
        Step("list --noheading", All),
        Step("list --format json", All),
        Step("list --format '{{json .}}'", Json),
        Step("list --format '{{.Name}} {{.Foo}}'", All),
        Step("list --format 'table {{.Name}} {{.LastUp}}'", All),
        Step("list --format '{{range .}}{{.Name}}{{end}}'", All),
        Step("inspect", All),
        Step("inspect nobody", All),
        Step("inspect a b", All),
        Step("inspect --format '{{.State}}' nobody", All),
        Step("start nobody", All),
        Step("start", All),
        Step("stop nobody", All),
        Step("stop", All),
        Step("rm nobody", All),
        Step("rm -f nobody", All),
        Step("rm", All),
        Step("set --cpus 1 nobody", All),
        Step("set nobody", All),
        Step("ssh nobody true", All),
        Step("info --format '{{.Host.NumberOfMachines}} {{.Host.VMType}} {{.Host.Arch}} {{.Host.OS}}'", All),
        Step("info --format '{{.Host.CurrentMachine}}{{.Host.DefaultMachine}}{{.Host.MachineState}}'", All),
        Step("info --format '{{.Foo}}'", All),
    ]);
}

fn bad_machines() {
    let taken = r#"{"Connection":{"Connections":{"taken":{"URI":"tcp://h:1"},"also-root":{"URI":"tcp://h:1"}}},"Farm":{}}
"#;
    Twins::new("badmachines", &[("connections.json", taken)]).play(&[
        Step("init a/b", All),
        Step("init a23456789012345678901234567890x", All),
        Step("init '-- -x'", All),
        Step("init QEMU", All),
        Step("init --username 'a b' x", All),
        Step("init taken", All),
        Step("init also", All),
        Step(
            "init --memory 99999999 x",
            Differs("podman 5 tells the host's memory in bytes"),
        ),
        Step("list", All),
    ]);
}

fn usage() {
    Twins::new("machineusage", &[]).play(&[
        Step("", Help),
        Step("--help", Help),
        Step("list --help", Help),
        Step("foo", All),
        Step("lst", All),
        Step("list x", All),
        Step("list --foo", All),
        Step("list -x", All),
        Step("list --format", All),
        Step("list --quiet=maybe", All),
        Step("inspect --foo", All),
        Step("start --foo", All),
        Step("start a b", All),
        Step("start --quiet=maybe a", All),
        Step("stop a b", All),
        Step("stop --foo", All),
        Step("rm a b", All),
        Step("rm -x", All),
        Step("init a b", All),
        Step("init --cpus abc", All),
        Step("init --cpus", All),
        Step("init -m -1", All),
        Step("init --disk-size 99999999999999999999", All),
        Step("init --foo", All),
        Step("set a b", All),
        Step("set --memory abc", All),
        Step("set --foo", All),
        Step("info x", All),
        Step("info --foo", All),
        Step("ssh --foo", All),
    ]);
}
