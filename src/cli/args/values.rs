//! Parsers of option values, with the texts of Go's `strconv`.

use std::time::Duration;

use clap::ArgAction;
use tracing::level_filters::LevelFilter;

/// A level of `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(pub LevelFilter);

const LOG_LEVELS: &str = "trace, debug, info, warn, warning, error, fatal, panic";

/// Parses a level by logrus' names.
pub fn log_level(text: &str) -> Result<LogLevel, String> {
    Ok(LogLevel(match text.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "error" | "fatal" | "panic" => LevelFilter::ERROR,
        _ => {
            return Err(format!(
                "Log Level {text:?} is not supported, choose from: {LOG_LEVELS}"
            ));
        }
    }))
}

/// The attribute of a flag that is on when it is named, and whose value may follow behind `=`, as with podman.
pub trait Truth {
    /// `unnamed` is its value where it is not named; `None` leaves that open.
    #[must_use]
    fn truth(self, unnamed: Option<bool>) -> Self;
}

impl Truth for clap::Arg {
    fn truth(self, unnamed: Option<bool>) -> Self {
        let arg = self
            .value_name("BOOL")
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(boolean);
        match unnamed {
            Some(value) => arg
                .default_value(if value { "true" } else { "false" })
                .hide_default_value(true),
            None => arg,
        }
    }
}

/// Parses a flag's value by the words that Go takes for a truth value.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            r#"strconv.ParseBool: parsing "{text}": invalid syntax"#
        )),
    }
}

/// Parses a number that is not negative, in decimal or with Go's prefixes.
pub fn unsigned(text: &str) -> Result<u64, String> {
    let failed = |reason: &str| Err(format!(r#"strconv.ParseUint: parsing "{text}": {reason}"#));
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        _ => (10, text),
    };
    // A sign is an error to Go and not to Rust.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return failed("invalid syntax");
    }
    u64::from_str_radix(digits, radix).or_else(|_| failed("value out of range"))
}

/// Parses a number, in decimal or with Go's prefixes.
pub fn signed(text: &str) -> Result<i64, String> {
    let failed = |reason: &str| Err(format!(r#"strconv.ParseInt: parsing "{text}": {reason}"#));
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if text.starts_with('-') => (-1, digits),
        Some(digits) => (1, digits),
        None => (1, text),
    };
    match unsigned(digits) {
        Ok(number) => match i64::try_from(number) {
            Ok(number) => Ok(sign * number),
            Err(_) => failed("value out of range"),
        },
        Err(error) if error.ends_with("value out of range") => failed("value out of range"),
        Err(_) => failed("invalid syntax"),
    }
}

/// Parses a span of time: a whole number of seconds, or one with the unit `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let seconds = digits
        .parse::<u32>()
        .map_err(|_| format!("`{text}` is no time such as 90s or 5m"))?;
    if seconds == 0 {
        return Err("a time of zero gives nothing a chance".to_owned());
    }
    Ok(Duration::from_secs(u64::from(seconds) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_signs() {
        assert_eq!(signed("22"), Ok(22));
        assert_eq!(signed("-1"), Ok(-1));
        assert_eq!(signed("+0x10"), Ok(16));
        for (wrong, reason) in [
            ("", "invalid syntax"),
            ("--1", "invalid syntax"),
            ("a", "invalid syntax"),
            ("9223372036854775808", "value out of range"),
            ("99999999999999999999", "value out of range"),
        ] {
            let text = format!("strconv.ParseInt: parsing \"{wrong}\": {reason}");
            assert_eq!(signed(wrong), Err(text));
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        for wrong in ["", "s", "-1s", "1.5m", "0", "99999999999", "5ü"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
