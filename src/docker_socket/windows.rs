//! Windows: Docker's clients look for the pipe `docker_engine`, which is not served yet.

use std::path::Path;

use super::Claim;

/// Never.
pub async fn claim(_socket: &Path) -> Claim {
    Claim::Unsupported
}

/// There is nothing to give back.
pub fn release(_socket: &Path) {}
