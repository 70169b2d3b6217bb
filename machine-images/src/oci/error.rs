//! Why a disk in a registry cannot be had, and what the user can do about it.
//!
//! Podman's own texts are kept word for word where scripts and its tests know them.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use reqwest::StatusCode;

use crate::checksum::Checksum;

/// What went wrong on the way from the name of a disk to the place of its bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// The text is no name of something in a registry.
    #[error("`{text}` names nothing in a registry: {reason}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration file that is there cannot be used.
    #[error("`{}` cannot be used", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The settings of the host forbid this registry.
    #[error("registry {registry} is blocked in {}", file.display())]
    Blocked {
        /// The prefix that is blocked.
        registry: String,
        /// The file that says so.
        file: PathBuf,
    },
    /// The program that keeps the password fails.
    #[error("`{program}` gives no password for {registry}: {reason}")]
    Helper {
        /// The program.
        program: String,
        /// The registry.
        registry: String,
        /// How it fails.
        reason: String,
    },
    /// What the host trusts cannot be read.
    #[error("The certificate authorities of this host cannot be used")]
    Trust {
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The registry does not speak TLS, or with a certificate that is not trusted.
    #[error(
        "fetching manifest {fetch}: pinging container registry {host}: Get \"{url}\": {refusal}"
    )]
    Refused {
        /// What was wanted.
        fetch: Fetch,
        /// The registry.
        host: String,
        /// What was asked.
        url: String,
        /// In podman's words.
        refusal: Refusal,
    },
    /// The registry does not answer.
    #[error("fetching manifest {fetch}: pinging container registry {host}: Get \"{url}\"")]
    Unreachable {
        /// What was wanted.
        fetch: Fetch,
        /// The registry.
        host: String,
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The connection failed later.
    #[error("fetching manifest {fetch}: `{url}` cannot be read")]
    Request {
        /// What was wanted.
        fetch: Fetch,
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The registry refuses, or has no such thing.
    #[error("fetching manifest {fetch}: `{url}` answers {status}{detail}")]
    Status {
        /// What was wanted.
        fetch: Fetch,
        /// The registry.
        host: String,
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
        /// What the server says about it, after `: `, or nothing.
        detail: String,
    },
    /// The registry wants a token, and its place is of no use.
    #[error("fetching manifest {fetch}: no token from `{realm}`: {reason}")]
    Token {
        /// What was wanted.
        fetch: Fetch,
        /// The registry.
        host: String,
        /// Who was asked for the token.
        realm: String,
        /// What is wrong.
        reason: String,
    },
    /// More than anybody needs.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not those that were named.
    #[error("{what} is not what its digest says: expected {expected}, found {found}")]
    Mismatch {
        /// What was read.
        what: String,
        /// The digest that it should have.
        expected: Checksum,
        /// The digest that it has.
        found: Checksum,
    },
    /// The bytes are not as many as were named.
    #[error("{what} has {found} bytes and is listed with {expected}")]
    Length {
        /// What was read.
        what: String,
        /// What the index says.
        expected: u64,
        /// What it has.
        found: usize,
    },
    /// An index or a manifest that does not follow its format.
    #[error("{what} cannot be read")]
    Document {
        /// Which.
        what: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A container image, or no registry at all.
    #[error("wrong manifest type for disk artifact: {media_type}")]
    WrongType {
        /// What is there.
        media_type: String,
    },
    /// The index has no such disk.
    #[error("no valid disk artifact found")]
    NoArtifact {
        /// The artifact.
        of: String,
        /// `DISKTYPE/ARCHITECTURE`.
        wanted: String,
        /// Those that there are.
        there: Vec<String>,
    },
    /// A disk is one file.
    #[error("podman-machine images should only have 1 layer: {count} found")]
    Layers {
        /// How many there are.
        count: usize,
    },
    /// The file has no name.
    #[error(
        "unable to determine original artifact name: missing required annotation 'org.opencontainers.image.title'"
    )]
    NoTitle,
    /// The name of the file leads elsewhere.
    #[error("The title `{title}` of the disk is not the name of a file")]
    Title {
        /// The title.
        title: String,
    },
    /// The layer is something else than a disk.
    #[error("The layer of {of} is of the type {media_type}, which is no disk")]
    LayerType {
        /// The artifact.
        of: String,
        /// Its type.
        media_type: String,
    },
    /// A digest of another kind than SHA-256.
    #[error("{of} is listed with the digest {digest}, and only sha256 is supported")]
    DigestKind {
        /// The artifact.
        of: String,
        /// The digest.
        digest: String,
    },
    /// Neither a mirror nor the registry itself has it.
    #[error("(Mirrors also failed: {}): {name}: {primary}", joined(mirrors))]
    Everywhere {
        /// The mirrors that were asked, and how each failed.
        mirrors: Vec<(String, OciError)>,
        /// The last that was asked.
        name: String,
        /// How it failed.
        primary: Box<OciError>,
    },
}

