//! `system connection`.

use libtest_mimic::Trial;

use super::compare::Compare::{All, AnyOrder, Differs, Help};
use super::compare::{Step, Twins};
use crate::support::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("same_as_podman::no_connection", no_connection),
        trial("same_as_podman::add", add),
        trial("same_as_podman::nonsense", nonsense),
        trial(
            "same_as_podman::default_rename_remove",
            default_rename_remove,
        ),
        trial("same_as_podman::formats", formats),
        trial("same_as_podman::configured_connections", configured),
        trial("same_as_podman::usage_of_connections", usage),
        trial("same_as_podman::damaged_connections", damaged),
    ]
}

/// Two connections, one of them of a machine, and a farm.
const FILE: &str = r#"{"Connection":{"Default":"m1","Connections":{"m1":{"URI":"ssh://core@127.0.0.1:41913/run/user/1000/podman/podman.sock","Identity":"/k","IsMachine":true},"z&z":{"URI":"tcp://h:1/?a=1&b=<2>"}}},"Farm":{"Default":"f","List":{"f":["m1","z&z"]}}}
"#;

fn no_connection() {
    Twins::new("none", &[]).play(&[
        Step("system connection list", All),
        Step("system connection ls", All),
        Step("system connection list --format json", All),
        Step("system connection list -q", All),
        Step("system connection remove x", All),
        Step("system connection default x", All),
        Step("system connection rename x y", All),
        Step("system connection rm --all", All),
        Step("system connection list --format '{{.Name}}'", All),
        Step("system connection list --format 'table {{.Name}}'", All),
    ]);
}

fn add() {
    Twins::new("add", &[("a-file", "")]).play(&[
        Step("system connection add s ssh://me@host/p/q", All),
        Step("system connection add s2 me@host:2222/p", All),
        Step("system connection add -p 77 s3 me@host/p", All),
        Step("system connection add --port=77 s4 me@host:88/p", All),
        Step("system connection add --socket-path /x/y s5 me@host", All),
        Step("system connection add s6 ssh://h/p --port 0", All),
        Step("system connection add s7 'ssh://h/a b'", All),
        Step("system connection add s8 'ssh://me@host/p?q=1#frag'", All),
        Step("system connection add s9 SSH://h/a%2Fb", All),
        Step(
            "system connection add --identity /nowhere s10 ssh://h/p",
            Differs("a warning where the key is missing"),
        ),
        Step(
            "system connection add --identity a-file s11 ssh://h/p",
            Differs("as absolute paths"),
        ),
        Step(
            "system connection add s12 'ssh://me:secret@host/p'",
            Differs("a password in an address"),
        ),
        Step(
            "system connection add -d s13 ssh://h/p",
            Differs("`add --default` is ignored for `ssh://`"),
        ),
        Step(
            "system connection add --socket-path x s14 ssh://h/z",
            Differs("`add --socket-path` is put behind"),
        ),
        Step("system connection add t tcp://h:1", All),
        Step("system connection add -d t2 tcp://h:2", All),
        Step("system connection add t tcp://h:3 --default=false", All),
        Step("system connection add t3 tcp://h", All),
        Step("system connection add --identity x t4 tcp://h:1", All),
        Step("system connection add --socket-path x t5 tcp://h:1", All),
        Step(
            "system connection add -p 5 t6 tcp://h",
            Differs("`add --port` is ignored for `tcp://`"),
        ),
        Step("system connection add -f farm t7 tcp://h:3", All),
        Step("system connection add -f farm t8 tcp://h:3", All),
        Step(
            "system connection add -f farm t7 tcp://h:3",
            Differs("names the connection twice"),
        ),
        Step("system connection add u unix:///nowhere/p.sock", All),
        Step("system connection add u unix:///etc/passwd", All),
        Step("system connection add u2 unix://rel/p.sock", All),
        Step("system connection add --socket-path /b u3 unix:///a", All),
        Step("system connection add --identity x u4 unix:///a", All),
        Step("system connection add n npipe:////./pipe/x", All),
        Step("system connection add n2 foo://x/y", All),
        Step("system connection list", All),
        Step("system connection list --format json", All),
        Step("system connection list -q", AnyOrder),
    ]);
}

fn nonsense() {
    const REFUSED: &str = "`add` takes addresses without a host";
    Twins::new("nonsense", &[]).play(&[
        Step("system connection add a 'ssh://a b/p'", All),
        Step("system connection add a ssh://[::1/p", All),
        Step("system connection add a ssh://h/%zz", All),
        Step("system connection add a ssh://h/%", All),
        Step("system connection add a tcp://h:abc", All),
        Step("system connection add a ssh://h:1x/p", All),
        Step("system connection add a ssh://\u{fc}ser@h/p", All),
        Step("system connection add a tcp://h%41:1", All),
        Step("system connection add a 'tcp://h\":1'", All),
        Step("system connection add a ssh://[::1]/p", Differs(REFUSED)),
        Step("system connection add a ssh:///p", Differs(REFUSED)),
        Step("system connection add a tcp://:80", Differs(REFUSED)),
        Step("system connection add a tcp://h:99999999", Differs(REFUSED)),
        Step("system connection add -p -1 a ssh://h/p", Differs(REFUSED)),
        Step(
            "system connection add '' tcp://h:1",
            Differs("an empty NAME is a connection"),
        ),
        Step("system connection add a tcp://h\u{f6}st:1", All),
        Step("system connection add a tcp://a@b@c:1/x", All),
        Step("system connection add a 'tcp://h:1?'", All),
        Step("system connection add a 'tcp://h:1/#a b'", All),
        Step("system connection list", All),
    ]);
}

