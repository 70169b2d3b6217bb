//! Windows has no event for a peer's hang-up behind its end of data: it shows at the next write.

use std::future::pending;

/// Never ready.
pub(super) async fn hung_up() {
    pending::<()>().await;
}
