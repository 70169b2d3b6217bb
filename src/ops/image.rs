//! An image as a file of this host: the file that was named, or what the cache has of what was fetched.

pub mod lock;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_host::facts;
use machine_images::oci::{self, Access};
use machine_images::openpgp::{KEY_FILE_EXTENSIONS, Keyring, KeyringError};
use machine_images::streams::StreamRef;
use machine_images::{
    ArtifactRequest, Cache, Catalog, CatalogError, Checksum, Download, FetchError, FetchReporter,
    Fetched, How, Reference, ReferenceError, StreamRequest, Url, Verified,
};

use self::lock::{ImageLockError, LockKey, Pin};
use crate::machine::ProviderKind;
use crate::provider::{StockImages, registry};

/// An image, and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRequest {
    /// What it is called.
    pub reference: Reference,
    /// What is to run it: streams and registries have one for each.
    pub provider: ProviderKind,
    /// The checksum of its file, if it is to be checked.
    pub checksum: Option<Checksum>,
    /// Whether a download is taken that nobody vouches for.
    pub insecure: bool,
    /// The file that pins images, if it is to be pinned.
    pub lock: Option<PathBuf>,
    /// Where it comes from, besides what is built in.
    pub sources: ImageSources,
}

/// A file to make a disk from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalImage {
    /// The file.
    pub path: PathBuf,
    /// What it is called, so that it still means something in another directory.
    pub name: String,
    /// The checksum by which the cache has it. Then it never changes and is what was asked for: a disk may lie over it.
    pub cached: Option<Checksum>,
    /// Whether it was there already.
    pub was_there: bool,
}

/// Why there is no such image.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The keys of the user cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A pinned release is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Nobody names an image, and none is built in.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The file that pins images cannot be used.
    #[error(transparent)]
    Lock(#[from] ImageLockError),
    /// The image that is pinned cannot be had.
    #[error("Image `{reference}` is pinned to {pin} by `{}`, and cannot be had so", path.display())]
    Pinned {
        /// The image.
        reference: String,
        /// What it is pinned to.
        pin: String,
        /// The file.
        path: PathBuf,
        /// What is different.
        source: Box<ObtainError>,
    },
    /// This host has no provider that would say which image of several it takes.
    #[error("image `{0}` cannot be fetched for a provider that this host does not have")]
    Provider(String),
}

impl ObtainError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Fetch(error) => error.hints(),
            Self::Keys(error) => error.hints(),
            Self::Reference(error) => error.hints(),
            Self::Catalog(error) => error.hints(),
            Self::Lock(error) => error.hints(),
            Self::Pinned { path, source, .. } => {
                let mut hints = source.hints();
                hints.push(format!(
                    "remove its entry from `{}`, if another one is right",
                    path.display()
                ));
                hints
            }
            Self::Provider(_) => Vec::new(),
        }
    }
}

/// Told about a download.
pub trait ImageReporter: FetchReporter {
    /// Something the user should know.
    fn notice(&self, text: &str);

    /// Something that was done besides.
    fn done(&self, text: &str);
}

/// Where images come from, and who may sign them, besides what is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSources {
    /// Sites that have what Fedora's site has, asked before it.
    pub mirrors: Vec<Url>,
    /// How registries are reached.
    pub registries: Access,
    /// A directory with the keys that a user trusts. It need not exist.
    pub keys: PathBuf,
}

/// Why the keys that a user trusts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The directory or a file in it.
    #[error("The keys for images in `{}` cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the file holds.
    #[error(transparent)]
    Key(#[from] KeyringError),
}

impl KeysError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Read { .. } => Vec::new(),
            Self::Key(error) => error.hints(),
        }
    }
}

/// The image of a machine for which nobody names one.
pub fn default_reference(provider: ProviderKind) -> Result<Reference, ObtainError> {
    let found = registry::provider(provider)
        .map_err(|_| ObtainError::Provider(provider.word().to_owned()))?;
    let disktype = found.capabilities().stock_images.disktype;
    Ok(Catalog::built_in()?.default_image(disktype)?)
}

/// Gets the image that is asked for.
pub async fn obtain(
    cache: &Cache,
    request: &ImageRequest,
    reporter: &dyn ImageReporter,
) -> Result<LocalImage, ObtainError> {
    let reference = &request.reference;
    if let Reference::File(path) = reference {
        if request.lock.is_some() {
            return Err(ImageLockError::File(reference.to_string()).into());
        }
        let name = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        return Ok(LocalImage {
            path: path.clone(),
            name: name.display().to_string(),
            cached: None,
            was_there: true,
        });
    }
    let fetched = match &request.lock {
        None => fetch(cache, request, None, reporter).await?,
        Some(path) => locked(cache, request, path, reporter).await?,
    };
    if let How::Offline { why } = &fetched.how {
        reporter.notice(&format!(
            "nobody can be asked what `{reference}` is now ({why}): what was fetched last is used"
        ));
    }
    let name = match fetched.image.title() {
        Some(title) => title.to_owned(),
        None => reference.to_string(),
    };
    Ok(LocalImage {
        path: fetched.image.disk(),
        name,
        cached: Some(fetched.image.checksum()),
        was_there: fetched.how != How::Downloaded,
    })
}

