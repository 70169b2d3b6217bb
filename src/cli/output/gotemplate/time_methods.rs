//! The methods of Go's `time.Time`.

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;

use super::value::Value;
use crate::cli::output::gotime;

/// What a method that templates use gives; `None` where there is no such method.
pub(super) fn call(
    time: &ZonedDateTime,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    let want = usize::from(name == "Format");
    let result = match name {
        "Format" => match arguments {
            [Value::Text(layout)] => gotime::format(time, layout).into(),
            [other] => {
                let actual = other.type_name();
                return Some(Err(format!(
                    "wrong type for value; expected string; got {actual}"
                )));
            }
            _ => Value::Nil,
        },
        "String" => gotime::display(time).into(),
        "IsZero" => (*time == gotime::zero()).into(),
        "Unix" => time.timestamp().as_second().into(),
        "UnixNano" => i64::try_from(time.timestamp().as_nanosecond())
            .unwrap_or_default()
            .into(),
        "UTC" => time.with_time_zone(TimeZone::UTC).into(),
        "Local" => time.with_time_zone(TimeZone::system()).into(),
        "Year" => i64::from(time.year()).into(),
        "Day" => i64::from(time.day()).into(),
        "Hour" => i64::from(time.hour()).into(),
        "Minute" => i64::from(time.minute()).into(),
        "Second" => i64::from(time.second()).into(),
        _ => return None,
    };
    if arguments.len() != want {
        let got = arguments.len();
        return Some(Err(format!(
            "wrong number of args for {name}: want {want} got {got}"
        )));
    }
    Some(Ok(result))
}
