//! JSON as podman prints it.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Blanks per level in `list --format json`.
const LIST_INDENT: &[u8] = b"    ";
/// Blanks per level in `inspect`.
const INSPECT_INDENT: &[u8] = b"     ";

/// Blanks per level in `info --format json`.
const INFO_INDENT: &[u8] = b"  ";

/// The JSON of `info`: with a newline at the end.
pub fn info(value: &impl Serialize) -> Result<String, serde_json::Error> {
    indented(value, INFO_INDENT).map(|text| text + "\n")
}

/// The JSON of `list`: no newline at the end.
pub fn list(value: &impl Serialize) -> Result<String, serde_json::Error> {
    indented(value, LIST_INDENT)
}

/// The JSON of `inspect`: with a newline at the end.
pub fn inspect(value: &impl Serialize) -> Result<String, serde_json::Error> {
    indented(value, INSPECT_INDENT).map(|text| text + "\n")
}

/// The JSON of `system connection list`: with a newline at the end, and with what HTML would take for markup escaped, as
/// Go does.
pub fn connections(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = indented(value, LIST_INDENT)? + "\n";
    // Outside of texts JSON has none of these.
    let text = text.replace('&', "\\u0026");
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e"))
}

fn indented(value: &impl Serialize, indent: &[u8]) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
