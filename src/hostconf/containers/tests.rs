//! Layers of `containers.conf` in temporary directories.

use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::HostConf;
use super::super::locations::{Convention, Locations};
use super::*;

fn write(path: &Path, text: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

/// What one file says.
fn of(text: &str) -> Result<ContainersConf, HostConfError> {
    let home = TempDir::new().unwrap();
    write(&home.path().join("containers.conf"), text);
    HostConf::in_directory(home.path()).containers()
}

/// What these files say, read one after the other.
fn of_layers(texts: &[&str]) -> ContainersConf {
    let home = TempDir::new().unwrap();
    for (number, text) in texts.iter().enumerate() {
        let name = format!("containers.conf.d/{number:02}.conf");
        write(&home.path().join(name), text);
    }
    HostConf::in_directory(home.path()).containers().unwrap()
}

#[test]
fn every_key() {
    let conf = of(r#"
        [containers]
        tz = "local"
        [machine]
        cpus = 3
        disk_size = 20
        memory = 4096
        image = "docker://example.com/os"
        user = "ann"
        volumes = ["$HOME:$HOME"]
        provider = "applehv"
        rosetta = true
        import_native_ca = true
        [engine]
        helper_binaries_dir = ["/opt/helpers"]
        active_service = "work"
        env = ["http_proxy=http://p:1", "odd", "http_proxy=http://later:2"]
        [engine.service_destinations.work]
        uri = "ssh://ann@work:22/run/podman/podman.sock"
        identity = "/home/ann/.ssh/work"
        is_machine = true
        [engine.service_destinations."tls one"]
        uri = "tcp://h:1"
        tls_cert = "c"
        tls_key = "k"
        tls_ca = "a"
    "#)
    .unwrap();
    let machine = MachineTable {
        cpus: Some(3),
        disk_size: Some(20),
        memory: Some(4096),
        image: Some("docker://example.com/os".to_owned()),
        user: Some("ann".to_owned()),
        volumes: conf.machine.volumes.clone(),
        provider: Some("applehv".to_owned()),
        rosetta: Some(true),
        import_native_ca: Some(true),
    };
    assert_eq!(conf.machine, machine);
    assert_eq!(conf.machine.volumes.resolve(&[]), ["$HOME:$HOME"]);
    assert_eq!(conf.tz.as_deref(), Some("local"));
    assert_eq!(
        conf.engine.helper_binaries_dir.resolve(&["/d".to_owned()]),
        ["/opt/helpers"]
    );
    assert_eq!(conf.engine.active_service.as_deref(), Some("work"));
    assert_eq!(conf.engine.env.get("http_proxy"), Some("http://p:1"));
    let work = Destination {
        uri: "ssh://ann@work:22/run/podman/podman.sock".to_owned(),
        identity: Some("/home/ann/.ssh/work".to_owned()),
        is_machine: true,
        ..Destination::default()
    };
    let tls = Destination {
        uri: "tcp://h:1".to_owned(),
        tls_cert: Some("c".to_owned()),
        tls_key: Some("k".to_owned()),
        tls_ca: Some("a".to_owned()),
        ..Destination::default()
    };
    let expected = BTreeMap::from([("work".to_owned(), work), ("tls one".to_owned(), tls)]);
    assert_eq!(conf.engine.service_destinations, expected);
    assert_eq!(conf.files.len(), 1);
}

/// Seed tour, item 7, and what podman's decoder does with keys of another case.
#[test]
fn what_is_not_ours_is_accepted() {
    let conf = of(
        "[engine]\ncgroups = \"v2\"\ncgroup_manager = \"systemd\"\n[machine]\nCPUs = 2\nlater = {}\n[new]\nx = 1\n",
    )
    .unwrap();
    assert_eq!(conf.machine.cpus, Some(2));
}

#[test]
fn later_layers_win_key_by_key() {
    let conf = of_layers(&[
        "[machine]\ncpus = 1\nmemory = 1000\n[engine.service_destinations.a]\nuri = \"u1\"\nidentity = \"i\"\n[engine.service_destinations.b]\nuri = \"u2\"",
        "[machine]\ncpus = 2\n[engine.service_destinations.a]\nuri = \"u3\"",
    ]);
    assert_eq!(
        (conf.machine.cpus, conf.machine.memory),
        (Some(2), Some(1000))
    );
    let destinations = &conf.engine.service_destinations;
    assert_eq!(destinations["a"].uri, "u3");
    assert_eq!(destinations["a"].identity, None, "replaced as a whole");
    assert_eq!(destinations["b"].uri, "u2");
}

#[test]
fn lists_replace_or_append() {
    let list = |texts: &[&str]| {
        let texts: Vec<String> = texts
            .iter()
            .map(|list| format!("[engine]\nhelper_binaries_dir = {list}"))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        of_layers(&texts)
            .engine
            .helper_binaries_dir
            .resolve(&["default".to_owned()])
    };
    assert_eq!(list(&[]), ["default"]);
    assert_eq!(list(&["[]"]), [""; 0]);
    assert_eq!(list(&["['a']", "['b']"]), ["b"]);
    assert_eq!(list(&["['a']", "['b', {append=true}]"]), ["a", "b"]);
    assert_eq!(list(&["['a', {append=true}]"]), ["default", "a"]);
    // The mark stays until it is taken away.
    assert_eq!(
        list(&["['a', {append=true}]", "['b']"]),
        ["default", "a", "b"]
    );
    assert_eq!(
        list(&["['a', {append=true}]", "['b', {append=false}]", "['c']"]),
        ["c"]
    );
}

#[test]
fn mistakes_name_file_line_and_key() {
    for (text, expected) in [
        (
            "\n[machine]\ncpus = \"4\"\n",
            "line 3: `machine.cpus` must be a whole number of at least 0, not the text `4`",
        ),
        (
            "[engine]\nhelper_binaries_dir = \"/a\"\n",
            "line 2: `engine.helper_binaries_dir` must be a list of texts, not the text `/a`",
        ),
        (
            "[engine]\nhelper_binaries_dir = [\"/a\", {prepend=true}]\n",
            "line 2: `engine.helper_binaries_dir` must be a list of texts, not a list",
        ),
        (
            "[engine.service_destinations]\nwork = \"ssh://h\"\n",
            "line 2: `engine.service_destinations.work` must be a table, not the text `ssh://h`",
        ),
        (
            "[engine.service_destinations.work]\nuri = 3\n",
            "line 2: `engine.service_destinations.work.uri` must be text in quotes, not `3`",
        ),
    ] {
        let error = of(text).expect_err(text);
        let text = error.to_string();
        assert!(text.contains("containers.conf`, "), "{text}");
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(error.hints().len(), 1);
    }
    let error = of("[machine]\ncpus == 1\n").unwrap_err();
    assert!(
        matches!(error, HostConfError::Syntax { line: 2, .. }),
        "{error:?}"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("containers.conf");
    let conf = HostConf::in_directory(home.path());
    assert_eq!(conf.containers().unwrap(), ContainersConf::default());
    fs_err::write(&file, [0xff, 0xfe]).unwrap();
    assert!(matches!(
        conf.containers(),
        Err(HostConfError::NotText { .. })
    ));
    fs_err::write(&file, "\u{feff}[machine]\r\ncpus = 5\r\n").unwrap();
    assert_eq!(conf.containers().unwrap().machine.cpus, Some(5));
    fs_err::remove_file(&file).unwrap();
    fs_err::create_dir(&file).unwrap();
    assert!(matches!(
        conf.containers(),
        Err(HostConfError::Unreadable { .. })
    ));
}

/// The user's own files beat the system's, and the override beats all; a file named by a variable must be there.
#[test]
fn places_and_variables() {
    let home = TempDir::new().unwrap();
    let at = |name: &str| home.path().join(name);
    write(
        &at("c/containers/containers.conf"),
        "[machine]\ncpus = 11\nmemory = 11",
    );
    write(
        &at("c/containers/containers.conf.d/9.conf"),
        "[machine]\nmemory = 12",
    );
    write(&at("c/containers/containers.conf.d/9.txt"), "nonsense");
    write(&at("only"), "[machine]\ndisk_size = 13");
    write(&at("last"), "[machine]\ncpus = 14");
    let read = |set: &[(&str, &str)]| {
        let env = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| at(value).into_os_string())
        };
        super::read(&Locations::locate(
            Convention::Unix,
            home.path(),
            4711,
            &env,
        ))
    };
    let numbers = |conf: ContainersConf| {
        let machine = conf.machine;
        [machine.cpus, machine.memory, machine.disk_size]
    };
    let user = [("XDG_CONFIG_HOME", "c")];
    assert_eq!(numbers(read(&user).unwrap())[..2], [Some(11), Some(12)]);
    let user = [
        ("XDG_CONFIG_HOME", "c"),
        ("CONTAINERS_CONF_OVERRIDE", "last"),
    ];
    assert_eq!(numbers(read(&user).unwrap())[..2], [Some(14), Some(12)]);
    let only = [("XDG_CONFIG_HOME", "c"), ("CONTAINERS_CONF", "only")];
    assert_eq!(numbers(read(&only).unwrap()), [None, None, Some(13)]);
    for variable in ["CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"] {
        let error = read(&[(variable, "gone")]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("`{variable}` names ")),
            "{error}"
        );
        assert!(error.hints()[0].starts_with(&format!("unset {variable}")));
    }
}

