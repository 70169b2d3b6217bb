//! What `image` prints.

use super::*;
use crate::store::testing::name;

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(super) fn images() -> Vec<ListedImage> {
    vec![ListedImage {
        id: "6606273ddce1".to_owned(),
        checksum: "sha256:6606273ddce1fffd6b0ed49643233bd20c20edfa9f014af66e069ea2ba16ad0b"
            .to_owned(),
        name: "Fedora CoreOS stable 44.20261101.3.0".to_owned(),
        source: "https://h/x.qcow2.xz".to_owned(),
        verified: "signature",
        used: time("2026-06-11T07:30:12Z"),
        bytes: 3 << 29,
        machines: vec![name("dev"), name("vm")],
        sharing: vec![name("vm")],
    }]
}

fn rendered(format: Option<&str>, quiet: bool, images: &[ListedImage]) -> String {
    let args = ImageListArgs {
        format: format.map(str::to_owned),
        quiet,
        words: Vec::new(),
    };
    render(&args, images, time("2026-06-13T07:30:12Z")).expect("a good format")
}

#[test]
fn a_table_and_ids() {
    assert_eq!(
        rendered(None, false, &images()),
        "ID            NAME                                  SIZE        VERIFIED    USED        USED BY\n\
         6606273ddce1  Fedora CoreOS stable 44.20261101.3.0  1.5GiB      signature   2 days ago  dev, vm\n"
    );
    assert_eq!(
        rendered(None, false, &[]),
        "ID          NAME        SIZE        VERIFIED    USED        USED BY\n"
    );
    assert_eq!(rendered(None, true, &images()), "6606273ddce1\n");
}

#[test]
fn json_and_templates() {
    let text = rendered(Some("json"), false, &images());
    let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let expected = serde_json::json!([{
        "ID": "6606273ddce1",
        "Name": "Fedora CoreOS stable 44.20261101.3.0",
        "Source": "https://h/x.qcow2.xz",
        "Checksum": "sha256:6606273ddce1fffd6b0ed49643233bd20c20edfa9f014af66e069ea2ba16ad0b",
        "Size": 1_610_612_736,
        "Verified": "signature",
        "Used": "2026-06-11T07:30:12Z",
        "Machines": ["dev", "vm"],
    }]);
    assert_eq!(parsed, expected);
    assert_eq!(
        rendered(Some("{{.Name}} {{.Machines}}"), false, &images()),
        "Fedora CoreOS stable 44.20261101.3.0 dev, vm\n"
    );
}

#[test]
fn a_removal_says_what_came_free() {
    let removed = Removed {
        images: images(),
        downloads: 2,
        bytes: 3 << 29,
    };
    assert_eq!(
        removal(&removed),
        "6606273ddce1 Fedora CoreOS stable 44.20261101.3.0\n2 unfinished downloads\nTotal reclaimed space: 1.5GiB\n"
    );
    assert_eq!(removal(&Removed::default()), "Total reclaimed space: 0B\n");
}
