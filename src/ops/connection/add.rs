//! `system connection add`: from what was asked for to an entry of the file.

use std::io;
use std::path::Path;

use fs_err as fs;
use thiserror::Error;

use super::remote::{RemoteError, RemoteHost, ask_remote, platform};
use crate::connection::uri::{Uri, UriError};
use crate::connection::{Connection, ConnectionError, ConnectionsFile};

/// SSH's port where none is given.
const SSH_PORT: i64 = 22;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddRequest {
    /// The name. A connection that has it is replaced.
    pub name: String,
    /// Where to, as the user writes it.
    pub destination: String,
    /// Whether it becomes the default.
    pub default: bool,
    /// The private key for SSH.
    pub identity: Option<String>,
    /// The port where the destination has none.
    pub port: Option<i64>,
    /// The path of the engine's socket on that host.
    pub socket_path: Option<String>,
    /// For TLS: the authority of the server's certificate.
    pub tls_ca: Option<String>,
    /// For TLS: the client's certificate.
    pub tls_cert: Option<String>,
    /// For TLS: its key.
    pub tls_key: Option<String>,
    /// A farm that the connection joins.
    pub farm: Option<String>,
}

/// What was found odd about a connection that was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddOutcome {
    /// Texts for the user.
    pub warnings: Vec<String>,
}

/// Why a connection was not added. The file is as it was.
#[derive(Debug, Error)]
pub enum AddError {
    /// Nothing to call it by.
    #[error("the name of a connection must not be empty")]
    NoName,
    /// No address at all.
    #[error("the destination must not be empty")]
    NoDestination,
    /// The destination is no address.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// An address by SSH or TCP that names no host.
    #[error("destination \"{0}\" names no host")]
    NoHost(String),
    /// A number that is no port.
    #[error("port {0} is outside the range of 1 to 65535")]
    Port(String),
    /// TCP has no port of its own.
    #[error("tcp scheme requires a port either via --port or in destination URL")]
    NoPort,
    /// An option that means nothing to this scheme.
    #[error("--{option} option not supported for {scheme} scheme")]
    Unsupported {
        /// The option's name.
        option: &'static str,
        /// The scheme.
        scheme: String,
    },
    /// One without the other.
    #[error("--tls-cert and --tls-key options must be both provided if one is provided")]
    HalfTls,
    /// Something else has the path.
    #[error("\"{0}\" exists and is not a unix domain socket")]
    NotASocket(String),
    /// The path cannot be looked at.
    #[error("\"{path}\" cannot be looked at")]
    Look {
        /// The socket's path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The other host did not say where its engine is.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The file could not be changed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl AddError {
    /// Lines that explain the error beyond its causes.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::Remote(error) => error.detail().to_vec(),
            _ => Vec::new(),
        }
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Connection(error) => error.hints(),
            Self::Remote(error) => error.hints(),
            Self::NoDestination | Self::NoHost(_) => vec![
                "a destination is `user@host`, `ssh://user@host:port/path`, `unix:///path` or `tcp://host:port`"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// A destination that makes sense, and what is still open.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) uri: Uri,
    pub(super) connection: Connection,
    pub(super) warnings: Vec<String>,
    /// The host that has to be asked for the path.
    pub(super) ask: Option<RemoteHost>,
}

/// Adds a connection. A host by SSH whose path is not given is asked for it.
pub async fn add(
    file: &ConnectionsFile,
    request: &AddRequest,
    remote_podman: &str,
) -> Result<AddOutcome, AddError> {
    let Plan {
        mut uri,
        mut connection,
        mut warnings,
        ask,
    } = plan(request)?;
    if let Some(host) = ask {
        // Nothing is asked for that could not be written in the end.
        file.read()?;
        uri.set_path(&ask_remote(&host, remote_podman).await?);
    }
    connection.uri = uri.to_string();
    if uri
        .user
        .as_ref()
        .is_some_and(|user| user.password.is_some())
    {
        warnings.push(format!(
            "the password is kept readable for everyone in `{}`",
            file.path().display()
        ));
    }
    file.edit(|connections| {
        connections.insert(&request.name, connection);
        if request.default {
            connections.set_default(&request.name);
        }
        if let Some(farm) = request.farm.as_deref().filter(|farm| !farm.is_empty()) {
            connections.add_to_farm(farm, &request.name);
        }
        Ok(())
    })?;
    Ok(AddOutcome { warnings })
}

/// Everything but the question to another host and the file.
pub(super) fn plan(request: &AddRequest) -> Result<Plan, AddError> {
    if request.name.is_empty() {
        return Err(AddError::NoName);
    }
    if request.destination.trim().is_empty() {
        return Err(AddError::NoDestination);
    }
    let mut uri = Uri::parse(&request.destination)?;
    let mut warnings = Vec::new();
    let mut ask = None;
    match uri.scheme.as_str() {
        "ssh" => {
            refuse(request, "ssh", &["tls-cert", "tls-key", "tls-ca"])?;
            settle_port(&mut uri, request, Some(SSH_PORT))?;
            if let Some(path) = &request.socket_path {
                uri.set_path(path);
            }
            if let Some(identity) = &request.identity
                && !Path::new(identity).exists()
            {
                warnings.push(format!("\"{identity}\" does not exist"));
            }
            if matches!(uri.path.as_str(), "" | "/") {
                ask = Some(RemoteHost::of(&uri, request.identity.clone())?);
            }
        }
        "unix" => {
            refuse(
                request,
                "unix",
                &["identity", "tls-cert", "tls-key", "tls-ca"],
            )?;
            if let Some(path) = &request.socket_path {
                uri.set_path(path);
            }
            warnings.extend(look_at_socket(&uri.path)?);
        }
        "tcp" => {
            refuse(request, "tcp", &["socket-path", "identity"])?;
            settle_port(&mut uri, request, None)?;
            if request.tls_cert.is_some() != request.tls_key.is_some() {
                return Err(AddError::HalfTls);
            }
        }
        other => {
            warnings.push(format!(
                "\"{other}\" unknown scheme, no validation provided"
            ));
        }
    }
    let path = |path: &Option<String>| path.as_deref().map(absolute).unwrap_or_default();
    let connection = Connection {
        identity: path(&request.identity),
        tls_cert: path(&request.tls_cert),
        tls_key: path(&request.tls_key),
        tls_ca: path(&request.tls_ca),
        ..Connection::default()
    };
    Ok(Plan {
        uri,
        connection,
        warnings,
        ask,
    })
}

/// A host needs a port that exists.
fn settle_port(uri: &mut Uri, request: &AddRequest, default: Option<i64>) -> Result<(), AddError> {
    if uri.host.is_empty() {
        return Err(AddError::NoHost(request.destination.clone()));
    }
    if uri.port.is_empty() {
        // As with podman, 0 means that none is given.
        let given = request.port.filter(|port| *port != 0);
        let port = given.or(default).ok_or(AddError::NoPort)?;
        uri.port = port.to_string();
    }
    match uri.port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(AddError::Port(uri.port.clone())),
    }
}

