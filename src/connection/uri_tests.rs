//! Tests of addresses. What comes out was compared with `net/url` by podman's own client.

use proptest::prelude::*;

use super::*;

fn written(destination: &str) -> String {
    match Uri::parse(destination) {
        Ok(uri) => uri.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn addresses_are_written_as_go_writes_them() {
    for (destination, expected) in [
        ("host", "ssh://host"),
        ("me@host:22/p", "ssh://me@host:22/p"),
        ("SSH://h/p", "ssh://h/p"),
        (
            "ssh://me:secret@host/p?q=1#frag",
            "ssh://me:secret@host/p?q=1#frag",
        ),
        ("ssh://[::1]:22/p", "ssh://[::1]:22/p"),
        ("ssh://[fe80::1%25en0]/p", "ssh://[fe80::1%25en0]/p"),
        ("ssh://h/a b", "ssh://h/a%20b"),
        ("ssh://h/a%2Fb", "ssh://h/a%2Fb"),
        ("ssh://h/a!b", "ssh://h/a!b"),
        ("ssh://h\u{f6}st/p", "ssh://h%C3%B6st/p"),
        ("unix:///run/p.sock", "unix:///run/p.sock"),
        ("unix://rel/p.sock", "unix://rel/p.sock"),
        ("npipe:////./pipe/x", "npipe:////./pipe/x"),
        ("tcp://:80", "tcp://:80"),
        ("tcp://h:1?", "tcp://h:1?"),
        ("me%40corp@host/p", "ssh://me%40corp@host/p"),
        ("", "ssh://"),
    ] {
        assert_eq!(written(destination), expected, "{destination}");
    }
}

#[test]
fn nonsense_is_refused_in_gos_words() {
    for (destination, expected) in [
        (
            "tcp://h:abc",
            "parse \"tcp://h:abc\": invalid port \":abc\" after host",
        ),
        (
            "a b/p",
            "parse \"ssh://a b/p\": invalid character \" \" in host name",
        ),
        (
            "ssh://[::1/p",
            "parse \"ssh://[::1/p\": missing ']' in host",
        ),
        (
            "ssh://[::1]x/p",
            "parse \"ssh://[::1]x/p\": invalid port \"x\" after host",
        ),
        (
            "ssh://h/%zz",
            "parse \"ssh://h/%zz\": invalid URL escape \"%zz\"",
        ),
        (
            "ssh://h/%z",
            "parse \"ssh://h/%z\": invalid URL escape \"%z\"",
        ),
        (
            "ssh://h%41/",
            "parse \"ssh://h%41/\": invalid URL escape \"%41\"",
        ),
        (
            "ssh://\u{fc}ser@h/p",
            "parse \"ssh://\u{fc}ser@h/p\": net/url: invalid userinfo",
        ),
        (
            "ssh://h\n/p",
            "parse \"ssh://h\\n/p\": net/url: invalid control character in URL",
        ),
    ] {
        assert_eq!(written(destination), expected);
    }
}

#[test]
fn a_new_path_is_encoded() {
    let mut uri = Uri::parse("ssh://h/a%2Fb").unwrap();
    uri.set_path("/c d");
    assert_eq!(uri.to_string(), "ssh://h/c%20d");
    uri.set_path("c");
    assert_eq!(uri.to_string(), "ssh://h/c");
}

#[test]
fn a_host_that_begins_with_a_bracket_keeps_its_own() {
    for text in ["ssh://[[]", "ssh://[[]?", "ssh://[[a]:5/p"] {
        assert_eq!(Uri::parse(text).unwrap().to_string(), text);
    }
}

proptest! {
    #[test]
    fn laws_of_any_text(text in "\\PC{0,40}|[a-z:/@%\\[\\]?#. ]{0,30}|(ssh|tcp|unix)://[a-z:/@%\\[\\]?#.0-9]{0,20}") {
        if let Ok(uri) = Uri::parse(&text) {
            let once = uri.to_string();
            let again = Uri::parse(&once);
            prop_assert!(again.is_ok(), "{once}: {again:?}");
            prop_assert_eq!(again.unwrap().to_string(), once);
        }
    }

    #[test]
    fn laws_of_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = String::from_utf8_lossy(&bytes);
        drop(Uri::parse(&text));
    }
}
