//! Named pipes joined to the guest come with the Windows providers; until then one is closed at once.

use machine_host::local_socket::Stream;
use machine_protocol::link::MuxStream;

/// Closes both ends.
#[expect(clippy::unused_async, reason = "one signature on every host")]
pub(super) async fn relay(client: Stream, stream: MuxStream) {
    drop(stream);
    drop(client);
}
