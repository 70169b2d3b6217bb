//! Takes secrets, and what tells who the user is, out of text. Pure.
//!
//! What is taken out, wherever it stands:
//!
//! | | becomes |
//! |---|---|
//! | what is known to be secret (keys of machines, values of the environment), also in pieces of twelve bytes | `[secret]` |
//! | user and password in a URL or a proxy's address | `[secret]` |
//! | the rest of a line behind the name of a password, a token or the like, and behind `Bearer` | `[secret]` |
//! | a private key in PEM, also one whose beginning or end is missing | `[private key]` |
//! | the home directory, the user's name | `~`, `USER` |
//!
//! In doubt more is taken out than need be.

use std::collections::HashSet;
use std::fmt;

const SECRET: &str = "[secret]";
const PRIVATE_KEY: &str = "[private key]";
const HOME: &str = "~";
const USER: &str = "USER";

/// So many bytes in a row of something secret are found wherever they stand: a console wraps lines, and a log may begin
/// in the middle.
const WINDOW: usize = 12;
/// What is shorter stands in too many other words.
const SHORTEST: usize = 4;
/// No private key in PEM is longer; one of RSA with 16384 bits has 13 KiB.
const LONGEST_KEY: usize = 16 << 10;
/// No address is longer.
const LONGEST_URL: usize = 4 << 10;
/// No name of a variable is longer.
const LONGEST_NAME: usize = 128;
/// Names that say nothing of a person, and stand for other things in the words of systems.
const NOBODY: [&str; 2] = ["root", "core"];

/// Behind a name that ends with one of these stands a secret.
const SECRET_NAMES: [&str; 16] = [
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASSCODE",
    "_PASS",
    "SECRET",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "SECRET_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTHORIZATION",
    "COOKIE",
];
/// As [`SECRET_NAMES`], but only where it is the whole name or stands behind an underscore.
const SECRET_WORD: &str = "AUTH";

/// What has to be taken out.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    windows: HashSet<[u8; WINDOW]>,
    words: Vec<Vec<u8>>,
    homes: Vec<Vec<u8>>,
    users: Vec<Vec<u8>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// A part of a text, and what stands there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: usize,
    to: usize,
    word: &'static str,
}

impl Redactor {
    /// Takes this out wherever it stands: each word of it, in capitals and in small letters where it is hexadecimal. The
    /// lines around a key in PEM are no secret.
    pub(super) fn hide(&mut self, secret: &str) {
        let lines = secret.lines().filter(|line| !line.starts_with("-----"));
        for piece in lines.flat_map(str::split_whitespace) {
            self.hide_piece(piece.as_bytes());
            if piece.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                self.hide_piece(piece.to_ascii_uppercase().as_bytes());
                self.hide_piece(piece.to_ascii_lowercase().as_bytes());
            }
        }
    }

    fn hide_piece(&mut self, piece: &[u8]) {
        if piece.len() >= WINDOW {
            let windows = piece.windows(WINDOW);
            self.windows
                .extend(windows.filter_map(|window| <[u8; WINDOW]>::try_from(window).ok()));
        } else if piece.len() >= SHORTEST && !self.words.iter().any(|word| word == piece) {
            self.words.push(piece.to_vec());
        }
    }

    /// Hides what an environment holds: values whose names say that they are secret, and passwords of proxies.
    pub(super) fn hide_variable(&mut self, name: &str, value: &str) {
        if is_secret_name(name.as_bytes()) {
            self.hide(value);
        } else if is_proxy_name(name.as_bytes())
            && let Some((userinfo, _)) = value.rsplit_once('@')
        {
            let userinfo = userinfo.rsplit("://").next().unwrap_or_default();
            let password = userinfo.split_once(':').map_or(userinfo, |(_, word)| word);
            self.hide(password);
            self.hide(&decoded(password));
        }
    }

    /// Puts `~` in the place of the home directory.
    pub(super) fn hide_home(&mut self, home: &str) {
        let home = home.trim_end_matches(['/', '\\']);
        if home.len() > 1 {
            self.homes.push(home.as_bytes().to_vec());
            // As JSON and debug output have it.
            let escaped = home.replace('\\', "\\\\");
            if escaped != home {
                self.homes.push(escaped.into_bytes());
            }
        }
    }

    /// Puts `USER` in the place of the user's name.
    pub(super) fn hide_user(&mut self, user: &str) {
        if user.len() > 1 && !NOBODY.contains(&user) {
            self.users.push(user.as_bytes().to_vec());
        }
    }

    /// The text without all of that.
    pub(super) fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut spans = self.spans(text);
        spans.sort_by_key(|span| (span.from, std::cmp::Reverse(span.to)));
        let mut redacted = Vec::with_capacity(text.len());
        let mut done = 0;
        let mut spans = spans.into_iter().peekable();
        while let Some(mut span) = spans.next() {
            // What overlaps is one piece, and a secret counts for more than a name.
            while let Some(next) = spans.next_if(|next| next.from < span.to) {
                span.to = span.to.max(next.to);
                if !matches!(next.word, HOME | USER) {
                    span.word = next.word;
                }
            }
            redacted.extend_from_slice(text.get(done..span.from).unwrap_or_default());
            redacted.extend_from_slice(span.word.as_bytes());
            done = span.to;
        }
        redacted.extend_from_slice(text.get(done..).unwrap_or_default());
        redacted
    }

    /// The same of a text of ours.
    pub(super) fn redact_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.redact(text.as_bytes())).into_owned()
    }

    /// The same of all texts in a JSON value, which stays one.
    pub(super) fn redact_json(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = self.redact_text(text),
            serde_json::Value::Array(values) => {
                for value in values {
                    self.redact_json(value);
                }
            }
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    if value.is_string() && is_secret_name(name.as_bytes()) {
                        *value = SECRET.into();
                    } else {
                        self.redact_json(value);
                    }
                }
            }
            _ => {}
        }
    }

    fn spans(&self, text: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        self.known(text, &mut spans);
        addresses(text, &mut spans);
        values(text, &mut spans);
        bearers(text, &mut spans);
        private_keys(text, &mut spans);
        self.names(text, &mut spans);
        spans
    }

    fn known(&self, text: &[u8], spans: &mut Vec<Span>) {
        if !self.windows.is_empty() {
            for (from, window) in text.windows(WINDOW).enumerate() {
                if self.windows.contains(window) {
                    mark(spans, from, from + WINDOW, SECRET);
                }
            }
        }
        for word in &self.words {
            for from in places(text, word) {
                mark(spans, from, from + word.len(), SECRET);
            }
        }
    }

    fn names(&self, text: &[u8], spans: &mut Vec<Span>) {
        let is_free = |at: Option<usize>| {
            at.and_then(|at| text.get(at))
                .is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80)
        };
        for home in &self.homes {
            for from in places(text, home) {
                let to = from + home.len();
                if is_free(Some(to)) {
                    mark(spans, from, to, HOME);
                }
            }
        }
        for user in &self.users {
            for from in places(text, user) {
                let to = from + user.len();
                if is_free(from.checked_sub(1)) && is_free(Some(to)) {
                    mark(spans, from, to, USER);
                }
            }
        }
    }
}