/// Refuses the options that a scheme has no use for, the first of `options` first.
fn refuse(request: &AddRequest, scheme: &str, options: &[&'static str]) -> Result<(), AddError> {
    let given = |option: &str| match option {
        "identity" => request.identity.is_some(),
        "socket-path" => request.socket_path.is_some(),
        "tls-cert" => request.tls_cert.is_some(),
        "tls-key" => request.tls_key.is_some(),
        _ => request.tls_ca.is_some(),
    };
    match options.iter().find(|option| given(option)) {
        Some(option) => Err(AddError::Unsupported {
            option,
            scheme: scheme.to_owned(),
        }),
        None => Ok(()),
    }
}

/// What is odd about the path of a socket here.
fn look_at_socket(path: &str) -> Result<Option<String>, AddError> {
    match fs::metadata(path) {
        Ok(metadata) if platform::is_socket(&metadata) => Ok(None),
        Ok(_) => Err(AddError::NotASocket(path.to_owned())),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(Some(format!("\"{path}\" does not exist"))),
            io::ErrorKind::PermissionDenied => Ok(Some(format!(
                "You do not have permission to read \"{path}\""
            ))),
            _ => Err(AddError::Look {
                path: path.to_owned(),
                source: error,
            }),
        },
    }
}

/// A path means something else in another directory; the file is read from everywhere.
fn absolute(path: &str) -> String {
    let absolute = std::path::absolute(path).ok();
    let absolute = absolute.and_then(|path| path.into_os_string().into_string().ok());
    absolute.unwrap_or_else(|| path.to_owned())
}
