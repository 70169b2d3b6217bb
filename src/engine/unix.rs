//! The engine's unix socket.

use std::path::Path;

use reqwest::ClientBuilder;

/// Lets the client connect to `socket`, whatever host a request names.
pub(super) fn over(builder: ClientBuilder, socket: &Path) -> ClientBuilder {
    builder.unix_socket(socket)
}