/// Gets the image that the file at `path` pins, or pins the one that it gets.
async fn locked(
    cache: &Cache,
    request: &ImageRequest,
    path: &Path,
    reporter: &dyn ImageReporter,
) -> Result<Fetched, ObtainError> {
    let key = LockKey {
        reference: request.reference.to_string(),
        disktype: stock_images(request)?.disktype.to_owned(),
        architecture: facts::architecture().rust_name().to_owned(),
    };
    if let Some(pin) = lock::find(path, &key)? {
        if let Some(asked) = request.checksum.filter(|asked| *asked != pin.checksum) {
            return Err(ObtainError::Lock(ImageLockError::Asked {
                path: path.to_owned(),
                reference: key.reference,
                locked: pin.checksum,
                asked,
            }));
        }
        let fetched = fetch(cache, request, Some(&pin), reporter).await;
        return fetched.map_err(|error| ObtainError::Pinned {
            reference: key.reference,
            pin: shown(pin.release.as_deref(), &pin.checksum),
            path: path.to_owned(),
            source: Box::new(error),
        });
    }
    let fetched = fetch(cache, request, None, reporter).await?;
    let image = &fetched.image;
    let pin = Pin {
        release: image.release().map(str::to_owned),
        checksum: image.checksum(),
    };
    let why_not = match (&fetched.how, image.verified()) {
        (How::Offline { .. }, _) => "nobody can be asked what it is now",
        (_, Verified::No | Verified::Bundle) => "nobody vouches for it",
        _ => {
            lock::add(path, &key, &pin)?;
            let pin = shown(pin.release.as_deref(), &pin.checksum);
            let (reference, path) = (&key.reference, path.display());
            reporter.done(&format!(
                "Image `{reference}` is pinned to {pin} in `{path}`"
            ));
            return Ok(fetched);
        }
    };
    reporter.notice(&format!("`{}` is not pinned: {why_not}", key.reference));
    Ok(fetched)
}

/// An image as a person tells it from others.
fn shown(release: Option<&str>, checksum: &Checksum) -> String {
    match release {
        Some(release) => format!("{release} ({checksum})"),
        None => checksum.to_string(),
    }
}

/// Gets the image, or exactly the one that it is pinned to.
async fn fetch(
    cache: &Cache,
    request: &ImageRequest,
    pin: Option<&Pin>,
    reporter: &dyn ImageReporter,
) -> Result<Fetched, ObtainError> {
    // Content that was checked never changes: nobody is asked for what it is.
    if let Some(pin) = pin
        && let Some(image) = cache.find(&pin.checksum)
        && image.is_checked()
    {
        return Ok(Fetched {
            image,
            how: How::Cached,
        });
    }
    let expected = pin.map(|pin| pin.checksum).or(request.checksum);
    let fetched = match &request.reference {
        // `obtain` has answered.
        Reference::File(path) => {
            return Err(ImageLockError::File(path.display().to_string()).into());
        }
        Reference::Url(url) => {
            let download = Download {
                urls: vec![url.clone()],
                form: stock_images(request)?.form,
                checksum: expected,
                signature: None,
                offer: None,
                title: None,
                release: None,
                bytes: None,
                authorization: None,
                client: None,
                insecure: request.insecure,
            };
            machine_images::fetch(cache, &download, reporter).await?
        }
        Reference::Stream(stream) => {
            let mut stream = stream.clone();
            if let Some(release) = pin.and_then(|pin| pin.release.as_deref()) {
                stream.release = Some(release.parse().map_err(ReferenceError::from)?);
            }
            let request = of_stream(request, stream, expected)?;
            machine_images::fetch_stream(cache, &request, reporter).await?
        }
        Reference::Artifact(name) => {
            let request = of_registry(request, name, expected)?;
            // What speaks to registries holds much at once.
            Box::pin(machine_images::fetch_artifact(cache, &request, reporter)).await?
        }
    };
    Ok(fetched)
}

fn stock_images(request: &ImageRequest) -> Result<StockImages, ObtainError> {
    let provider = registry::provider(request.provider)
        .map_err(|_| ObtainError::Provider(request.reference.to_string()))?;
    Ok(provider.capabilities().stock_images)
}

/// What to ask a stream for.
fn of_stream(
    request: &ImageRequest,
    stream: StreamRef,
    expected: Option<Checksum>,
) -> Result<StreamRequest, ObtainError> {
    let wanted = stock_images(request)?;
    Ok(StreamRequest {
        stream,
        architecture: facts::architecture().rust_name().to_owned(),
        platform: wanted.platform.to_owned(),
        formats: wanted
            .formats
            .iter()
            .map(|&format| format.to_owned())
            .collect(),
        expected,
        site: Catalog::built_in()?.streams_site,
        mirrors: request.sources.mirrors.clone(),
        keys: Arc::new(keyring(&request.sources.keys)?),
        insecure: request.insecure,
    })
}

/// What to ask a registry for.
fn of_registry(
    request: &ImageRequest,
    name: &str,
    expected: Option<Checksum>,
) -> Result<ArtifactRequest, ObtainError> {
    let tag = Catalog::built_in()?.tag;
    let wanted = stock_images(request)?;
    Ok(ArtifactRequest {
        reference: oci::Reference::parse(name, &tag).map_err(FetchError::from)?,
        disktype: wanted.disktype.to_owned(),
        form: wanted.form,
        architecture: facts::architecture().rust_name().to_owned(),
        expected,
        access: request.sources.registries.clone(),
    })
}

/// Fedora's keys, and those that the user added.
fn keyring(directory: &Path) -> Result<Keyring, KeysError> {
    let mut keyring = Keyring::fedora()?;
    let failed = |path: &Path, source| KeysError::Read {
        path: path.to_owned(),
        source,
    };
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(keyring),
        Err(error) => return Err(failed(directory, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !extension.is_some_and(|extension| KEY_FILE_EXTENSIONS.contains(&extension)) {
            continue;
        }
        let bytes = fs_err::read(&path).map_err(|error| failed(&path, error))?;
        keyring.add(&path.display().to_string(), &bytes)?;
    }
    Ok(keyring)
}
