//! The image that a machine needs, out of all that a stream offers.

use url::{Host, Url};

use super::error::StreamError;
use super::metadata::{Disk, Metadata};
use super::reference::Release;
use crate::checksum::Checksum;

/// An image as the metadata describe it. Nothing of it has been seen or verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The release that it is of.
    pub release: Release,
    /// The URL of the file: `https`, or `http` on the loopback interface.
    pub location: String,
    /// The URL of the detached OpenPGP signature of the file, of the same kind.
    pub signature: String,
    /// The checksum of the file as it is downloaded.
    pub checksum: Checksum,
    /// The checksum of what the file unpacks to; `None` where it is not packed.
    pub unpacked: Option<Checksum>,
    /// The format that was chosen, such as `qcow2.xz`.
    pub format: String,
}

/// The image for an `architecture` (the kernel's name for it, such as `x86_64`) and a `platform` (such as `qemu`), in
/// the first of the `formats` that is offered.
pub fn select(
    metadata: &Metadata,
    architecture: &str,
    platform: &str,
    formats: &[&str],
) -> Result<Artifact, StreamError> {
    let reference = || metadata.reference.clone();
    let platforms =
        metadata
            .architectures
            .get(architecture)
            .ok_or_else(|| StreamError::NoArchitecture {
                reference: reference(),
                wanted: architecture.to_owned(),
                available: metadata.architectures.keys().cloned().collect(),
            })?;
    let found = platforms
        .get(platform)
        .ok_or_else(|| StreamError::NoPlatform {
            reference: reference(),
            architecture: architecture.to_owned(),
            wanted: platform.to_owned(),
            available: platforms.keys().cloned().collect(),
        })?
        .as_ref()
        .ok_or_else(|| StreamError::Shape {
            origin: metadata.origin.clone(),
            what: format!("{architecture}, {platform}"),
            fault: "it is not written as those of other platforms".to_owned(),
        })?;
    let chosen = formats
        .iter()
        .find_map(|&format| found.formats.get_key_value(format));
    let (format, disk) = chosen.ok_or_else(|| StreamError::NoFormat {
        reference: reference(),
        target: format!("{platform} on {architecture}"),
        wanted: formats.iter().map(|&format| format.to_owned()).collect(),
        available: found.formats.keys().cloned().collect(),
    })?;
    read(disk, &found.release, format).map_err(|fault| StreamError::Shape {
        origin: metadata.origin.clone(),
        what: format!("{architecture}, {platform}, {format}"),
        fault,
    })
}

fn read(disk: &Disk, release: &str, format: &str) -> Result<Artifact, String> {
    let checksum = |name, digits: &str| {
        Checksum::from_hex(digits).ok_or_else(|| {
            let digits = digits.escape_debug();
            format!("`{name}` is `{digits}`, which is no SHA-256")
        })
    };
    let unpacked = disk
        .uncompressed_sha256
        .as_ref()
        .map(|digits| checksum("uncompressed-sha256", digits))
        .transpose()?;
    Ok(Artifact {
        release: release
            .parse()
            .map_err(|error| format!("`release` is wrong: {error}"))?,
        location: location("location", disk.location.as_ref())?,
        signature: location("signature", disk.signature.as_ref())?,
        checksum: checksum("sha256", present("sha256", disk.sha256.as_ref())?)?,
        unpacked,
        format: format.to_owned(),
    })
}

fn present<'a>(name: &str, text: Option<&'a String>) -> Result<&'a String, String> {
    text.ok_or_else(|| format!("`{name}` is missing"))
}

/// Checks a URL, and gives it as the standard writes it.
fn location(name: &str, text: Option<&String>) -> Result<String, String> {
    let text = present(name, text)?;
    let shown = text.escape_debug();
    let url = Url::parse(text).map_err(|error| format!("`{name}` is `{shown}`: {error}"))?;
    let safe = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        _ => false,
    };
    if !safe {
        return Err(format!("`{name}` is `{shown}`, and only https is allowed"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("`{name}` is `{shown}`, which holds a user's name"));
    }
    Ok(url.into())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
