//! The rows of `image list`: for people, for templates and as JSON.

use jiff::Timestamp;
use serde::Serialize;

use super::gotemplate::{Field, Struct, Value};
use super::units;
use crate::machine::MachineName;
use crate::ops::images::ListedImage;

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
