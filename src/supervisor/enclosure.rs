//! Where the supervisor is a service of the system, the VM and the programs beside it are kept apart from it, so that they
//! outlive it and are ended after it.

use crate::service::{self, Enclosure, ServiceError, Wanted};

/// Keeps these processes apart, beside everything else.
pub(super) fn begin(service: String, pids: Vec<u32>) {
    tokio::spawn(async move {
        let Some(services) = service::of_this_host(Wanted::Always) else {
            return;
        };
        let enclosure = Enclosure { service, pids };
        warn(
            services.enclose(&enclosure).await,
            "The virtual machine stays in its supervisor's service",
        );
    });
}

/// Takes away what is left of it when the VM has ended.
pub(super) async fn end(service: Option<&str>) {
    let Some(service) = service else {
        return;
    };
    if let Some(services) = service::of_this_host(Wanted::Always) {
        warn(
            services.release(service).await,
            "What kept the virtual machine apart may be left",
        );
    }
}

fn warn(result: Result<(), ServiceError>, message: &'static str) {
    if let Err(error) = result {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, message);
    }
}
