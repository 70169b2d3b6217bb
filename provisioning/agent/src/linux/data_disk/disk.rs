//! The disk itself, by the guest's own tools: looked at, formatted once, checked, mounted, grown.
//!
//! A tool that is missing, fails or takes too long is a sentence.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use machine_protocol::boot::DATA_DISK_LABEL;
use rustix::mount::MountFlags;

use super::plan::{self, KIND, Plan};
use super::{Problem, blocking, ends, signs, superblock};
use crate::linux::log::log;
use crate::linux::mounting::{Call, Kernel, topmost};
use crate::linux::notify;
use crate::linux::paths::Paths;
use crate::linux::program::{self, Ended};

/// Of a look at the disk's first and last bytes.
const LOOK: Duration = Duration::from_secs(30);
/// The tables of the largest disk are hundreds of MiB.
const FORMAT: Duration = Duration::from_mins(5);
/// A disk that was not unmounted costs a moment, for its journal is replayed; one with errors is read as a whole.
const CHECK: Duration = Duration::from_mins(10);
const GROW: Duration = Duration::from_mins(5);

/// Bytes of a block, for `mke2fs` would choose smaller ones for a small disk, and growing counts in them.
const BLOCK: u64 = 4096;
/// Smaller ones hold no engine's storage, and no journal.
const LEAST: u64 = 64 << 20;

/// What the file system can do, by name and nothing else, whatever the guest that makes it has by default: each other
/// guest is to read it, older ones too.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
    large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// The disk is blank, and a file of the host that is written only where something is. So nothing is cleared that reads as
/// zeros anyway: no discard (tens of thousands of requests on a large disk), neither tables of inodes (more than a GiB per
/// 100 GiB of disk) nor the journal.
const LAZY: &str = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";

/// For the same reason the kernel does not clear the tables later. What is deleted is given back to the host at once. An
/// error stops writing; the next start mends it.
const OPTIONS: &std::ffi::CStr = c"noinit_itable,discard,errors=remount-ro";

/// Whether somebody mounted it before, and what from.
pub(super) fn is_mounted(
    kernel: &impl Kernel,
    device: &Path,
    place: &Path,
) -> std::io::Result<bool> {
    let there = topmost(kernel, place)?;
    Ok(there.is_some_and(|there| Path::new(&there.source) == device))
}

/// Makes the disk one that can be mounted, unless that would lose something.
pub(super) async fn prepare(paths: &Paths, device: &Path) -> Result<(), Problem> {
    let size = size(device).await?;
    if size < LEAST {
        return Err(format!(
            "the data disk is too small: it has {} MiB and needs {}",
            size >> 20,
            LEAST >> 20
        ));
    }
    let disk = device.to_owned();
    let ends = blocking(LOOK, move || ends::look(&disk, size)).await;
    let ends = ends.map_err(cannot("be read"))?;
    let said = run(paths, "blkid", &["-p", "-o", "export", &text(device)], LOOK).await?;
    let signs = signs::read(said.code(), &said.said, !said.last_words.is_empty());
    let signs = signs.map_err(|problem| {
        let ended_well = said.code() == Some(0);
        let why = if ended_well { problem } else { said.problem() };
        format!("what the data disk holds could not be found out: {why}")
    })?;
    match plan::decide(&signs, ends) {
        Plan::Format => format(paths, device, size).await,
        Plan::Use => check(paths, device, size).await,
        Plan::Refuse(problem) => Err(problem),
    }
}

async fn format(paths: &Paths, device: &Path, size: u64) -> Result<(), Problem> {
    log("The data disk is formatted");
    let disk = device.to_owned();
    let marked = blocking(LOOK, move || ends::put_mark(&disk, size)).await;
    marked.map_err(cannot("be written to"))?;
    let (block, blocks) = (BLOCK.to_string(), blocks(size).to_string());
    let device_text = text(device);
    let arguments = [
        // Never asks, and refuses what is mounted all the same.
        "-q",
        "-F",
        "-b",
        &block,
        // Nothing is kept for root: the engine of either user may be the machine's.
        "-m",
        "0",
        "-L",
        DATA_DISK_LABEL,
        "-O",
        FEATURES,
        "-E",
        LAZY,
        &device_text,
        &blocks,
    ];
    let ended = run(paths, "mkfs.ext4", &arguments, FORMAT).await?;
    if ended.code() != Some(0) {
        return Err(format!(
            "the data disk could not be formatted: {}",
            ended.problem()
        ));
    }
    let disk = device.to_owned();
    let done = blocking(LOOK, move || ends::take_mark(&disk, size)).await;
    done.map_err(cannot("be written to"))
}

