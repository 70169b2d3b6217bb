//! A VM without a supervisor gets one before a command works with it: in one place, for a bounded time. What only looks,
//! `list`, `inspect` and the like, never comes here.

use crate::machine::deadlines;
use crate::machine::{MachineName, Status};
use crate::ops::start::{StartOptions, start};
use crate::store::{MachineFiles, Store};
use crate::supervisor::client;

/// What the machine is doing, once a VM that has lost its supervisor has another one.
pub async fn status(store: &Store, name: &MachineName, files: &MachineFiles) -> Status {
    match client::status(files).await {
        Status::Unmanaged => {
            adopt(store, name).await;
            client::status(files).await
        }
        status => status,
    }
}

/// [`status`] for callers without a runtime.
pub fn probe(store: &Store) -> impl Fn(&MachineFiles) -> Status {
    move |files| {
        let found = client::probe(files);
        let name = files.directory().file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.parse::<MachineName>().ok());
        let (Status::Unmanaged, Some(name)) = (&found, name) else {
            return found;
        };
        // A thread of its own, for the caller's may be inside of a runtime.
        let adopted = std::thread::scope(|scope| {
            let adopting = || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .ok()?;
                Some(runtime.block_on(status(store, &name, files)))
            };
            scope.spawn(adopting).join().ok().flatten()
        });
        adopted.unwrap_or(found)
    }
}

/// Starts a supervisor for the VM and waits until the machine is up again. What goes wrong shows in what the machine is
/// doing then.
async fn adopt(store: &Store, name: &MachineName) {
    let options = StartOptions {
        keep_supervisor: true,
        ..StartOptions::default()
    };
    let started = Box::pin(start(store, name, options, |_| (), std::future::pending()));
    match tokio::time::timeout(deadlines::ADOPTION.limit, started).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::info!(%error, "The machine was not taken over"),
        Err(_) => tracing::info!("The machine is still being taken over"),
    }
}
