//! Turns an image that a user names into the disk of a virtual machine.
//!
//! [`inspect`] says by content what a file is, and refuses what cannot become a disk, naming
//! what it is instead. [`prepare`] makes a disk of its own from it: a clone where the file system
//! can, a copy that keeps the holes elsewhere, unpacked on the way, grown to the size that was asked for. A disk is
//! complete under its final name or does not exist. [`fetch`] brings one from the network into a
//! [`Cache`], [`streams`] says which image Fedora CoreOS offers, [`oci`] where a
//! registry keeps a disk, and [`openpgp`] who signed a file. This crate knows no virtual machine, prints nothing and runs
//! no program but those that keep passwords of registries.

mod aside;
mod base;
pub mod bundle;
mod cache;
mod catalog;
mod checksum;
mod checksum_file;
mod copy;
mod disk;
mod error;
mod fetch;
mod http;
mod layer;
pub mod oci;
pub mod openpgp;
mod platform;
mod prepare;
mod progress;
mod qcow2;
mod recognise;
mod reference;
mod stored;
pub mod streams;
#[cfg(test)]
#[cfg_attr(
    target_os = "macos",
    expect(
        dead_code,
        reason = "there the system judges certificates, in words of its own"
    )
)]
mod test_server;
mod tls_error;
mod tree;
mod unpack;
mod validator;
mod waits;

pub use cache::{
    Cache, CacheError, CachedImage, Damage, PrunedDownloads, Verdict, Verified, VerifyError,
};
pub use catalog::{Catalog, CatalogError};
pub use checksum::{Checksum, ChecksumError};
pub use error::ImageError;
pub use fetch::{
    ArtifactRequest, DetachedSignature, Download, FetchError, FetchProgress, FetchReporter,
    Fetched, How, StreamRequest, fetch, fetch_artifact, fetch_stream,
};
pub use http::{Authorization, install_tls, shown};
pub use layer::{Layer, layer};
pub use prepare::{PreparedDisk, Terms, grow, prepare, prepare_on};
pub use progress::Reporter;
pub use recognise::{DiskFormat, Image, ImageForm, ImageKind, inspect, recognise, recognise_layer};
pub use reference::{Reference, ReferenceError};
pub use reqwest::Url;
pub use tree::{TreeArchive, open_tree};
pub use unpack::{ArchiveFault, EntryName, Fault, Packing};

/// Larger disks are refused: no file system that a guest would put on one takes a bigger file,
/// and such a number in an image's header is an error or an attack.
pub const MAX_DISK_BYTES: u64 = 64 << 40;

/// Disks are made of sectors of so many bytes.
const SECTOR: u64 = 512;

/// What a packed image may unpack to where nobody asks for a larger disk: more is an error or an attack.
pub const UNPACKED_LIMIT: u64 = 1 << 40;