/// Mends what can be mended without asking. The exit status is a sum (e2fsck(8)): 1 and 2 mean that it was.
async fn check(paths: &Paths, device: &Path, size: u64) -> Result<(), Problem> {
    const MENDED: i32 = 1 | 2;
    const NOT_MENDED: i32 = 4;
    let there = read_size(device).await?;
    if let Some(there) = there
        && there.bytes() > size
    {
        return Err(format!(
            "the data disk is damaged: it was cut off at {} MiB, and its file system has {}",
            size >> 20,
            there.bytes() >> 20
        ));
    }
    let ended = run(paths, "e2fsck", &["-p", &text(device)], CHECK).await?;
    match ended.code() {
        Some(code) if code & !MENDED == 0 => Ok(()),
        Some(code) if code & NOT_MENDED != 0 => Err(format!(
            "the data disk is damaged, and `e2fsck -p` in the guest could not mend it: {}",
            ended.last_words
        )),
        _ => Err(format!(
            "the data disk could not be checked: {}",
            ended.problem()
        )),
    }
}

/// Mounts the disk, which was prepared.
pub(super) async fn mount<K: Kernel>(
    kernel: &Arc<K>,
    device: &Path,
    place: &Path,
) -> Result<(), Problem> {
    let call = Call {
        source: text(device),
        kind: KIND,
        flags: MountFlags::empty(),
        data: CString::from(OPTIONS),
    };
    let (kernel, place) = (Arc::clone(kernel), place.to_owned());
    let done = blocking(LOOK, move || kernel.mount(&call, &place)).await;
    done.map_err(|problem| {
        format!("the data disk is damaged: the guest's kernel cannot mount it: {problem}")
    })
}

/// Has the file system fill a disk that has become larger, mounted as it is. Without it there is less room, and all else
/// works.
pub(super) async fn grow(paths: &Paths, device: &Path) -> Result<(), Problem> {
    let (Ok(size), Ok(Some(there))) = (size(device).await, read_size(device).await) else {
        return Ok(());
    };
    let wanted = blocks(size);
    if there.block != BLOCK || there.blocks >= wanted {
        return Ok(());
    }
    let small = |problem: Problem| {
        format!(
            "the data disk has {} MiB, and its file system stays at {} MiB: {problem}; all else works, and the next \
             `machine restart` tries again",
            size >> 20,
            there.bytes() >> 20
        )
    };
    let arguments = [&text(device), &wanted.to_string()];
    let arguments = arguments.map(String::as_str);
    let ended = run(paths, "resize2fs", &arguments, GROW).await;
    let ended = ended.map_err(small)?;
    if ended.code() != Some(0) {
        return Err(small(ended.problem()));
    }
    log(&format!(
        "The data disk has grown from {} MiB to {} MiB",
        there.bytes() >> 20,
        wanted.saturating_mul(BLOCK) >> 20
    ));
    Ok(())
}

/// How many blocks the file system has: the end of the disk is kept for the mark.
fn blocks(size: u64) -> u64 {
    size.saturating_sub(ends::END) / BLOCK
}

async fn size(device: &Path) -> Result<u64, Problem> {
    let disk = device.to_owned();
    let size = blocking(LOOK, move || ends::size(&disk)).await;
    size.map_err(cannot("be read"))
}

async fn read_size(device: &Path) -> Result<Option<superblock::Size>, Problem> {
    let disk = device.to_owned();
    let size = blocking(LOOK, move || superblock::size(&disk)).await;
    size.map_err(cannot("be read"))
}

async fn run(
    paths: &Paths,
    name: &str,
    arguments: &[&str],
    limit: Duration,
) -> Result<Ended, Problem> {
    notify::takes(limit);
    let ended = program::end(paths, name, arguments, limit).await;
    ended.map_err(|problem| format!("the data disk cannot be used: {problem}"))
}

fn cannot(what: &str) -> impl Fn(Problem) -> Problem + '_ {
    move |problem| format!("the data disk cannot {what}: {problem}")
}

/// Devices have plain names.
fn text(device: &Path) -> String {
    device.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_no_part_of_the_file_system() {
        assert_eq!(blocks(100 << 30), (100 << 30) / 4096 - 256);
        assert_eq!(blocks((100 << 30) + 4095), (100 << 30) / 4096 - 256);
        assert_eq!(blocks(0), 0);
    }
}