fn default_rename_remove() {
    Twins::new("changes", &[("connections.json", FILE)]).play(&[
        Step("system connection default z&z", All),
        Step("system connection default x", All),
        Step(
            "system connection rename z&z y",
            Differs("leaves the old name in farms"),
        ),
        Step("system connection rename gone x", All),
        Step("system connection mv y m1", All),
        Step("system connection add a tcp://h:1", All),
        Step("system connection remove m1", All),
        Step("system connection remove m1", All),
        Step("system connection rm --force a", All),
        Step("system connection add b tcp://h:1", All),
        Step("system connection remove --all", All),
        Step("system connection add c tcp://h:1", All),
        Step("system connection remove -a whatever", All),
        Step("system connection list", All),
    ]);
}

fn formats() {
    const HEADER: &str = "beyond the five of the built-in table";
    Twins::new("formats", &[("connections.json", FILE)]).play(&[
        Step("system connection list", All),
        Step("system connection list --format json", All),
        Step("system connection list -f json", All),
        Step("system connection list --format ' json '", All),
        Step("system connection list --format '{{json .}}'", All),
        Step(
            "system connection list --format '{{.Name}} {{.URI}} {{.IsMachine}}'",
            All,
        ),
        Step(
            "system connection list --format '{{range .}}{{.Name}},{{end}}'",
            All,
        ),
        Step(
            "system connection list --format 'table {{.Name}} {{.Default}}'",
            All,
        ),
        Step(
            "system connection list --format 'table {{.Name}}\\t{{.ReadWrite}}'",
            All,
        ),
        Step(
            "system connection list --format 'table {{.IsMachine}}'",
            Differs(HEADER),
        ),
        Step("system connection list --format '{{.Foo}}'", All),
        Step("system connection list --format '{{.Name'", All),
        Step(
            "system connection list --format '{{if .Default}}{{.Name}}{{end}}'",
            All,
        ),
        Step("system connection list --format ''", All),
        Step("system connection list -q --format json", AnyOrder),
        Step("system connection list --quiet=false", All),
    ]);
}

fn configured() {
    let conf = "[engine]\nactive_service = \"conf\"\n\
        [engine.service_destinations.conf]\nuri = \"ssh://me@conf:22/p\"\nidentity = \"/k\"\n\
        [engine.service_destinations.a]\nuri = \"tcp://conf:2\"\n";
    Twins::new("conf", &[(".config/containers/containers.conf", conf)]).play(&[
        Step("system connection list", All),
        Step("system connection list --format json", All),
        Step("system connection default conf", All),
        Step("system connection add b tcp://b:1", All),
        Step("system connection list", All),
        Step("system connection add a tcp://a:1", All),
        Step("system connection list", All),
        Step("system connection remove conf", All),
        Step("system connection remove b", All),
        Step("system connection list", All),
        Step("system connection rename conf c", All),
        Step("system connection remove --all", All),
        Step("system connection list --format json", All),
    ]);
}

fn usage() {
    Twins::new("usage", &[]).play(&[
        Step("system connection", Help),
        Step("system connection --help", Help),
        Step("system connection add --help", Help),
        Step("system connection foo", All),
        Step("system connection lst", All),
        Step("system connection list --foo", All),
        Step("system connection ls -x", All),
        Step("system connection list x", All),
        Step("system connection ls x y", All),
        Step("system connection list --format", All),
        Step("system connection list --quiet=maybe", All),
        Step("system connection add", All),
        Step("system connection add a", All),
        Step("system connection add a b c", All),
        Step("system connection add -p abc a ssh://h/p", All),
        Step(
            "system connection add -p 99999999999999999999 a ssh://h/p",
            All,
        ),
        Step("system connection add --identity", All),
        Step("system connection add --nonsense a b", All),
        Step("system connection default", All),
        Step("system connection default a b", All),
        Step("system connection default -x", All),
        Step("system connection rename", All),
        Step("system connection rename a", All),
        Step("system connection rename a b c", All),
        Step("system connection remove", All),
        Step("system connection remove a b", All),
        Step("system connection remove --all a b", All),
        Step("system connection rm --foo", All),
    ]);
}

fn damaged() {
    const TEXT: &str = "a file that is no JSON";
    for (index, content) in [
        "",
        "{",
        "[]",
        r#"{"Connection":[]}"#,
        r#"{"Connection":{"Default":1}}"#,
    ]
    .iter()
    .enumerate()
    {
        let twins = Twins::new(&format!("damaged{index}"), &[("connections.json", content)]);
        // The texts are each program's own; what counts is that both refuse and neither touches the file.
        twins.play(&[
            Step("system connection list", Differs(TEXT)),
            Step("system connection add a tcp://h:1", Differs(TEXT)),
        ]);
        for program in [
            super::compare::Program::Podman,
            super::compare::Program::Machine,
        ] {
            let words = super::compare::words("system connection add a tcp://h:1");
            twins.run(program, &words).failed();
            let found = fs_err::read_to_string(twins.file(program)).expect("the file is there");
            assert_eq!(found, *content);
        }
    }
}
