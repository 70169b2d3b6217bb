//! Planted secrets never come out, whatever lies around them; what is none stays.

use proptest::prelude::*;

use super::*;

const HEX: &str = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn redactor() -> Redactor {
    let mut redactor = Redactor::default();
    redactor.hide(&format!("{HEX}\n"));
    redactor.hide_home("/home/ann/");
    redactor.hide_user("ann");
    redactor
}

fn redacted(text: &str) -> String {
    redactor().redact_text(text)
}

#[test]
fn what_is_taken_out_and_what_stays() {
    let cases = [
        // URLs, RFC 3986 section 3.2.1.
        ("http://u:p@h:1/x", "http://[secret]@h:1/x"),
        ("get http://tok@h now", "get http://[secret]@h now"),
        ("http://u:p/q@h/x", "http://[secret]@h/x"),
        ("http://u:@h http://h/a@b", "http://[secret]@h http://h/a@b"),
        ("docker://q.io/x@sha256:0", "docker://q.io/x@sha256:0"),
        ("http://h:80/x@y", "http://h:80/x@y"),
        ("http://[::1]/x@y", "http://[::1]/x@y"),
        ("ssh://core@127.0.0.1:2", "ssh://core@127.0.0.1:2"),
        ("ssh://core:p@h", "ssh://[secret]@h"),
        ("http_proxy=u:p@h:3128 x", "http_proxy=[secret]@h:3128 x"),
        ("http_proxy=h:3128", "http_proxy=h:3128"),
        // Names.
        ("GH_TOKEN=abc def\nx", "GH_TOKEN=[secret]\nx"),
        ("\"db-password\": \"a\"\nx", "\"db-password\": [secret]\nx"),
        ("password:\nx", "password:\nx"),
        (
            "Authorization: Basic dTpw\r\nx",
            "Authorization: [secret]\nx",
        ),
        ("X-Registry-Auth: e30=", "X-Registry-Auth: [secret]"),
        ("author=Bob oauthor: x", "author=Bob oauthor: x"),
        ("curl --password abc -v", "curl --password [secret]"),
        ("got bearer abc.def", "got bearer [secret]"),
        // What is known.
        (HEX, "[secret]"),
        ("x00112233445y", "x00112233445y"),
        ("x001122334455y", "x[secret]y"),
        // Keys.
        (
            "a -----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY----- b",
            "a [private key] b",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nM\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nM\n-----END CERTIFICATE-----",
        ),
        ("MC4C\n-----END EC PRIVATE KEY-----\nb", "[private key]\nb"),
        (
            "a -----BEGIN OPENSSH PRIVATE KEY-----\nb3",
            "a [private key]",
        ),
        // The user.
        ("in /home/ann/x, ann's", "in ~/x, USER's"),
        ("/home/anna and annex", "/home/anna and annex"),
        ("GH_TOKEN=/home/ann", "GH_TOKEN=[secret]"),
    ];
    for (text, expected) in cases {
        assert_eq!(redacted(text), expected, "{text}");
        assert_eq!(redacted(expected), expected, "once more");
    }
    let upper = HEX.to_ascii_uppercase();
    assert_eq!(redacted(&upper), "[secret]");
}

#[test]
fn names_of_nobody_and_short_words_stay() {
    let mut redactor = Redactor::default();
    redactor.hide_user("root");
    redactor.hide_home("/");
    redactor.hide("abc");
    let text = "root / abc";
    assert_eq!(redactor.redact_text(text), text);
    assert!(!format!("{redactor:?}").contains("abc"));
}

#[test]
fn what_the_environment_holds_is_known() {
    let mut redactor = Redactor::default();
    redactor.hide_variable("https_proxy", "http://u:hun%24ter@h:1");
    redactor.hide_variable("MY_TOKEN", "tok1");
    redactor.hide_variable("LANG", "C.UTF-8");
    assert_eq!(
        redactor.redact_text("hun%24ter hun$ter tok1 C.UTF-8 h:1"),
        "[secret] [secret] [secret] C.UTF-8 h:1"
    );
}

#[test]
fn json_stays_json() {
    let mut value = serde_json::json!({
        "token": "x", "n": 1, "list": ["A_TOKEN=x", "/home/ann"], "token_count": 2
    });
    redactor().redact_json(&mut value);
    assert_eq!(
        value,
        serde_json::json!({
            "token": "[secret]", "n": 1, "list": ["A_TOKEN=[secret]", "~"], "token_count": 2
        })
    );
}

