//! The parameters of this boot, from the seed disk.

use std::io::Read;
use std::path::{Path, PathBuf};

use machine_protocol::boot::{BOOT_FORMAT, BootParameters, SEED_BOOT, SEED_CERTIFICATES};
use rustix::mount::UnmountFlags;

use super::log::log_error;

/// More than any document has.
const LIMIT: u64 = 1 << 20;
/// More than any host has.
const CERTIFICATES_LIMIT: u64 = 16 << 20;

/// Why the parameters are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error("The boot parameters cannot be read")]
    Read(#[from] std::io::Error),
    #[error("`{}` does not hold boot parameters", .0.display())]
    Json(PathBuf, #[source] serde_json::Error),
    #[error("`{}` has format {format}, this agent reads {BOOT_FORMAT}", path.display())]
    Format { path: PathBuf, format: u32 },
}

pub(super) fn read(seed: &Path) -> Result<BootParameters, ParameterError> {
    let path = seed.join(SEED_BOOT);
    let mut text = Vec::new();
    fs_err::File::open(&path)?
        .take(LIMIT)
        .read_to_end(&mut text)?;
    let boot: BootParameters =
        serde_json::from_slice(&text).map_err(|error| ParameterError::Json(path.clone(), error))?;
    if boot.format != BOOT_FORMAT {
        return Err(ParameterError::Format {
            path,
            format: boot.format,
        });
    }
    Ok(boot)
}

/// The host's certificate authorities, where they are on the seed. The guest starts without them if it must.
pub(super) fn certificates(seed: &Path, boot: &BootParameters) -> Result<Option<Vec<u8>>, String> {
    if !boot.facts.certificates {
        return Ok(None);
    }
    let path = seed.join(SEED_CERTIFICATES);
    let mut text = Vec::new();
    let read = fs_err::File::open(&path)
        .and_then(|file| file.take(CERTIFICATES_LIMIT).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(format!(
            "the host's certificate authorities cannot be read: {error}"
        )),
    }
}

/// Takes the seed out of the file tree. The program keeps the disk in use all the same, so a busy mount would fail to
/// be undone at shutdown; and the secret is out of everyone's way.
pub(super) fn detach(seed: &Path) {
    if let Err(error) = rustix::mount::unmount(seed, UnmountFlags::DETACH) {
        // Not mounted, when somebody runs the program by hand.
        if error != rustix::io::Errno::INVAL {
            log_error("The seed stays mounted", &error);
        }
    }
}

#[cfg(test)]
mod tests {
    use machine_protocol::boot::{Carrier, VIRTIO_SERIAL_PORT};
    use machine_protocol::secret::Secret;

    use super::*;

    #[test]
    fn what_the_host_wrote_is_read() {
        let boot = BootParameters {
            format: BOOT_FORMAT,
            machine: "default".to_owned(),
            secret: Secret::generate().unwrap(),
            user: "core".to_owned(),
            uid: 1000,
            rootful: true,
            carriers: vec![Carrier::VirtioSerial {
                port: VIRTIO_SERIAL_PORT.to_owned(),
            }],
            host_build: "1".to_owned(),
            facts: machine_protocol::boot::HostFacts::default(),
            shares: Vec::new(),
            data_disk: None,
        };
        let seed = tempfile::tempdir().unwrap();
        let put = |text: Vec<u8>| fs_err::write(seed.path().join(SEED_BOOT), text).unwrap();
        put(serde_json::to_vec(&boot).unwrap());
        assert_eq!(read(seed.path()).unwrap(), boot);

        assert_eq!(certificates(seed.path(), &boot), Ok(None));
        let mut importing = boot.clone();
        importing.facts.certificates = true;
        let problem = certificates(seed.path(), &importing).unwrap_err();
        assert!(problem.contains("host-ca.pem"), "{problem}");
        fs_err::write(seed.path().join(SEED_CERTIFICATES), "pem").unwrap();
        assert_eq!(
            certificates(seed.path(), &importing),
            Ok(Some(b"pem".to_vec()))
        );
        assert_eq!(certificates(seed.path(), &boot), Ok(None));

        put(serde_json::to_vec(&BootParameters { format: 9, ..boot }).unwrap());
        let text = read(seed.path()).unwrap_err().to_string();
        assert!(text.ends_with("has format 9, this agent reads 1"), "{text}");

        put(b"{".to_vec());
        assert!(matches!(read(seed.path()), Err(ParameterError::Json(..))));
    }

    #[test]
    fn no_seed() {
        assert!(matches!(
            read(Path::new("/nowhere")),
            Err(ParameterError::Read(_))
        ));
    }
}
