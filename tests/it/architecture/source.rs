//! A source file as the rules see it: code without comments, texts and, where asked, tests.
//!
//! This is no parser of Rust. It knows enough to find module paths and words in code, and what it
//! cannot place it leaves as it is, so that a rule rather speaks up than overlooks.

use std::path::Path;

/// A file of the tree.
pub(super) struct Source {
    /// Relative to the top of the tree, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with comments and literals blanked out, of the same length.
    pub(super) code: String,
    /// The text with comments alone blanked out.
    said: String,
    /// A file that is only compiled for tests.
    is_test: bool,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text, true),
            said: blank(text, false),
            is_test: name.ends_with("tests.rs")
                || path.contains("/tests/")
                || path.contains("/benches/"),
        }
    }

    /// The places where a file may lie that this one takes in only for tests.
    fn test_files(&self) -> Vec<String> {
        let folder = match self.path.strip_suffix(".rs") {
            Some(stem) => ["/mod", "/lib", "/main"]
                .iter()
                .find_map(|root| stem.strip_suffix(root))
                .unwrap_or(stem),
            None => return Vec::new(),
        };
        let behind = self
            .code
            .match_indices("#[cfg(test)]")
            .map(|(at, word)| &self.code[at + word.len()..]);
        behind
            .filter_map(|behind| {
                let item = behind.split(';').next()?;
                let name = item.trim().rsplit_once("mod ")?.1;
                name.bytes().all(is_word).then_some(name)
            })
            .flat_map(|name| {
                [
                    format!("{folder}/{name}.rs"),
                    format!("{folder}/{name}/mod.rs"),
                ]
            })
            .collect()
    }

    pub(super) fn extension(&self) -> &str {
        self.path
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension)
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// The module that the file is, below the crate's root: `store/draft.rs` is `[store, draft]`.
    pub(super) fn module(&self, root: &str) -> Option<Vec<String>> {
        let inside = self.path.strip_prefix(root)?.strip_suffix(".rs")?;
        let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if matches!(
            parts.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            parts.pop();
        }
        Some(parts)
    }

    /// The code with everything behind `#[cfg(test)]` blanked out; nothing is left of a test file.
    pub(super) fn code_without_tests(&self) -> String {
        if self.is_test {
            return String::new();
        }
        self.cut_tests_out(self.code.clone())
    }

    /// The same with what stands in literals.
    pub(super) fn text_without_tests(&self) -> String {
        if self.is_test {
            return String::new();
        }
        self.cut_tests_out(self.said.clone())
    }

    /// Blanks the tests out of something that is as long as the text.
    fn cut_tests_out(&self, text: String) -> String {
        let mut bytes = text.into_bytes();
        let mut from = 0;
        while let Some(found) = self.code[from..].find("#[cfg(test)]") {
            let start = from + found;
            let end = end_of_item(&self.code, start);
            for byte in &mut bytes[start..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            from = end;
        }
        String::from_utf8(bytes).expect("items begin and end with characters of one byte")
    }
}

