//! Documents of both shapes, and what is wrong with others.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SITE: &str =
    "https://builds.coreos.fedoraproject.org/prod/streams/stable/builds/44.20261101.3.0/x86_64";
const PACKED: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const PLAIN: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn disk(platform: &str, format: &str) -> Value {
    let location = format!("{SITE}/fedora-coreos-44.20261101.3.0-{platform}.x86_64.{format}");
    json!({"disk": {
        "location": location,
        "signature": format!("{location}.sig"),
        "sha256": PACKED,
        "uncompressed-sha256": PLAIN,
    }})
}

fn formats() -> [(&'static str, Value); 3] {
    let metal = json!({
        "raw.xz": disk("metal", "raw.xz"),
        "pxe": {"kernel": {"location": "https://example.com/kernel"}},
    });
    [
        ("metal", metal),
        ("qemu", json!({"qcow2.xz": disk("qemu", "qcow2.xz")})),
        ("hyperv", json!({"vhdx.zip": disk("hyperv", "vhdx.zip")})),
    ]
}

/// The document of a stream, with keys that nothing here knows.
fn stream() -> Value {
    let platforms = formats().map(|(name, formats)| {
        let platform = json!({"release": "44.20261101.3.0", "formats": formats, "since": "always"});
        (name.to_owned(), platform)
    });
    json!({
        "stream": "stable",
        "metadata": {"last-modified": "2026-11-10T12:00:00Z", "generator": "a generator"},
        "architectures": {
            "x86_64": {
                "artifacts": serde_json::Map::from_iter(platforms),
                "images": {"aws": {"regions": {}}},
            },
            "s390x": {"artifacts": {}},
        },
    })
}

/// The document of a release.
fn release() -> Value {
    let platforms = formats().map(|(name, formats)| {
        let platform = json!({"artifacts": formats, "images": {"us-east-1": {"image": "ami"}}});
        (name.to_owned(), platform)
    });
    json!({
        "release": "44.20261101.3.0",
        "stream": "stable",
        "architectures": {"x86_64": {
            "media": serde_json::Map::from_iter(platforms),
            "commit": "cad80088",
            "oci-image": {"image": "quay.io/fedora/fedora-coreos:stable"},
        }},
    })
}

fn parse(reference: &str, document: &Value) -> Result<Metadata, StreamError> {
    let json = serde_json::to_vec(document).unwrap();
    Metadata::parse(&reference.parse().unwrap(), "here.json", &json)
}

fn select_from(
    document: &Value,
    architecture: &str,
    platform: &str,
    formats: &[&str],
) -> Result<Artifact, StreamError> {
    let metadata = parse("stable", document).unwrap();
    select(&metadata, architecture, platform, formats)
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = stream();
    *document.pointer_mut(pointer).unwrap() = value;
    document
}

const QEMU: &str = "/architectures/x86_64/artifacts/qemu";
const DISK: &str = "/architectures/x86_64/artifacts/qemu/formats/qcow2.xz/disk";

#[test]
fn references_are_read_and_written() {
    for text in ["stable", "testing", "next", "stable@44.20261101.3.0"] {
        assert_eq!(text.parse::<StreamRef>().unwrap().to_string(), text);
    }
    assert_eq!(StreamRef::default().to_string(), "stable");
}

#[test]
fn other_references_are_refused() {
    for wrong in [
        "",
        "Stable",
        " stable",
        "rawhide",
        "stable/",
        "@44.20261101.3.0",
    ] {
        let error = wrong.parse::<StreamRef>().unwrap_err();
        assert!(matches!(error, StreamRefError::Stream { .. }), "{error:?}");
    }
    for wrong in [
        "",
        "44",
        "44.20261101.3",
        "44.20261101.3.0.1",
        "44.2026110.3.0",
        "44.20261101.3.",
        ".20261101.3.0",
        "44.20261101.3.0 ",
        "44.20261101.+3.0",
        "44.20261101.3.0/../..",
        "44.20261101.3.٠",
        "44.20261101.3.00000000000",
    ] {
        let error = format!("next@{wrong}").parse::<StreamRef>().unwrap_err();
        assert!(matches!(error, StreamRefError::Release { .. }), "{error:?}");
    }
    let error = "a\u{1b}[2J".parse::<StreamRef>().unwrap_err();
    assert!(error.to_string().starts_with(r"`a\u{1b}[2J` is no stream"));
}

#[test]
fn metadata_lie_where_fedora_puts_them() {
    let url = |text: &str| {
        text.parse::<StreamRef>()
            .unwrap()
            .metadata_url("https://builds.coreos.fedoraproject.org")
    };
    assert_eq!(
        url("next"),
        "https://builds.coreos.fedoraproject.org/streams/next.json"
    );
    assert_eq!(
        url("stable@33.20201201.3.0"),
        "https://builds.coreos.fedoraproject.org/prod/streams/stable/builds/33.20201201.3.0/release.json"
    );
}

#[test]
fn both_shapes_give_the_same_image() {
    let expected = Artifact {
        release: "44.20261101.3.0".parse().unwrap(),
        location: format!("{SITE}/fedora-coreos-44.20261101.3.0-qemu.x86_64.qcow2.xz"),
        signature: format!("{SITE}/fedora-coreos-44.20261101.3.0-qemu.x86_64.qcow2.xz.sig"),
        checksum: format!("sha256:{PACKED}").parse().unwrap(),
        unpacked: Some(format!("sha256:{PLAIN}").parse().unwrap()),
        format: "qcow2.xz".to_owned(),
    };
    let of_stream = parse("stable", &stream()).unwrap();
    let of_release = parse("stable@44.20261101.3.0", &release()).unwrap();
    assert_eq!(of_stream.last_modified(), Some("2026-11-10T12:00:00Z"));
    assert_eq!(of_release.last_modified(), None);
    for metadata in [of_stream, of_release] {
        let formats = ["qcow2.zst", "qcow2.xz"];
        let found = select(&metadata, "x86_64", "qemu", &formats).unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_first_format_that_is_there_is_taken() {
    let both = json!({"raw.gz": disk("qemu", "raw.gz"), "raw.xz": disk("qemu", "raw.xz")});
    let document = with(&format!("{QEMU}/formats"), both);
    for (formats, expected) in [
        (["raw.gz", "raw.xz"], "raw.gz"),
        (["raw.xz", "raw.gz"], "raw.xz"),
    ] {
        let found = select_from(&document, "x86_64", "qemu", &formats).unwrap();
        assert_eq!(found.format, expected);
        assert!(found.location.ends_with(expected));
    }
}

#[test]
fn what_is_not_packed_has_one_checksum() {
    let mut document = stream();
    let disk = document.pointer_mut(DISK).unwrap().as_object_mut().unwrap();
    disk.remove("uncompressed-sha256");
    let found = select_from(&document, "x86_64", "qemu", &["qcow2.xz"]).unwrap();
    assert_eq!(found.unpacked, None);
}

#[test]
fn what_is_missing_is_named_with_what_is_there() {
    let text = |architecture, platform, formats: &[&str]| {
        let error = select_from(&stream(), architecture, platform, formats).unwrap_err();
        assert_eq!(error.hints().len(), 1);
        error.to_string()
    };
    assert_eq!(
        text("riscv64", "qemu", &["qcow2.xz"]),
        "Fedora CoreOS `stable` has no image for the architecture `riscv64`: there are `s390x`, `x86_64`"
    );
    assert_eq!(
        text("s390x", "qemu", &["qcow2.xz"]),
        "Fedora CoreOS `stable` has no image for the platform `qemu` on s390x: there are none"
    );
    assert_eq!(
        text("x86_64", "applehv", &["raw.gz"]),
        "Fedora CoreOS `stable` has no image for the platform `applehv` on x86_64: there are `hyperv`, `metal`, `qemu`"
    );
    // A kernel and its file systems are no disk.
    assert_eq!(
        text("x86_64", "metal", &["pxe", "iso"]),
        "Fedora CoreOS `stable` has no disk for metal on x86_64 in the format `pxe`, `iso`: there are `raw.xz`"
    );
}

#[test]
fn names_are_shown_without_control_characters_and_not_all() {
    let many = (0..100).map(|number| (format!("\u{7}{number:03}"), json!({})));
    let document = with(
        "/architectures/x86_64/artifacts",
        many.collect::<serde_json::Map<_, _>>().into(),
    );
    let text = select_from(&document, "x86_64", "qemu", &[])
        .unwrap_err()
        .to_string();
    assert!(text.contains(r"there are `\u{7}000`, "), "{text}");
    assert!(text.ends_with(r"`\u{7}019` and 80 more"), "{text}");
}

#[test]
fn a_platform_of_another_shape_disturbs_no_other() {
    for other in [
        json!(null),
        json!(7),
        json!({"formats": []}),
        json!({"release": 1}),
    ] {
        let document = with("/architectures/x86_64/artifacts/metal", other);
        select_from(&document, "x86_64", "qemu", &["qcow2.xz"]).unwrap();
        let error = select_from(&document, "x86_64", "metal", &["raw.xz"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Stream metadata `here.json` describe the image for x86_64, metal in a way that cannot be used: it is not \
             written as those of other platforms"
        );
    }
}

#[test]
fn an_image_that_is_described_badly_is_refused() {
    for (field, value, expected) in [
        ("location", json!(null), "`location` is missing"),
        ("signature", json!(null), "`signature` is missing"),
        ("sha256", json!(null), "`sha256` is missing"),
        (
            "sha256",
            json!("00"),
            "`sha256` is `00`, which is no SHA-256",
        ),
        (
            "uncompressed-sha256",
            json!(format!("sha256:{PLAIN}")),
            "which is no SHA-256",
        ),
        (
            "location",
            json!("/etc/passwd"),
            "relative URL without a base",
        ),
        (
            "location",
            json!("file:///etc/passwd"),
            "only https is allowed",
        ),
        (
            "location",
            json!("ftp://example.com/disk"),
            "only https is allowed",
        ),
        (
            "location",
            json!("http://example.com/disk"),
            "only https is allowed",
        ),
        (
            "location",
            json!("http://127.0.0.1.example.com/"),
            "only https is allowed",
        ),
        (
            "signature",
            json!("http://[::2]/disk"),
            "only https is allowed",
        ),
        (
            "location",
            json!("https://me@example.com/"),
            "holds a user's name",
        ),
        (
            "location",
            json!("https://:secret@example.com/"),
            "holds a user's name",
        ),
    ] {
        let document = with(&format!("{DISK}/{field}"), value);
        let error = select_from(&document, "x86_64", "qemu", &["qcow2.xz"]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(
                "Stream metadata `here.json` describe the image for x86_64, qemu, qcow2.xz in a way"
            ),
            "{text}"
        );
        assert!(text.ends_with(expected), "{text}");
    }
    let document = with(&format!("{QEMU}/release"), json!("../.."));
    let error = select_from(&document, "x86_64", "qemu", &["qcow2.xz"]).unwrap_err();
    assert!(error.to_string().contains("`release` is wrong"), "{error}");
}

#[test]
fn the_loopback_interface_needs_no_tls() {
    for location in [
        "http://127.0.0.1:8080/disk",
        "http://localhost/disk",
        "http://[::1]:8080/disk",
    ] {
        let document = with(&format!("{DISK}/location"), json!(location));
        let found = select_from(&document, "x86_64", "qemu", &["qcow2.xz"]).unwrap();
        assert_eq!(found.location, location);
    }
}

#[test]
fn a_document_of_something_else_is_refused() {
    let error = parse("testing", &stream()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Stream metadata `here.json` are of `stable`, not of `testing`"
    );
    let error = parse("stable@44.20261101.3.1", &release()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Stream metadata `here.json` are of `stable@44.20261101.3.0`, not of `stable@44.20261101.3.1`"
    );
    let stable = StreamRef::default();
    for json in ["", "<html>", "[]", "{}", r#"{"stream": "stable"}"#] {
        let error = Metadata::parse(&stable, "here.json", json.as_bytes()).unwrap_err();
        assert!(matches!(error, StreamError::Json { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "Stream metadata `here.json` cannot be read"
        );
    }
    let deep = "[".repeat(1 << 20);
    Metadata::parse(&stable, "here.json", deep.as_bytes()).unwrap_err();
}

#[test]
fn a_document_has_a_limit() {
    let mut json = serde_json::to_vec(&stream()).unwrap();
    json.resize(MAX_METADATA_BYTES, b' ');
    Metadata::parse(&StreamRef::default(), "here.json", &json).unwrap();
    json.push(b' ');
    let error = Metadata::parse(&StreamRef::default(), "here.json", &json).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Stream metadata `here.json` are larger than 8 MiB"
    );
}

proptest! {
    #[test]
    fn references_round_trip_or_are_refused(text in "(stable|next|[a-z]{0,4})?@?[0-9.]{0,20}") {
        if let Ok(reference) = text.parse::<StreamRef>() {
            prop_assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn damaged_documents_give_no_panic(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut json = serde_json::to_vec(&stream()).unwrap();
        let at = at.index(json.len());
        json[at] = byte;
        if cut {
            json.truncate(at);
        }
        if let Ok(metadata) = Metadata::parse(&StreamRef::default(), "here.json", &json) {
            let _ = select(&metadata, "x86_64", "qemu", &["qcow2.xz"]);
        }
    }
}
