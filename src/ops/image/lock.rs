//! `--image-lock FILE`: images pinned to a release and a digest, so that what is made from them stays the same.
//!
//! ```toml
//! format = 1
//!
//! [[image]]
//! reference = "stable"
//! disktype = "qemu"
//! architecture = "x86_64"
//! release = "44.20261101.3.0"
//! checksum = "sha256:…"
//! ```
//!
//! An image that has an entry is used exactly so, or not at all; one that has none gets an entry when it was fetched and
//! checked. What a person writes besides, comments included, stays.

use std::io;
use std::path::{Path, PathBuf};

use machine_host::atomic::{self, Access};
use machine_images::Checksum;
use serde::Deserialize;
use thiserror::Error;

/// The format that is read and written.
const FORMAT: u64 = 1;
/// The longest file that is read: thousands of images.
const MAX_BYTES: u64 = 1 << 20;
/// How a file begins that is made.
const HEAD: &str =
    "# Images, pinned by `machine --image-lock`. Remove an entry to pin its image anew.\n";

/// For which of the images behind a reference an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockKey {
    /// The image as the user names it.
    pub reference: String,
    /// The kind of disk that the provider takes, in the words of podman's artifacts.
    pub disktype: String,
    /// The kernel's name of the architecture.
    pub architecture: String,
}

/// What an image is pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The publisher's number of it, where that is known.
    pub release: Option<String>,
    /// The checksum of its file, as it comes.
    pub checksum: Checksum,
}

/// Why a lock cannot be used.
#[derive(Debug, Error)]
pub enum ImageLockError {
    /// It cannot be read.
    #[error("The image lock `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not written as it should be.
    #[error("The image lock `{}` cannot be used: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line where that is known.
        problem: String,
    },
    /// It cannot be written; it is as it was.
    #[error("The image lock `{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The command line asks for another image.
    #[error("The image lock `{}` has `{reference}` as {locked}, and `--checksum` says {asked}", path.display())]
    Asked {
        /// The file.
        path: PathBuf,
        /// The image.
        reference: String,
        /// What the lock has.
        locked: Checksum,
        /// What the command line has.
        asked: Checksum,
    },
    /// A file of this host changes with nobody to ask.
    #[error("image `{0}` is a file of this host, and `--image-lock` pins what is fetched")]
    File(String),
}

impl ImageLockError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Malformed { path, .. } => vec![format!(
                "correct it, or remove `{}` to pin all images anew",
                path.display()
            )],
            Self::Asked { path, .. } => vec![format!(
                "remove the entry from `{}`, if the other image is right",
                path.display()
            )],
            Self::File(_) => vec!["`--checksum sha256:…` pins a file".to_owned()],
            Self::Read { .. } | Self::Write { .. } => Vec::new(),
        }
    }
}

/// What every format has.
#[derive(Deserialize)]
struct Header {
    format: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "format")]
    _format: u64,
    #[serde(default)]
    image: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    reference: String,
    disktype: String,
    architecture: String,
    release: Option<String>,
    checksum: Checksum,
}

impl Entry {
    fn is_for(&self, key: &LockKey) -> bool {
        self.reference == key.reference
            && self.disktype == key.disktype
            && self.architecture == key.architecture
    }
}

/// What the lock has of this image. A file that is not there has nothing.
pub fn find(path: &Path, key: &LockKey) -> Result<Option<Pin>, ImageLockError> {
    match read(path)? {
        Some(text) => parse(path, &text, key),
        None => Ok(None),
    }
}

