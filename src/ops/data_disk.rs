//! The file that is a machine's data disk: made, taken from the user, grown. What is in it is the guest's business; a host
//! that looked would have to believe what a guest wrote.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_images::{DiskFormat, ImageError, ImageKind};
use thiserror::Error;

use super::host::Host;
use crate::machine::ProviderKind;
use crate::machine::data_disk::LEAST_DATA_DISK_BYTES;
use crate::machine::resources::{ResourceError, check_disk_fits};

const GIB: u64 = 1 << 30;

/// Why a file cannot be a data disk.
#[derive(Debug, Error)]
pub enum DataDiskError {
    /// The guest could not find it.
    #[error(
        "Machines of the provider `{0}` have no data disk: their guests cannot tell it from other disks"
    )]
    Nameless(ProviderKind),
    /// It is not there.
    #[error("The data disk `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// It is something else than a file.
    #[error("`{}` is {what}, and a data disk is a file", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It cannot be read and written.
    #[error("The data disk `{}` cannot be read and written", path.display())]
    Unusable {
        /// The disk.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room for a file system.
    #[error(
        "`{}` has {bytes} bytes, and a data disk has at least {least} GB",
        path.display(), least = LEAST_DATA_DISK_BYTES >> 30
    )]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The guest would see the container of the disk, not the disk.
    #[error("`{}` is in the format {format}, and a data disk is raw", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// The command that makes a raw one of it, if one does.
        convert: Option<String>,
    },
    /// A disk only grows.
    #[error("The data disk `{}` has {current} GB and cannot become smaller", path.display())]
    Shrinks {
        /// The disk.
        path: PathBuf,
        /// Its size in GiB, rounded up.
        current: u64,
    },
    /// The path cannot be written down.
    #[error("The path of the data disk `{}` is not valid Unicode", .0.display())]
    NotUnicode(PathBuf),
    /// The file system has no files of this size.
    #[error("The file system of `{}` takes no file of {gib} GB", path.display())]
    TooLarge {
        /// The disk.
        path: PathBuf,
        /// The size.
        gib: u64,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be made, or be given its size.
    #[error("The data disk `{}` cannot be given {gib} GB", path.display())]
    Write {
        /// The disk.
        path: PathBuf,
        /// The size.
        gib: u64,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDiskError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Nameless(_) => {
                "leave `--data-disk` out: what the engines keep is on the disk of the operating system"
                    .to_owned()
            }
            Self::NotAFile { path, what } if what.ends_with("device") => format!(
                "a file system on it can hold the disk: mount it and give the path of a file there, as /mnt/data.raw; a \
                 device itself would be open to the guest in whole, with nobody to keep other programs of the host out \
                 (`{}`)",
                path.display()
            ),
            Self::Missing(_) => "without `--data-disk` a machine gets a new one".to_owned(),
            Self::TooSmall { path, .. } => {
                format!("make it larger: truncate --size 100G {}", path.display())
            }
            Self::Foreign {
                convert: Some(convert),
                ..
            } => format!("make a raw one of it: {convert}"),
            Self::Shrinks { current, .. } => {
                format!("leave `--disk-size` out, or give at least {current}")
            }
            Self::TooLarge { .. } => {
                "give a smaller `--disk-size`, or use another file system".to_owned()
            }
            Self::NotAFile { .. }
            | Self::Unusable { .. }
            | Self::Foreign { .. }
            | Self::NotUnicode(_)
            | Self::Write { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

/// A disk that may become larger than the host has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The disk's size in GiB.
    pub disk_gib: u64,
    /// What the host has free, in bytes.
    pub free_bytes: u64,
}

/// Whether a disk of so many GiB, of which `there` bytes are written already, could outgrow what is free. It is made of holes, so
/// that is no error.
pub(super) fn shortage(disk_gib: u64, there: u64, free_bytes: u64) -> Option<Shortage> {
    let to_come = disk_gib.saturating_mul(GIB).saturating_sub(there);
    (to_come > free_bytes).then_some(Shortage {
        disk_gib,
        free_bytes,
    })
}

/// A file of the user's that is fit to be a data disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its absolute path.
    pub(super) path: PathBuf,
    /// Its size in GiB, rounded up.
    pub(super) gib: u64,
}

/// Looks at a file that is to be a data disk, of at least `wanted` GiB. Nothing is changed.
pub(super) fn find(path: &Path, wanted: Option<u64>) -> Result<Found, DataDiskError> {
    let path = std::path::absolute(path).map_err(|source| unusable(path, source))?;
    if path.to_str().is_none() {
        return Err(DataDiskError::NotUnicode(path));
    }
    check_content(&path)?;
    let bytes = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .and_then(|file| file.metadata())
        .map_err(|source| unusable(&path, source))?
        .len();
    if bytes < LEAST_DATA_DISK_BYTES {
        return Err(DataDiskError::TooSmall { path, bytes });
    }
    let gib = bytes.div_ceil(GIB);
    if wanted.is_some_and(|wanted| wanted.saturating_mul(GIB) < bytes) {
        return Err(DataDiskError::Shrinks { path, current: gib });
    }
    Ok(Found {
        path,
        gib: wanted.unwrap_or(gib),
    })
}

/// Refuses what is no file, and what its first bytes say is a disk in another form.
fn check_content(path: &Path) -> Result<(), DataDiskError> {
    let foreign = |format, convert| {
        let path = path.to_owned();
        Err(DataDiskError::Foreign {
            path,
            format,
            convert,
        })
    };
    let as_raw = |format: &str| {
        let mut raw = OsString::from(path);
        raw.push(".raw");
        let (from, to) = (path.display(), Path::new(&raw).display());
        Some(format!("qemu-img convert -f {format} -O raw {from} {to}"))
    };
    match machine_images::recognise(path) {
        // What the file system on it is, if any, is for the guest to say.
        Ok(ImageKind::Disk {
            format: DiskFormat::Raw,
            ..
        })
        | Err(ImageError::NotAnImage { .. } | ImageError::TooLarge { .. }) => Ok(()),
        Ok(ImageKind::Empty) => match fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(()),
            _ => Err(DataDiskError::NotAFile {
                path: path.to_owned(),
                what: "a special file",
            }),
        },
        Ok(ImageKind::Disk {
            format: DiskFormat::Qcow2,
            ..
        })
        | Err(ImageError::BadHeader { .. } | ImageError::NotSelfContained { .. }) => {
            foreign("qcow2", as_raw("qcow2"))
        }
        Err(ImageError::ForeignFormat {
            format,
            convertible_as,
            ..
        }) => foreign(format, convertible_as.and_then(as_raw)),
        Err(ImageError::Packed { format, unpack, .. }) => {
            foreign(format, Some(format!("{unpack} {}", path.display())))
        }
        Err(ImageError::NotFound { path }) => Err(DataDiskError::Missing(path)),
        Err(ImageError::NotAFile { path, what }) => Err(DataDiskError::NotAFile { path, what }),
        Err(ImageError::Unreadable { path, source }) => Err(unusable(&path, source)),
        Err(error) => Err(unusable(path, io::Error::other(error))),
    }
}

