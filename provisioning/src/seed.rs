//! The seed disk: a small FAT image that carries the agent and the parameters of one boot.
//!
//! It is made anew at each start and attached read-only, so a guest always runs the agent of its host's version. FAT,
//! because every guest's kernel mounts it, and because it needs no program on the host. Equal input gives equal bytes:
//! time stamps and serial number are fixed.
//!
//! The image is bare, without a partition table. Firmware may take it for a system to boot and hang; it is for the
//! hypervisor's part to name the disk to boot from.

use std::io::{self, Cursor, Write};

use fatfs::{
    Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider,
};
use machine_protocol::boot::{
    BootParameters, SEED_AGENT, SEED_BOOT, SEED_CERTIFICATES, SEED_LABEL,
};

/// Smallest image. Some guests' tools do not take a smaller one for a disk.
const SMALLEST: usize = 1 << 20;
/// Largest agent. A real one has about a megabyte; the limit keeps the arithmetic below exact.
pub const AGENT_LIMIT: usize = 64 << 20;

/// Most bytes of certificates.
pub const CERTIFICATES_LIMIT: usize = 16 << 20;

const SECTOR: usize = 512;
/// As the guest's pages, so that the program is read in whole pages.
const CLUSTER: usize = 4096;
/// The size is a multiple of this, because hypervisors round disks.
const GRANULE: usize = 64 * 1024;
/// FAT12 ends, and FAT16 begins, at this number of clusters. Readers tell the two by nothing else.
const FAT16_CLUSTERS: usize = 4085;
/// Stays clear of the border, where implementations differ by a few.
const BORDER: usize = 64;
/// What fits into one sector: the label, and three files with a long name each.
const ROOT_ENTRIES: u16 = 16;
const SERIAL_NUMBER: u32 = 0x4d53_4544;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The agent is too large to be one.
    #[error("The agent has {0} bytes, more than {AGENT_LIMIT}")]
    Agent(usize),
    /// There is no agent.
    #[error("The agent is an empty file")]
    NoAgent,
    /// More certificates than any host has.
    #[error("The certificates have {0} bytes, more than {CERTIFICATES_LIMIT}")]
    Certificates(usize),
    /// The boot parameters could not be written.
    #[error("The boot parameters could not be written as JSON")]
    Json(#[source] serde_json::Error),
    /// The file system could not be made.
    #[error("The seed's file system could not be made")]
    FileSystem(#[source] io::Error),
}

/// The image that carries `agent`, the program for the guest's architecture, the parameters `boot`, and the certificates
/// of the host's authorities where the guest is to trust them.
pub fn image(
    agent: &[u8],
    boot: &BootParameters,
    certificates: Option<&[u8]>,
) -> Result<Vec<u8>, SeedError> {
    let parameters = serde_json::to_vec(boot).map_err(SeedError::Json)?;
    file_system(&files(agent, &parameters, certificates)?).map_err(SeedError::FileSystem)
}

/// The same as a tar archive, for a guest that has no disk for it: root's alone, and the agent can be run.
pub fn archive(
    agent: &[u8],
    boot: &BootParameters,
    certificates: Option<&[u8]>,
) -> Result<Vec<u8>, SeedError> {
    let parameters = serde_json::to_vec(boot).map_err(SeedError::Json)?;
    let files = files(agent, &parameters, certificates)?;
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if name == SEED_AGENT { 0o700 } else { 0o600 });
        header.set_size(bytes.len() as u64);
        let appended = archive.append_data(&mut header, name, bytes);
        appended.map_err(SeedError::FileSystem)?;
    }
    archive.into_inner().map_err(SeedError::FileSystem)
}

fn files<'a>(
    agent: &'a [u8],
    parameters: &'a [u8],
    certificates: Option<&'a [u8]>,
) -> Result<Vec<(&'static str, &'a [u8])>, SeedError> {
    match agent.len() {
        0 => return Err(SeedError::NoAgent),
        1..=AGENT_LIMIT => {}
        length => return Err(SeedError::Agent(length)),
    }
    let mut files = vec![(SEED_AGENT, agent), (SEED_BOOT, parameters)];
    if let Some(certificates) = certificates {
        if certificates.len() > CERTIFICATES_LIMIT {
            return Err(SeedError::Certificates(certificates.len()));
        }
        files.push((SEED_CERTIFICATES, certificates));
    }
    Ok(files)
}

/// Type and size of the smallest file system that holds `clusters` clusters of data.
fn geometry(clusters: usize) -> (FatType, usize) {
    let (fat_type, clusters, bits) = if clusters < FAT16_CLUSTERS - BORDER {
        (FatType::Fat12, clusters, 12)
    } else {
        (FatType::Fat16, clusters.max(FAT16_CLUSTERS + BORDER), 16)
    };
    // Two entries of the table are reserved. Room for one sector more, and for the clusters that rounding up adds.
    let table = (clusters + 2 + GRANULE / CLUSTER) * bits / 8 + SECTOR;
    let size = SECTOR + table + usize::from(ROOT_ENTRIES) * 32 + clusters * CLUSTER;
    (fat_type, size.next_multiple_of(GRANULE).max(SMALLEST))
}

fn file_system(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let clusters = files
        .iter()
        .map(|(_, bytes)| bytes.len().div_ceil(CLUSTER))
        .sum();
    let (fat_type, size) = geometry(clusters);
    let mut image = vec![0; size];
    let options = FormatVolumeOptions::new()
        .fat_type(fat_type)
        .bytes_per_cluster(u32::try_from(CLUSTER).map_err(io::Error::other)?)
        .fats(1)
        .max_root_dir_entries(ROOT_ENTRIES)
        .volume_id(SERIAL_NUMBER)
        .volume_label(padded_label());
    fatfs::format_volume(Cursor::new(&mut image[..]), options)?;
    let system = FileSystem::new(
        Cursor::new(&mut image[..]),
        FsOptions::new().time_provider(&EPOCH),
    )?;
    for (name, bytes) in files {
        let mut file = system.root_dir().create_file(name)?;
        file.write_all(bytes)?;
        file.flush()?;
    }
    system.unmount()?;
    Ok(image)
}

/// The label in the form of the file system: eleven bytes, filled up with blanks.
fn padded_label() -> [u8; 11] {
    let mut label = [b' '; 11];
    for (to, from) in label.iter_mut().zip(SEED_LABEL.bytes()) {
        *to = from;
    }
    label
}

/// A clock that stands still at the first moment that FAT knows.
#[derive(Debug)]
struct Epoch;

static EPOCH: Epoch = Epoch;

impl TimeProvider for Epoch {
    fn get_current_date(&self) -> Date {
        Date {
            year: 1980,
            month: 1,
            day: 1,
        }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: self.get_current_date(),
            time: Time {
                hour: 0,
                min: 0,
                sec: 0,
                millis: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests;
