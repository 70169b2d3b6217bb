//! Go's `fmt` verbs for the values of templates: `print`, `println`, `printf`.

use std::iter::Peekable;
use std::str::Chars;

use super::literal::quote;
use super::value::Value;

/// Go ignores wider widths as well (`%!(BADWIDTH)`).
const MAX_WIDTH: usize = 10_000;
/// Longest text of a call, in bytes. These functions stop soon after it.
pub(super) const MAX_TEXT: usize = 1 << 20;

/// Operands with a blank between two of which neither is a string.
pub(super) fn print(arguments: &[Value]) -> String {
    let mut text = String::new();
    for (index, value) in arguments.iter().enumerate() {
        if text.len() > MAX_TEXT {
            break;
        }
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if index > 0 && !is_text(value) && !is_text(&arguments[index - 1]) {
            text.push(' ');
        }
        text.push_str(&value.display());
    }
    text
}

/// Operands with a blank between any two, and a newline.
pub(super) fn println(arguments: &[Value]) -> String {
    let mut text = String::new();
    for (index, value) in arguments.iter().enumerate() {
        if text.len() > MAX_TEXT {
            break;
        }
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&value.display());
    }
    text + "\n"
}

#[derive(Default)]
struct Directive {
    left: bool,
    zeros: bool,
    sign: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats by `format`; a verb that does not fit shows up in the text as Go shows it.
pub(super) fn printf(format: &str, arguments: &[Value]) -> String {
    let mut output = String::new();
    let mut rest = arguments.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if output.len() > MAX_TEXT {
            return output;
        }
        if character != '%' {
            output.push(character);
            continue;
        }
        let mut directive = Directive::default();
        while let Some(flag) = characters.next_if(|next| "-+#0 ".contains(*next)) {
            match flag {
                '-' => directive.left = true,
                '+' => directive.sign = true,
                '#' => directive.sharp = true,
                '0' => directive.zeros = true,
                _ => {}
            }
        }
        directive.width = number(&mut characters);
        if directive.width > MAX_WIDTH {
            output.push_str("%!(BADWIDTH)");
            directive.width = 0;
        }
        if characters.next_if_eq(&'.').is_some() {
            directive.precision = Some(number(&mut characters));
        }
        match characters.next() {
            None => output.push_str("%!(NOVERB)"),
            Some('%') => output.push('%'),
            Some(verb) => match rest.next() {
                None => output.extend(["%!", verb.encode_utf8(&mut [0; 4]), "(MISSING)"]),
                Some(value) => output.push_str(&directive.apply(verb, value)),
            },
        }
    }
    let extra: Vec<String> = rest
        .map(|value| format!("{}={}", value.type_name(), value.display()))
        .collect();
    if !extra.is_empty() {
        output.extend(["%!(EXTRA ", &extra.join(", "), ")"]);
    }
    output
}

/// Digits as a number, 0 where there are none.
fn number(characters: &mut Peekable<Chars<'_>>) -> usize {
    let mut value: usize = 0;
    while let Some(digit) = characters.next_if(char::is_ascii_digit) {
        let digit = digit.to_digit(10).unwrap_or(0) as usize;
        value = value.saturating_mul(10).saturating_add(digit);
    }
    value
}

impl Directive {
    fn apply(&self, verb: char, value: &Value) -> String {
        let text = match (verb, value) {
            ('v', Value::Text(_)) | ('s', Value::Text(_) | Value::Time(_)) => {
                self.cut(value.display())
            }
            ('d', Value::Int(value)) if self.sign => format!("{value:+}"),
            ('v', _)
            | ('s', Value::List { .. } | Value::Map(_) | Value::Struct(_))
            | ('t', Value::Bool(_))
            | ('d', Value::Int(_) | Value::Uint(_)) => value.display(),
            ('q', Value::Text(text)) => quote(&self.cut(text.clone())),
            ('T', value) => value.type_name().to_owned(),
            ('x', Value::Int(value)) if *value < 0 => {
                format!("-{}", self.hex(value.unsigned_abs()))
            }
            ('x', Value::Int(value)) => self.hex(value.unsigned_abs()),
            ('x', Value::Uint(value)) => self.hex(*value),
            (_, Value::Nil) => format!("%!{verb}(<nil>)"),
            _ => format!("%!{verb}({}={})", value.type_name(), value.display()),
        };
        self.pad(text)
    }

    fn hex(&self, value: u64) -> String {
        if self.sharp {
            format!("{value:#x}")
        } else {
            format!("{value:x}")
        }
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        }
    }

    fn pad(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.left {
            return text + &" ".repeat(missing);
        }
        if !self.zeros {
            return " ".repeat(missing) + &text;
        }
        let digits = text.trim_start_matches(['+', '-']);
        let sign = &text[..text.len() - digits.len()];
        format!("{sign}{}{digits}", "0".repeat(missing))
    }
}
