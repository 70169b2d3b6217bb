//! `machine supervise`: the process that owns a running machine.

use machine_host::directories::Directories;

use super::Session;
use crate::cli::args::supervise::SuperviseArgs;
use crate::cli::error::CommandError;
use crate::connection::ConnectionsFile;
use crate::machine::ports::PortScope;
use crate::provider::registry;
use crate::service;
use crate::store::layout;
use crate::supervisor::{self, Starter, SuperviseRequest};

/// Names the socket of the SSH agent (`ssh-agent(1)`).
const SSH_AGENT: &str = "SSH_AUTH_SOCK";

pub(super) async fn run(args: &SuperviseArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let starter = Starter::find(args.starter.as_deref());
    service::ready();
    let machine = session.store.find(&args.name)?;
    let provider = registry::provider(machine.config.provider)?;
    let cache = layout::accelerators(&Directories::from_environment()?);
    // A wish that cannot be read may have been one for less.
    let (ports, warning) = match session.hostconf.own() {
        Ok(settings) => (settings.ports.unwrap_or_default(), None),
        Err(error) => {
            let warning = format!("ports are published on the loopback alone: {error}");
            (PortScope::Loopback, Some(warning))
        }
    };
    let request = SuperviseRequest {
        machine,
        store: session.store.clone(),
        connections: ConnectionsFile::from_environment()?,
        accelerator_cache: cache,
        timeout: args.timeout,
        rescue: args.rescue,
        ports,
        ssh_agent: std::env::var_os(SSH_AGENT),
        warning,
        starter,
        service: args.service.clone(),
    };
    supervisor::supervise(request, provider).await?;
    Ok(())
}
