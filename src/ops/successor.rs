//! The supervisor that follows one that has ended, where another command brings it.

use machine_host::watch::DirectoryWatch;

use crate::machine::deadlines;
use crate::store::MachineFiles;
use crate::supervisor::client::{self, Connection};

/// Waits for a supervisor that another command brings; none when nobody does.
pub(super) async fn wait(files: &MachineFiles) -> Option<Connection> {
    let coming = async {
        let mut watch = DirectoryWatch::new().ok()?;
        watch.add(files.sockets()).ok()?;
        loop {
            if let Ok(Some(connection)) = client::connect(&files.control_socket()).await {
                return Some(connection);
            }
            watch.changed().await.ok()?;
        }
    };
    let limit = deadlines::SUCCESSOR.limit;
    tokio::time::timeout(limit, coming).await.ok().flatten()
}
