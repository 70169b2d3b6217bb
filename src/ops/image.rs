//! An image as a file of this host: the file that was named, or what the cache has of what was fetched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_host::facts;
use machine_images::oci::{self, Access};
use machine_images::openpgp::{KEY_FILE_EXTENSIONS, Keyring, KeyringError};
use machine_images::streams::StreamRef;
use machine_images::{
    ArtifactRequest, Cache, Catalog, CatalogError, Checksum, Download, FetchError, FetchReporter,
    How, ImageError, Reference, StreamRequest, Url,
};

use crate::provider::registry;

use crate::machine::ProviderKind;

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
    /// It is another one.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Nobody names an image, and none is built in.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
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
            Self::Image(error) => error.hints(),
            Self::Catalog(error) => error.hints(),
            Self::Provider(_) => Vec::new(),
        }
    }
}

/// Told about a download.
pub trait ImageReporter: FetchReporter {
    /// Something the user should know.
    fn notice(&self, text: &str);
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
    let fetched = match reference {
        Reference::File(path) => {
            let name = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            return Ok(LocalImage {
                path: path.clone(),
                name: name.display().to_string(),
                cached: None,
                was_there: true,
            });
        }
        Reference::Url(url) => {
            let download = Download {
                urls: vec![url.clone()],
                checksum: request.checksum,
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
            let request = of_stream(request, stream)?;
            machine_images::fetch_stream(cache, &request, reporter).await?
        }
        Reference::Artifact(name) => {
            let request = of_registry(request, name)?;
            machine_images::fetch_artifact(cache, &request, reporter).await?
        }
    };
    // A URL's was compared on the way.
    if let Some(expected) = request.checksum
        && fetched.image.checksum() != expected
    {
        return Err(ObtainError::Image(ImageError::Mismatch {
            path: reference.to_string().into(),
            expected,
            found: fetched.image.checksum(),
        }));
    }
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

/// What to ask a stream for.
fn of_stream(request: &ImageRequest, stream: &StreamRef) -> Result<StreamRequest, ObtainError> {
    let provider = registry::provider(request.provider)
        .map_err(|_| ObtainError::Provider(stream.to_string()))?;
    let wanted = provider.capabilities().stock_images;
    Ok(StreamRequest {
        stream: stream.clone(),
        architecture: facts::architecture().rust_name().to_owned(),
        platform: wanted.platform.to_owned(),
        formats: wanted
            .formats
            .iter()
            .map(|&format| format.to_owned())
            .collect(),
        site: Catalog::built_in()?.streams_site,
        mirrors: request.sources.mirrors.clone(),
        keys: Arc::new(keyring(&request.sources.keys)?),
        insecure: request.insecure,
    })
}

/// What to ask a registry for.
fn of_registry(request: &ImageRequest, name: &str) -> Result<ArtifactRequest, ObtainError> {
    let provider = registry::provider(request.provider)
        .map_err(|_| ObtainError::Provider(request.reference.to_string()))?;
    Ok(ArtifactRequest {
        reference: oci::Reference::parse(name, &Catalog::built_in()?.tag)
            .map_err(FetchError::from)?,
        disktype: provider.capabilities().stock_images.disktype.to_owned(),
        architecture: facts::architecture().rust_name().to_owned(),
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
