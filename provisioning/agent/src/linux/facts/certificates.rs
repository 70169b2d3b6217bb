//! The host's certificate authorities: those that the guest lacks are put where its own tool takes them from.
//!
//! Most of what a host trusts the guest trusts too, so only the rest is added, and only when what is wanted differs from
//! `/etc/machine/host-ca.pem`, which is written last. Debian's tool is a shell script with some programs for each of 150
//! certificates, minutes on an emulated processor; so where it has made its bundle before, the bundle is changed here to
//! what the tool would make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Applied, Problem, failed};
use crate::linux::log::log;
use crate::linux::paths::Paths;
use crate::linux::{files, program};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// What was applied last.
const APPLIED: &str = "etc/machine/host-ca.pem";
/// Stands there while something is being applied.
const PENDING: &[u8] = b"pending\n";
/// Begins the names of our files.
const PREFIX: &str = "machine-host-";
/// On an emulated processor.
const LIMIT: Duration = Duration::from_mins(3);

/// How a kind of guest learns of authorities.
struct Trust {
    /// Makes the bundle.
    program: &'static str,
    /// What it needs to be told to forget.
    forget: &'static [&'static str],
    /// Where it takes additional certificates from.
    directory: &'static str,
    /// How their names end.
    ending: &'static str,
    /// What it makes.
    bundle: &'static str,
    /// The directory with a link for each certificate, where the bundle is so plain that it can be changed here.
    links: Option<&'static str>,
}

const KINDS: [Trust; 2] = [
    // Debian and its like.
    Trust {
        program: "update-ca-certificates",
        forget: &["--fresh"],
        directory: "usr/local/share/ca-certificates",
        ending: ".crt",
        bundle: "etc/ssl/certs/ca-certificates.crt",
        links: Some("etc/ssl/certs"),
    },
    // Fedora and its like.
    Trust {
        program: "update-ca-trust",
        forget: &[],
        directory: "etc/pki/ca-trust/source/anchors",
        ending: ".pem",
        bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        links: None,
    },
];

pub(super) async fn apply(paths: &Paths, wanted: Option<&[u8]>) -> Result<Applied, Problem> {
    let what = "the host's certificate authorities cannot be taken over";
    let state = paths.root().join(APPLIED);
    let applied = files::read(&state).map_err(failed(what))?;
    match (wanted, &applied) {
        (None, None) => return Ok(Applied::Unused),
        (Some(wanted), Some(applied)) if wanted == applied => return Ok(Applied::Done),
        _ => {}
    }
    let kind = KINDS
        .iter()
        .find(|kind| program::find(paths, kind.program).is_some())
        .ok_or_else(|| {
            format!("{what}: the guest has neither update-ca-certificates nor update-ca-trust")
        })?;
    let ours = Ours::read(paths, kind).map_err(failed(what))?;
    let lacking = match wanted {
        Some(wanted) => ours.lacking(paths, kind, wanted).map_err(failed(what))?,
        None => Vec::new(),
    };
    // Before anything changes: an interruption makes the next start do it all again.
    files::write(&state, PENDING).map_err(failed(what))?;
    let change = ours.replace(kind, &lacking).map_err(failed(what))?;
    let interrupted = applied.as_deref() == Some(PENDING);
    // After an interruption nobody knows what is in the bundle: the tool makes it anew.
    let amended = change.any
        && !interrupted
        && (ours.amend_bundle(paths, kind, &lacking).await).map_err(failed(what))?;
    if (change.any || interrupted) && !amended {
        let forget = change.removed || interrupted;
        let arguments = if forget { kind.forget } else { &[] };
        program::run(paths, kind.program, arguments, LIMIT).await?;
    }
    if change.any {
        let count = lacking.len();
        log(&format!(
            "Certificate authorities of the host besides the guest's own: {count}"
        ));
    }
    match wanted {
        Some(wanted) => files::write(&state, wanted),
        None => files::remove(&state),
    }
    .map_err(failed(what))?;
    Ok(Applied::Done)
}

/// Our files, with their content.
struct Ours {
    directory: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

struct Change {
    any: bool,
    removed: bool,
}

impl Ours {
    fn read(paths: &Paths, kind: &Trust) -> std::io::Result<Self> {
        let directory = paths.root().join(kind.directory);
        let mut found = BTreeMap::new();
        let entries = match fs_err::read_dir(&directory) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(PREFIX) {
                let content = files::read(&path)?.unwrap_or_default();
                found.insert(path, content);
            }
        }
        Ok(Self {
            directory,
            files: found,
        })
    }

