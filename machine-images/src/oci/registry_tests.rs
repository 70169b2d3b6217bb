//! Addresses and answers of a registry.

use proptest::prelude::*;

use super::*;

#[test]
fn this_host_is_told_from_others() {
    for server in [
        "localhost",
        "localhost:5000",
        "127.0.0.1:5000",
        "127.8.0.1",
        "[::1]:5000",
    ] {
        assert!(is_loopback(server), "{server}");
    }
    for server in [
        "localhost.example",
        "quay.io",
        "1.2.3.4:5000",
        "[fe80::1]",
        "",
    ] {
        assert!(!is_loopback(server), "{server}");
    }
}

#[test]
fn a_registry_says_what_is_wrong() {
    let said = |text: &str| explained(text.as_bytes());
    assert_eq!(
        said(r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}"#)
            .as_deref(),
        Some("manifest unknown")
    );
    assert_eq!(
        said(r#"{"errors": [{"code": "DENIED", "message": ""}, {}]}"#).as_deref(),
        Some("DENIED")
    );
    assert_eq!(
        said(r#"{"errors": [{"message": "a\u001b[2Jb"}]}"#).as_deref(),
        Some("a?[2Jb")
    );
    for other in [
        "",
        "<html>",
        "{}",
        r#"{"errors": []}"#,
        r#"{"errors": [{"message": 1}]}"#,
    ] {
        assert_eq!(said(other), None, "{other}");
    }
}

#[test]
fn an_authorization_is_not_shown() {
    let secret = Authorization::new("Bearer sesame").unwrap();
    assert_eq!(secret.value(), "Bearer sesame");
    assert_eq!(format!("{secret:?}"), "Authorization(…)");
    assert!(!format!("{:?}", secret.value()).contains("sesame"));
    assert_eq!(Authorization::new("Bearer a\nHost: b"), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in any::<Vec<u8>>()) {
        let _ = explained(&bytes);
    }
}
