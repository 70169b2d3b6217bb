//! systemd's user manager, by its own programs: `systemd-run`, `systemctl` and `busctl`.

mod unit;

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use machine_host::{facts, program};

use self::unit::{Conflict, Environment, RUN};
use super::order::run;
use super::unix::environment;
use crate::service::{Enclosure, Service, ServiceError, Services};

/// Where the user manager listens, below the runtime directory: its own socket, or the user's bus.
const SOCKETS: [&str; 2] = ["systemd/private", "bus"];
/// One file for each user whose manager outlives the sessions.
const LINGER: &str = "/var/lib/systemd/linger";

/// The user manager of this user.
#[derive(Debug)]
struct Systemd {
    runtime: PathBuf,
    user: Option<String>,
}

/// Whether supervisors are services without being asked for.
pub(in crate::service) const BY_DEFAULT: bool = true;

/// The user manager that runs, where its programs are installed.
pub(in crate::service) fn find(
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Box<dyn Services>> {
    let variable = |name| environment(name).filter(|value| !value.is_empty());
    let runtime = PathBuf::from(variable("XDG_RUNTIME_DIR")?);
    let is_there = is_manager(&runtime) && program::find(RUN, &[]).is_some();
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let user = user.and_then(|user| user.into_string().ok());
    is_there.then(|| Box::new(Systemd { runtime, user }) as Box<dyn Services>)
}

/// The service is there (`sd_notify(3)`). Without systemd nobody is told.
pub(in crate::service) fn ready() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "systemd is not told that the supervisor is there");
    }
}

/// Whether a manager of this very user listens: `sudo` may leave another one's directory behind.
fn is_manager(runtime: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_ours = |found: &std::fs::Metadata| found.uid() == facts::user_id();
    let is_socket = |name: &&str| {
        fs_err::metadata(runtime.join(name)).is_ok_and(|found| found.file_type().is_socket())
    };
    fs_err::metadata(runtime).is_ok_and(|found| is_ours(&found))
        && runtime.join("systemd").is_dir()
        && SOCKETS.iter().any(is_socket)
}

#[async_trait]
impl Services for Systemd {
    async fn start(&self, service: &Service) -> Result<(), ServiceError> {
        let set = environment::passed(std::env::vars_os());
        let environment = Environment {
            unset: environment::absent(&set),
            set: set.into_keys().collect(),
        };
        let arguments = unit::run(service, &environment);
        let Err(error) = run(RUN, &arguments).await else {
            return Ok(());
        };
        // A unit of that name may be left of a supervisor that has just ended.
        let shown = run(unit::CONTROL, &unit::show(&service.name)).await?;
        match unit::conflict(&shown) {
            Conflict::Gone => {}
            Conflict::Ended => {
                run(unit::CONTROL, &unit::stop(&service.name)).await?;
            }
            Conflict::Runs => return Err(error),
        }
        run(RUN, &arguments).await.map(drop)
    }

    async fn enclose(&self, enclosure: &Enclosure) -> Result<(), ServiceError> {
        let refused = match run(unit::BUS, &unit::scope(enclosure)).await {
            Err(ServiceError::Refused { reason, .. }) if unit::exists(&reason) => reason,
            result => return result.map(drop),
        };
        tracing::debug!(refused, "The scope is there already");
        // It may be that of an earlier VM, see `is_deserted`, which would keep nothing.
        if !is_deserted(&enclosure.service).await? {
            return Ok(());
        }
        run(unit::CONTROL, &unit::stop_scope(&enclosure.service, true)).await?;
        run(unit::BUS, &unit::scope(enclosure)).await.map(drop)
    }

    async fn release(&self, service: &str) -> Result<(), ServiceError> {
        if !is_deserted(service).await? {
            return Ok(());
        }
        // At a logout this waits for its supervisor, which must not wait for it then.
        run(unit::CONTROL, &unit::stop_scope(service, false))
            .await
            .map(drop)
    }

    fn directory(&self) -> &Path {
        &self.runtime
    }

    fn hint(&self) -> Option<String> {
        let user = self.user.as_ref()?;
        let lingers = Path::new(LINGER).join(user).exists();
        (!lingers).then(|| unit::linger(user))
    }
}

/// Whether a VM's scope is there and will stay, though nothing runs in it. systemd takes a scope away when its last process
/// ends; one that was made of a process which had just ended never had any.
async fn is_deserted(service: &str) -> Result<bool, ServiceError> {
    let shown = run(unit::CONTROL, &unit::show_scope(service)).await?;
    if !unit::is_active(&shown) {
        return Ok(false);
    }
    match run(unit::BUS, &unit::scope_processes(service)).await {
        Ok(answer) => Ok(unit::is_empty(&answer)),
        // It has gone meanwhile.
        Err(ServiceError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_manager_is_one_that_listens() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = folder.path();
        assert!(!is_manager(runtime));
        let bus = UnixListener::bind(runtime.join("bus")).unwrap();
        assert!(!is_manager(runtime), "a bus without systemd");
        fs_err::create_dir(runtime.join("systemd")).unwrap();
        assert!(is_manager(runtime));
        drop(bus);
        fs_err::remove_file(runtime.join("bus")).unwrap();
        fs_err::write(runtime.join("systemd/private"), "").unwrap();
        assert!(!is_manager(runtime), "a file");
        fs_err::remove_file(runtime.join("systemd/private")).unwrap();
        let _private = UnixListener::bind(runtime.join("systemd/private")).unwrap();
        assert!(is_manager(runtime));
        assert!(find(&|_| None).is_none());
    }
}
