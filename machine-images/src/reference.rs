//! How a user names an image: a file, a URL, a stream of Fedora CoreOS, or an artifact of a registry.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

use crate::streams::{StreamName, StreamRef, StreamRefError};

/// What an image is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A file of this host.
    File(PathBuf),
    /// A file of a web server.
    Url(Url),
    /// A stream of Fedora CoreOS, or a release of one: `stable`, `next@44.20261101.1.0`.
    Stream(StreamRef),
    /// An artifact of a registry: what stands behind `docker://`.
    Artifact(String),
}

/// The text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing can be had that way.
    #[error("image `{text}` begins with `{scheme}://`, which is not known")]
    Scheme {
        /// What was given.
        text: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// It begins like a stream's release and is none.
    #[error(transparent)]
    Stream(#[from] StreamRefError),
    /// It begins like a URL and is none.
    #[error("image `{text}` is no valid URL: {reason}")]
    Url {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ReferenceError {
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        vec![
            "an image is a file, an `https://` or `http://` URL, `docker://` with an artifact's name, or a stream of \
             Fedora CoreOS: `stable`, `testing`, `next`"
                .to_owned(),
        ]
    }
}

impl Reference {
    /// Reads what a user wrote. A file that is called like something else is named with its directory, as `./stable`.
    pub fn parse(text: &OsStr) -> Result<Self, ReferenceError> {
        let file = || Ok(Self::File(PathBuf::from(text)));
        let Some(text) = text.to_str() else {
            return file();
        };
        let stream = text.split('@').next().unwrap_or_default();
        if stream.parse::<StreamName>().is_ok() {
            return Ok(Self::Stream(text.parse()?));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return file();
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => text
                .parse()
                .map(Self::Url)
                .map_err(|error: url::ParseError| ReferenceError::Url {
                    text: text.to_owned(),
                    reason: error.to_string(),
                }),
            "docker" => Ok(Self::Artifact(rest.to_owned())),
            // A directory may be called so.
            _ if PathBuf::from(text).exists() => file(),
            _ => Err(ReferenceError::Scheme {
                text: text.to_owned(),
                scheme: scheme.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&crate::http::shown(url)),
            Self::Stream(stream) => stream.fmt(f),
            Self::Artifact(name) => write!(f, "docker://{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(OsStr::new(text))
    }

    #[test]
    fn each_kind_is_known_by_its_beginning() {
        for text in [
            "disk.raw", "/a/b.xz", "./stable", "unstable", "", "a:b", "stable/x",
        ] {
            assert_eq!(parse(text), Ok(Reference::File(text.into())), "{text}");
        }
        for text in ["stable", "testing", "next", "stable@44.20261101.3.0"] {
            assert_eq!(
                parse(text),
                Ok(Reference::Stream(text.parse().unwrap())),
                "{text}"
            );
        }
        for text in ["https://h/x.raw.xz", "HTTP://h:8080/"] {
            assert!(matches!(parse(text), Ok(Reference::Url(_))), "{text}");
        }
        let artifact = Reference::Artifact("quay.io/podman/machine-os:6.0".to_owned());
        assert_eq!(
            parse("docker://quay.io/podman/machine-os:6.0"),
            Ok(artifact.clone())
        );
        assert_eq!(
            artifact.to_string(),
            "docker://quay.io/podman/machine-os:6.0"
        );
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let error = parse("ftp://h/x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "image `ftp://h/x` begins with `ftp://`, which is not known"
        );
        assert!(matches!(parse("next@x"), Err(ReferenceError::Stream(_))));
        let error = parse("https://").unwrap_err();
        assert_eq!(
            error.to_string(),
            "image `https://` is no valid URL: empty host"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let text = OsStr::from_bytes(b"/a/\xff");
        assert_eq!(Reference::parse(text), Ok(Reference::File(text.into())));
    }

    #[test]
    fn a_password_is_not_shown() {
        let reference = parse("https://me:secret@h/x").unwrap();
        assert!(!reference.to_string().contains("secret"), "{reference}");
    }
}
