//! What indexes and manifests say, and what they must not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const INDEX: &str = INDEXES[0];
const MANIFEST: &str = MANIFESTS[0];
const OF: &str = "quay.io/podman/machine-os:6.0";
const QEMU: Wanted<'static> = Wanted {
    disktype: "qemu",
    architecture: "x86_64",
};

fn checksum(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn entry(digit: &str, os: &str, architecture: &str, disktype: Option<&str>) -> Value {
    let mut entry = json!({
        "mediaType": MANIFEST,
        "digest": checksum(digit),
        "size": 500,
        "platform": {"os": os, "architecture": architecture},
    });
    if let Some(disktype) = disktype {
        entry["annotations"] = json!({"disktype": disktype});
    }
    entry
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

/// What podman's builds push: container images beside disks.
fn machine_os() -> Value {
    index(&[
        entry("0", "linux", "amd64", None),
        entry("1", "linux", "arm64", None),
        entry("2", "linux", "aarch64", Some("qemu")),
        entry("3", "linux", "aarch64", Some("applehv")),
        entry("4", "darwin", "x86_64", Some("qemu")),
        entry("5", "linux", "x86_64", Some("hyperv")),
        entry("6", "linux", "x86_64", Some("qemu")),
        entry("7", "linux", "x86_64", Some("qemu")),
    ])
}

fn layer(title: &str) -> Value {
    json!({
        "mediaType": "application/zstd",
        "digest": checksum("b"),
        "size": 1_059_378_224_u64,
        "annotations": {"org.opencontainers.image.title": title},
    })
}

fn manifest(layers: &[Value]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
            "data": "e30=",
        },
        "layers": layers,
    })
}

fn pick(index: &Value, wanted: &Wanted<'_>) -> Result<Listed, OciError> {
    listed(index.to_string().as_bytes(), INDEX, OF, wanted)
}

fn file(manifest: &Value) -> Result<File, OciError> {
    only_file(manifest.to_string().as_bytes(), MANIFEST, OF)
}

#[test]
fn the_first_disk_of_the_kind_is_taken() {
    let found = pick(&machine_os(), &QEMU).unwrap();
    assert_eq!(
        found,
        Listed {
            digest: checksum("6").parse().unwrap(),
            bytes: 500,
            release: None,
        }
    );
    let apple = Wanted {
        disktype: "applehv",
        architecture: "aarch64",
    };
    let found = pick(&machine_os(), &apple).unwrap();
    assert_eq!(found.digest.to_string(), checksum("3"));
}

#[test]
fn what_there_is_instead_is_said() {
    let apple = Wanted {
        disktype: "applehv",
        architecture: "x86_64",
    };
    let error = pick(&machine_os(), &apple).unwrap_err();
    assert_eq!(error.to_string(), "no valid disk artifact found");
    assert_eq!(
        error.hints(),
        [
            "applehv/x86_64 is wanted, and quay.io/podman/machine-os:6.0 has applehv/aarch64, hyperv/x86_64, \
          qemu/aarch64, qemu/x86_64"
        ]
    );
    let images = index(&[entry("0", "linux", "x86_64", None)]);
    let error = pick(&images, &QEMU).unwrap_err();
    assert_eq!(
        error.hints(),
        ["quay.io/podman/machine-os:6.0 has no disks at all, and qemu/x86_64 is wanted"]
    );
}

#[test]
fn only_an_index_is_an_index() {
    let text = machine_os().to_string();
    for good in [
        INDEX,
        "application/vnd.oci.image.index.v1+json; charset=utf-8",
        INDEXES[1],
        "",
    ] {
        assert!(listed(text.as_bytes(), good, OF, &QEMU).is_ok(), "{good}");
    }
    for (header, body, shown) in [
        ("text/plain; charset=utf-8", "hello", "text/plain"),
        (MANIFEST, "{}", MANIFEST),
        ("", "{}", "unknown"),
        ("", r#"{"mediaType": "a\u001b[2J"}"#, "a?[2J"),
    ] {
        let error = listed(body.as_bytes(), header, OF, &QEMU).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("wrong manifest type for disk artifact: {shown}")
        );
    }
    let error = listed(b"{", INDEX, OF, &QEMU).unwrap_err();
    assert!(matches!(error, OciError::Document { .. }), "{error}");
    let error = only_file(text.as_bytes(), INDEX, OF).unwrap_err();
    assert!(matches!(error, OciError::WrongType { .. }), "{error}");
    let long = vec![b' '; MANIFEST_LIMIT + 1];
    let error = listed(&long, INDEX, OF, &QEMU).unwrap_err();
    assert!(matches!(error, OciError::TooLarge { .. }), "{error}");
}

