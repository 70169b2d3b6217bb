//! By what a file of a server is known again (RFC 9110, sections 8.8 and 13.1.5).

use reqwest::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};

/// What a server says by which a file is known again. Only a strong tag is kept: a weak one, which begins with `W/`,
/// may be that of other bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validator {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_modified: Option<String>,
}

impl Validator {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            etag: text(header::ETAG).filter(|tag| !tag.starts_with("W/")),
            last_modified: text(header::LAST_MODIFIED),
        }
    }

    /// The value of `If-Range`, if the server has said anything.
    pub(crate) fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// Whether `other` is of another file. What one of them does not say contradicts nothing.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        differ(&self.etag, &other.etag) || differ(&self.last_modified, &other.last_modified)
    }
}
