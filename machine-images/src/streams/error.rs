//! Why the metadata of a stream give no image, and what the user can do about it.

use super::MAX_METADATA_BYTES;
use super::reference::StreamRef;

/// What is wrong with the metadata, or what they do not offer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Real metadata are much smaller.
    #[error("Stream metadata `{origin}` are larger than {} MiB", MAX_METADATA_BYTES >> 20)]
    TooLarge {
        /// The URL or the file.
        origin: String,
    },
    /// It is no JSON, or JSON of something else.
    #[error("Stream metadata `{origin}` cannot be read")]
    Json {
        /// The URL or the file.
        origin: String,
        /// Where it ends to make sense.
        #[source]
        source: serde_json::Error,
    },
    /// They are of another stream or release than was asked for.
    #[error("Stream metadata `{origin}` are of `{}`, not of `{expected}`", found.escape_debug())]
    OtherStream {
        /// The URL or the file.
        origin: String,
        /// What was asked for.
        expected: StreamRef,
        /// What they say that they are of.
        found: String,
    },
    /// The stream has no images for the architecture.
    #[error(
        "Fedora CoreOS `{reference}` has no image for the architecture `{wanted}`: there are {}",
        listed(available)
    )]
    NoArchitecture {
        /// The stream or the release.
        reference: StreamRef,
        /// What was asked for.
        wanted: String,
        /// What is there.
        available: Vec<String>,
    },
    /// The stream has no images for the platform.
    #[error(
        "Fedora CoreOS `{reference}` has no image for the platform `{wanted}` on {architecture}: there are {}",
        listed(available)
    )]
    NoPlatform {
        /// The stream or the release.
        reference: StreamRef,
        /// The architecture that was asked for.
        architecture: String,
        /// What was asked for.
        wanted: String,
        /// What is there.
        available: Vec<String>,
    },
    /// The platform has no disk in a format that can be used.
    #[error(
        "Fedora CoreOS `{reference}` has no disk for {target} in the format {}: there are {}",
        listed(wanted),
        listed(available)
    )]
    NoFormat {
        /// The stream or the release.
        reference: StreamRef,
        /// The platform and the architecture that were asked for.
        target: String,
        /// The formats that were asked for, the best first.
        wanted: Vec<String>,
        /// What is there.
        available: Vec<String>,
    },
    /// The image is described in a way that cannot be used.
    #[error(
        "Stream metadata `{origin}` describe the image for {what} in a way that cannot be used: {fault}"
    )]
    Shape {
        /// The URL or the file.
        origin: String,
        /// Architecture, platform and format.
        what: String,
        /// What is wrong.
        fault: String,
    },
}

impl StreamError {
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::TooLarge { .. } | Self::Json { .. } | Self::OtherStream { .. } => vec![
                "a proxy or a mirror may have answered with something else: look at what is there".to_owned(),
            ],
            Self::NoArchitecture { .. } | Self::NoPlatform { .. } | Self::NoFormat { .. } => vec![
                "choose another stream (`stable`, `testing`, `next`), or name an image's file or URL".to_owned(),
            ],
            Self::Shape { .. } => vec![
                "a newer release of this program may know it; until then name an image's file or URL".to_owned(),
            ],
        }
    }
}

/// Names in backticks, without what would change a terminal; of very many only the first.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    let rest = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &rest
}
