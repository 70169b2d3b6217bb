//! What a server's answer to a request for the rest of a file means (RFC 9110, sections 13 to 15). Pure.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};

use crate::validator::Validator;

/// What is known of a file of which a part is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// How many bytes are there.
    pub(super) have: u64,
    /// How long the file is, if that was said.
    pub(super) total: Option<u64>,
    pub(super) validator: Validator,
}

/// What to do with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The body is the rest.
    Rest,
    /// The body is the whole file, of this length if it is known.
    Whole { total: Option<u64> },
    /// All of it is there.
    Complete,
    /// What is there belongs to another file: ask again, for the whole.
    Again,
    /// The file is the one that was had before.
    Unchanged,
    /// The server may do better later, after this pause if it names one.
    Later { pause: Option<Duration> },
    /// The server will not.
    Refused,
    /// The answer contradicts itself or the request.
    Nonsense(&'static str),
}

/// Reads an answer.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, known: &Known) -> Answer {
    match status {
        StatusCode::OK => whole(headers),
        StatusCode::PARTIAL_CONTENT => rest(headers, known),
        StatusCode::NOT_MODIFIED => Answer::Unchanged,
        StatusCode::RANGE_NOT_SATISFIABLE if known.have == 0 => {
            Answer::Nonsense("it refuses a range that was not asked for")
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let total = content_range(headers).and_then(|range| range.total);
            if total == Some(known.have) && known.total == total {
                Answer::Complete
            } else {
                Answer::Again
            }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => later(headers),
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            later(headers)
        }
        status if status.is_success() => Answer::Nonsense("it has no content"),
        _ => Answer::Refused,
    }
}

fn whole(headers: &HeaderMap) -> Answer {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Answer::Nonsense("its content is encoded, which was not asked for");
    }
    Answer::Whole {
        total: number(headers, &header::CONTENT_LENGTH),
    }
}

fn rest(headers: &HeaderMap, known: &Known) -> Answer {
    let Some(range) = content_range(headers) else {
        return Answer::Nonsense("it is a part of the file and does not say which");
    };
    let Some((first, last)) = range.bytes else {
        return Answer::Nonsense("it is a part of the file and does not say which");
    };
    if first != known.have || known.have == 0 {
        return Answer::Nonsense("it is another part of the file than was asked for");
    }
    let total_differs = matches!((range.total, known.total), (Some(a), Some(b)) if a != b);
    if total_differs || known.validator.contradicts(&Validator::of(headers)) {
        return Answer::Again;
    }
    // A part that ends early is followed by the next request.
    if range.total.is_some_and(|total| last >= total) || last < first {
        return Answer::Nonsense("its range cannot be true");
    }
    Answer::Rest
}

fn later(headers: &HeaderMap) -> Answer {
    let seconds = number(headers, &header::RETRY_AFTER);
    let pause = seconds.map(Duration::from_secs);
    Answer::Later {
        pause: pause.or_else(|| until_date(headers)),
    }
}

/// The pause where `Retry-After` is a date. It is counted from the answer's own date, for the clocks of two hosts need not
/// agree. Only the preferred form of dates is read (RFC 9110, section 5.6.7), which is one of mail.
fn until_date(headers: &HeaderMap) -> Option<Duration> {
    let date = |name| {
        let text = headers.get(name)?.to_str().ok()?;
        DateTimeParser::new().parse_timestamp(text).ok()
    };
    let pause = date(header::RETRY_AFTER)?.duration_since(date(header::DATE)?);
    // A date that has passed: at once.
    Some(Duration::try_from(pause).unwrap_or_default())
}

fn number(headers: &HeaderMap, name: &header::HeaderName) -> Option<u64> {
    decimal(headers.get(name)?.to_str().ok()?)
}

struct ContentRange {
    /// First and last byte; `None` where a range is refused.
    bytes: Option<(u64, u64)>,
    total: Option<u64>,
}

/// `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`.
fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let total = match total {
        "*" => None,
        total => Some(decimal(total)?),
    };
    let bytes = match range {
        "*" => None,
        range => {
            let (first, last) = range.split_once('-')?;
            Some((decimal(first)?, decimal(last)?))
        }
    };
    Some(ContentRange { bytes, total })
}

/// Digits only: `parse` alone would take a sign.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