#[test]
fn passwords_of_the_environment_are_not_shown() {
    let conf = of("[engine]\nenv = [\"https_proxy=http://u:hunter2@p:1\"]").unwrap();
    assert!(
        conf.engine
            .env
            .get("https_proxy")
            .unwrap()
            .contains("hunter2")
    );
    let shown = format!("{conf:?}");
    assert!(
        shown.contains("https_proxy") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn variables_are_expanded() {
    let env = |name: &str| (name == "HOME").then(|| "/h".to_owned());
    for (text, expected) in [
        ("$HOME:$HOME", "/h:/h"),
        ("${HOME}x", "/hx"),
        ("$GONE/a", "/a"),
        ("a$", "a$"),
        ("$:b", "$:b"),
        ("${HOME", "${HOME"),
        ("plain", "plain"),
    ] {
        assert_eq!(expand(text, env), expected, "{text}");
    }
}

proptest! {
    /// Whatever a file holds, reading ends with a value or an error with a text.
    #[test]
    fn nothing_panics(text in "(\\[machine\\]\n|\\[engine\\]\n|cpus = [0-9a-f\"-]{0,5}\n|env = \\[.{0,9}\\]\n|[\\PC\n]{0,20}){0,6}") {
        match of(&text) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty() && !error.hints().is_empty()),
        }
    }

    #[test]
    fn texts_without_variables_stay(text in "[^$]*") {
        prop_assert_eq!(expand(&text, |_| Some("x".to_owned())), text);
    }
}
