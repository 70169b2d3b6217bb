//! From places to texts: which files there are, in the order in which they count.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::HostConfError;
use super::locations::{Locations, Place};

/// A file that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Reads what is there, lowest first.
pub(super) fn read_all(locations: &Locations) -> Result<Vec<Layer>, HostConfError> {
    let mut layers = Vec::new();
    for place in locations.places() {
        match place {
            Place::File(path) => layers.extend(read(path)?),
            Place::DropIns(directory) => {
                for path in drop_ins(directory)? {
                    layers.extend(read(&path)?);
                }
            }
            Place::Named { variable, path } => match read(path)? {
                Some(layer) => layers.push(layer),
                None => {
                    return Err(HostConfError::Missing {
                        variable,
                        path: path.clone(),
                    });
                }
            },
        }
    }
    Ok(layers)
}

/// The text of a file; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Layer>, HostConfError> {
    let unreadable = |source| HostConfError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let text = String::from_utf8(bytes).map_err(|_| HostConfError::NotText {
        path: path.to_owned(),
    })?;
    // Some editors on Windows begin a text with a byte order mark.
    let text = text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text);
    Ok(Some(Layer {
        path: path.to_owned(),
        text,
    }))
}

fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, HostConfError> {
    let unreadable = |source| HostConfError::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        // A link may lead to a file.
        if path.extension().is_some_and(|ending| ending == "conf") && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A file in the place of a directory on the way means that there is none either.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
