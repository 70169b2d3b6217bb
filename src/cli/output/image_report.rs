//! The rows of `image list` and `image verify`: for people, for templates and as JSON.

use jiff::Timestamp;
use machine_images::{Damage, Verdict};
use serde::Serialize;

use super::gotemplate::{Field, Struct, Value};
use super::units;
use crate::machine::MachineName;
use crate::ops::images::{ListedImage, VerifiedImage};

/// The fields that templates can name.
pub const FIELDS: [&str; 8] = [
    "ID", "Name", "Source", "Checksum", "Size", "Verified", "Used", "Machines",
];

/// Rows as the value that a template of `image list` sees as dot.
pub fn rows(images: &[ListedImage], now: Timestamp) -> Value {
    let row = |image: &ListedImage| {
        let machines: Vec<_> = image.machines.iter().map(ToString::to_string).collect();
        let values: [Value; 8] = [
            image.id.clone().into(),
            image.name.clone().into(),
            image.source.clone().into(),
            image.checksum.clone().into(),
            units::bytes(image.bytes).into(),
            image.verified.into(),
            units::ago(image.used, now).into(),
            machines.join(", ").into(),
        ];
        let fields = FIELDS.iter().zip(values);
        Value::Struct(Struct {
            type_name: "image.Listed",
            fields: fields
                .map(|(name, value)| Field::new(name, value))
                .collect(),
        })
    };
    Value::List {
        type_name: "[]image.Listed",
        items: images.iter().map(row).collect(),
    }
}

/// The fields that templates of `image verify` can name.
pub const VERIFY_FIELDS: [&str; 6] = ["ID", "Name", "Checksum", "State", "Reason", "Machines"];

/// What was found, in a word: `ok`, `damaged` or `unknown`.
pub fn state(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Damaged(_) => "damaged",
        Verdict::Unknown => "unknown",
    }
}

/// Why it is not `ok`, in a sentence.
pub fn reason(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Good => String::new(),
        Verdict::Damaged(Damage::Unreadable { source, .. }) => {
            format!("it cannot be read: {source}")
        }
        Verdict::Damaged(damage) => damage.to_string(),
        Verdict::Unknown => {
            "an earlier version of `machine` has fetched it, and not digested its disk".to_owned()
        }
    }
}

/// Rows as the value that a template of `image verify` sees as dot.
pub fn verify_rows(images: &[VerifiedImage]) -> Value {
    let row = |verified: &VerifiedImage| {
        let image = &verified.image;
        let machines: Vec<_> = image.sharing.iter().map(MachineName::as_str).collect();
        let values: [Value; 6] = [
            image.id.clone().into(),
            image.name.clone().into(),
            image.checksum.clone().into(),
            state(&verified.verdict).into(),
            reason(&verified.verdict).into(),
            machines.join(", ").into(),
        ];
        let fields = VERIFY_FIELDS.iter().zip(values);
        Value::Struct(Struct {
            type_name: "image.Verified",
            fields: fields
                .map(|(name, value)| Field::new(name, value))
                .collect(),
        })
    };
    Value::List {
        type_name: "[]image.Verified",
        items: images.iter().map(row).collect(),
    }
}

/// An image that was read again as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifiedJson<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    checksum: &'a str,
    state: &'static str,
    /// Why it is not `ok`; empty where it is.
    reason: String,
    /// The machines whose disks lie over it.
    machines: Vec<&'a str>,
}

/// Images that were read again as JSON has them.
pub fn verify_json(images: &[VerifiedImage]) -> Vec<VerifiedJson<'_>> {
    images.iter().map(verified_one).collect()
}

fn verified_one(verified: &VerifiedImage) -> VerifiedJson<'_> {
    VerifiedJson {
        id: &verified.image.id,
        name: &verified.image.name,
        checksum: &verified.image.checksum,
        state: state(&verified.verdict),
        reason: reason(&verified.verdict),
        machines: verified
            .image
            .sharing
            .iter()
            .map(MachineName::as_str)
            .collect(),
    }
}

/// An image as JSON: sizes are bytes, times RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageJson<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    source: &'a str,
    checksum: &'a str,
    size: u64,
    verified: &'static str,
    used: Timestamp,
    machines: Vec<&'a str>,
}

/// Images as JSON has them.
pub fn json(images: &[ListedImage]) -> Vec<ImageJson<'_>> {
    images.iter().map(one).collect()
}

fn one(image: &ListedImage) -> ImageJson<'_> {
    ImageJson {
        id: &image.id,
        name: &image.name,
        source: &image.source,
        checksum: &image.checksum,
        size: image.bytes,
        verified: image.verified,
        used: image.used,
        machines: image.machines.iter().map(MachineName::as_str).collect(),
    }
}
