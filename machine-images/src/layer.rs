//! A disk that lies over an image of the cache: what the guest writes is in the disk, the rest is read from the image.
//!
//! The image gets a second name beside the disk, a hard link, so that the cache may lose it at any time.

use std::io;
use std::path::Path;

use fs_err::File;
use tempfile::TempPath;
use tokio::runtime::Handle;

use crate::disk::{self, whole_sectors};
use crate::error::ImageError;
use crate::platform;
use crate::prepare::part_of;
use crate::recognise::{DiskFormat, ImageKind, recognise, unreadable};

/// A disk over an image. It is in the format qcow2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// How the image is stored.
    pub base: DiskFormat,
    /// The disk's size as the guest sees it.
    pub virtual_bytes: u64,
}

/// Makes the qcow2 disk `destination` of at least `bytes` over `image`, which is linked to `base` in the same directory.
///
/// `None`: a copy is as cheap, since the file system shares blocks, or the image cannot be linked. Then nothing was made.
pub async fn layer(
    image: &Path,
    base: &Path,
    destination: &Path,
    bytes: u64,
) -> Result<Option<Layer>, ImageError> {
    let bytes = whole_sectors(bytes).ok_or(ImageError::TooLarge { bytes })?;
    let (image, base, disk) = (image.to_owned(), base.to_owned(), destination.to_owned());
    let runtime = Handle::current();
    let thread = tokio::task::spawn_blocking(move || make(&image, &base, &disk, bytes, &runtime));
    thread.await.map_err(|source| ImageError::Lost {
        path: destination.to_owned(),
        source,
    })?
}

fn make(
    image: &Path,
    base: &Path,
    destination: &Path,
    bytes: u64,
    runtime: &Handle,
) -> Result<Option<Layer>, ImageError> {
    let failed = |source: io::Error| ImageError::Write {
        path: destination.to_owned(),
        source,
    };
    let ImageKind::Disk {
        format,
        virtual_bytes,
    } = recognise(image)?
    else {
        return Ok(None);
    };
    let Some(name) = base.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let part = TempPath::try_from_path(part_of(destination)).map_err(failed)?;
    if can_clone(image, &part)? || !link(image, base).map_err(failed)? {
        return Ok(None);
    }
    let link = TempPath::try_from_path(base).map_err(failed)?;
    let mut file = platform::create_private(&part).map_err(failed)?;
    disk::create_layer(&file, name, format, virtual_bytes, runtime).map_err(failed)?;
    let grown = disk::grow(&mut file, DiskFormat::Qcow2, bytes, runtime);
    let virtual_bytes = grown.map_err(failed)?;
    drop(file);
    part.persist_noclobber(destination)
        .map_err(|refused| failed(refused.error))?;
    platform::sync_parent(destination).map_err(failed)?;
    link.keep().map_err(|refused| failed(refused.error))?;
    Ok(Some(Layer {
        base: format,
        virtual_bytes,
    }))
}

/// Whether the file system makes a copy that shares its blocks. It is tried, for no system tells.
fn can_clone(image: &Path, part: &Path) -> Result<bool, ImageError> {
    let file = File::open(image).map_err(|source| unreadable(image, source))?;
    let clone = platform::clone(&file, image, part);
    // What it made, or half made, is in the way of either.
    let _ = fs_err::remove_file(part);
    Ok(matches!(clone, Ok(Some(_))))
}

/// Whether the image has the second name now. Another file system, and one without links, are no errors.
fn link(image: &Path, base: &Path) -> io::Result<bool> {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    match fs_err::hard_link(image, base) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            CrossesDevices | PermissionDenied | TooManyLinks | Unsupported => Ok(false),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
