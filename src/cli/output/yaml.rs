//! YAML as podman prints it for `info`: objects in objects, with texts, numbers and truth values in them.
//!
//! It is written by hand, being a page of fixed text; a value that is none of these is written as JSON, which is YAML
//! too.

use super::gotemplate::Value;

/// Blanks per level.
const INDENT: &str = "    ";

/// The object's lines.
pub fn render(value: &Value) -> String {
    let mut text = String::new();
    object(value, "", &mut text);
    text
}

fn object(value: &Value, indent: &str, text: &mut String) {
    let Value::Struct(value) = value else {
        return;
    };
    for field in &value.fields {
        text.push_str(indent);
        text.push_str(&field.name.to_lowercase());
        text.push(':');
        if matches!(field.value, Value::Struct(_)) {
            text.push('\n');
            object(&field.value, &format!("{indent}{INDENT}"), text);
        } else {
            text.push(' ');
            text.push_str(&scalar(&field.value));
            text.push('\n');
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Text(text) if is_plain(text) => text.clone(),
        // A text in quotes is the same in JSON; nothing here can fail to be one.
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// Whether a text without quotes is read as this text.
fn is_plain(text: &str) -> bool {
    let begins_well = text
        .chars()
        .next()
        .is_some_and(|first| first.is_alphanumeric() || matches!(first, '/' | '_' | '.' | '\\'));
    let ends_well = !text.ends_with([' ', ':']);
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    let number = text.parse::<f64>().is_ok()
        || text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'o' | b'_' | b'-'))
            && text.starts_with(|first: char| first.is_ascii_digit());
    begins_well
        && ends_well
        && !word
        && !number
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_would_be_something_else_are_quoted() {
        for plain in [
            "amd64",
            "/home/u/a b",
            "5.4.2",
            "Thu Jan  1 00:00:00 1970",
            "linux/amd64",
            r"C:\Users\u",
            "é",
        ] {
            assert_eq!(scalar(&plain.into()), plain);
        }
        for quoted in [
            "",
            "yes",
            "Null",
            "12",
            "1e3",
            "0x1f",
            "2026-01-02",
            "- a",
            "a: b",
            "a #b",
            "a:",
            "a\nb",
            "~",
            " a",
            "{a}",
        ] {
            let text = scalar(&quoted.into());
            assert_eq!(
                serde_json::from_str::<String>(&text).ok().as_deref(),
                Some(quoted)
            );
        }
        assert_eq!(scalar(&7_i64.into()), "7");
        assert_eq!(scalar(&true.into()), "true");
    }
}
