//! The disk with a machine's operating system: over an image of the cache, a clone, or a copy.

use std::io;
use std::path::Path;

use fs_err as fs;
use machine_images::{Checksum, Image, ImageError, Packing, Reporter, Terms, UNPACKED_LIMIT};
use machine_provisioning::wsl::{self as tree, LayError};
use machine_provisioning::{GuestSpec, ProvisioningError};
use thiserror::Error;

use super::host::{Host, allocated_bytes};
use super::image::LocalImage;
use crate::machine::resources::OS_DISK_BYTES;
use crate::machine::{DiskFormat, ProviderKind};
use crate::provider::registry;
use crate::store::MachineFiles;

const GIB: u64 = 1 << 30;

/// What a disk is made of.
pub(super) struct Recipe<'a> {
    /// The image.
    pub(super) image: &'a LocalImage,
    /// What it is.
    pub(super) contents: Contents,
    /// The guest, for a tree into which its description is laid.
    pub(super) guest: &'a GuestSpec,
    /// The checksum of its file, if it is to be checked.
    pub(super) checksum: Option<Checksum>,
    /// What is to run the machine.
    pub(super) provider: ProviderKind,
    /// The least size that it is to have.
    pub(super) bytes: u64,
}

impl Recipe<'_> {
    /// The checksum that nobody has compared yet: the cache has what came unpacked, and has compared it.
    fn unchecked(&self) -> Option<Checksum> {
        self.checksum.filter(|_| self.image.cached.is_none())
    }
}

/// An image that the provider has no disk of.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "Image `{image}` is a {format} disk, and machines of the provider `{provider}` have {wanted} disks"
)]
pub struct FormatError {
    image: String,
    format: DiskFormat,
    provider: ProviderKind,
    wanted: DiskFormat,
}

impl FormatError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        vec![format!(
            "convert it, `qemu-img convert -O {} IMAGE NEW`, or leave `--image` out",
            self.wanted
        )]
    }
}

/// What an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// A disk, or nothing.
    Disk(Image),
    /// The tree of a system, packed so.
    Tree(Packing),
}

/// Why the tree of a system did not become a machine's.
#[derive(Debug, Error)]
pub enum TreeError {
    /// It cannot be what a machine is made of.
    #[error("A machine cannot be made of image `{image}`")]
    Lay {
        /// The image.
        image: String,
        /// Why.
        source: LayError,
    },
    /// It cannot be told what it is to be told.
    #[error("The guest's tree could not be made")]
    Provisioning(#[from] ProvisioningError),
    /// The file for it cannot be made.
    #[error("The machine's tree cannot be written")]
    Write(#[from] io::Error),
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("The making of the machine's tree ended unexpectedly")]
    Lost(#[from] tokio::task::JoinError),
}

/// Why there is no disk.
#[derive(Debug, Error)]
pub(super) enum MakeError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Whether the provider makes disks of trees, and keeps them itself.
pub(super) fn is_kept_by(provider: ProviderKind) -> bool {
    formats(provider).contains(&DiskFormat::Tar)
}

/// What to do where machines of this provider have no CPUs and memory of their own.
pub(super) fn shared_resources(provider: ProviderKind) -> Option<&'static str> {
    let provider = registry::provider(provider).ok()?;
    provider.capabilities().shared_resources
}

/// What the image holds, of which the provider has a disk.
pub(super) fn look<E>(provider: ProviderKind, image: &LocalImage) -> Result<Contents, E>
where
    E: From<ImageError> + From<FormatError>,
{
    if is_kept_by(provider) {
        let tree = machine_images::open_tree(&image.path)?;
        return Ok(Contents::Tree(tree.packing()));
    }
    let contents = machine_images::inspect(&image.path)?;
    check_format(provider, image, contents)?;
    Ok(Contents::Disk(contents))
}

/// Refuses an image of which the provider has no disk.
fn check_format(
    provider: ProviderKind,
    image: &LocalImage,
    contents: Image,
) -> Result<(), FormatError> {
    let formats = formats(provider);
    match (contents.format.map(stored_format), formats.first()) {
        (Some(format), Some(&wanted)) if !formats.contains(&format) => Err(FormatError {
            image: image.name.clone(),
            format,
            provider,
            wanted,
        }),
        _ => Ok(()),
    }
}

/// Whether machines of this provider have a data disk: the guest finds it by its name.
pub(super) fn has_data_disk(provider: ProviderKind) -> bool {
    registry::provider(provider).is_ok_and(|provider| provider.capabilities().names_disks)
}

/// The least size of the disk: without a data disk, what the engines keep is on it as well.
pub(super) fn least_bytes(has_data_disk: bool, disk_gib: u64) -> u64 {
    if has_data_disk {
        OS_DISK_BYTES
    } else {
        OS_DISK_BYTES.max(disk_gib.saturating_mul(GIB))
    }
}

/// The formats of the provider's disks, best first.
fn formats(provider: ProviderKind) -> &'static [DiskFormat] {
    registry::provider(provider).map_or(&[], |provider| provider.capabilities().disk_formats)
}

