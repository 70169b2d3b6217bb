//! The rules, each from a file to the list of what is wrong in it.

use std::collections::BTreeSet;

use super::source::{Source, paths, words};
use super::{
    EDGES, FORBIDDEN, KIND_NAMERS, KIND_PLACES, KIND_WORDS, MOST_LINES, PLATFORM_FOLDERS,
    PLATFORM_LEAVES, PLATFORM_WORDS, PRINTING_PLACES, PRINTING_WORDS, PROVIDERS, UNSAFE_PLACES,
    UNWANTED, WALL_CLOCK_PLACES,
};

fn starts_with_one_of(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

fn is_rust(source: &Source) -> bool {
    source.extension() == "rs"
}

/// Rust that is built into the product.
fn is_product(source: &Source) -> bool {
    is_rust(source)
        && starts_with_one_of(&source.path, &["src/", "provisioning/", "machine-images/"])
}

/// Whether a path is the module or something in it.
fn is_inside(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

pub(super) fn module_edges(source: &Source) -> Vec<String> {
    if source.path.starts_with("src/host/") || !is_rust(source) {
        return Vec::new();
    }
    let Some(module) = source.module("src/") else {
        return Vec::new();
    };
    let Some(own) = module.first() else {
        return Vec::new();
    };
    if !EDGES.iter().any(|(name, _)| name == own) {
        return vec![format!(
            "{}: module `{own}` has no line in EDGES",
            source.path
        )];
    }
    let me = module.join("::");
    let allowed: Vec<&str> = EDGES
        .iter()
        .filter(|(name, _)| is_inside(&me, name))
        .flat_map(|(_, to)| to.iter().copied())
        .collect();
    let known: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for (at, path) in paths(&source.code_without_tests(), &module) {
        let Some(first) = path.first().filter(|first| known.contains(first.as_str())) else {
            continue;
        };
        let named = path.join("::");
        let may = first == own || allowed.iter().any(|edge| is_inside(&named, edge));
        if !may {
            wrong.push(format!(
                "{}:{}: names `{named}`",
                source.path,
                source.line(at)
            ));
        }
        if let ([provider, mine, ..], [first, other, ..]) = (&module[..], &path[..])
            && (provider == "provider" && first == "provider" && mine != other)
            && PROVIDERS.contains(&mine.as_str())
            && PROVIDERS.contains(&other.as_str())
        {
            let line = source.line(at);
            wrong.push(format!(
                "{}:{line}: one provider names another, `{named}`",
                source.path
            ));
        }
    }
    wrong
}

pub(super) fn crate_edges(name: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let unwanted: &[&str] = UNWANTED
        .iter()
        .find(|(unwanting, _)| *unwanting == name)
        .map_or(&[], |(_, list)| list);
    let mut wrong = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            for dependency in dependencies.keys().map(String::as_str) {
                let of_ours = dependency == "machine" || dependency.starts_with("machine-");
                if (of_ours && !allowed.contains(&dependency)) || unwanted.contains(&dependency) {
                    wrong.push(format!("crate `{name}` uses `{dependency}`"));
                }
            }
        }
    }
    wrong
}

/// A condition on the system may stand in the leaves, in tests, and where a leaf is chosen.
pub(super) fn platform_conditions(source: &Source) -> Vec<String> {
    let stem = source
        .path
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".rs"));
    let is_leaf = stem.is_some_and(|stem| PLATFORM_LEAVES.contains(&stem));
    if !is_product(source) || is_leaf || starts_with_one_of(&source.path, PLATFORM_FOLDERS) {
        return Vec::new();
    }
    let code = source.code_without_tests();
    let mut wrong = Vec::new();
    for at in words(&code, "cfg")
        .into_iter()
        .chain(words(&code, "cfg_attr"))
    {
        let rest = &code[at..];
        let condition = condition_of(rest);
        let names_system = PLATFORM_WORDS
            .iter()
            .any(|word| !words(condition, word).is_empty());
        if !names_system || !words(condition, "test").is_empty() {
            continue;
        }
        let behind = &source.text[at + condition.len()..];
        if !chooses_a_leaf(&source.text[at..][..condition.len()], behind) {
            let line = source.line(at);
            wrong.push(format!(
                "{}:{line}: `{}`",
                source.path,
                source.text[at..][..condition.len()].trim()
            ));
        }
    }
    wrong
}

/// From the word to the parenthesis that closes it.
fn condition_of(rest: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &rest[..=at];
                }
            }
            _ => {}
        }
    }
    rest
}

/// `mod linux;`, `use linux::…;` with `pub` or not, `return linux::…;`, or `path = "linux.rs"` for a
/// module of another name.
fn chooses_a_leaf(condition: &str, behind: &str) -> bool {
    let item = behind.split([';', '{']).next().unwrap_or_default();
    let names_file = |text: &str| {
        let file = text
            .split_once("path = \"")
            .and_then(|(_, rest)| rest.split_once(".rs\""));
        let stem = file.and_then(|(path, _)| path.rsplit('/').next());
        stem.is_some_and(|stem| PLATFORM_LEAVES.contains(&stem))
    };
    if names_file(condition) || names_file(item) {
        return true;
    }
    let item = item.rsplit(']').next().unwrap_or_default();
    let mut parts = item
        .split(|c: char| c.is_whitespace() || c == ':')
        .filter(|part| !part.is_empty() && !part.starts_with("pub") && *part != "self");
    matches!(parts.next(), Some("mod" | "use" | "return"))
        && parts
            .next()
            .is_some_and(|name| PLATFORM_LEAVES.contains(&name))
}

