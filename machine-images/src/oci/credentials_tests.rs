//! Files with passwords: which entry is the one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const REPOSITORY: &str = "podman/machine-os";

fn login(username: &str, password: &str) -> Found {
    Found::Credentials(Credentials {
        username: username.to_owned(),
        password: password.to_owned(),
        identity_token: None,
    })
}

/// base64 of `NAME:open:sesame`, where a name is one letter.
fn auth(name: &str) -> Value {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:open:sesame"));
    json!({ "auth": pair })
}

fn ask(document: &Value, host: &str) -> Found {
    find(document.to_string().as_bytes(), host, REPOSITORY).unwrap()
}

#[test]
fn the_longest_name_decides() {
    let mut document = json!({"auths": {
        "quay.io": auth("a"),
        "quay.io/podman": auth("b"),
        "quay.io/podman/machine-os": auth("c"),
        "quay.io/podman/machine-os/more": auth("d"),
        "quay.io/pod": auth("e"),
    }});
    for (name, key) in [
        ("c", "quay.io/podman/machine-os"),
        ("b", "quay.io/podman"),
        ("a", "quay.io"),
    ] {
        assert_eq!(ask(&document, "quay.io"), login(name, "open:sesame"));
        document["auths"].as_object_mut().unwrap().remove(key);
    }
    assert_eq!(ask(&document, "quay.io"), Found::Nothing);
    assert_eq!(ask(&document, "quay.io:443"), Found::Nothing);
}

#[test]
fn old_files_name_registries_by_urls() {
    let document = json!({"auths": {
        "https://index.docker.io/v1/": auth("d"),
        "http://localhost:5000/v2/": auth("l"),
    }});
    assert_eq!(ask(&document, "docker.io"), login("d", "open:sesame"));
    assert_eq!(ask(&document, "localhost:5000"), login("l", "open:sesame"));
    assert_eq!(ask(&document, "localhost"), Found::Nothing);
}

#[test]
fn tokens_and_helpers() {
    let document = json!({
        "auths": {"a": {"auth": "dTo=", "identitytoken": "t"}, "b": {}, "c": null, "d": auth("d")},
        "credHelpers": {"d": "secretservice"},
        "credsStore": "desktop",
    });
    let token = Credentials {
        username: "u".to_owned(),
        password: String::new(),
        identity_token: Some("t".to_owned()),
    };
    let helper = |name: &str, server: &str| Found::Helper {
        name: name.to_owned(),
        server: server.to_owned(),
    };
    assert_eq!(ask(&document, "a"), Found::Credentials(token));
    assert_eq!(ask(&document, "b"), helper("desktop", "b"));
    assert_eq!(ask(&document, "c"), helper("desktop", "c"));
    assert_eq!(ask(&document, "d"), helper("secretservice", "d"));
    assert_eq!(
        ask(&document, "docker.io"),
        helper("desktop", "https://index.docker.io/v1/")
    );
    assert_eq!(
        ask(&json!({"auths": null, "credsStore": ""}), "a"),
        Found::Nothing
    );
}

#[test]
fn what_is_broken_is_named_and_not_shown() {
    let of = |text: &str| find(text.as_bytes(), "a", "b").unwrap_err().to_string();
    assert_eq!(
        of("{\n\"auths\": 1}"),
        "It is no JSON of such a file: line 2, column 10"
    );
    assert!(of("").starts_with("It is no JSON"));
    let error = of(r#"{"auths": {"a": {"auth": "geheim!"}}}"#);
    assert_eq!(
        error,
        "The entry `a` is not base64 of a name and a password"
    );
    // Podman skips what has no colon, and reads what has no padding.
    let skipped = json!({"auths": {"a": {"auth": "dQ=="}}});
    assert_eq!(ask(&skipped, "a"), Found::Nothing);
    let unpadded = json!({"auths": {"a": {"auth": "dTpw"}, "b": {"auth": "dTpwdw"}}});
    assert_eq!(ask(&unpadded, "b"), login("u", "pw"));
}

#[test]
fn files_are_read_and_secrets_are_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    assert_eq!(
        in_file(&path, "quay.io", REPOSITORY).unwrap(),
        Found::Nothing
    );
    fs_err::write(&path, json!({"auths": {"quay.io": auth("a")}}).to_string()).unwrap();
    let found = in_file(&path, "quay.io", REPOSITORY).unwrap();
    assert_eq!(found, login("a", "open:sesame"));
    assert!(!format!("{found:?}").contains("sesame"));
    fs_err::write(&path, "{").unwrap();
    let error = in_file(&path, "quay.io", REPOSITORY).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` cannot be used", path.display())
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in any::<Vec<u8>>(), auth in any::<String>()) {
        let _ = find(&bytes, "a", "b");
        let _ = find(json!({"auths": {"a": {"auth": auth}}}).to_string().as_bytes(), "a", "b");
    }
}
