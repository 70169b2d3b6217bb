//! The disk of a new machine: over an image of the cache, a clone, or a copy.

use std::io;
use std::path::Path;

use fs_err as fs;
use machine_images::{ImageError, Terms, UNPACKED_LIMIT};

use super::platform::allocated_bytes;
use super::{Host, InitError, InitProgress, InitReporter, InitRequest, Plan};
use crate::machine::DiskFormat;
use crate::provider::registry;
use crate::store::Draft;

/// The disk of a new machine.
pub(super) struct NewDisk {
    pub(super) format: DiskFormat,
    /// The format of the image below it, if it lies over one.
    pub(super) base: Option<DiskFormat>,
    pub(super) virtual_bytes: u64,
}

/// Makes the disk as cheaply as the host and the provider can.
pub(super) async fn make(
    draft: &Draft,
    host: &Host,
    request: &InitRequest,
    plan: &Plan,
    reporter: &dyn InitReporter,
) -> Result<NewDisk, InitError> {
    let bytes = plan.resources.disk_bytes();
    if let Some(disk) = layered_disk(draft, request, plan, bytes).await? {
        return Ok(disk);
    }
    let format = plan
        .contents
        .format
        .map_or(DiskFormat::Qcow2, stored_format);
    let destination = draft.files().os_disk(format);
    check_space(host, &plan.image.path, &destination)?;
    let reporter = CopyReporter(reporter);
    let terms = Terms {
        bytes,
        at_most: request.wish.disk_gib.map_or(UNPACKED_LIMIT, |_| bytes),
        checksum: request
            .image
            .checksum
            .filter(|_| plan.image.cached.is_none()),
    };
    match machine_images::prepare_on(&terms, &plan.image.path, &destination, &reporter).await {
        Ok(prepared) => Ok(NewDisk {
            format,
            base: None,
            virtual_bytes: prepared.virtual_bytes,
        }),
        Err(ImageError::Cancelled { .. }) => Err(InitError::Cancelled(request.name.clone())),
        Err(error) => Err(error.into()),
    }
}

/// A disk over the image of the cache, where the provider takes one and the file system cannot share blocks.
async fn layered_disk(
    draft: &Draft,
    request: &InitRequest,
    plan: &Plan,
    bytes: u64,
) -> Result<Option<NewDisk>, InitError> {
    let can_layer = registry::provider(request.provider)
        .is_ok_and(|provider| provider.capabilities().can_layer_disks);
    let (true, Some(stored)) = (
        can_layer && plan.image.cached.is_some(),
        plan.contents.format,
    ) else {
        return Ok(None);
    };
    let format = DiskFormat::Qcow2;
    let base = stored_format(stored);
    let files = draft.files();
    let (base_file, disk) = (files.base_disk(base), files.os_disk(format));
    let layer = machine_images::layer(&plan.image.path, &base_file, &disk, bytes).await?;
    Ok(layer.map(|layer| NewDisk {
        format,
        base: Some(base),
        virtual_bytes: layer.virtual_bytes,
    }))
}

pub(super) fn stored_format(format: machine_images::DiskFormat) -> DiskFormat {
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

struct CopyReporter<'a>(&'a dyn InitReporter);

impl machine_images::Reporter for CopyReporter<'_> {
    fn copying(&self, done: u64, total: u64) {
        self.0.progress(InitProgress::Copying { done, total });
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
