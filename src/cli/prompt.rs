//! Questions that are answered by yes or no on standard input.

use std::io::{self, BufRead};

use super::error::CommandError;
use super::output::printer::Printer;

/// Asks `question` and reads a line. Only a first letter `y` is a yes; no line at all is an error.
pub fn confirm(
    printer: &Printer,
    input: &mut dyn BufRead,
    question: &str,
) -> Result<bool, CommandError> {
    printer.stdout(&format!("{question} [y/N] "));
    match answer(input) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(CommandError::new("EOF")),
        Err(error) => Err(CommandError::from_error(&error)),
    }
}

fn answer(input: &mut dyn BufRead) -> io::Result<Option<bool>> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    // Go's reader gives EOF for a last line without a newline as well.
    if line.last() != Some(&b'\n') {
        return Ok(None);
    }
    Ok(Some(matches!(line.first(), Some(b'y' | b'Y'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_y_is_yes() {
        let cases = [
            ("y\n", Ok(true)),
            ("Yes\n", Ok(true)),
            ("yikes\r\n", Ok(true)),
            ("n\n", Ok(false)),
            (" y\n", Ok(false)),
            ("\n", Ok(false)),
            ("", Err(CommandError::new("EOF"))),
            ("y", Err(CommandError::new("EOF"))),
        ];
        for (input, expected) in cases {
            let (printer, captured) = Printer::captured();
            let answer = confirm(&printer, &mut input.as_bytes(), "Are you sure?");
            assert_eq!(answer, expected, "{input:?}");
            let captured = captured.lock().expect("no panic while printing");
            assert_eq!(captured.stdout, "Are you sure? [y/N] ");
        }
    }
}