#[test]
fn a_stray_line_of_a_key_takes_no_more_than_a_key() {
    let long = "x".repeat(3 * LONGEST_KEY);
    let line = "-----END PRIVATE KEY-----";
    let found = redacted(&format!("{long}{line}{long}"));
    assert_eq!(found.len(), 5 * LONGEST_KEY + PRIVATE_KEY.len());
    let line = "-----BEGIN PRIVATE KEY-----";
    let found = redacted(&format!("{long}{line}{long}"));
    let taken = LONGEST_KEY - line.len();
    assert_eq!(found.len(), 6 * LONGEST_KEY - taken + PRIVATE_KEY.len());
}

/// Anything, also what looks like the begin of something.
fn surroundings() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "(://|@|=|: ?|\n|\r|\"|'|-----|-----BEGIN |-----END |PRIVATE KEY-----|x_TOKEN|http://|/home/ann|--| |%){0,6}"
            .prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn holds(text: &[u8], needle: &[u8]) -> bool {
    places(text, needle).next().is_some()
}

proptest! {
    #[test]
    fn the_secret_of_a_machine(before in surroundings(), after in surroundings(), cut in 0..=HEX.len() - WINDOW) {
        let planted = [&before[..], &HEX.as_bytes()[cut..], &after[..]].concat();
        let out = redactor().redact(&planted);
        for window in HEX.as_bytes().windows(WINDOW) {
            prop_assert!(!holds(&out, window));
        }
    }

    #[test]
    fn a_password_in_a_url(before in surroundings(), after in surroundings(), user in "[a-z]{0,8}", word in "Q[a-zA-Z0-9%!$&'()*+,;=._~-]{10,30}Z") {
        // The space: what stands right before may be the rest of another word.
        let url = format!("http://{user}:{word}@host");
        let planted = [&before[..], url.as_bytes(), &after[..]].concat();
        let out = redactor().redact(&planted);
        prop_assert!(!holds(&out, word.as_bytes()), "{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn a_value_behind_a_name(before in surroundings(), after in surroundings(), name in "(MY_TOKEN|my-password|Authorization|[a-z]{1,9}_SECRET)", between in "\"?(=|: |:\t| = )\"?", word in "Q[!-~]{10,30}Z") {
        let planted = [&before[..], name.as_bytes(), between.as_bytes(), word.as_bytes(), &after[..]].concat();
        let out = redactor().redact(&planted);
        prop_assert!(!holds(&out, word.as_bytes()), "{}", String::from_utf8_lossy(&out));
    }

    /// Also where a log begins in the middle of it, or ends there.
    #[test]
    fn a_private_key(before in surroundings(), after in surroundings(), lines in proptest::collection::vec("Q[A-Za-z0-9+/]{62}Z", 1..8), eol in "(\n|\r\n|\\\\n)", from in 0..400_usize, to in 0..400_usize) {
        let body = lines.join(&eol);
        let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----{eol}{body}{eol}-----END OPENSSH PRIVATE KEY-----");
        let planted = [&before[..], key.as_bytes(), &after[..]].concat();
        let out = redactor().redact(&planted);
        for line in &lines {
            prop_assert!(!holds(&out, line.as_bytes()));
        }
        // From within its body on: the end tells that it was a key.
        let from = 36 + from.min(body.len());
        let cut = [&key.as_bytes()[from..], &after[..]].concat();
        let out = redactor().redact(&cut);
        for line in &lines {
            prop_assert!(!holds(&out, line.as_bytes()));
        }
        let to = key.len() - 36 - to.min(body.len());
        let cut = [&before[..], &key.as_bytes()[..to]].concat();
        let out = redactor().redact(&cut);
        for line in &lines {
            prop_assert!(!holds(&out, line.as_bytes()));
        }
    }

    #[test]
    fn the_user(before in "[^a-zA-Z0-9\u{80}-\u{10ffff}]{0,20}", after in "[^a-zA-Z0-9\u{80}-\u{10ffff}]{1,20}") {
        let out = redacted(&format!("{before}/home/ann{after}ann"));
        prop_assert!(!out.contains("ann"), "{}", out);
    }

    /// What holds no secret stays as it is.
    #[test]
    fn plain_words_stay(text in "[a-z ,.()/]{0,200}") {
        let text = text.replace("ann", "x");
        prop_assume!(!text.contains("bearer "));
        prop_assert_eq!(redacted(&text), text);
    }
}
