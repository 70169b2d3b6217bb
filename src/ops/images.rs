//! The cache of images: what is in it, who uses it, and what can go.
//!
//! A machine does not need the cache, whatever it was made from: its disk is a copy, or lies over a second name of the
//! image. So removing an image harms no machine; one that is used frees nothing, which is why it is left alone.

use std::time::Duration;

use jiff::Timestamp;
use machine_images::{Cache, CacheError, CachedImage, Reporter, Verdict, Verified, VerifyError};
use thiserror::Error;

use crate::machine::MachineName;
use crate::store::{Listed, Store, StoreError};

/// What was fetched or used so lately may be about to become a machine.
const FRESH: Duration = Duration::from_mins(10);

/// An image of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// Enough digits of the checksum to tell it from the others.
    pub id: String,
    /// The checksum of the file as it came.
    pub checksum: String,
    /// What a person calls it.
    pub name: String,
    /// Where it was had last.
    pub source: String,
    /// How it was made sure that it is the right one, in a word.
    pub verified: &'static str,
    /// When it was fetched or used last.
    pub used: Timestamp,
    /// What its disk takes on the host.
    pub bytes: u64,
    /// The machines that were made from it, sorted.
    pub machines: Vec<MachineName>,
    /// Those of them whose disks lie over it, so that they share its bytes.
    pub sharing: Vec<MachineName>,
}

/// An image that was read again.
#[derive(Debug)]
pub struct VerifiedImage {
    /// The image.
    pub image: ListedImage,
    /// What was found.
    pub verdict: Verdict,
}

/// The images that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// Each of them.
    All,
    /// Those with these IDs or names.
    Named(&'a [String]),
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The images.
    pub images: Vec<ListedImage>,
    /// How many downloads that nobody went on with.
    pub downloads: usize,
    /// What came free on the host.
    pub bytes: u64,
}

/// Why an image was not listed, removed or read.
#[derive(Debug, Error)]
pub enum ImagesError {
    /// Nothing in the cache is called so.
    #[error("no image `{0}` is in the cache")]
    Unknown(String),
    /// Several are.
    #[error("`{text}` is the beginning of {count} images")]
    Ambiguous {
        /// What was given.
        text: String,
        /// How many.
        count: usize,
    },
    /// Machines share its bytes, so that nothing would come free.
    #[error("image `{name}` is used by {}", machines.join(", "))]
    Used {
        /// The image.
        name: String,
        /// Their names.
        machines: Vec<String>,
    },
    /// The machines cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be removed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// An image cannot be read to its end.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl ImagesError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown(_) => vec!["`machine image list` shows what there is".to_owned()],
            Self::Ambiguous { .. } => vec!["give more digits of the ID".to_owned()],
            Self::Used { .. } => vec![
                "`--force` takes it out of the cache; the machines keep what they have of it"
                    .to_owned(),
            ],
            Self::Store(error) => error.hints(),
            Self::Cache(_) | Self::Verify(_) => Vec::new(),
        }
    }
}

/// The image with this ID or name, or else the one that was had last by this reference: `stable`, `docker://…`.
pub fn find_one(
    cache: &Cache,
    store: &Store,
    text: &str,
) -> Result<(CachedImage, ListedImage), ImagesError> {
    let found = find(cache, store)?;
    let unknown = match one(&found, text) {
        Err(error @ ImagesError::Unknown(_)) => error,
        image => return image.cloned(),
    };
    let had = |(image, _): &&(CachedImage, ListedImage)| image.had_by(text);
    let last = found
        .iter()
        .filter(|image| had(image).is_some())
        .max_by_key(had);
    last.cloned().ok_or(unknown)
}

/// All images, the one that was used last first.
pub fn list(cache: &Cache, store: &Store) -> Result<Vec<ListedImage>, ImagesError> {
    let found = find(cache, store)?;
    Ok(found.into_iter().map(|(_, listed)| listed).collect())
}

/// Reads images again and compares them with what was digested when they were made. `found` is told of each as soon as
/// that is known, the one that was used last first.
pub async fn verify(
    cache: &Cache,
    store: &Store,
    which: Which<'_>,
    reporter: &dyn Reporter,
    mut found: impl FnMut(&VerifiedImage),
) -> Result<Vec<VerifiedImage>, ImagesError> {
    let images = find(cache, store)?;
    let chosen: Vec<_> = match which {
        Which::All => images.iter().collect(),
        Which::Named(names) => chosen(&images, names)?,
    };
    let mut verified = Vec::new();
    for (image, listed) in chosen {
        let one = VerifiedImage {
            image: listed.clone(),
            verdict: image.verify(reporter).await?,
        };
        found(&one);
        verified.push(one);
    }
    Ok(verified)
}

/// What can be done about damaged images.
pub fn repairs<'a>(damaged: impl IntoIterator<Item = &'a ListedImage>) -> Vec<String> {
    let mut hints = Vec::new();
    for image in damaged {
        let force = if image.machines.is_empty() {
            ""
        } else {
            " --force"
        };
        hints.push(format!(
            "get it again: `machine image rm{force} {}`, then `machine image pull`, or `machine init` with the same image",
            image.id
        ));
        if !image.sharing.is_empty() {
            hints.push(format!(
                "the disks of {} lie over this file and have its damage: save what is needed of them, and make them anew",
                names(&image.sharing)
            ));
        }
    }
    hints
}

