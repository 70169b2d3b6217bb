//! Tells from a failed connection whether TLS was the reason, in the words that podman has for it.

use rustls::{CertificateError, InvalidMessage};

use super::artifact::shown;
use super::error::{Fetch, OciError, Refusal};
use crate::tls_error;

/// The error of a first request that failed.
pub(super) fn classify(source: reqwest::Error, fetch: Fetch, host: &str, url: &str) -> OciError {
    let (host, url) = (host.to_owned(), url.to_owned());
    match tls_error::below(&source).and_then(refusal) {
        Some(refusal) => OciError::Refused {
            fetch,
            host,
            url,
            refusal,
        },
        None => OciError::Unreachable {
            fetch,
            host,
            url,
            source: source.without_url(),
        },
    }
}

fn refusal(error: &rustls::Error) -> Option<Refusal> {
    match error {
        // Its first byte is no TLS: for a web server, the `H` of `HTTP/1.0 400 Bad Request`.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some(Refusal::PlainHttp)
        }
        rustls::Error::InvalidCertificate(error) => Some(certificate(error)),
        _ => None,
    }
}

fn certificate(error: &CertificateError) -> Refusal {
    match error {
        // The second is an authority of the same name with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Refusal::UnknownAuthority
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            Refusal::Certificate("certificate has expired or is not yet valid".to_owned())
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => Refusal::Certificate(format!(
            "certificate is valid for {}, not {}",
            presented
                .iter()
                .map(|name| plain(name))
                .collect::<Vec<_>>()
                .join(", "),
            expected.to_str()
        )),
        // An authority that signed itself and serves.
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            Refusal::UnknownAuthority
        }
        other => Refusal::Certificate(other.to_string()),
    }
}

/// A name without its kind: `registry.example` of `DnsName("registry.example")`.
fn plain(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    shown(inner.unwrap_or(name).trim_matches('"'))
}