/// Adds a span, or makes the last one longer.
fn mark(spans: &mut Vec<Span>, from: usize, to: usize, word: &'static str) {
    match spans.last_mut() {
        Some(last) if last.word == word && (last.from..=last.to).contains(&from) => {
            last.to = last.to.max(to);
        }
        _ => spans.push(Span { from, to, word }),
    }
}

/// Where the needle begins.
fn places<'a>(text: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = text.windows(needle.len().max(1)).enumerate();
    windows
        .filter(move |(_, window)| *window == needle)
        .map(|(at, _)| at)
}

fn end_of_line(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.iter().position(|byte| *byte == b'\n');
    from + length.unwrap_or(rest.len())
}

/// Users and passwords in URLs.
fn addresses(text: &[u8], spans: &mut Vec<Span>) {
    for at in places(text, b"://") {
        let from = at + 3;
        let rest = text.get(from..).unwrap_or_default();
        let rest = rest.get(..LONGEST_URL).unwrap_or(rest);
        let length = rest.iter().position(|byte| ends_an_address(*byte));
        let address = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        let is_over = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
        let end = address.iter().position(is_over).unwrap_or(address.len());
        let authority = address.get(..end).unwrap_or_default();
        let last_at = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'@');
        let end = match last_at(authority) {
            // A password that nobody has escaped looks like a port that is none.
            None if has_no_port(authority) => last_at(address),
            found => found,
        };
        if let Some(end) = end.filter(|end| *end > 0)
            && !is_plain_login(text.get(..at).unwrap_or_default(), address, end)
        {
            mark(spans, from, from + end, SECRET);
        }
    }
}

fn ends_an_address(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte.is_ascii_control() || matches!(byte, b'"' | b'<' | b'>')
}

fn has_no_port(authority: &[u8]) -> bool {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let port = colon.and_then(|colon| authority.get(colon + 1..));
    !authority.starts_with(b"[")
        && port.is_some_and(|port| port.is_empty() || !port.iter().all(u8::is_ascii_digit))
}

/// SSH has the user's name there, and never a password.
fn is_plain_login(before: &[u8], address: &[u8], end: usize) -> bool {
    let userinfo = address.get(..end).unwrap_or_default();
    before.ends_with(b"ssh") && !userinfo.contains(&b':')
}

