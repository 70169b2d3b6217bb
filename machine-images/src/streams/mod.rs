//! Fedora CoreOS streams: which image a stream or a release offers, from the JSON that Fedora publishes.
//!
//! A [`StreamRef`] says where the [`Metadata`] lies, and [`select`] takes the image of an architecture and a platform
//! out of it. Nothing here downloads: bytes come in, locations go out.
//!
//! ```
//! use machine_images::streams::{Metadata, StreamRef, select};
//!
//! let stream: StreamRef = "stable".parse()?;
//! assert_eq!(
//!     stream.metadata_url("https://mirror.example/coreos/"),
//!     "https://mirror.example/coreos/streams/stable.json"
//! );
//! let json = br#"{"stream": "stable", "architectures": {"x86_64": {"artifacts": {}}}}"#;
//! let metadata = Metadata::parse(&stream, "stable.json", json)?;
//! let error = select(&metadata, "x86_64", "qemu", &["qcow2.xz"]).unwrap_err();
//! assert!(error.to_string().contains("has no image for the platform `qemu`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod metadata;
mod reference;
mod select;

pub use error::StreamError;
pub use metadata::Metadata;
pub use reference::{Release, StreamName, StreamRef, StreamRefError};
pub use select::{Artifact, select};

/// The largest document that is read: real ones have about 100 KiB.
pub const MAX_METADATA_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests;
