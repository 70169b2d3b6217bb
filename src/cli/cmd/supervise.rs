//! `machine supervise`: the process that owns a running machine.

use machine_host::directories::Directories;

use super::Session;
use crate::cli::args::supervise::SuperviseArgs;
use crate::cli::error::CommandError;
use crate::connection::ConnectionsFile;
use crate::provider::registry;
use crate::supervisor::{self, SuperviseRequest};

/// Where verdicts on accelerators are kept, below the data directory.
const ACCELERATORS: &str = "accelerators.json";

pub(super) async fn run(args: &SuperviseArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let machine = session.store.find(&args.name)?;
    let provider = registry::provider(machine.config.provider)?;
    let cache = Directories::from_environment()?.data.join(ACCELERATORS);
    let request = SuperviseRequest {
        machine,
        store: session.store.clone(),
        connections: ConnectionsFile::from_environment()?,
        accelerator_cache: cache,
        timeout: args.timeout,
        rescue: args.rescue,
    };
    supervisor::supervise(request, provider).await?;
    Ok(())
}
