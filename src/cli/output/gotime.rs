//! Times as Go writes them.

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// Go's zero time, which stands for "never".
pub fn zero() -> ZonedDateTime {
    // The first day of year 1 is inside what jiff can hold, so this never falls back.
    date(1, 1, 1)
        .to_zoned_datetime(TimeZone::UTC)
        .unwrap_or_else(|_| Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC))
}

/// RFC 3339 with as many digits of a second as there are, as Go's JSON writes a time.
pub fn rfc3339(time: &ZonedDateTime) -> String {
    format(time, "2006-01-02T15:04:05.999999999Z07:00")
}

/// What `{{.Created}}` prints.
pub fn display(time: &ZonedDateTime) -> String {
    format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Elements of a layout, longest first where one begins with another.
const ELEMENTS: [&str; 28] = [
    "January", "Jan", "Monday", "Mon", "MST", "2006", "-07:00", "-0700", "-07", "Z07:00", "Z0700",
    "002", "01", "02", "03", "04", "05", "06", "15", "PM", "pm", "_2", "1", "2", "3", "4", "5",
    "Z07",
];

/// Go's `Time.Format` for the elements that dates and times are written with.
pub fn format(time: &ZonedDateTime, layout: &str) -> String {
    let mut output = String::new();
    let mut rest = layout;
    while let Some(character) = rest.chars().next() {
        if let Some((digits, trim)) = fraction(rest) {
            let nanoseconds = format!("{:09}", time.subsec_nanosecond());
            let mut shown = &nanoseconds[..digits.min(9)];
            if trim {
                shown = shown.trim_end_matches('0');
            }
            if !shown.is_empty() {
                output.push_str(&rest[..1]);
                output.push_str(shown);
            }
            rest = &rest[1 + digits..];
        } else if let Some(element) = ELEMENTS.iter().find(|element| rest.starts_with(**element)) {
            output.push_str(&write(time, element));
            rest = &rest[element.len()..];
        } else {
            output.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    output
}

/// `.000` or `,999` with any number of equal digits and no digit after them.
fn fraction(rest: &str) -> Option<(usize, bool)> {
    let tail = rest.strip_prefix(['.', ','])?;
    let digit = tail
        .chars()
        .next()
        .filter(|digit| matches!(digit, '0' | '9'))?;
    let digits = tail.len() - tail.trim_start_matches(digit).len();
    let ends = !tail[digits..].starts_with(|next: char| next.is_ascii_digit());
    ends.then_some((digits, digit == '9'))
}

fn write(time: &ZonedDateTime, element: &str) -> String {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match element {
        "January" => time.strftime("%B").to_string(),
        "Jan" => time.strftime("%b").to_string(),
        "Monday" => time.strftime("%A").to_string(),
        "Mon" => time.strftime("%a").to_string(),
        "MST" => zone_name(time),
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "002" => format!("{:03}", time.day_of_year()),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "2" => time.day().to_string(),
        "15" => format!("{:02}", time.hour()),
        "03" => format!("{hour12:02}"),
        "3" => hour12.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "PM" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
        _ => offset(time, element),
    }
}

fn offset(time: &ZonedDateTime, element: &str) -> String {
    let seconds = time.offset().seconds();
    if seconds == 0 && element.starts_with('Z') {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    match element {
        "-07" | "Z07" => format!("{sign}{hours:02}"),
        "-0700" | "Z0700" => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}"),
    }
}

fn zone_name(time: &ZonedDateTime) -> String {
    if time.time_zone() == &TimeZone::UTC {
        return "UTC".to_owned();
    }
    time.strftime("%Z").to_string()
}
