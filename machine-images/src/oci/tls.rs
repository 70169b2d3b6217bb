//! TLS to a registry: whom the host trusts, and what `certs.d` adds for this registry alone.
//!
//! The layout is containers-certs.d(5): in a directory named by the registry, with its port where it has one, `*.crt`
//! are authorities, and `NAME.cert` with `NAME.key` is the client's certificate.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::error::OciError;

/// What `certs.d` holds for a registry.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// A rule of the layout that is broken.
#[derive(Debug, thiserror::Error)]
enum Rule {
    #[error("It holds no certificate in PEM")]
    Empty,
    #[error("The key `{}` to this client certificate is missing; an authority's file ends in `.crt`", .0.display())]
    Keyless(PathBuf),
    #[error("The certificate `{}` to this key is missing", .0.display())]
    Certless(PathBuf),
}

impl Certificates {
    /// Reads the first of the directories that has one for the registry.
    pub(super) fn read(directories: &[PathBuf], registry: &str) -> Result<Self, OciError> {
        let mut found = Self::default();
        let candidates = directories.iter().map(|directory| directory.join(registry));
        for directory in candidates {
            let unusable = |error: io::Error| settings(&directory, error);
            let entries = match fs_err::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                Err(_) if !directory.is_dir() => continue,
                Err(error) => return Err(unusable(error)),
            };
            let mut paths = Vec::new();
            for entry in entries {
                paths.push(entry.map_err(unusable)?.path());
            }
            paths.sort();
            for path in paths {
                found.add(&path)?;
            }
            break;
        }
        Ok(found)
    }

    fn add(&mut self, path: &Path) -> Result<(), OciError> {
        match path.extension().and_then(OsStr::to_str) {
            Some("crt") => self.authorities.extend(certificates(path)?),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(settings(path, Rule::Keyless(key)));
                }
                let bytes = read(&key)?;
                let parsed =
                    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| settings(&key, error))?;
                // The first by name is the one that is shown.
                if self.client.is_none() {
                    self.client = Some((certificates(path)?, parsed));
                }
            }
            Some("key") => {
                let cert = path.with_extension("cert");
                if !cert.exists() {
                    return Err(settings(path, Rule::Certless(cert)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn settings(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OciError {
    OciError::Settings {
        path: path.to_owned(),
        source: source.into(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OciError> {
    fs_err::read(path).map_err(|error| settings(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OciError> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| settings(path, error))?;
    if all.is_empty() {
        return Err(settings(path, Rule::Empty));
    }
    Ok(all)
}

/// How a client speaks TLS. Without `verify` any certificate is taken.
pub(super) fn config(certificates: Certificates, verify: bool) -> Result<ClientConfig, OciError> {
    let broken = |error: rustls::Error| OciError::Trust {
        source: error.into(),
    };
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if verify {
        Arc::new(
            Verifier::new_with_extra_roots(certificates.authorities, Arc::clone(&provider))
                .map_err(broken)?,
        )
    } else {
        Arc::new(Anyone(Arc::clone(&provider)))
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificates.client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(broken)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes any certificate, as `--tls-verify=false` says; the handshake is still checked against it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
