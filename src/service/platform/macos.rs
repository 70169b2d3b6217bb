//! launchd, by its own program: a supervisor is an agent of the user who has logged in at the screen. Who came by SSH alone
//! has no such domain; then launchd refuses, and the supervisor is a process of its own.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use machine_host::{facts, program};

use super::launchd::{self, Conflict};
use super::order::run;
use super::unix::environment;
use crate::service::{Enclosure, Service, ServiceError, Services};

/// Asks launchd, and tells it what to do.
const CONTROL: &str = "launchctl";

/// The launchd of this user.
#[derive(Debug)]
struct Launchd {
    user: u32,
    temporary: PathBuf,
}

/// Whether supervisors are services without being asked for.
pub(in crate::service) const BY_DEFAULT: bool = true;

/// The launchd that every macOS has.
pub(in crate::service) fn find(
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Box<dyn Services>> {
    // The system makes it for each user, and nobody else may enter it.
    let temporary = environment("TMPDIR").filter(|value| !value.is_empty())?;
    let temporary = PathBuf::from(temporary);
    let is_there = temporary.is_dir() && program::find(CONTROL, &[]).is_some();
    let user = facts::user_id();
    is_there.then(|| Box::new(Launchd { user, temporary }) as Box<dyn Services>)
}

/// launchd waits for no word.
pub(in crate::service) fn ready() {}

impl Launchd {
    /// Loads the agent. launchd reads the file once and keeps what it says, so the file, which has values of the
    /// environment in it, is gone when this returns; nobody but the user can read it.
    async fn load(&self, list: &str, label: &str) -> Result<(), ServiceError> {
        let failed = |source| ServiceError::Run {
            program: CONTROL,
            source,
        };
        let mut file = tempfile::Builder::new()
            .prefix("machine-")
            .suffix(".plist")
            .tempfile_in(&self.temporary)
            .map_err(failed)?;
        file.write_all(list.as_bytes()).map_err(failed)?;
        let path = file.path().as_os_str();
        run(CONTROL, &launchd::bootstrap(self.user, path)).await?;
        run(CONTROL, &launchd::kickstart(self.user, label)).await?;
        Ok(())
    }
}

#[async_trait]
impl Services for Launchd {
    async fn start(&self, service: &Service) -> Result<(), ServiceError> {
        let label = &service.name;
        let passed = environment::passed(std::env::vars_os());
        let list = launchd::agent(service, &passed).map_err(|word| ServiceError::Refused {
            program: CONTROL,
            reason: format!("a property list cannot hold {}", word.display()),
        })?;
        // An agent stays loaded when its process has ended in order.
        match run(CONTROL, &launchd::print(self.user, label)).await {
            Ok(printed) if launchd::conflict(&printed) == Conflict::Ended => {
                run(CONTROL, &launchd::bootout(self.user, label)).await?;
            }
            Ok(_) => {
                return Err(ServiceError::Refused {
                    program: CONTROL,
                    reason: format!("`{label}` runs already"),
                });
            }
            Err(ServiceError::Refused { reason, .. }) if launchd::is_unknown(&reason) => {}
            Err(error) => return Err(error),
        }
        self.load(&list, label).await
    }

    /// The agent leaves them alone (`AbandonProcessGroup`).
    async fn enclose(&self, _enclosure: &Enclosure) -> Result<(), ServiceError> {
        Ok(())
    }

    /// Nothing kept them.
    async fn release(&self, _service: &str) -> Result<(), ServiceError> {
        Ok(())
    }

    fn directory(&self) -> &Path {
        &self.temporary
    }

    /// A logout ends agents whatever the user wants.
    fn hint(&self) -> Option<String> {
        None
    }
}
