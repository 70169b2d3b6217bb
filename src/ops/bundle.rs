//! An image of the cache in one file, and back: for hosts that cannot fetch it.

use std::path::{Path, PathBuf};

use machine_images::bundle::{self, BundleError, Exported, Imported};
use machine_images::{Cache, Checksum, Reporter, Verified};
use thiserror::Error;

use super::images::{self, ImagesError, ListedImage};
use crate::store::Store;

/// Why there is no bundle, or nothing came of one.
#[derive(Debug, Error)]
pub enum BundlesError {
    /// Which image is meant is not known.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The file cannot be written or read, or is none.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The end of a bundle is written before its beginning is complete.
    #[error("A bundle cannot be written to a stream")]
    Stream,
}

impl BundlesError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Images(error) => error.hints(),
            Self::Bundle(error) => error.hints(),
            Self::Stream => vec!["name a file".to_owned()],
        }
    }
}

/// Writes the image with this ID, this name, or that was had last by this reference, to `file`.
pub async fn export(
    cache: &Cache,
    store: &Store,
    image: &str,
    file: &Path,
    replace: bool,
    reporter: &dyn Reporter,
) -> Result<(ListedImage, Exported), BundlesError> {
    if file == Path::new("-") {
        return Err(BundlesError::Stream);
    }
    let (image, listed) = images::find_one(cache, store, image)?;
    let exported = bundle::export(&image, file, replace, reporter).await?;
    Ok((listed, exported))
}

/// An image that came in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedImage {
    /// What a person calls it.
    pub name: String,
    /// The checksum by which the cache has it.
    pub checksum: Checksum,
    /// What the user should know, where nobody has vouched for the file.
    pub notice: Option<String>,
}

/// Puts the image of the bundle `file`, which has this checksum, into the cache.
pub async fn import(
    cache: &Cache,
    file: PathBuf,
    checksum: Option<Checksum>,
    reporter: &dyn Reporter,
) -> Result<ImportedImage, BundlesError> {
    let imported = bundle::import(cache, &file, checksum, reporter).await?;
    Ok(ImportedImage {
        name: match imported.image.title() {
            Some(title) => title.to_owned(),
            None => imported.image.source().to_owned(),
        },
        checksum: imported.image.checksum(),
        notice: checksum.is_none().then(|| notice(&imported)),
    })
}

/// What is known of an image by hearsay.
fn notice(imported: &Imported) -> String {
    let said = said(imported.said, imported.signer.as_deref());
    format!(
        "{said}, so the bundle says; `--checksum sha256:…` compares this file with what `machine image export` told"
    )
}

fn said(verified: Verified, signer: Option<&str>) -> String {
    match (verified, signer) {
        (Verified::Signature, Some(signer)) => {
            format!("its signature by {signer} was checked when it was downloaded, not again")
        }
        (Verified::Signature | Verified::Checksum, _) => {
            "it was checked when it was downloaded, not again".to_owned()
        }
        (Verified::Tls, _) => {
            "it came from its server over TLS, and nobody had signed it".to_owned()
        }
        (Verified::Bundle, _) => "it was exported where it had been imported itself".to_owned(),
        (Verified::No, _) => "nobody has ever vouched for it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::images::tests::{Unheard, cache, put};
    use crate::store::testing::Bench;

    #[tokio::test]
    async fn an_image_goes_to_another_home_and_says_who_vouches_for_it() {
        let (here, there) = (Bench::new(), Bench::new());
        let (from, to) = (cache(&here), cache(&there));
        let image = put(&from, 1).await;
        let id = &image.checksum().hex()[..12];
        let file = here.root.path().join("bundle");
        let exported = export(&from, &here.store, id, &file, false, &Unheard);
        let (listed, exported) = exported.await.unwrap();
        assert_eq!(listed.id, id);
        let imported = import(&to, file.clone(), None, &Unheard).await.unwrap();
        assert_eq!(imported.checksum, image.checksum());
        assert!(imported.name.ends_with("/1.raw"), "{}", imported.name);
        let notice = imported.notice.unwrap();
        assert!(notice.starts_with("nobody has ever vouched"), "{notice}");
        let pinned = import(&to, file, Some(exported.checksum), &Unheard);
        assert_eq!(pinned.await.unwrap().notice, None);
    }

    #[tokio::test]
    async fn what_cannot_be_is_told() {
        let bench = Bench::new();
        let cache = cache(&bench);
        put(&cache, 1).await;
        let to = |image: &'static str, file: &'static str| {
            export(
                &cache,
                &bench.store,
                image,
                Path::new(file),
                false,
                &Unheard,
            )
        };
        let stream = to("1", "-").await.unwrap_err();
        assert!(matches!(stream, BundlesError::Stream) && !stream.hints().is_empty());
        let unknown = to("stable", "/x").await.unwrap_err();
        assert_eq!(unknown.to_string(), "no image `stable` is in the cache");
    }

    #[test]
    fn hearsay_is_told_as_such() {
        let signed = said(Verified::Signature, Some("Fedora"));
        assert_eq!(
            signed,
            "its signature by Fedora was checked when it was downloaded, not again"
        );
    }
}
