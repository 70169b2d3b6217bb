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

/// All of them as one text in PEM, each once.
pub(super) fn gather(env: &Environment<'_>, warnings: &mut Vec<String>) -> Option<Vec<u8>> {
    match pem(&load(env)) {
        Ok(text) => Some(text.into_bytes()),
        Err(reason) => {
            warnings.push(format!("{FAILED} {reason}"));
            None
        }
    }
}

fn load(env: &Environment<'_>) -> CertificateResult {
    let variable = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR")) {
        (None, None) => load_native_certs(),
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
    use super::*;

    /// The frame of a certificate around so many bytes: nobody looks inside on the host.
    fn certificate(length: usize) -> String {
        let bytes = vec![0x30; length];
        pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, &bytes).unwrap()
    }

    fn of(file: &str, text: &str) -> (Option<String>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        fs_err::write(directory.path().join("ca.pem"), text).unwrap();
        let env = |name: &str| (name == "SSL_CERT_FILE").then(|| path.clone().into_os_string());
        let mut warnings = Vec::new();
        let found = gather(&env, &mut warnings);
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