fn unusable(path: &Path, source: io::Error) -> DataDiskError {
    DataDiskError::Unusable {
        path: path.to_owned(),
        source,
    }
}

/// Makes a blank disk, a file of holes. One that is there already, which a killed command has left, stays as it is: it
/// may have been used since.
pub(super) fn create(path: &Path, gib: u64) -> Result<(), DataDiskError> {
    if !fs::exists(path).unwrap_or(false) {
        atomic::write(path, b"", Access::Private).map_err(|source| failed(path, gib, source))?;
    }
    grow(path, gib).map(drop)
}

/// Grows the disk to at least so many GiB, and returns its size in GiB. The guest's file system follows at its next start.
pub(super) fn grow(path: &Path, gib: u64) -> Result<u64, DataDiskError> {
    let bytes = gib.saturating_mul(GIB);
    let grown = || -> io::Result<u64> {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        let found = file.metadata()?.len();
        if found < bytes {
            file.set_len(bytes)?;
            file.sync_all()?;
        }
        Ok(found.max(bytes))
    };
    match grown() {
        Ok(bytes) => Ok(bytes.div_ceil(GIB)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(DataDiskError::Missing(path.to_owned()))
        }
        Err(source) => Err(failed(path, gib, source)),
    }
}

fn failed(path: &Path, gib: u64, source: io::Error) -> DataDiskError {
    let path = path.to_owned();
    // Linux, macOS and Windows all have such an error; Windows also says that the disk is full.
    if source.kind() == io::ErrorKind::FileTooLarge {
        return DataDiskError::TooLarge { path, gib, source };
    }
    DataDiskError::Write { path, gib, source }
}

