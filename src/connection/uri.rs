//! Addresses of engines, read and written by the rules of Go's `net/url`, which podman stores and parses them with.
//!
//! Pure. What Go refuses is refused in Go's words; what it lets through and no client could use is left to the caller.

use std::fmt::{self, Write as _};

use thiserror::Error;

/// An address in its parts. Names and paths are decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    /// In lower case.
    pub scheme: String,
    /// The user and, behind a colon, a password.
    pub user: Option<User>,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    /// Digits only, or nothing.
    pub port: String,
    /// Begins with a slash, or is empty.
    pub path: String,
    /// The path as it was written, where it is not how we would write it.
    raw_path: Option<String>,
    /// Behind the question mark, as it was written.
    query: Option<String>,
    /// Behind the number sign.
    fragment: String,
}

/// Who logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password, which no address should have.
    pub password: Option<String>,
}

/// Why a text is no address, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("parse {}: {reason}", quoted(text))]
pub struct UriError {
    text: String,
    reason: String,
}

/// Which part of an address is encoded or decoded; each has characters of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Path,
    Fragment,
}

impl Uri {
    /// Reads a destination. One without a scheme is meant for SSH.
    pub fn parse(destination: &str) -> Result<Self, UriError> {
        let text = if has_scheme(destination) {
            destination.to_owned()
        } else {
            format!("ssh://{destination}")
        };
        parse(&text).map_err(|reason| UriError { text, reason })
    }

    /// Takes another path, written as it is.
    pub fn set_path(&mut self, path: &str) {
        path.clone_into(&mut self.path);
        self.raw_path = None;
    }

    /// The host with brackets where it needs them, and the port.
    fn authority(&self) -> String {
        let host = encode(&self.host, Part::Host);
        let host = if self.host.contains(':') || self.host.starts_with('[') {
            format!("[{host}]")
        } else {
            host
        };
        if self.port.is_empty() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            formatter.write_str(&encode(&user.name, Part::User))?;
            if let Some(password) = &user.password {
                write!(formatter, ":{}", encode(password, Part::User))?;
            }
            formatter.write_str("@")?;
        }
        let authority = self.authority();
        formatter.write_str(&authority)?;
        if !self.path.is_empty() && !self.path.starts_with('/') && !authority.is_empty() {
            formatter.write_str("/")?;
        }
        match &self.raw_path {
            Some(raw) => formatter.write_str(raw)?,
            None => formatter.write_str(&encode(&self.path, Part::Path))?,
        }
        if let Some(query) = &self.query {
            write!(formatter, "?{query}")?;
        }
        if !self.fragment.is_empty() {
            write!(formatter, "#{}", encode(&self.fragment, Part::Fragment))?;
        }
        Ok(())
    }
}

/// `^[A-Za-z][A-Za-z0-9+.-]*://`
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
}

fn parse(text: &str) -> Result<Uri, String> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    if rest.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    let (authority, raw_path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = parse_host(host)?;
    let user = user.map(parse_user).transpose()?;
    let path = decode(raw_path, Part::Path)?;
    let as_written = (encode(&path, Part::Path) != raw_path && is_encoded(raw_path))
        .then(|| raw_path.to_owned());
    Ok(Uri {
        scheme: scheme.to_ascii_lowercase(),
        user,
        host,
        port,
        path,
        raw_path: as_written,
        query,
        fragment: decode(fragment, Part::Fragment)?,
    })
}

fn parse_user(text: &str) -> Result<User, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = match text.split_once(':') {
        Some((name, password)) => (name, Some(decode(password, Part::User)?)),
        None => (text, None),
    };
    Ok(User {
        name: decode(name, Part::User)?,
        password,
    })
}

fn parse_host(text: &str) -> Result<(String, String), String> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let Some((host, behind)) = inner.rsplit_once(']') else {
            return Err("missing ']' in host".to_owned());
        };
        (host, behind)
    } else {
        text.split_at(text.rfind(':').unwrap_or(text.len()))
    };
    let digits = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits,
        None if port.is_empty() => "",
        _ => return Err(format!("invalid port {} after host", quoted(port))),
    };
    Ok((decode(host, Part::Host)?, digits.to_owned()))
}

fn decode(text: &str, part: Part) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let pair = bytes.get(at + 1..at + 3).and_then(hexadecimal);
            // In a host only what is no ASCII may be encoded, and the zone of an address.
            let allowed = |value: &u8| part != Part::Host || *value >= 0x80 || *value == b'%';
            let Some(value) = pair.filter(allowed) else {
                let end = bytes.len().min(at + 3);
                let escape = String::from_utf8_lossy(&bytes[at..end]);
                return Err(format!("invalid URL escape {}", quoted(&escape)));
            };
            decoded.push(value);
            at += 3;
            continue;
        }
        if part == Part::Host && byte < 0x80 && must_be_encoded(byte, part) {
            let character = char::from(byte).to_string();
            return Err(format!(
                "invalid character {} in host name",
                quoted(&character)
            ));
        }
        decoded.push(byte);
        at += 1;
    }
    // Go keeps bytes that are no text; nothing here could say them again.
    String::from_utf8(decoded).map_err(|_| "the encoded text is not UTF-8".to_owned())
}

fn hexadecimal(pair: &[u8]) -> Option<u8> {
    let [high, low] = pair else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn encode(text: &str, part: Part) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if must_be_encoded(byte, part) {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded
}

fn must_be_encoded(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let kept: &[u8] = match part {
        Part::User => b"$&+,;=",
        Part::Host => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::Fragment => b"!$&'()*+,/:;=?@",
    };
    !kept.contains(&byte)
}

/// Whether a path can be written as it is.
fn is_encoded(text: &str) -> bool {
    let allowed = |byte| b"!'()*[]%".contains(&byte) || !must_be_encoded(byte, Part::Path);
    text.bytes().all(allowed)
}

/// As Go's `%q` for what an address can hold.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