/// What is asked of a registry: for texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The tag or the digest.
    pub version: String,
    /// The registry and the repository.
    pub name: String,
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.version, self.name)
    }
}

/// Why no TLS connection is made, in podman's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server answers without TLS.
    PlainHttp,
    /// The certificate's issuer is not known here.
    UnknownAuthority,
    /// The certificate is not good for another reason, which is said.
    Certificate(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const VERIFY: &str = "tls: failed to verify certificate: x509:";
        match self {
            Self::PlainHttp => f.write_str("http: server gave HTTP response to HTTPS client"),
            Self::UnknownAuthority => {
                write!(f, "{VERIFY} certificate signed by unknown authority")
            }
            Self::Certificate(reason) => write!(f, "{VERIFY} {reason}"),
        }
    }
}

fn joined(mirrors: &[(String, OciError)]) -> String {
    let texts = mirrors
        .iter()
        .map(|(name, error)| format!("[{name}: {error}]"));
    texts.collect::<Vec<_>>().join(" ")
}

impl OciError {
    /// Whether the same may succeed a little later: the network failed, or the registry is busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Request { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::Everywhere { primary, .. } => primary.is_transient(),
            _ => false,
        }
    }

    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused {
                host,
                refusal: Refusal::PlainHttp,
                ..
            } => vec![format!(
                "{host} does not use TLS: if it may be trusted all the same, use `--tls-verify=false`, or write \
                 `insecure = true` for it in registries.conf"
            )],
            Self::Refused { host, .. } => vec![format!(
                "put the certificate of its authority into ~/.config/containers/certs.d/{host}/ca.crt, or use \
                 `--tls-verify=false` if {host} may be trusted all the same"
            )],
            Self::Unreachable { host, .. } => vec![format!(
                "check the network, HTTPS_PROXY, and that {host} is the registry's name; a mirror can be named in \
                 registries.conf"
            )],
            Self::Status { host, status, .. }
                if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(status) =>
            {
                vec![login(host)]
            }
            Self::Status { status, .. } if *status == StatusCode::NOT_FOUND => {
                vec!["check the name and the tag of the image".to_owned()]
            }
            Self::Status { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => {
                vec!["the registry limits how much is asked: wait, or log in".to_owned()]
            }
            Self::Token { host, .. } => vec![login(host)],
            Self::WrongType { .. } => vec![
                "a disk artifact is an index of disks, such as docker://quay.io/podman/machine-os; a container image \
                 is none"
                    .to_owned(),
            ],
            Self::NoArtifact { of, wanted, there } => vec![if there.is_empty() {
                format!("{of} has no disks at all, and {wanted} is wanted")
            } else {
                format!("{wanted} is wanted, and {of} has {}", there.join(", "))
            }],
            Self::Mismatch { .. } | Self::Length { .. } => {
                vec!["the registry, a mirror or a proxy on the way changes what it hands out".to_owned()]
            }
            Self::Helper { program, .. } => {
                vec![format!("log in again by the program whose passwords `{program}` keeps, or correct the auth file that names it")]
            }
            Self::Everywhere { primary, .. } => primary.hints(),
            _ => Vec::new(),
        }
    }
}

fn login(host: &str) -> String {
    format!("log in first, if the image is not public: podman login {host}")
}
