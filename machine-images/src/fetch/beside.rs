//! The checksum of an image that its publisher has put beside it.
//!
//! It is looked for only where its server has shown a certificate: over a connection that anybody could change it says as
//! little as the image itself. It guards against a mirror or a disk that mixed something up, and no more than TLS does.

use reqwest::{Client, StatusCode, Url};

use super::{FetchError, document};
use crate::checksum::Checksum;
use crate::checksum_file::{self, Conflict};
use crate::http::shown;

/// A longer file is no list of checksums.
const LIMIT: usize = 1 << 20;
/// The files of a directory that may have the checksums of all others, after the image's own.
const LISTS: [&str; 2] = ["CHECKSUM", "SHA256SUMS"];

/// A checksum, and the file that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) checksum: Checksum,
    pub(super) file: Url,
}

/// Looks for the checksum of what is at `image`. A server that cannot be reached has none: the image itself comes next.
pub(super) async fn look(client: &Client, image: &Url) -> Result<Option<Beside>, FetchError> {
    let Some((name, places)) = places(image) else {
        return Ok(None);
    };
    for (file, alone) in places {
        let bytes = match document::get(client, std::slice::from_ref(&file), LIMIT).await {
            Ok(bytes) => bytes,
            Err(FetchError::Request { source, .. })
                if source.is_connect() || source.is_timeout() =>
            {
                return Ok(None);
            }
            Err(error) if is_not_there(&error) => continue,
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&bytes);
        match checksum_file::find(&text, &name, alone) {
            Ok(Some(checksum)) => return Ok(Some(Beside { checksum, file })),
            Ok(None) => {}
            Err(Conflict) => {
                return Err(FetchError::Nonsense {
                    url: shown(&file),
                    what: "it has two checksums for the image",
                });
            }
        }
    }
    Ok(None)
}

/// The image's own name, and where its checksum may be, with whether the file there is of this image alone.
fn places(image: &Url) -> Option<(String, Vec<(Url, bool)>)> {
    let name = image.path_segments()?.next_back()?.to_owned();
    if name.is_empty() || image.scheme() != "https" {
        return None;
    }
    let mut own = image.clone();
    own.set_fragment(None);
    own.set_path(&format!("{}.sha256", image.path()));
    let mut places = vec![(own, true)];
    for list in LISTS {
        let mut url = image.join(list).ok()?;
        url.set_query(image.query());
        places.push((url, false));
    }
    Some((name, places))
}

/// Whether the answer means that there is no such file: a page in its place, or a way out of TLS, is none.
fn is_not_there(error: &FetchError) -> bool {
    match error {
        FetchError::Status { status, .. } => {
            let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
            status.is_client_error() && !later.contains(status)
        }
        FetchError::Nonsense { .. } => true,
        FetchError::Request { source, .. } => source.is_redirect(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_is_in_the_same_directory() {
        let places = |text: &str| {
            let (name, places) = places(&text.parse().unwrap())?;
            let urls = places.iter().map(|(url, alone)| format!("{url} {alone}"));
            Some((name, urls.collect::<Vec<_>>()))
        };
        let (name, urls) = places("https://h:1/a/disk%20b.raw.xz?key=1#part").unwrap();
        assert_eq!(name, "disk%20b.raw.xz");
        assert_eq!(
            urls,
            [
                "https://h:1/a/disk%20b.raw.xz.sha256?key=1 true",
                "https://h:1/a/CHECKSUM?key=1 false",
                "https://h:1/a/SHA256SUMS?key=1 false",
            ]
        );
        for without in ["https://h/", "https://h/a/", "http://h/disk.raw"] {
            assert_eq!(places(without), None, "{without}");
        }
    }
}
