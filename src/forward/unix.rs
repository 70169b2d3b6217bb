//! The copy loop between a unix socket and a stream of the mux.

use machine_host::local_socket::Stream;
use machine_protocol::link::MuxStream;

/// Copies until both directions have ended.
pub(super) async fn relay(client: Stream, stream: MuxStream) {
    match machine_protocol::relay::relay_unix(client, stream).await {
        Ok(relayed) => tracing::trace!(?relayed, "A local connection is done"),
        Err(error) => tracing::debug!(%error, "A local connection was cut off"),
    }
}
