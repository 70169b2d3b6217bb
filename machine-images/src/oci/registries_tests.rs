//! Settings of registries: prefixes, mirrors, blocks, and files that contradict themselves.

use super::*;

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn of(text: &str) -> Result<Registries, OciError> {
    let mut all = Registries::default();
    all.add(Path::new("/etc/registries.conf"), text)?;
    Ok(all)
}

/// `host/repository`, with a `!` where it is insecure.
fn places(text: &str, reference: &str) -> Vec<String> {
    let reference = Reference::parse(reference, "6.0").unwrap();
    let endpoints = of(text).unwrap().endpoints(&reference).unwrap();
    let text = |endpoint: &Endpoint| {
        let mark = if endpoint.insecure { "!" } else { "" };
        format!("{}/{}{mark}", endpoint.host, endpoint.repository)
    };
    endpoints.iter().map(text).collect()
}

#[test]
fn without_a_word_the_name_is_the_place() {
    assert_eq!(places("", "quay.io/a/b"), ["quay.io/a/b"]);
    let other = "[[registry]]\nlocation = \"quay.io\"\ninsecure = true\n";
    for reference in [
        "quay.iox/a",
        "docker.io/quay.io/a",
        "aquay.io/a",
        "quay.io:5000/a",
    ] {
        let expected = Reference::parse(reference, "1").unwrap().name();
        let found = places(other, reference);
        if reference == "quay.io:5000/a" {
            // containers-registries.conf(5): a prefix ends before a port, too.
            assert_eq!(found, [format!("{expected}!")]);
        } else {
            assert_eq!(found, [expected]);
        }
    }
}

#[test]
fn mirrors_come_first_and_paths_are_moved() {
    let text = r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        prefix = "quay.io/podman"
        location = "internal.example:5000/os/"
        [[registry.mirror]]
        location = "mirror.example/quay"
        insecure = true
        [[registry.mirror]]
        location = "second.example"
        [[registry]]
        prefix = "quay.io"
        insecure = true
    "#;
    assert_eq!(
        places(text, "docker://quay.io/podman/machine-os"),
        [
            "mirror.example/quay/machine-os!",
            "second.example/machine-os",
            "internal.example:5000/os/machine-os"
        ]
    );
    assert_eq!(places(text, "quay.io/podmanx/a"), ["quay.io/podmanx/a!"]);
}

#[test]
fn mirrors_may_be_for_digests_or_tags() {
    let text = r#"
        [[registry]]
        location = "quay.io"
        [[registry.mirror]]
        location = "digests"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "tags"
        pull-from-mirror = "tag-only"
        [[registry.mirror]]
        location = "all"
        pull-from-mirror = "all"
    "#;
    let digest = format!("quay.io/a@{DIGEST}");
    assert_eq!(
        places(text, "quay.io/a:1"),
        ["tags/a", "all/a", "quay.io/a"]
    );
    assert_eq!(places(text, &digest), ["digests/a", "all/a", "quay.io/a"]);
    let text = text.replace(
        "location = \"quay.io\"",
        "location = \"quay.io\"\nmirror-by-digest-only = true",
    );
    assert_eq!(places(&text, "quay.io/a:1"), ["quay.io/a"]);
    assert_eq!(places(&text, &digest), ["digests/a", "all/a", "quay.io/a"]);
}

#[test]
fn a_wildcard_covers_the_hosts_below() {
    let text = "[[registry]]\nprefix = \"*.example.com\"\ninsecure = true\n";
    assert_eq!(places(text, "a.b.example.com/c"), ["a.b.example.com/c!"]);
    for other in [
        "example.com/c",
        "quay.io/x.example.com",
        "a.example.community/c",
    ] {
        assert_eq!(
            places(text, other),
            [Reference::parse(other, "1").unwrap().name()]
        );
    }
    let moved = format!("{text}location = \"new.example\"\n");
    assert_eq!(places(&moved, "a.example.com/c"), ["new.example/c!"]);
}

#[test]
fn what_is_blocked_is_named() {
    let all = of("[[registry]]\nprefix = \"quay.io/podman\"\nblocked = true\n").unwrap();
    let reference = Reference::parse("quay.io/podman/machine-os", "6.0").unwrap();
    let error = all.endpoints(&reference).unwrap_err();
    assert_eq!(
        error.to_string(),
        "registry quay.io/podman is blocked in /etc/registries.conf"
    );
}

#[test]
fn broken_files_are_named() {
    for text in [
        "[[registry]",
        "[[registry]]\ninsecure = true\n",
        "[[registry]]\nlocation = \"https://quay.io\"\n",
        "[[registry]]\nlocation = \"quay.io\"\ninsecure = \"yes\"\n",
        "[[registry]]\nprefix = \"quay.*.io\"\n",
        "[[registry]]\nlocation = \"quay.io\"\n[[registry.mirror]]\nlocation = \"/\"\n",
        "[[registry]]\nlocation = \"quay.io\"\n[[registry.mirror]]\nlocation = \"m\"\npull-from-mirror = \"no\"\n",
    ] {
        let error = of(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/etc/registries.conf` cannot be used",
            "{text}"
        );
    }
}

#[test]
fn the_users_file_is_taken_instead_and_later_files_win() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let write = |name: &str, host: &str, insecure: bool| {
        let text = format!("[[registry]]\nlocation = \"{host}\"\ninsecure = {insecure}\n");
        fs_err::write(at(name), text).unwrap();
    };
    let access = Access {
        registries_conf: vec![at("user.conf"), at("system.conf")],
        registries_conf_d: vec![at("system.d"), at("none.d"), at("user.d")],
        ..Access::default()
    };
    for directory in ["system.d", "user.d"] {
        fs_err::create_dir(at(directory)).unwrap();
    }
    let insecure = |host: &str| {
        let reference = Reference::parse(&format!("{host}/a"), "1").unwrap();
        let endpoints = Registries::read(&access).unwrap().endpoints(&reference);
        endpoints.unwrap()[0].insecure
    };
    write("system.conf", "a.example", true);
    assert!(insecure("a.example"));
    write("user.conf", "b.example", true);
    assert!(!insecure("a.example") && insecure("b.example"));
    write("system.d/2.conf", "b.example", false);
    write("system.d/1.conf", "b.example", true);
    write("system.d/3.txt", "b.example", true);
    assert!(!insecure("b.example"));
    write("user.d/1.conf", "b.example", true);
    assert!(insecure("b.example"));
}
