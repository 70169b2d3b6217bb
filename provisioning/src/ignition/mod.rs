//! The guest's first-boot configuration for Ignition.
//!
//! Everything a guest is told for life, and nothing that may change between two starts. Written so that it can be
//! applied twice: a first boot that was interrupted runs Ignition again.

mod render;

use self::render::Document;
use crate::guest::{self, GuestSpec, ProvisioningError};

/// Upper limit of the document. The guest's kernel reads the firmware's file from its beginning again for every 4 KiB,
/// so the time grows with the square of the length.
pub const IGNITION_LIMIT: usize = 16 * 1024;

/// Ignition goes through no links, and on these images `/home` is one to here.
const HOMES: &str = "/var/home";

/// The Ignition configuration, specification 3.2.0, as JSON. Equal specifications give equal text.
pub fn ignition(spec: &GuestSpec) -> Result<String, ProvisioningError> {
    let mut document = Document::of(&guest::describe(spec, HOMES)?, &spec.user);
    document.agent();
    mounts(&mut document, spec);
    let text = document.finish()?;
    if text.len() >= IGNITION_LIMIT {
        return Err(ProvisioningError::TooLong(text.len()));
    }
    Ok(text)
}

/// Room for folders of the host in `/` itself. There it is a read-only image since Fedora CoreOS 41, unless this kernel
/// argument is set: then directories can be made, by who lifts the lock that lies on `/`. It takes one more reset of the
/// first boot, so it is set only where it is needed.
fn mounts(document: &mut Document, spec: &GuestSpec) {
    if !spec.mounts.iter().any(|target| needs_room(target)) {
        return;
    }
    document.kernel_argument("ostree.prepare-root.composefs=0");
    // It tells at each login that a mount lies where none should.
    document.disable("coreos-warn-invalid-mounts.service");
}

/// Whether a directory has to be made in `/` for it. All others are there and lead to where the guest can write.
fn needs_room(target: &str) -> bool {
    const ROOMY: [&str; 10] = [
        "etc", "home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "var",
    ];
    let first = target.trim_start_matches('/').split('/').next();
    let is_local = target == "/usr/local" || target.starts_with("/usr/local/");
    first.is_some_and(|first| !ROOMY.contains(&first)) && !is_local
}

#[cfg(test)]
mod tests;