/// Every file of the tree that people write, but what git, cargo or an editor keeps there.
pub(super) fn tree() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_symlink() || name == "target" || (name.starts_with('.') && name != ".ci") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = String::from_utf8(fs_err::read(&path).unwrap()) {
                sources.push(Source::new(&relative(top, &path), &text));
            }
        }
    }
    let test_files: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in &mut sources {
        source.is_test |= test_files.contains(&source.path);
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

fn relative(top: &Path, path: &Path) -> String {
    path.strip_prefix(top)
        .unwrap()
        .to_str()
        .unwrap()
        .replace('\\', "/")
}

/// Where the item ends that an attribute at `start` belongs to: with its block, or its semicolon.
fn end_of_item(code: &str, start: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (offset, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return start + offset + 1;
                }
            }
            ';' if braces == 0 && others == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Replaces comments, and the insides of literals where asked, by blanks, so that offsets and lines stay.
fn blank(text: &str, literals: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at
            + if rest.starts_with(b"//") {
                rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
            } else if rest.starts_with(b"/*") {
                block_comment(rest)
            } else if let Some(length) = raw_text(bytes, at) {
                length
            } else if rest[0] == b'"' {
                quoted(rest, b'"')
            } else if rest[0] == b'\'' {
                character(rest)
            } else {
                at += 1;
                continue;
            };
        if literals || rest.starts_with(b"/") {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole literals and comments were blanked")
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_text(bytes: &[u8], at: usize) -> Option<usize> {
    let in_word =
        at > 0 && is_word(bytes[at - 1]) && bytes[at - 1] != b'b' && bytes[at - 1] != b'c';
    if bytes[at] != b'r' || in_word {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let inside = &bytes[at + 2 + hashes..];
    let length = inside.windows(end.len()).position(|window| window == end);
    Some(length.map_or(bytes.len() - at, |length| 2 + hashes + length + end.len()))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character's length, or 1 for the tick of a lifetime.
fn character(rest: &[u8]) -> usize {
    let text = std::str::from_utf8(&rest[1..rest.len().min(8)]);
    let text = text.unwrap_or_else(|error| {
        std::str::from_utf8(&rest[1..=error.valid_up_to()]).expect("cut where it is valid")
    });
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => quoted(rest, b'\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 1,
    }
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The places where `word` stands in `code` and is not part of a longer word.
pub(super) fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || !is_word(bytes[at - 1]) || !is_word(word.as_bytes()[0]))
        .filter(|at| {
            let last = word.as_bytes()[word.len() - 1];
            bytes
                .get(at + word.len())
                .is_none_or(|next| !is_word(*next) || !is_word(last))
        })
        .collect()
}

/// The paths from the crate's root that the code names, each with its place.
pub(super) fn paths(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in words(code, "crate") {
        if let Some(rest) = after_colons(&code[at + "crate".len()..]) {
            let mut path = Vec::new();
            follow(rest, &mut path, &mut |path| found.push((at, path.to_vec())));
        }
    }
    for at in words(code, "super") {
        if code[..at].trim_end().ends_with("::") {
            continue;
        }
        let mut path = module.to_vec();
        path.extend(inline_modules(code, at));
        let mut rest = &code[at..];
        let mut climbs = 0;
        while let Some(next) = rest
            .trim_start()
            .strip_prefix("super")
            .and_then(after_colons)
        {
            climbs += 1;
            rest = next;
        }
        path.truncate(path.len().saturating_sub(climbs));
        follow(rest, &mut path, &mut |path| found.push((at, path.to_vec())));
    }
    found
}

fn after_colons(rest: &str) -> Option<&str> {
    rest.trim_start().strip_prefix("::")
}

/// Follows a path, or a tree of `use`, and returns what stands behind it.
fn follow<'a>(rest: &'a str, path: &mut Vec<String>, found: &mut dyn FnMut(&[String])) -> &'a str {
    let mut rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start().trim_start_matches(',').trim_start();
            if inside.is_empty() {
                return inside;
            }
            if let Some(behind) = inside.strip_prefix('}') {
                return behind;
            }
            let before = inside.len();
            let depth = path.len();
            inside = follow(inside, path, found);
            path.truncate(depth);
            // `as name` and whatever else is no path.
            if let Some(next) = inside.find([',', '}', '{']) {
                inside = &inside[next..];
            }
            if inside.len() == before {
                inside = &inside[1..];
            }
        }
    }
    let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
    if length > 0 {
        path.push(rest[..length].to_owned());
    }
    rest = &rest[length..];
    match after_colons(rest) {
        Some(next) if length > 0 && !next.trim_start().starts_with('<') => {
            follow(next, path, found)
        }
        _ => {
            found(path);
            rest
        }
    }
}

/// The names of the `mod name { … }` blocks around a place.
fn inline_modules(code: &str, place: usize) -> Vec<String> {
    let mut open: Vec<Option<String>> = Vec::new();
    for (at, c) in code[..place].char_indices() {
        match c {
            '{' => {
                let mut before = code[..at].split_ascii_whitespace().rev();
                let name = before.next().unwrap_or_default();
                open.push((before.next() == Some("mod")).then(|| name.to_owned()));
            }
            '}' => {
                open.pop();
            }
            _ => {}
        }
    }
    open.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let text = r##"a /* x /* y */ z */ "s \" t" 'c' '\'' 'l: r#"raw " "# b"u" // end
'ä' z"##;
        let code = blank(text, true);
        assert_eq!(code.len(), text.len());
        let left: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(left, ["a", "l:", "b", "z"]);
        let said = blank(text, false);
        assert!(said.contains("raw") && !said.contains("end"), "{said}");
    }

    #[test]
    fn tests_are_cut_out() {
        let source = Source::new(
            "src/a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { c() } }\n#[cfg(test)]\nuse d;\nfn e() {}",
        );
        let left = source.code_without_tests();
        assert!(left.contains("fn a") && left.contains("fn e"), "{left}");
        assert!(!left.contains("fn b") && !left.contains("use d"), "{left}");
        assert_eq!(
            Source::new("src/store/tests.rs", "fn a() {}").code_without_tests(),
            ""
        );
    }

    #[test]
    fn paths_are_followed() {
        let module = ["store".to_owned(), "draft".to_owned()];
        let code = "
            use crate::{machine::{MachineName, config as c}, cli};
            use crate::ops::*;
            use super::super::engine;
            use super::layout;
            fn f() { crate::link::Link::<u8>::new(); }
            mod tests { use super::*; use super::super::super::forward; }
        ";
        let found: Vec<String> = paths(code, &module)
            .into_iter()
            .map(|(_, path)| path.join("::"))
            .collect();
        assert_eq!(
            found,
            [
                "machine::MachineName",
                "machine::config",
                "cli",
                "ops",
                "link::Link",
                "engine",
                "store::layout",
                "store::draft",
                "forward",
            ]
        );
    }
}
