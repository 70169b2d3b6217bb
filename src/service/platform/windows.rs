//! Windows: the Task Scheduler, by its own program, and only where it is asked for. A task has no log and none of the
//! environment of the command that makes it, its program gets a window, and it is started again after a minute at the
//! earliest; so a supervisor is a process of its own by default. What tells of the end of the session is
//! `machine_host::termination`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use machine_host::program;

use super::order::run;
use super::task;
use crate::service::{Enclosure, Service, ServiceError, Services};

/// Makes, starts and deletes tasks.
const CONTROL: &str = "schtasks";

/// Whether supervisors are services without being asked for.
pub(in crate::service) const BY_DEFAULT: bool = false;

/// The tasks of this user.
#[derive(Debug)]
struct Scheduler {
    /// `DOMAIN\NAME`.
    user: String,
    temporary: PathBuf,
}

/// The scheduler that every Windows has.
pub(in crate::service) fn find(
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Box<dyn Services>> {
    let text = |name: &str| environment(name)?.into_string().ok();
    let user = format!(r"{}\{}", text("USERDOMAIN")?, text("USERNAME")?);
    // It is in the user's profile, which nobody else may enter.
    let temporary = PathBuf::from(environment("TEMP")?);
    let is_there = temporary.is_dir() && program::find(CONTROL, &[]).is_some();
    is_there.then(|| Box::new(Scheduler { user, temporary }) as Box<dyn Services>)
}

/// Nobody waits for it.
pub(in crate::service) fn ready() {}

#[async_trait]
impl Services for Scheduler {
    async fn start(&self, service: &Service) -> Result<(), ServiceError> {
        let refused = |reason| ServiceError::Refused {
            program: CONTROL,
            reason,
        };
        let names = std::env::vars_os().map(|(name, _)| name);
        if let Some(name) = task::lost(names) {
            return Err(refused(format!("a task would not have `{name}`")));
        }
        let xml = task::task(service, &self.user)
            .map_err(|word| refused(format!("a task cannot hold {}", word.display())))?;
        let failed = |source| ServiceError::Run {
            program: CONTROL,
            source,
        };
        let mut file = tempfile::Builder::new()
            .prefix("machine-")
            .suffix(".xml")
            .tempfile_in(&self.temporary)
            .map_err(failed)?;
        file.write_all(&task::encoded(&xml)).map_err(failed)?;
        // Closed, or the scheduler could not open it; it goes at the end of this.
        let path = file.into_temp_path();
        run(CONTROL, &task::create(&service.name, path.as_os_str())).await?;
        run(CONTROL, &task::run(&service.name)).await?;
        Ok(())
    }

    /// The end of a task ends nothing that its program has started.
    async fn enclose(&self, _enclosure: &Enclosure) -> Result<(), ServiceError> {
        Ok(())
    }

    /// A task is there for its supervisor alone.
    async fn release(&self, service: &str) -> Result<(), ServiceError> {
        run(CONTROL, &task::delete(service)).await.map(drop)
    }

    fn directory(&self) -> &Path {
        &self.temporary
    }

    fn hint(&self) -> Option<String> {
        None
    }
}
