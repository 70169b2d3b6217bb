//! Names of streams and releases, as a user writes them, and where their metadata lies on the streams' site.

use std::fmt;
use std::str::FromStr;

/// A stream that users follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StreamName {
    /// What most should run.
    #[default]
    Stable,
    /// What `stable` becomes about two weeks later.
    Testing,
    /// What comes after `testing`, such as the next major version of Fedora.
    Next,
}

impl StreamName {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Stable, Self::Testing, Self::Next];

    /// The name in metadata, URLs and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Testing => "testing",
            Self::Next => "next",
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamName {
    type Err = StreamRefError;

    fn from_str(text: &str) -> Result<Self, StreamRefError> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| StreamRefError::Stream {
                text: text.to_owned(),
            })
    }
}

/// The number of a release: Fedora's version, a date, the stream's number and a build, such as `44.20261101.3.0`.
///
/// It holds digits and dots alone, so that it can be a part of a path or of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Release(String);

impl Release {
    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Release {
    type Err = StreamRefError;

    fn from_str(text: &str) -> Result<Self, StreamRefError> {
        /// More digits than any part has, and few enough for every file system.
        const LONGEST: usize = 10;
        let parts: Vec<&str> = text.split('.').collect();
        let number = |part: &&str| {
            (1..=LONGEST).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if parts.len() == 4 && parts.iter().all(number) && parts[1].len() == 8 {
            Ok(Self(text.to_owned()))
        } else {
            Err(StreamRefError::Release {
                text: text.to_owned(),
            })
        }
    }
}

/// A stream, or one release of it: `stable`, `stable@44.20261101.3.0`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamRef {
    /// The stream.
    pub stream: StreamName,
    /// The release; `None` for what the stream offers today.
    pub release: Option<Release>,
}

impl StreamRef {
    /// Where the metadata lies below the site of the streams, or a mirror of it, without a leading slash.
    ///
    /// A stream has one document (docs.fedoraproject.org, "Stream metadata"). The `release.json` of a release is what
    /// the site's index of releases (`prod/streams/<stream>/releases.json`) names for each of them. The
    /// `<architecture>/meta.json` beside it is the build's own record, and holds no location of a signature.
    pub fn metadata_path(&self) -> String {
        let stream = self.stream;
        match &self.release {
            None => format!("streams/{stream}.json"),
            Some(release) => format!("prod/streams/{stream}/builds/{release}/release.json"),
        }
    }

    /// [`metadata_path`](Self::metadata_path) on a site, with or without a slash at its end.
    pub fn metadata_url(&self, site: &str) -> String {
        format!("{}/{}", site.trim_end_matches('/'), self.metadata_path())
    }
}

impl fmt::Display for StreamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.stream, f)?;
        match &self.release {
            None => Ok(()),
            Some(release) => write!(f, "@{release}"),
        }
    }
}

impl FromStr for StreamRef {
    type Err = StreamRefError;

    fn from_str(text: &str) -> Result<Self, StreamRefError> {
        let (stream, release) = match text.split_once('@') {
            None => (text, None),
            Some((stream, release)) => (stream, Some(release)),
        };
        Ok(Self {
            stream: stream.parse()?,
            release: release.map(str::parse).transpose()?,
        })
    }
}

/// The text names no stream or no release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefError {
    /// There is no such stream.
    #[error("`{}` is no stream of Fedora CoreOS: those are `stable`, `testing` and `next`", text.escape_debug())]
    Stream {
        /// What was written.
        text: String,
    },
    /// It is not written as a release is.
    #[error(
        "`{}` is no release of Fedora CoreOS: one is four numbers such as `44.20261101.3.0`, the second of them a date",
        text.escape_debug()
    )]
    Release {
        /// What was written.
        text: String,
    },
}
