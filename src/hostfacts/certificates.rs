//! The certificate authorities that the host trusts, for `--import-native-ca`.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` name others than the system's (spec 1.2). What is no certificate is passed over;
//! none at all, and far too many, are a warning, and the guest starts without them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pem_rfc7468::LineEnding;
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

use crate::hostconf::Environment;

/// Ten times what systems come with.
const MOST_BYTES: usize = 4 << 20;

/// Podman's text for a start without them (spec 1.4.2).
const FAILED: &str =
    "Failed to import host trusted CA certificates. The machine will start without them.";

/// Where a system keeps the authorities that it trusts.
pub(super) trait TrustStore {
    /// All of them, and what was in the way.
    fn load(&self) -> CertificateResult;
}

/// This system's: the files of a Linux distribution, on macOS those of the keychains that are trusted for servers (what the
/// user and the administrator have added or distrusted counts), on Windows those of the store `ROOT` of the user, in which
/// the computer's are seen as well. The crate has a leaf for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemStore;

impl TrustStore for SystemStore {
    fn load(&self) -> CertificateResult {
        load_native_certs()
    }
}

/// All of them as one text in PEM, each once.
pub(super) fn gather(
    env: &Environment<'_>,
    system: &dyn TrustStore,
    warnings: &mut Vec<String>,
) -> Option<Vec<u8>> {
    match pem(&load(env, system)) {
        Ok(text) => Some(text.into_bytes()),
        Err(reason) => {
            warnings.push(format!("{FAILED} {reason}"));
            None
        }
    }
}

fn load(env: &Environment<'_>, system: &dyn TrustStore) -> CertificateResult {
    let variable = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR")) {
        (None, None) => system.load(),
        (file, directory) => load_certs_from_paths(file.as_deref(), directory.as_deref()),
    }
}

fn pem(found: &CertificateResult) -> Result<String, String> {
    for error in &found.errors {
        tracing::debug!(%error, "A certificate of the host is passed over");
    }
    if found.certs.is_empty() {
        let reason = found.errors.first().map(ToString::to_string);
        return Err(reason.unwrap_or_else(|| "This host has none".to_owned()));
    }
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for certificate in &found.certs {
        if !seen.insert(certificate.as_ref()) {
            continue;
        }
        let one = pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, certificate)
            .map_err(|error| error.to_string())?;
        text.push_str(&one);
        if text.len() > MOST_BYTES {
            return Err(format!("They have more than {} MiB", MOST_BYTES >> 20));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// The frame of a certificate around so many bytes: nobody looks inside on the host.
    fn certificate(length: usize) -> String {
        let bytes = vec![0x30; length];
        pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, &bytes).unwrap()
    }

    /// A system that is not to be asked.
    struct Nobody;

    impl TrustStore for Nobody {
        fn load(&self) -> CertificateResult {
            panic!("other authorities are named");
        }
    }

    /// A system with these, and with one that it cannot read.
    struct Store(Vec<Vec<u8>>);

    impl TrustStore for Store {
        fn load(&self) -> CertificateResult {
            let mut result = load_certs_from_paths(Some("/nowhere/ca.pem".as_ref()), None);
            let certs = self.0.iter().cloned();
            result.certs = certs.map(Into::into).collect();
            result
        }
    }

    #[test]
    fn the_system_is_asked_where_no_others_are_named() {
        let mut warnings = Vec::new();
        let store = Store(vec![vec![0x30; 40], vec![0x30; 90], vec![0x30; 40]]);
        let unset = |name: &str| (name == "SSL_CERT_FILE").then(OsString::new);
        let found = gather(&unset, &store, &mut warnings).unwrap();
        let expected = certificate(40) + &certificate(90);
        assert_eq!(String::from_utf8(found).unwrap(), expected);
        assert_eq!(warnings, [""; 0], "what cannot be read is passed over");
        assert_eq!(gather(&unset, &Store(Vec::new()), &mut warnings), None);
        assert!(warnings[0].contains("/nowhere/ca.pem"), "{warnings:?}");
    }

    fn of(file: &str, text: &str) -> (Option<String>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        fs_err::write(directory.path().join("ca.pem"), text).unwrap();
        let env = |name: &str| (name == "SSL_CERT_FILE").then(|| path.clone().into_os_string());
        let mut warnings = Vec::new();
        let found = gather(&env, &Nobody, &mut warnings);
        (
            found.map(|bytes| String::from_utf8(bytes).unwrap()),
            warnings,
        )
    }

    #[test]
    fn a_file_of_certificates_each_once_and_nothing_else() {
        let text = format!(
            "# a comment\n{}{}{}",
            certificate(40),
            certificate(90),
            certificate(40)
        );
        let (found, warnings) = of("ca.pem", &text);
        // Their order is the system's business.
        let mut found: Vec<String> = found
            .unwrap()
            .split_inclusive("-----END CERTIFICATE-----\n")
            .map(str::to_owned)
            .collect();
        found.sort();
        let mut expected = vec![certificate(40), certificate(90)];
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn none_and_too_many_are_told() {
        for (file, text) in [
            ("gone.pem", String::new()),
            ("ca.pem", "nothing".to_owned()),
            ("ca.pem", certificate(MOST_BYTES)),
        ] {
            let (found, warnings) = of(file, &text);
            assert_eq!(found, None);
            assert!(
                warnings[0].starts_with("Failed to import host trusted CA certificates. The machine will start without them. "),
                "{warnings:?}"
            );
        }
    }
}
