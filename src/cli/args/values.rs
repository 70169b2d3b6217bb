//! Parsers of option values, with the texts of Go's `strconv`.

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