fn names(machines: &[MachineName]) -> String {
    let names: Vec<_> = machines.iter().map(MachineName::as_str).collect();
    names.join(", ")
}

/// The images with these IDs or names, each once; none where one is not there.
fn chosen<'a>(
    found: &'a [(CachedImage, ListedImage)],
    names: &[String],
) -> Result<Vec<&'a (CachedImage, ListedImage)>, ImagesError> {
    let mut chosen: Vec<&(CachedImage, ListedImage)> = Vec::new();
    for text in names {
        let image = one(found, text)?;
        if !chosen.iter().any(|known| known.1.id == image.1.id) {
            chosen.push(image);
        }
    }
    Ok(chosen)
}

/// Removes the images with these IDs or names: all of them, or none where one cannot be.
pub fn remove(
    cache: &Cache,
    store: &Store,
    names: &[String],
    force: bool,
) -> Result<Removed, ImagesError> {
    let found = find(cache, store)?;
    let chosen = chosen(&found, names)?;
    let used = chosen.iter().find(|(_, image)| !image.machines.is_empty());
    if let Some((_, image)) = used.filter(|_| !force) {
        return Err(ImagesError::Used {
            name: image.name.clone(),
            machines: image.machines.iter().map(ToString::to_string).collect(),
        });
    }
    take_out(cache, chosen)
}

/// Removes what no machine uses and nobody has used lately, and downloads that nobody goes on with.
pub fn prune(cache: &Cache, store: &Store, now: Timestamp) -> Result<Removed, ImagesError> {
    let found = find(cache, store)?;
    let idle = |listed: &ListedImage| {
        let age = now.duration_since(listed.used);
        listed.machines.is_empty() && age.unsigned_abs() > FRESH && age.is_positive()
    };
    let chosen = found.iter().filter(|(_, listed)| idle(listed)).collect();
    let mut removed = take_out(cache, chosen)?;
    let downloads = cache.prune_downloads(FRESH)?;
    removed.downloads = downloads.count;
    removed.bytes += downloads.bytes;
    Ok(removed)
}

fn find(cache: &Cache, store: &Store) -> Result<Vec<(CachedImage, ListedImage)>, ImagesError> {
    let machines = store.list()?;
    let mut found: Vec<_> = cache
        .list()
        .into_iter()
        .map(|image| {
            let listed = listed(&image, &machines);
            (image, listed)
        })
        .collect();
    found.sort_by(|a, b| b.1.used.cmp(&a.1.used).then_with(|| a.1.id.cmp(&b.1.id)));
    Ok(found)
}

fn listed(image: &CachedImage, machines: &[Listed]) -> ListedImage {
    let checksum = image.checksum();
    let text = checksum.to_string();
    let users = machines
        .iter()
        .filter_map(|(_, machine)| machine.as_ref().ok());
    let users = users.filter(|machine| machine.config.image_checksum.as_ref() == Some(&text));
    let mut users: Vec<_> = users.map(|machine| &machine.config).collect();
    users.sort_by(|a, b| a.name.cmp(&b.name));
    let sharing = users.iter().filter(|config| config.base.is_some());
    let source = image.source().to_owned();
    ListedImage {
        id: checksum.hex()[..12].to_owned(),
        name: image.title().unwrap_or(&source).to_owned(),
        checksum: text,
        source,
        verified: match image.verified() {
            Verified::Signature => "signature",
            Verified::Checksum => "checksum",
            Verified::Tls => "tls",
            Verified::Bundle => "bundle",
            Verified::No => "no",
        },
        used: image.used(),
        bytes: image.occupied_bytes(),
        sharing: sharing.map(|config| config.name.clone()).collect(),
        machines: users.iter().map(|config| config.name.clone()).collect(),
    }
}

/// The image with this ID, a beginning of its checksum, or this name.
fn one<'a>(
    found: &'a [(CachedImage, ListedImage)],
    text: &str,
) -> Result<&'a (CachedImage, ListedImage), ImagesError> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_id = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let fits = |listed: &ListedImage| {
        let begins =
            || listed.checksum["sha256:".len()..].starts_with(&digits.to_ascii_lowercase());
        listed.name == text || listed.source == text || is_id && begins()
    };
    let mut fitting = found.iter().filter(|(_, listed)| fits(listed));
    let first = fitting
        .next()
        .ok_or_else(|| ImagesError::Unknown(text.to_owned()))?;
    match fitting.count() {
        0 => Ok(first),
        more => Err(ImagesError::Ambiguous {
            text: text.to_owned(),
            count: more + 1,
        }),
    }
}

fn take_out(
    cache: &Cache,
    chosen: Vec<&(CachedImage, ListedImage)>,
) -> Result<Removed, ImagesError> {
    let mut removed = Removed::default();
    for (image, listed) in chosen {
        cache.remove(image)?;
        if listed.machines.is_empty() {
            removed.bytes += listed.bytes;
        }
        removed.images.push(listed.clone());
    }
    Ok(removed)
}

#[cfg(test)]
pub(crate) mod tests;