/// What stands behind names of secrets, to the end of the line: nobody knows where such a value ends.
fn values(text: &[u8], spans: &mut Vec<Span>) {
    // All of the line is gone up to here.
    let mut gone = 0;
    for (at, byte) in text.iter().enumerate() {
        if at < gone || !matches!(byte, b'=' | b':') {
            continue;
        }
        let before = text.get(..at).unwrap_or_default();
        let quotes = |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'\\');
        let end = before.iter().rposition(|byte| !quotes(byte));
        let name = word_before(before, end.map_or(0, |end| end + 1));
        let from = at + 1;
        if is_secret_name(name) {
            gone = mark_value(text, from, spans);
        } else if is_proxy_name(name) {
            let value = text.get(from..end_of_line(text, from)).unwrap_or_default();
            if let Some(last) = value.iter().rposition(|byte| *byte == b'@') {
                mark(spans, from, from + last, SECRET);
            }
        }
    }
    // Arguments of commands: `--password VALUE`.
    for at in places(text, b"--") {
        let rest = text.get(at + 2..).unwrap_or_default();
        let rest = rest.get(..LONGEST_NAME).unwrap_or(rest);
        let length = rest.iter().position(|byte| !is_of_a_name(*byte));
        let length = length.unwrap_or(rest.len());
        if is_secret_name(rest.get(..length).unwrap_or_default()) {
            mark_value(text, at + 2 + length, spans);
        }
    }
}

/// Takes the rest of the line out, and tells where that ends.
fn mark_value(text: &[u8], from: usize, spans: &mut Vec<Span>) -> usize {
    let to = end_of_line(text, from);
    let value = text.get(from..to).unwrap_or_default();
    let blank = value
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    if let Some(blank) = blank {
        mark(spans, from + blank, to, SECRET);
    }
    to
}

/// The word that ends at `end`.
fn word_before(text: &[u8], end: usize) -> &[u8] {
    let text = text.get(..end).unwrap_or_default();
    let from = text.len().saturating_sub(LONGEST_NAME);
    let text = text.get(from..).unwrap_or_default();
    let from = text.iter().rposition(|byte| !is_of_a_name(*byte));
    text.get(from.map_or(0, |from| from + 1)..)
        .unwrap_or_default()
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_secret_name(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let name = name.replace(['-', '.'], "_");
    SECRET_NAMES.iter().any(|end| name.ends_with(end))
        || name
            .strip_suffix(SECRET_WORD)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

fn is_proxy_name(name: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(b"proxy")
}

/// What follows `Bearer`, wherever it stands.
fn bearers(text: &[u8], spans: &mut Vec<Span>) {
    const WORD: &[u8] = b"bearer ";
    for (at, window) in text.windows(WORD.len()).enumerate() {
        if window.eq_ignore_ascii_case(WORD) {
            mark_value(text, at + WORD.len(), spans);
        }
    }
}

/// Private keys in PEM. Where one of the two lines around a key is missing, all that may be the key goes.
fn private_keys(text: &[u8], spans: &mut Vec<Span>) {
    // Where the key's part before an end that has no beginning may have begun.
    let mut free = 0;
    let mut from = None;
    for at in places(text, b"-----") {
        let rest = text.get(at + 5..).unwrap_or_default();
        if let Some(begin) = rest.strip_prefix(b"BEGIN ")
            && label(begin).is_some()
        {
            // One that began before has no end: no more than a key is taken for one.
            if let Some(from) = from {
                mark(spans, from, at.min(from + LONGEST_KEY), PRIVATE_KEY);
            }
            from = Some(at);
        } else if let Some(end) = rest.strip_prefix(b"END ")
            && let Some(length) = label(end)
        {
            let to = at + b"-----END ".len() + length;
            let longest = at.saturating_sub(LONGEST_KEY);
            let from = from.take().map_or(free.max(longest), |from| {
                // Far behind its beginning it is the end of another.
                if from < longest {
                    mark(spans, from, from + LONGEST_KEY, PRIVATE_KEY);
                    longest
                } else {
                    from
                }
            });
            mark(spans, from, to, PRIVATE_KEY);
            free = to;
        }
    }
    if let Some(from) = from {
        mark(spans, from, text.len().min(from + LONGEST_KEY), PRIVATE_KEY);
    }
}

/// The length of a private key's label with the dashes behind it.
fn label(text: &[u8]) -> Option<usize> {
    const DASHES: &[u8] = b"-----";
    let text = text.get(..64).unwrap_or(text);
    let length = places(text, DASHES).next()?;
    let label = text.get(..length)?;
    let is_private = places(label, b"PRIVATE KEY").next().is_some();
    is_private.then_some(length + DASHES.len())
}

/// What `%XX` stands for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| {
                behind
                    .get(..2)
                    .and_then(|hex| std::str::from_utf8(hex).ok())
            })
            .flatten();
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = behind.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