pub(super) fn unsafe_code(source: &Source) -> Vec<String> {
    if !is_rust(source) || starts_with_one_of(&source.path, UNSAFE_PLACES) {
        return Vec::new();
    }
    let found = words(&source.code, "unsafe").into_iter();
    found
        .map(|at| format!("{}:{}: `unsafe`", source.path, source.line(at)))
        .collect()
}

pub(super) fn printing(source: &Source) -> Vec<String> {
    if !is_rust(source) || starts_with_one_of(&source.path, PRINTING_PLACES) {
        return Vec::new();
    }
    let code = source.code_without_tests();
    let mut wrong = Vec::new();
    for word in PRINTING_WORDS {
        for at in words(&code, word) {
            wrong.push(format!("{}:{}: `{word}`", source.path, source.line(at)));
        }
    }
    wrong
}

pub(super) fn wall_clock(source: &Source) -> Vec<String> {
    let mut places = WALL_CLOCK_PLACES.iter();
    if !is_product(source) || places.any(|(place, _)| source.path.starts_with(place)) {
        return Vec::new();
    }
    let code = source.code_without_tests();
    let mut wrong = Vec::new();
    for word in ["SystemTime", "Timestamp::now", "Zoned::now"] {
        for at in words(&code, word) {
            wrong.push(format!("{}:{}: `{word}`", source.path, source.line(at)));
        }
    }
    wrong
}

pub(super) fn provider_kinds(source: &Source) -> Vec<String> {
    if !is_product(source) || starts_with_one_of(&source.path, KIND_PLACES) {
        return Vec::new();
    }
    let code = source.code_without_tests();
    let mut wrong = Vec::new();
    for at in words(&code, "ProviderKind") {
        let Some(rest) = code[at + "ProviderKind".len()..].strip_prefix("::") else {
            continue;
        };
        let name: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        // A variant, not a function and not a constant.
        if name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.contains(|c: char| c.is_ascii_lowercase())
        {
            wrong.push(format!(
                "{}:{}: `ProviderKind::{name}`",
                source.path,
                source.line(at)
            ));
        }
    }
    wrong
}

/// A hypervisor's name in code or in a text of the host's program, outside of the places that have a reason.
pub(super) fn provider_words(source: &Source) -> Vec<String> {
    let is_named = KIND_NAMERS.iter().any(|(path, _)| source.path == *path);
    let is_host = is_rust(source) && source.path.starts_with("src/");
    if !is_host || is_named || starts_with_one_of(&source.path, KIND_PLACES) {
        return Vec::new();
    }
    let found = kind_words(&source.text_without_tests()).into_iter();
    found
        .map(|(at, word)| format!("{}:{}: `{word}`", source.path, source.line(at)))
        .collect()
}

/// The places of the hypervisors' names, also inside of other words, but for `hypervisor`.
pub(super) fn kind_words(text: &str) -> Vec<(usize, &'static str)> {
    let text = text.to_ascii_lowercase();
    let found = KIND_WORDS.iter().flat_map(|word| {
        let places = text.match_indices(word);
        places.map(|(at, found)| (at, found.len(), *word))
    });
    found
        .filter(|(at, length, _)| !text[at + length..].starts_with("isor"))
        .map(|(at, _, word)| (at, word))
        .collect()
}

pub(super) fn first_lines(source: &Source) -> Vec<String> {
    let named = source
        .text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("//! "));
    if is_rust(source) && !named {
        return vec![format!(
            "{}:1: does not begin by saying what it is for (`//!`)",
            source.path
        )];
    }
    Vec::new()
}

pub(super) fn lengths(source: &Source) -> Vec<String> {
    let written = ["rs", "py", "sh"].contains(&source.extension());
    let lines = source.text.lines().count();
    if written && lines > MOST_LINES {
        return vec![format!("{}: {lines} lines", source.path)];
    }
    Vec::new()
}

pub(super) fn forbidden_words(source: &Source) -> Vec<String> {
    // Written by cargo, with the address of the registry's index.
    if source.path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let text = source.text.to_ascii_lowercase();
    let mut wrong = Vec::new();
    for (one, two) in FORBIDDEN {
        for (at, word) in text.match_indices(&format!("{one}{two}")) {
            wrong.push(format!("{}:{}: `{word}`", source.path, source.line(at)));
        }
    }
    wrong
}

pub(super) fn forgotten_tests(main: &str, entries: &[String]) -> Vec<String> {
    let main = Source::new("tests/it/main.rs", main);
    entries
        .iter()
        .filter(|name| *name != "main")
        .filter(|name| words(&main.code, &format!("mod {name};")).is_empty())
        .map(|name| format!("tests/it/{name} is no module of main.rs"))
        .collect()
}
