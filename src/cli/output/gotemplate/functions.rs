//! The functions of templates: Go's own and the ones podman adds.

use std::cmp::Ordering;

use super::literal::quote;
use super::printf::{self, MAX_TEXT};
use super::value::Value;

/// Most parts that `split` makes.
const MAX_PARTS: usize = 100_000;

/// Why a call failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// An argument has another type than the function takes.
    Argument {
        index: usize,
        expected: &'static str,
    },
    /// The function itself refused.
    Failed(String),
}

fn failed<T>(message: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Failed(message.into()))
}

/// How many arguments a function takes.
#[derive(Clone, Copy)]
enum Count {
    Exactly(usize),
    AtLeast(usize),
}

fn count(name: &str) -> Option<Count> {
    Some(match name {
        "and" | "or" | "eq" | "index" | "printf" => Count::AtLeast(1),
        "print" | "println" => Count::AtLeast(0),
        "json" | "len" | "lower" | "not" | "title" | "upper" => Count::Exactly(1),
        "ge" | "gt" | "join" | "le" | "lt" | "ne" | "split" | "truncate" => Count::Exactly(2),
        "pad" => Count::Exactly(3),
        _ => return None,
    })
}

/// Is there a function of this name?
pub(super) fn exists(name: &str) -> bool {
    count(name).is_some()
}

/// Go's text for a wrong number of arguments.
pub(super) fn check_count(name: &str, got: usize) -> Result<(), String> {
    match count(name) {
        None => Err(format!("{} is not a defined function", quote(name))),
        Some(Count::Exactly(want)) if want != got => Err(format!(
            "wrong number of args for {name}: want {want} got {got}"
        )),
        Some(Count::AtLeast(want)) if got < want => Err(format!(
            "wrong number of args for {name}: want at least {want} got {got}"
        )),
        Some(_) => Ok(()),
    }
}

/// Calls `name`, which [`check_count`] has accepted. `and` and `or` are the evaluator's.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, CallError> {
    match name {
        "json" => json(&arguments[0]).map(Value::Text),
        "upper" => Ok(text(arguments, 0)?.to_uppercase().into()),
        "lower" => Ok(text(arguments, 0)?.to_lowercase().into()),
        "title" => Ok(title(text(arguments, 0)?).into()),
        "split" => split(text(arguments, 0)?, text(arguments, 1)?),
        "join" => join(arguments),
        "pad" => pad(
            text(arguments, 0)?,
            integer(arguments, 1)?,
            integer(arguments, 2)?,
        ),
        "truncate" => truncate(text(arguments, 0)?, integer(arguments, 1)?),
        "len" => length(&arguments[0]),
        "index" => arguments[1..].iter().try_fold(arguments[0].clone(), index),
        "not" => Ok((!arguments[0].is_true()).into()),
        "eq" => equal(arguments).map(Value::Bool),
        "ne" => same(&arguments[0], &arguments[1]).map(|same| (!same).into()),
        "lt" => Ok((order(arguments)? == Ordering::Less).into()),
        "le" => Ok((order(arguments)? != Ordering::Greater).into()),
        "gt" => Ok((order(arguments)? == Ordering::Greater).into()),
        "ge" => Ok((order(arguments)? != Ordering::Less).into()),
        "print" => bounded(printf::print(arguments)),
        "println" => bounded(printf::println(arguments)),
        "printf" => bounded(printf::printf(text(arguments, 0)?, &arguments[1..])),
        _ => failed(format!("{} is not a defined function", quote(name))),
    }
}

fn text(arguments: &[Value], index: usize) -> Result<&str, CallError> {
    match &arguments[index] {
        Value::Text(text) => Ok(text),
        _ => Err(CallError::Argument {
            index,
            expected: "string",
        }),
    }
}

fn integer(arguments: &[Value], index: usize) -> Result<i64, CallError> {
    match &arguments[index] {
        Value::Int(value) => Ok(*value),
        _ => Err(CallError::Argument {
            index,
            expected: "int",
        }),
    }
}

fn bounded(text: String) -> Result<Value, CallError> {
    if text.len() > MAX_TEXT {
        return failed(format!("more than {MAX_TEXT} bytes"));
    }
    Ok(text.into())
}

fn json(value: &Value) -> Result<String, CallError> {
    serde_json::to_string(value).or_else(|error| failed(error.to_string()))
}

/// The first letter of every word in upper case; the rest stays.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(text.len());
    for character in text.chars() {
        if inside {
            titled.push(character);
        } else {
            titled.extend(character.to_uppercase());
        }
        inside = character == '_' || character == '\'' || character.is_alphanumeric();
    }
    titled
}

fn split(text: &str, separator: &str) -> Result<Value, CallError> {
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars()
            .map(|character| character.to_string().into())
            .collect()
    } else {
        text.split(separator).map(Value::from).collect()
    };
    if parts.len() > MAX_PARTS {
        return failed(format!("more than {MAX_PARTS} parts"));
    }
    Ok(Value::List {
        type_name: "[]string",
        items: parts,
    })
}

