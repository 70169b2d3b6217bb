//! Who the user is for a registry: the files that `podman login` and `docker login` write, and the programs they name.
//!
//! The formats are containers-auth.json(5) and docker's `config.json`. The longest name that covers the repository
//! decides; old docker files name registries by a URL.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::{io, iter};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::error::OciError;

/// What a registry is told. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
    /// A refresh token, which is used instead of the password.
    pub(super) identity_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    fn is_empty(&self) -> bool {
        self.username.is_empty() && self.password.is_empty() && self.identity_token.is_none()
    }
}

/// Docker's name for its registry where it keeps passwords.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What a file says about a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Credentials(Credentials),
    /// A program knows it.
    Helper {
        /// `NAME` of `docker-credential-NAME`.
        name: String,
        /// What the registry is called there.
        server: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    auths: Option<HashMap<String, Option<Entry>>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<HashMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// What an auth file may be wrong in. The content is not repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("It is no JSON of such a file: line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("The entry `{0}` is not base64 of a name and a password")]
    Entry(String),
}

/// What the file at this path says; nothing where there is no such file.
pub(super) fn in_file(path: &Path, host: &str, repository: &str) -> Result<Found, OciError> {
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| OciError::Settings {
        path: path.to_owned(),
        source,
    };
    match fs_err::read(path) {
        Ok(text) => find(&text, host, repository).map_err(|error| broken(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(broken(error.into())),
    }
}

/// What such a text says about a repository of a registry.
pub(super) fn find(text: &[u8], host: &str, repository: &str) -> Result<Found, Broken> {
    let document: Document = serde_json::from_slice(text).map_err(|error| Broken::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let helper = document
        .helpers
        .as_ref()
        .and_then(|helpers| helpers.get(host));
    if let Some(name) = helper.filter(|name| !name.is_empty()) {
        return Ok(Found::Helper {
            name: name.clone(),
            server: host.to_owned(),
        });
    }
    if let Some((key, entry)) = document.entry(host, repository) {
        let credentials = entry.decoded(key)?;
        if !credentials.is_empty() {
            return Ok(Found::Credentials(credentials));
        }
    }
    if let Some(name) = document.store.filter(|name| !name.is_empty()) {
        let server = if host == "docker.io" {
            DOCKER_HUB
        } else {
            host
        };
        return Ok(Found::Helper {
            name,
            server: server.to_owned(),
        });
    }
    Ok(Found::Nothing)
}

impl Document {
    /// The entry with the longest name that covers the repository, else one that names the registry by a URL.
    fn entry(&self, host: &str, repository: &str) -> Option<(&str, &Entry)> {
        let auths = self.auths.as_ref()?;
        let whole = format!("{host}/{repository}");
        let mut names =
            iter::successors(Some(whole.as_str()), |name| Some(name.rsplit_once('/')?.0));
        let exact = names.find_map(|name| auths.get_key_value(name));
        let by_url = || {
            let same = auths
                .iter()
                .filter(|(key, _)| registry_of(key) == normal(host));
            same.min_by_key(|(key, _)| *key)
        };
        let (key, entry) = exact.or_else(by_url)?;
        Some((key, entry.as_ref()?))
    }
}

/// The registry of a key, which may be a URL.
fn registry_of(key: &str) -> &str {
    let without = ["http://", "https://"]
        .iter()
        .find_map(|scheme| key.strip_prefix(scheme));
    let host = without.map_or(key, |rest| rest.split('/').next().unwrap_or(rest));
    normal(host)
}

/// Docker Hub has three names.
fn normal(host: &str) -> &str {
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        other => other,
    }
}

impl Entry {
    fn decoded(&self, key: &str) -> Result<Credentials, Broken> {
        let engine = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let broken = || Broken::Entry(super::artifact::shown(key));
        let decoded = engine
            .decode(self.auth.as_deref().unwrap_or_default().trim())
            .map_err(|_| broken())?;
        let decoded = String::from_utf8(decoded).map_err(|_| broken())?;
        let identity_token = self.identitytoken.clone().filter(|token| !token.is_empty());
        // Like podman: what has no colon says nothing.
        let (username, password) = decoded.split_once(':').unwrap_or_default();
        Ok(Credentials {
            username: username.to_owned(),
            password: password.trim_matches('\0').to_owned(),
            identity_token,
        })
    }
}

/// The value of the header `Authorization` for a name and a password.
pub(super) fn basic(credentials: &Credentials) -> String {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