/// A disk that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewDisk {
    pub(super) format: DiskFormat,
    /// The format of the image below it, if it lies over one.
    pub(super) base: Option<DiskFormat>,
}

/// Makes the disk of these files as cheaply as the host and the provider can.
pub(super) async fn make(
    files: &MachineFiles,
    host: &Host,
    recipe: &Recipe<'_>,
    reporter: &dyn Reporter,
) -> Result<NewDisk, MakeError> {
    let contents = match recipe.contents {
        Contents::Disk(contents) => contents,
        Contents::Tree(_) => return lay(files, recipe).await,
    };
    if let Some(disk) = layered_disk(files, recipe, contents).await? {
        return Ok(disk);
    }
    let blank = || formats(recipe.provider).first().copied();
    let format = contents.format.map(stored_format);
    let format = format.or_else(blank).unwrap_or(DiskFormat::Qcow2);
    let destination = files.os_disk(format);
    check_space(host, &recipe.image.path, &destination)?;
    let terms = Terms {
        bytes: recipe.bytes,
        at_most: UNPACKED_LIMIT,
        checksum: recipe.unchecked(),
    };
    machine_images::prepare_on(&terms, &recipe.image.path, &destination, reporter).await?;
    Ok(NewDisk { format, base: None })
}

/// Lays what the guest is told into the tree of the image. The directory of these files is still nobody's.
async fn lay(files: &MachineFiles, recipe: &Recipe<'_>) -> Result<NewDisk, MakeError> {
    let format = DiskFormat::Tar;
    let (from, to) = (recipe.image.path.clone(), files.os_disk(format));
    let name = recipe.image.name.clone();
    let checksum = recipe.unchecked();
    let tree = tree::tree(recipe.guest).map_err(TreeError::from)?;
    let laying = move || -> Result<(), MakeError> {
        let mut image = machine_images::open_tree(&from)?;
        let options = || {
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&to)
        };
        let file = options().map_err(TreeError::from)?;
        let laid = tree::lay(&tree, &mut image, io::BufWriter::new(file), UNPACKED_LIMIT);
        // A file with another checksum is another one, whatever else is wrong with it.
        if let Some(checksum) = checksum {
            image.check(checksum)?;
        }
        laid.map_err(|source| TreeError::Lay {
            image: name,
            source,
        })?;
        Ok(())
    };
    let laid = tokio::task::spawn_blocking(laying).await;
    laid.map_err(TreeError::from)??;
    Ok(NewDisk { format, base: None })
}

/// A disk over the image of the cache, where the provider takes one and the file system cannot share blocks.
async fn layered_disk(
    files: &MachineFiles,
    recipe: &Recipe<'_>,
    contents: Image,
) -> Result<Option<NewDisk>, ImageError> {
    let can_layer = registry::provider(recipe.provider)
        .is_ok_and(|provider| provider.capabilities().can_layer_disks);
    let (true, Some(stored)) = (can_layer && recipe.image.cached.is_some(), contents.format) else {
        return Ok(None);
    };
    let format = DiskFormat::Qcow2;
    let base = stored_format(stored);
    let (base_file, disk) = (files.base_disk(base), files.os_disk(format));
    let image = &recipe.image.path;
    let layer = machine_images::layer(image, &base_file, &disk, recipe.bytes).await?;
    Ok(layer.map(|_| NewDisk {
        format,
        base: Some(base),
    }))
}

/// The image as a user wants to see it: where it is, what it is, how large.
pub(super) fn describe(name: &str, contents: Contents) -> String {
    let contents = match contents {
        Contents::Disk(contents) => contents,
        Contents::Tree(Packing::Tar) => return format!("{name} (tar)"),
        Contents::Tree(packing) => return format!("{name} (tar in {})", packing.name()),
    };
    let Some(format) = contents.format.map(stored_format) else {
        return "none (a blank disk)".to_owned();
    };
    let packing = contents
        .packing
        .map_or_else(String::new, |packing| format!(" in {}", packing.name()));
    let size = contents.virtual_bytes.map_or_else(String::new, |bytes| {
        format!(", {} MiB", bytes.div_ceil(1 << 20))
    });
    format!("{name} ({format}{packing}{size})")
}

fn stored_format(format: machine_images::DiskFormat) -> DiskFormat {
    match format {
        machine_images::DiskFormat::Qcow2 => DiskFormat::Qcow2,
        machine_images::DiskFormat::Raw => DiskFormat::Raw,
    }
}

/// Refuses a copy that cannot fit before its first byte. A file system without an answer is not asked again.
fn check_space(host: &Host, image: &Path, destination: &Path) -> Result<(), ImageError> {
    let Ok(needed) = fs::metadata(image).map(|metadata| allocated_bytes(&metadata)) else {
        return Ok(());
    };
    let directory = destination.parent().unwrap_or(destination);
    match (host.free_bytes)(directory) {
        Ok(free) if free < needed => Err(ImageError::Full {
            path: destination.to_owned(),
            needed,
            free: Some(free),
            source: io::ErrorKind::StorageFull.into(),
        }),
        _ => Ok(()),
    }
}