#[test]
fn the_only_layer_is_the_file() {
    let title = "podman-machine.x86_64.qemu.qcow2.zst";
    let found = file(&manifest(&[layer(title)])).unwrap();
    assert_eq!(
        found,
        File {
            checksum: checksum("b").parse().unwrap(),
            bytes: 1_059_378_224,
            title: title.to_owned(),
            release: None,
        }
    );
    for count in [0, 2] {
        let layers = vec![layer(title); count];
        let error = file(&manifest(&layers)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("podman-machine images should only have 1 layer: {count} found")
        );
    }
    let mut untitled = layer(title);
    untitled["annotations"] = json!({});
    assert_eq!(
        file(&manifest(&[untitled])).unwrap_err().to_string(),
        "unable to determine original artifact name: missing required annotation 'org.opencontainers.image.title'"
    );
}

#[test]
fn a_title_is_the_name_of_a_file() {
    for title in [
        "",
        ".",
        "..",
        "a/b",
        "../a",
        "a\\b",
        "C:a",
        "a\nb",
        "a\u{0}",
        "a\u{202e}b",
    ] {
        let error = file(&manifest(&[layer(title)])).unwrap_err();
        assert!(matches!(error, OciError::Title { .. }), "{title:?}");
        assert!(!error.to_string().contains(char::is_control));
    }
    assert!(file(&manifest(&[layer(&"a".repeat(256))])).is_err());
    assert!(file(&manifest(&[layer("Ein Abbild (1).qcow2")])).is_ok());
}

#[test]
fn a_container_image_is_no_disk() {
    let mut other = layer("a");
    other["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
    let error = file(&manifest(&[other])).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "The layer of {OF} is of the type application/vnd.oci.image.layer.v1.tar+gzip, which is no disk"
        )
    );
    let mut plain = layer("a");
    plain["mediaType"] = json!("application/octet-stream");
    assert!(file(&manifest(&[plain])).is_ok());
    let mut foreign = layer("a");
    foreign["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
    let error = file(&manifest(&[foreign])).unwrap_err();
    assert!(matches!(error, OciError::DigestKind { .. }), "{error}");
}

#[test]
fn the_release_is_the_nearest() {
    let mut layer = layer("a");
    layer["annotations"][VERSION] = json!("6.0.1");
    let mut manifest = manifest(&[layer]);
    manifest["annotations"] = json!({VERSION: "6"});
    assert_eq!(file(&manifest).unwrap().release.as_deref(), Some("6.0.1"));
    let mut index = machine_os();
    index["annotations"] = json!({VERSION: "6"});
    assert_eq!(pick(&index, &QEMU).unwrap().release.as_deref(), Some("6"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in any::<Vec<u8>>(), header in ".{0,20}") {
        for content_type in [INDEX, MANIFEST, "", &header] {
            let _ = listed(&bytes, content_type, OF, &QEMU);
            let _ = only_file(&bytes, content_type, OF);
        }
    }

    /// Each value of a document is replaced by another one.
    #[test]
    fn documents_with_a_wrong_value_are_answered(at in any::<prop::sample::Index>(), value in 0_usize..6) {
        let values = [json!(null), json!(-1), json!(u64::MAX), json!([]), json!({}), json!("\u{202e}/../\0")];
        for (document, is_index) in [(machine_os(), true), (manifest(&[layer("a")]), false)] {
            let mut document = document;
            let mut places = Vec::new();
            pointers(&document, "", &mut places);
            *document.pointer_mut(&places[at.index(places.len())]).unwrap() = values[value].clone();
            if is_index {
                let _ = pick(&document, &QEMU);
            } else if let Ok(file) = file(&document) {
                prop_assert!(is_plain(&file.title));
            }
        }
    }
}

fn pointers(value: &Value, at: &str, places: &mut Vec<String>) {
    places.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(value, &format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{number}"), places);
            }
        }
        _ => {}
    }
}
