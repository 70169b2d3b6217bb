//! From the words of a user or a file to the folders that a guest is to have.
//!
//! What is asked for and cannot be had is an error, before anything is made. What nobody asked for, podman's defaults, is
//! left out with a word about it: a host whose user has no home is no reason to have no machine.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use thiserror::Error;

use crate::hostconf::{Environment, containers};
use crate::machine::Volume;
use crate::machine::volume::{self, PathStyle, VolumeError};

/// Folders that are to be in a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The folders.
    pub volumes: Vec<Volume>,
    /// Options that nobody knows; podman says so and goes on.
    pub unknown_options: Vec<String>,
    /// What was left out, each a sentence.
    pub notices: Vec<String>,
}

/// Why a guest cannot have a folder.
#[derive(Debug, Error)]
pub enum VolumesError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// It is not there, or may not be read.
    #[error("The folder `{}` cannot be shared", path.display())]
    Source {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a file.
    #[error("`{}` is no folder, and only folders can be shared", .0.display())]
    NotAFolder(PathBuf),
}

impl VolumesError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Volume(error) => error.hints(),
            Self::Source { .. } => vec!["`--volume \"\"` shares nothing".to_owned()],
            Self::NotAFolder(path) => path
                .parent()
                .map(|folder| format!("share the folder that it lies in: `{}`", folder.display()))
                .into_iter()
                .collect(),
        }
    }
}

/// Settles the folders of a guest with this user. `by_default` says that nobody asked for them; relative sources begin at
/// `directory`.
pub fn settle(
    texts: &[String],
    by_default: bool,
    user: &str,
    env: &Environment<'_>,
    directory: &Path,
) -> Result<Settled, VolumesError> {
    let mut settled = Settled::default();
    for text in texts {
        let text = containers::expand(text, |name| env(name).map(|value| to_text(&value)));
        if text.is_empty() {
            continue;
        }
        match one(&text, user, directory) {
            Ok(parsed) => {
                settled.volumes.push(parsed.volume);
                settled.unknown_options.extend(parsed.unknown);
            }
            Err(error) if by_default => {
                tracing::debug!(%error, text, "A default volume is left out");
                settled.notices.push(left_out(&text, &error));
            }
            Err(error) => return Err(error),
        }
    }
    volume::check(&settled.volumes, user)?;
    Ok(settled)
}

fn to_text(value: &OsStr) -> String {
    value.to_string_lossy().into_owned()
}

fn one(text: &str, user: &str, directory: &Path) -> Result<volume::Parsed, VolumesError> {
    let parsed = volume::parse(text, style(), directory)?;
    volume::check_one(&parsed.volume, user)?;
    let path = &parsed.volume.source;
    let failed = |source| VolumesError::Source {
        path: path.clone(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(VolumesError::NotAFolder(path.clone()));
    }
    fs::read_dir(path).map_err(failed)?;
    Ok(parsed)
}

/// How this host writes its paths.
pub(super) fn style() -> PathStyle {
    if std::path::MAIN_SEPARATOR == '\\' {
        PathStyle::Windows
    } else {
        PathStyle::Unix
    }
}

fn left_out(text: &str, error: &VolumesError) -> String {
    let source = text.split(':').next().unwrap_or_default();
    let reason = match error {
        VolumesError::Volume(VolumeError::Forbidden(_)) => {
            "the machine needs the folder of this name itself".to_owned()
        }
        VolumesError::Volume(VolumeError::NoSource(_)) => {
            return "no home directory is shared, since none is known; `--volume` names folders"
                .to_owned();
        }
        VolumesError::Source { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    format!("`{source}` is not shared with the machine: {reason}; `--volume` names other folders")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle_in(
        directory: &Path,
        texts: &[&str],
        by_default: bool,
    ) -> Result<Settled, VolumesError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let env = |name: &str| (name == "HERE").then(|| directory.as_os_str().to_owned());
        settle(&texts, by_default, "core", &env, directory)
    }

    #[test]
    fn folders_are_found_and_variables_count() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a b")).unwrap();
        let settled = settle_in(
            root.path(),
            &["", "$HERE/a b:/mnt/x:ro,Z", "a b:/mnt/y"],
            false,
        )
        .unwrap();
        let folder = |target: &str, read_only| Volume {
            source: root.path().join("a b"),
            target: target.to_owned(),
            read_only,
            watch: false,
        };
        assert_eq!(
            settled.volumes,
            [folder("/mnt/x", true), folder("/mnt/y", false)]
        );
        assert_eq!(settled.unknown_options, ["Z"]);
        assert_eq!(settled.notices, [""; 0]);
    }

    #[test]
    fn what_is_asked_for_must_be_there() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().display().to_string();
        fs::write(root.path().join("file"), "").unwrap();
        let error = |text: &str| settle_in(root.path(), &[text], false).unwrap_err();
        let missing = error("missing:/mnt/x");
        assert_eq!(
            missing.to_string(),
            format!("The folder `{directory}/missing` cannot be shared")
                .replace('/', std::path::MAIN_SEPARATOR_STR)
        );
        let file = error("file:/mnt/x");
        assert!(file.to_string().contains("is no folder"), "{file}");
        assert!(file.hints()[0].contains(&directory), "{:?}", file.hints());
        for (text, expected) in [
            ("$HERE:/etc", "cannot be \"/etc\""),
            ("$NOWHERE:/mnt/x", "names no folder"),
        ] {
            let error = error(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let twice = settle_in(root.path(), &["$HERE:/mnt/x", "$HERE:/mnt/x/"], false);
        assert!(twice.unwrap_err().to_string().contains("the same target"));
    }

    #[test]
    fn defaults_that_cannot_be_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        let settled = settle_in(
            root.path(),
            &[
                "$NOWHERE:$NOWHERE",
                "$HERE:/root",
                "gone:/mnt/x",
                "$HERE:/mnt/y",
            ],
            true,
        )
        .unwrap();
        assert_eq!(settled.volumes.len(), 1);
        assert_eq!(settled.volumes[0].target, "/mnt/y");
        assert_eq!(settled.notices.len(), 3, "{:?}", settled.notices);
        assert!(settled.notices[0].contains("no home directory is shared"));
        assert!(settled.notices[1].contains("the machine needs the folder"));
        assert!(settled.notices[2].contains("`gone` is not shared"));
    }
}
