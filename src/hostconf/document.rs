//! A TOML document whose complaints name the file, the line and the key.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::HostConfError;
use super::layers::Layer;

/// A document that was parsed.
#[derive(Debug)]
pub(super) struct Document<'t> {
    path: &'t Path,
    text: &'t str,
    root: DeTable<'t>,
}

/// A list of texts with podman's mark for lists that are put behind what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListValue {
    pub(super) items: Vec<String>,
    /// What `{append=BOOL}` says, where it is there.
    pub(super) append: Option<bool>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(layer: &'t Layer) -> Result<Self, HostConfError> {
        match DeTable::parse(&layer.text) {
            Ok(root) => Ok(Self {
                path: &layer.path,
                text: &layer.text,
                root: root.into_inner(),
            }),
            Err(error) => Err(HostConfError::Syntax {
                path: layer.path.clone(),
                line: line(&layer.text, error.span().map_or(0, |span| span.start)),
                problem: error.message().to_owned(),
            }),
        }
    }

    pub(super) fn path(&self) -> &'t Path {
        self.path
    }

    /// What stands before the first table.
    pub(super) fn root(&self) -> Section<'_, 't> {
        Section {
            document: self,
            name: String::new(),
            table: Some(&self.root),
        }
    }

    /// The table `[name]`; an empty one where there is none.
    pub(super) fn section(&self, name: &'static str) -> Result<Section<'_, 't>, HostConfError> {
        self.root().section(name)
    }

    fn line(&self, offset: usize) -> usize {
        line(self.text, offset)
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// A table of a document.
#[derive(Debug)]
pub(super) struct Section<'d, 't> {
    document: &'d Document<'t>,
    name: String,
    table: Option<&'d DeTable<'t>>,
}

impl<'d, 't> Section<'d, 't> {
    /// A table in this table; an empty one where there is none.
    pub(super) fn section(&self, name: &str) -> Result<Self, HostConfError> {
        let table = match self.value(name) {
            None => None,
            Some(value) => match value.get_ref().as_table() {
                Some(table) => Some(table),
                None => return Err(self.wrong(name, value, "a table")),
            },
        };
        Ok(Self {
            document: self.document,
            name: self.path(name),
            table,
        })
    }

    /// The keys as they are written, each with its line.
    pub(super) fn keys(&self) -> Vec<(String, usize)> {
        let keys = self.table.into_iter().flat_map(|table| table.keys());
        let mut keys: Vec<_> = keys
            .map(|key| (key.span().start, key.get_ref().to_string()))
            .collect();
        keys.sort_unstable();
        keys.into_iter()
            .map(|(start, key)| (key, self.document.line(start)))
            .collect()
    }

    pub(super) fn unsigned(&self, key: &str) -> Result<Option<u64>, HostConfError> {
        const EXPECTED: &str = "a whole number of at least 0";
        self.get(key, EXPECTED, |value| {
            let number = value.as_integer()?;
            u64::from_str_radix(number.as_str(), number.radix()).ok()
        })
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, HostConfError> {
        self.get(key, "true or false", DeValue::as_bool)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, HostConfError> {
        self.get(key, "text in quotes", |value| {
            value.as_str().map(str::to_owned)
        })
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        expected: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, HostConfError> {
        self.get(key, expected, |value| {
            let text = value.as_str()?;
            words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, meaning)| *meaning)
        })
    }

    pub(super) fn list(&self, key: &str) -> Result<Option<ListValue>, HostConfError> {
        self.get(key, "a list of texts", list)
    }

    fn get<T>(
        &self,
        key: &str,
        expected: &'static str,
        convert: impl FnOnce(&DeValue<'t>) -> Option<T>,
    ) -> Result<Option<T>, HostConfError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match convert(value.get_ref()) {
            Some(converted) => Ok(Some(converted)),
            None => Err(self.wrong(key, value, expected)),
        }
    }

    /// By the key as it is written, else by one that differs in case, as podman's decoder does it.
    fn value(&self, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
        let table = self.table?;
        let find = |same: &dyn Fn(&str) -> bool| {
            table
                .iter()
                .find(|(known, _)| same(known.get_ref()))
                .map(|(_, value)| value)
        };
        find(&|known| known == key).or_else(|| find(&|known| known.eq_ignore_ascii_case(key)))
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn wrong(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> HostConfError {
        HostConfError::WrongType {
            path: self.document.path.to_owned(),
            line: self.document.line(value.span().start),
            key: self.path(key),
            expected,
            found: describe(value.get_ref()),
        }
    }
}

fn list(value: &DeValue<'_>) -> Option<ListValue> {
    let mut items = Vec::new();
    let mut append = None;
    for item in value.as_array()? {
        match item.get_ref() {
            DeValue::String(text) => items.push(text.to_string()),
            DeValue::Table(attributes) => {
                for (key, value) in attributes {
                    if key.get_ref() != "append" {
                        return None;
                    }
                    append = Some(value.get_ref().as_bool()?);
                }
            }
            _ => return None,
        }
    }
    Some(ListValue { items, append })
}

/// A value as an error shows it: short ones as they are, since that is where the mistake is seen.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => format!("`{}`", number.as_str()),
        DeValue::Integer(_) => "a number".to_owned(),
        DeValue::Float(number) => format!("`{}`", number.as_str()),
        DeValue::Boolean(value) => format!("`{value}`"),
        // A longer one, and one with an address in it, may hold what others should not read.
        DeValue::String(text)
            if text.len() <= 20
                && !text.contains(|letter: char| letter.is_control() || letter == '@') =>
        {
            format!("the text `{text}`")
        }
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