/// Writes down that the image is this one, unless it is there by now. The file is all of the old or all of the new one.
pub fn add(path: &Path, key: &LockKey, pin: &Pin) -> Result<(), ImageLockError> {
    let text = read(path)?.unwrap_or_else(|| format!("{HEAD}format = {FORMAT}\n"));
    if parse(path, &text, key)?.is_some() {
        return Ok(());
    }
    let text = with(&text, key, pin).map_err(|problem| ImageLockError::Malformed {
        path: path.to_owned(),
        problem,
    })?;
    atomic::write(path, text.as_bytes(), Access::Shared).map_err(|source| ImageLockError::Write {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<Option<String>, ImageLockError> {
    let failed = |source| ImageLockError::Read {
        path: path.to_owned(),
        source,
    };
    let facts = match fs_err::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        facts => facts.map_err(failed)?,
    };
    if facts.len() > MAX_BYTES {
        return Err(ImageLockError::Malformed {
            path: path.to_owned(),
            problem: "it is longer than any such file".to_owned(),
        });
    }
    fs_err::read_to_string(path).map(Some).map_err(failed)
}

fn parse(path: &Path, text: &str, key: &LockKey) -> Result<Option<Pin>, ImageLockError> {
    let malformed = |problem: String| ImageLockError::Malformed {
        path: path.to_owned(),
        problem,
    };
    let header: Header = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if header.format != FORMAT {
        return Err(malformed(format!(
            "it has format {}, and this version of `machine` reads format {FORMAT}",
            header.format
        )));
    }
    let document: Document = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let mut fitting = document.image.into_iter().filter(|entry| entry.is_for(key));
    let Some(entry) = fitting.next() else {
        return Ok(None);
    };
    if fitting.next().is_some() {
        return Err(malformed(format!(
            "it has two entries for `{}`",
            key.reference
        )));
    }
    Ok(Some(Pin {
        release: entry.release,
        checksum: entry.checksum,
    }))
}

/// The text with one entry more.
fn with(text: &str, key: &LockKey, pin: &Pin) -> Result<String, String> {
    let mut document: toml_edit::DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut entry = toml_edit::Table::new();
    for (name, value) in [
        ("reference", Some(&key.reference)),
        ("disktype", Some(&key.disktype)),
        ("architecture", Some(&key.architecture)),
        ("release", pin.release.as_ref()),
        ("checksum", Some(&pin.checksum.to_string())),
    ] {
        if let Some(value) = value {
            entry[name] = toml_edit::value(value);
        }
    }
    let images = document
        .entry("image")
        .or_insert_with(|| toml_edit::Item::ArrayOfTables(toml_edit::ArrayOfTables::new()));
    // An empty list may be written as `image = []`.
    if images.as_array().is_some_and(toml_edit::Array::is_empty) {
        *images = toml_edit::Item::ArrayOfTables(toml_edit::ArrayOfTables::new());
    }
    match images.as_array_of_tables_mut() {
        Some(images) => images.push(entry),
        None => return Err("its images are no tables `[[image]]`".to_owned()),
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(reference: &str) -> LockKey {
        LockKey {
            reference: reference.to_owned(),
            disktype: "qemu".to_owned(),
            architecture: "x86_64".to_owned(),
        }
    }

    fn pin(release: Option<&str>, content: &str) -> Pin {
        Pin {
            release: release.map(str::to_owned),
            checksum: Checksum::of_bytes(content.as_bytes()),
        }
    }

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("image.lock")
        }

        fn with(text: &str) -> Self {
            let bench = Self::new();
            fs_err::write(bench.file(), text).unwrap();
            bench
        }
    }

    #[test]
    fn what_is_written_is_found_by_all_of_its_key() {
        let bench = Bench::new();
        let file = bench.file();
        assert_eq!(find(&file, &key("stable")).unwrap(), None);
        let (stable, url) = (pin(Some("44.20261101.3.0"), "a"), pin(None, "b"));
        add(&file, &key("stable"), &stable).unwrap();
        add(&file, &key("https://h/x"), &url).unwrap();
        assert_eq!(find(&file, &key("stable")).unwrap(), Some(stable.clone()));
        assert_eq!(find(&file, &key("https://h/x")).unwrap(), Some(url));
        for other in [
            key("next"),
            LockKey {
                disktype: "wsl".to_owned(),
                ..key("stable")
            },
            LockKey {
                architecture: "aarch64".to_owned(),
                ..key("stable")
            },
        ] {
            assert_eq!(find(&file, &other).unwrap(), None, "{other:?}");
        }
        // What is there by now stays.
        add(&file, &key("stable"), &pin(None, "c")).unwrap();
        assert_eq!(find(&file, &key("stable")).unwrap(), Some(stable));
        let text = fs_err::read_to_string(&file).unwrap();
        assert!(
            text.starts_with(&format!(
                "{HEAD}format = 1\n\n[[image]]\nreference = \"stable\"\n"
            )),
            "{text}"
        );
    }

    #[test]
    fn what_a_person_has_written_stays() {
        for text in [
            "format = 1 # mine\n",
            "format = 1\nimage = []\n",
            "format = 1\n# why\n[[image]]\nreference = \"x\"\ndisktype = \"qemu\"\narchitecture = \"x86_64\"\n\
             checksum = \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n",
        ] {
            let bench = Bench::with(text);
            add(&bench.file(), &key("stable"), &pin(None, "a")).unwrap();
            let written = fs_err::read_to_string(bench.file()).unwrap();
            let kept = text.replace("image = []\n", "");
            assert!(written.starts_with(&kept), "{written}");
            assert!(find(&bench.file(), &key("stable")).unwrap().is_some());
        }
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_and_not_changed() {
        let entry = "[[image]]\nreference = \"stable\"\ndisktype = \"qemu\"\narchitecture = \"x86_64\"\n\
             checksum = \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";
        for (text, expected) in [
            (String::new(), "missing field `format`"),
            ("format = 2\nnew = 1\n".to_owned(), "it has format 2"),
            (
                "format = 1\nimages = 1\n".to_owned(),
                "unknown field `images`",
            ),
            ("format = 1\nimage = 3\n".to_owned(), "invalid type"),
            (
                format!("format = 1\n{}", entry.replace("checksum", "cheksum")),
                "unknown field `cheksum`",
            ),
            (
                format!("format = 1\n{}", entry.replace("sha256:ba", "sha256:")),
                "is no checksum",
            ),
            (
                format!("format = 1\n{entry}{entry}"),
                "two entries for `stable`",
            ),
            (" ".repeat(2 << 20), "longer than any such file"),
        ] {
            let bench = Bench::with(&text);
            let error = find(&bench.file(), &key("stable")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.hints().is_empty());
            add(&bench.file(), &key("stable"), &pin(None, "a")).unwrap_err();
            assert!(fs_err::read_to_string(bench.file()).unwrap() == text);
        }
    }
}
