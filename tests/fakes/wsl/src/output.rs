//! What is written: UTF-16 in the order of Intel's bytes, or UTF-8 where `WSL_UTF8` is `1`, lines ended as in Windows.

use std::io::{self, Write};

use crate::conditions::{Conditions, Language};
use crate::messages::{self, Message};

pub(crate) struct Output {
    utf8: bool,
    errors_on_stderr: bool,
    language: Language,
}

impl Output {
    pub(crate) fn new(conditions: &Conditions) -> Self {
        Self {
            utf8: std::env::var_os("WSL_UTF8").is_some_and(|value| value == "1"),
            errors_on_stderr: conditions.errors_on_stderr,
            language: conditions.language,
        }
    }

    /// Says something.
    pub(crate) fn line(&self, message: &Message) {
        self.write(false, &message.text(self.language));
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, message: &Message, code: Option<&str>) {
        let mut text = message.text(self.language);
        if let Some(code) = code {
            text.push('\n');
            text.push_str(messages::code_label(self.language));
            text.push_str(code);
        }
        self.write(self.errors_on_stderr, &text);
    }

    /// A name in a list.
    pub(crate) fn name(&self, name: &str) {
        self.write(false, name);
    }

    /// The long list: name, whether it runs, whether it is being installed.
    pub(crate) fn table(&self, rows: &[(String, bool, bool)]) {
        let (heading, [running, stopped, installing]) = messages::table_words(self.language);
        let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0) + 4;
        let line = |mark: &str, [name, state, version]: [&str; 3]| {
            self.write(false, &format!("{mark} {name:<width$}{state:<16}{version}"));
        };
        line(" ", heading);
        for (number, (name, runs, half)) in rows.iter().enumerate() {
            let state = match (half, runs) {
                (true, _) => installing,
                (false, true) => running,
                (false, false) => stopped,
            };
            line(if number == 0 { "*" } else { " " }, [name, state, "2"]);
        }
    }

    fn write(&self, stderr: bool, text: &str) {
        let bytes = encoded(text, self.utf8);
        // Who hung up does not want to hear it.
        let _ = if stderr {
            io::stderr().write_all(&bytes)
        } else {
            io::stdout().write_all(&bytes)
        };
    }
}

fn encoded(text: &str, utf8: bool) -> Vec<u8> {
    let text = format!("{}\r\n", text.replace('\n', "\r\n"));
    if utf8 {
        return text.into_bytes();
    }
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings() {
        assert_eq!(encoded("ä", true), "ä\r\n".as_bytes());
        assert_eq!(encoded("a", false), b"a\0\r\0\n\0");
    }
}