    /// The certificates that the guest does not trust by itself.
    fn lacking(&self, paths: &Paths, kind: &Trust, wanted: &[u8]) -> std::io::Result<Vec<String>> {
        let bundle = files::read(&paths.root().join(kind.bundle))?.unwrap_or_default();
        let mut known: BTreeSet<String> = certificates(&bundle).collect();
        for content in self.files.values() {
            for ours in certificates(content) {
                known.remove(&ours);
            }
        }
        Ok(certificates(wanted)
            .filter(|one| known.insert(one.clone()))
            .collect())
    }

    /// Changes the bundle and the links as the tool would. `false` where it has to be done by the tool.
    async fn amend_bundle(
        &self,
        paths: &Paths,
        kind: &Trust,
        lacking: &[String],
    ) -> std::io::Result<bool> {
        let path = paths.root().join(kind.bundle);
        let (Some(links), Some(bundle)) = (kind.links, files::read(&path)?) else {
            return Ok(false);
        };
        let links = paths.root().join(links);
        let before: BTreeSet<String> = self
            .files
            .values()
            .flat_map(|file| certificates(file))
            .collect();
        for file in self.files.keys() {
            files::remove(&links.join(link_name(file)))?;
        }
        for number in 0..lacking.len() {
            let file = self.path(kind, number);
            let target = Path::new("/")
                .join(kind.directory)
                .join(file.file_name().unwrap_or_default());
            files::link(&links.join(link_name(&file)), &target)?;
        }
        let mut text = without(&String::from_utf8_lossy(&bundle), &before);
        text.extend(lacking.iter().map(|body| pem(body)));
        files::write(&path, text.as_bytes())?;
        // Few programs look for certificates by the digest of their name; they go without until the tool runs.
        let arguments = ["rehash", &links.to_string_lossy()];
        if let Err(problem) = program::run(paths, "openssl", &arguments, LIMIT).await {
            log(&problem);
        }
        Ok(true)
    }

    fn path(&self, kind: &Trust, number: usize) -> PathBuf {
        self.directory
            .join(format!("{PREFIX}{number:03}{}", kind.ending))
    }

    fn replace(&self, kind: &Trust, lacking: &[String]) -> std::io::Result<Change> {
        let mut change = Change {
            any: false,
            removed: false,
        };
        // One a file: the tools link each file by the name of the one certificate in it.
        let wanted: Vec<PathBuf> = (0..lacking.len())
            .map(|number| self.path(kind, number))
            .collect();
        for (path, body) in wanted.iter().zip(lacking) {
            // Content that is replaced is a certificate that is removed.
            let was_there = self.files.contains_key(path);
            if files::write(path, pem(body).as_bytes())? {
                change.any = true;
                change.removed |= was_there;
            }
        }
        for path in self.files.keys().filter(|path| !wanted.contains(path)) {
            files::remove(path)?;
            change.any = true;
            change.removed = true;
        }
        Ok(change)
    }
}

/// The name of a certificate's link, as the tool makes it.
fn link_name(file: &Path) -> PathBuf {
    PathBuf::from(file.file_name().unwrap_or_default()).with_extension("pem")
}

/// The certificates of a text, each as its base64 without blanks.
fn certificates(text: &[u8]) -> impl Iterator<Item = String> {
    let text = String::from_utf8_lossy(text);
    let found: Vec<String> = pieces(&text)
        .into_iter()
        .filter_map(|(_, body)| body)
        .collect();
    found.into_iter()
}

/// The text without these certificates.
fn without(text: &str, gone: &BTreeSet<String>) -> String {
    let kept =
        |(_, body): &(&str, Option<String>)| body.as_ref().is_none_or(|body| !gone.contains(body));
    pieces(text)
        .into_iter()
        .filter(kept)
        .map(|(piece, _)| piece)
        .collect()
}

/// Cuts a text into certificates, to the end of their last line, and what is between them.
fn pieces(text: &str) -> Vec<(&str, Option<String>)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let Some(length) = rest[begin..].find(END) else {
            break;
        };
        let end = begin + length + END.len();
        let end = end + usize::from(rest[end..].starts_with('\n'));
        let inside = &rest[begin + BEGIN.len()..begin + length];
        let body: String = inside.split_ascii_whitespace().collect();
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        let is_body = !body.is_empty() && body.bytes().all(base64);
        pieces.push((&rest[..begin], None));
        pieces.push((&rest[begin..end], is_body.then_some(body)));
        rest = &rest[end..];
    }
    pieces.push((rest, None));
    pieces
}

fn pem(body: &str) -> String {
    let mut text = format!("{BEGIN}\n");
    for (at, letter) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