fn join(arguments: &[Value]) -> Result<Value, CallError> {
    let wrong = CallError::Argument {
        index: 0,
        expected: "[]string",
    };
    let Value::List { items, .. } = &arguments[0] else {
        return Err(wrong);
    };
    let separator = text(arguments, 1)?;
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Text(text) => parts.push(text.as_str()),
            _ => return Err(wrong),
        }
    }
    bounded(parts.join(separator))
}

/// Blanks before and after a text that is not empty.
fn pad(text: &str, before: i64, after: i64) -> Result<Value, CallError> {
    if text.is_empty() {
        return Ok(text.into());
    }
    let (Ok(before), Ok(after)) = (usize::try_from(before), usize::try_from(after)) else {
        return failed("strings: negative Repeat count");
    };
    if before.saturating_add(after).saturating_add(text.len()) > MAX_TEXT {
        return failed(format!("more than {MAX_TEXT} bytes"));
    }
    Ok(format!("{}{text}{}", " ".repeat(before), " ".repeat(after)).into())
}

/// The first `length` bytes; a character is never cut in two.
fn truncate(text: &str, length: i64) -> Result<Value, CallError> {
    let Ok(length) = usize::try_from(length) else {
        return failed("slice bounds out of range");
    };
    Ok(text[..text.floor_char_boundary(length.min(text.len()))].into())
}

fn length(value: &Value) -> Result<Value, CallError> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List { items, .. } => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Nil => return failed("len of untyped nil"),
        Value::NilPointer { .. } => return failed("len of nil pointer"),
        other => return failed(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(container: Value, key: &Value) -> Result<Value, CallError> {
    match container {
        Value::Nil => failed("index of untyped nil"),
        Value::NilPointer { .. } => failed("index of nil pointer"),
        Value::Map(entries) => match key {
            Value::Text(key) => {
                let found = entries.into_iter().find(|(known, _)| known == key);
                Ok(found.map_or(Value::Nil, |(_, value)| value))
            }
            _ => failed(format!(
                "value has type {}; should be string",
                key.type_name()
            )),
        },
        Value::List { items, .. } => {
            let place = position(key, items.len())?;
            Ok(items.into_iter().nth(place).unwrap_or(Value::Nil))
        }
        Value::Text(text) => {
            let place = position(key, text.len())?;
            Ok(Value::Uint(u64::from(text.as_bytes()[place])))
        }
        other => failed(format!("can't index item of type {}", other.type_name())),
    }
}

fn position(key: &Value, length: usize) -> Result<usize, CallError> {
    let place = match key {
        Value::Int(value) => i128::from(*value),
        Value::Uint(value) => i128::from(*value),
        Value::Nil => return failed("cannot index slice/array with nil"),
        _ => {
            return failed(format!(
                "cannot index slice/array with type {}",
                key.type_name()
            ));
        }
    };
    match usize::try_from(place) {
        Ok(place) if place < length => Ok(place),
        _ => failed(format!("index out of range: {place}")),
    }
}

/// Is the first equal to any of the others?
fn equal(arguments: &[Value]) -> Result<bool, CallError> {
    if arguments.len() < 2 {
        return failed("missing argument for comparison");
    }
    for other in &arguments[1..] {
        if same(&arguments[0], other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn same(left: &Value, right: &Value) -> Result<bool, CallError> {
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return Ok(left == right);
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Text(left), Value::Text(right)) => Ok(left == right),
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        (Value::Nil | Value::NilPointer { .. }, Value::Nil | Value::NilPointer { .. }) => Ok(true),
        (Value::Nil | Value::NilPointer { .. }, _) | (_, Value::Nil | Value::NilPointer { .. }) => {
            Ok(false)
        }
        (Value::List { .. } | Value::Map(_), _) => failed(format!(
            "non-comparable type {}: {}",
            left.display(),
            left.type_name()
        )),
        (_, Value::List { .. } | Value::Map(_)) => failed(format!(
            "non-comparable type {}: {}",
            right.display(),
            right.type_name()
        )),
        (Value::Struct(left), Value::Struct(right)) => Ok(left == right),
        _ => failed("incompatible types for comparison"),
    }
}

fn order(arguments: &[Value]) -> Result<Ordering, CallError> {
    let (left, right) = (&arguments[0], &arguments[1]);
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return Ok(left.cmp(&right));
    }
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(left.cmp(right)),
        (Value::Bool(_), Value::Bool(_)) => failed("invalid type for comparison"),
        (Value::Bool(_) | Value::Text(_) | Value::Int(_) | Value::Uint(_), _) => {
            failed("incompatible types for comparison")
        }
        _ => failed("invalid type for comparison"),
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    }
}
