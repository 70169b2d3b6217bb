//! The one place that knows the library for disk formats: blank disks, and disks that grow.
//!
//! It runs on threads for blocking work: the library's futures do their input and output at once.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fs_err::File;
use imago::file::File as Storage;
use imago::format::PreallocateMode;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder};
use tokio::runtime::Handle;

use crate::recognise::DiskFormat;
use crate::{MAX_DISK_BYTES, SECTOR, qcow2};

/// `bytes` rounded up; `None` if that is more than a disk may have.
pub(crate) fn whole_sectors(bytes: u64) -> Option<u64> {
    (bytes <= MAX_DISK_BYTES).then(|| bytes.next_multiple_of(SECTOR))
}

/// Makes a qcow2 image without content and without size, which growing gives it, in an empty file.
pub(crate) fn create_blank(file: &File, runtime: &Handle) -> io::Result<()> {
    let storage = storage(file)?;
    runtime.block_on(async {
        let image = Qcow2::<Storage>::create_builder(storage).size(0);
        FormatCreateBuilder::create(image).await
    })
}

/// Makes a qcow2 image of `bytes` that has what the file `base` in its directory has, in an empty file.
pub(crate) fn create_layer(
    file: &File,
    base: &str,
    base_format: DiskFormat,
    bytes: u64,
    runtime: &Handle,
) -> io::Result<()> {
    let storage = storage(file)?;
    let format = match base_format {
        DiskFormat::Qcow2 => "qcow2",
        DiskFormat::Raw => "raw",
    };
    runtime.block_on(async {
        let image = Qcow2::<Storage>::create_builder(storage)
            .size(bytes)
            .backing(base.to_owned(), format.to_owned());
        FormatCreateBuilder::create(image).await
    })
}

/// Grows a disk to at least `bytes`, writes it out to the host's disk, and returns its size.
pub(crate) fn grow(
    file: &mut File,
    format: DiskFormat,
    bytes: u64,
    runtime: &Handle,
) -> io::Result<u64> {
    let size = match format {
        DiskFormat::Raw => {
            let old = file.metadata()?.len();
            // A disk that ends inside of a sector is rounded up as well.
            let size = old.next_multiple_of(SECTOR).max(bytes);
            if size > old {
                file.set_len(size)?;
            }
            size
        }
        DiskFormat::Qcow2 => grow_qcow2(file, bytes, runtime)?,
    };
    file.sync_all()?;
    Ok(size)
}

fn grow_qcow2(file: &mut File, bytes: u64, runtime: &Handle) -> io::Result<u64> {
    let mut header = vec![0; qcow2::HEADER_BYTES];
    file.seek(SeekFrom::Start(0))?;
    let length = file.read(&mut header)?;
    header.truncate(length);
    if qcow2::has_compression_type(&header) {
        return grow_by_header(file, &header, bytes);
    }
    let storage = storage(file)?;
    runtime.block_on(async {
        // The gate: nothing but this file is opened, whatever the image says.
        let gate = DenyImplicitOpenGate::default();
        let image = Qcow2::<Storage>::builder(storage).write(true).backing(None);
        let disk = FormatAccess::new(image.open(gate).await?);
        let size = disk.size().next_multiple_of(SECTOR).max(bytes);
        // What is not allocated reads as zeroes, for a backing file ends before; asking for
        // zeroes would write megabytes of tables that say the same.
        disk.resize_grow(size, PreallocateMode::None).await?;
        disk.flush().await?;
        Ok(size)
    })
}

/// The library opens no image compressed by other than zlib, though growing touches no data.
/// As long as the first table has room in the clusters that it has, two numbers in the header
/// are all that changes.
fn grow_by_header(file: &mut File, header: &[u8], bytes: u64) -> io::Result<u64> {
    let Some(growth) = qcow2::growth(header, bytes) else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "The image is compressed by zstd and its first table has no room for this size",
        ));
    };
    file.seek(SeekFrom::Start(growth.new_entries.start))?;
    let zeroes = growth.new_entries.end - growth.new_entries.start;
    io::copy(&mut io::repeat(0).take(zeroes), file)?;
    // The header may not reach the host's disk before the entries that it covers.
    file.sync_all()?;
    file.seek(SeekFrom::Start(growth.header_at))?;
    file.write_all(&growth.header)?;
    Ok(growth.virtual_bytes)
}

fn storage(file: &File) -> io::Result<Storage> {
    Storage::try_from(file.file().try_clone()?)
}
