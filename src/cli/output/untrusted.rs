//! Text that a guest wrote. On a terminal it must not move the cursor, change the title or send keys.

use std::io::{self, ErrorKind};

use anstream::adapter::StripBytes;

use super::printer::{Printer, Stream};

/// Shows what a guest wrote.
#[derive(Debug)]
pub struct Screen<'a> {
    printer: &'a Printer,
    /// Nothing where a pipe gets the bytes as they are.
    cleaner: Option<Cleaner>,
}

impl<'a> Screen<'a> {
    /// Cleans what a terminal would show, and nothing else.
    pub fn new(printer: &'a Printer) -> Self {
        Self {
            printer,
            cleaner: printer.is_terminal().then(Cleaner::default),
        }
    }

    /// Shows some; false when nobody looks any more.
    pub fn show(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<bool> {
        let shown = match &mut self.cleaner {
            Some(cleaner) => self.printer.bytes(stream, &cleaner.clean(bytes)),
            None => self.printer.bytes(stream, bytes),
        };
        match shown {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Takes out control sequences and control characters, wherever the bytes are cut.
#[derive(Debug, Default)]
struct Cleaner {
    sequences: StripBytes,
    /// The first byte of a character that may be a control character.
    held: bool,
}

/// In UTF-8 it begins the control characters from 0x80 to 0x9F, and some that print.
const LEAD: u8 = 0xC2;

impl Cleaner {
    fn clean(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(bytes.len());
        for part in self.sequences.strip_next(bytes) {
            for byte in part {
                let after_lead = std::mem::take(&mut self.held);
                match byte {
                    0x80..=0x9F if after_lead => {}
                    &LEAD => self.held = true,
                    b'\n' | b'\t' => clean.push(*byte),
                    0x00..0x20 | 0x7F => {}
                    byte => {
                        if after_lead {
                            clean.push(LEAD);
                        }
                        clean.push(*byte);
                    }
                }
            }
        }
        clean
    }
}

/// Text of a guest in one line, without what moves a terminal.
pub fn one_line(text: &str) -> String {
    let line = text.replace(['\n', '\t', '\r'], " ");
    let clean = Cleaner::default().clean(line.as_bytes());
    String::from_utf8_lossy(&clean).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_taken_out() {
        let text = "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\tü§\u{9b}\u{7f}\r\n> ";
        for cut in 0..text.len() {
            let mut cleaner = Cleaner::default();
            let mut clean = cleaner.clean(&text.as_bytes()[..cut]);
            clean.extend(cleaner.clean(&text.as_bytes()[cut..]));
            let clean = String::from_utf8(clean).unwrap();
            assert_eq!(clean, "red\tü§\n> ", "cut at {cut}");
        }
        assert_eq!(one_line("a\nb\r\n\u{1b}[1mc"), "a b  c");
    }

    #[test]
    fn a_pipe_gets_all() {
        let (printer, captured) = Printer::captured();
        let text = "\u{1b}[31mred\u{1b}[0m";
        assert!(
            Screen::new(&printer)
                .show(Stream::Stdout, text.as_bytes())
                .unwrap()
        );
        assert_eq!(captured.lock().unwrap().stdout, text);
    }
}
