//! The engine's named pipe.

use std::path::Path;

use machine_host::local_socket;
use reqwest::ClientBuilder;

/// Lets the client connect to the pipe that stands for `socket`, whatever host a request names.
pub(super) fn over(builder: ClientBuilder, socket: &Path) -> ClientBuilder {
    builder.windows_named_pipe(local_socket::address(socket))
}