/// Refuses a size that the file system of `path`, which need not be there yet, could never hold.
pub(super) fn check_fits(host: &Host, path: &Path, wanted: u64) -> Result<(), ResourceError> {
    let there = path.ancestors().find(|path| path.exists());
    let total = there.and_then(|there| (host.total_bytes)(there).ok());
    check_disk_fits(wanted, total.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(directory: &Path, name: &str, bytes: u64, head: &[u8]) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, head).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(bytes).unwrap();
        path
    }

    #[test]
    fn a_file_that_is_raw_and_large_enough_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes, head: &[u8]| sparse(directory.path(), name, bytes, head);
        let mut ext4 = vec![0; 1080];
        ext4.extend([0x53, 0xef]);
        let mut table = vec![0; 510];
        table.extend([0x55, 0xaa]);
        for (name, head) in [("blank", vec![]), ("ext4", ext4), ("table", table)] {
            let path = at(name, GIB, &head);
            let found = find(&path, None).unwrap();
            assert_eq!(found, Found { path, gib: 1 }, "{name}");
        }
        let odd = at("odd", 2 * GIB + 1, b"");
        assert_eq!(find(&odd, None).unwrap().gib, 3);
        assert_eq!(find(&odd, Some(3)).unwrap().gib, 3);
        assert_eq!(find(&odd, Some(9)).unwrap().gib, 9);
        let error = find(&odd, Some(2)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has 3 GB and cannot become smaller"),
            "{error}"
        );
        assert_eq!(
            fs::metadata(&odd).unwrap().len(),
            2 * GIB + 1,
            "nothing was changed"
        );
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes, head: &[u8]| sparse(directory.path(), name, bytes, head);
        let text = |path: &Path| {
            let error = find(path, None).unwrap_err();
            let hints = error.hints().join("\n");
            format!("{error}\n{hints}")
        };
        let small = at("small", GIB - 1, b"");
        let said = text(&small);
        assert!(
            said.contains("has 1073741823 bytes, and a data disk has at least 1 GB"),
            "{said}"
        );
        assert!(text(&at("empty", 0, b"")).contains("has 0 bytes"));
        let qcow2 = at("q", GIB, b"QFI\xfb\0\0\0\x03");
        let said = text(&qcow2);
        let path = qcow2.display();
        let expected = format!("qemu-img convert -f qcow2 -O raw {path} {path}.raw");
        assert!(
            said.contains("is in the format qcow2") && said.contains(&expected),
            "{said}"
        );
        let vhdx = text(&at("v", GIB, b"vhdxfile"));
        assert!(
            vhdx.contains("the format VHDX") && vhdx.contains("-f vhdx"),
            "{vhdx}"
        );
        let packed = text(&at("p", GIB, b"\xfd7zXZ\0"));
        assert!(
            packed.contains("the format xz") && packed.contains("xz -dk"),
            "{packed}"
        );
        assert!(text(directory.path()).contains("is a directory, and a data disk is a file"));
        let gone = text(&directory.path().join("gone"));
        assert!(gone.contains("gone` does not exist"), "{gone}");
    }

    #[test]
    fn a_disk_is_made_of_holes_and_only_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data.raw");
        create(&path, 8).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.len(), 8 * GIB);
        assert_eq!(grow(&path, 9).unwrap(), 9);
        assert_eq!(grow(&path, 3).unwrap(), 9);
        assert_eq!(fs::metadata(&path).unwrap().len(), 9 * GIB);
        // What a killed command left may be more than a blank one.
        fs::write(&path, "used").unwrap();
        create(&path, 1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), GIB);
        let mut start = [0; 4];
        io::Read::read_exact(&mut fs::File::open(&path).unwrap(), &mut start).unwrap();
        assert_eq!(&start, b"used");
        let error = grow(&directory.path().join("gone"), 1).unwrap_err();
        assert!(matches!(error, DataDiskError::Missing(_)), "{error:?}");
        let error = grow(directory.path(), 1).unwrap_err();
        assert!(matches!(error, DataDiskError::Write { .. }), "{error:?}");
    }

    #[test]
    fn what_is_written_already_needs_no_room() {
        let short = Some(Shortage {
            disk_gib: 4,
            free_bytes: 3 * GIB - 1,
        });
        assert_eq!(shortage(4, GIB, 3 * GIB), None);
        assert_eq!(shortage(4, GIB, 3 * GIB - 1), short);
        assert_eq!(shortage(4, 9 * GIB, 0), None);
    }

    #[test]
    fn a_device_is_refused_with_what_to_do_instead() {
        let error = DataDiskError::NotAFile {
            path: "/dev/sdb".into(),
            what: "a block device",
        };
        let text = "`/dev/sdb` is a block device, and a data disk is a file";
        assert_eq!(error.to_string(), text);
        assert!(error.hints()[0].contains("mount it"), "{:?}", error.hints());
        let places = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"];
        // Those that this host has.
        for device in places.map(Path::new).iter().filter(|path| path.exists()) {
            let error = find(device, None).unwrap_err();
            assert!(error.to_string().contains("is a block device"), "{error}");
        }
    }

    #[test]
    fn a_file_system_without_such_files_is_named() {
        let source = io::Error::from(io::ErrorKind::FileTooLarge);
        let error = failed(Path::new("/d/data.raw"), 64, source);
        let text = "The file system of `/d/data.raw` takes no file of 64 GB";
        assert_eq!(error.to_string(), text);
    }
}
