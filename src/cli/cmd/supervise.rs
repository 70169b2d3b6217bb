//! `machine supervise`: the process that owns a running machine.

use crate::cli::args::supervise::SuperviseArgs;
use crate::cli::error::CommandError;
use crate::provider::registry;
use crate::supervisor;

pub(super) async fn run(args: &SuperviseArgs) -> Result<(), CommandError> {
    let store = super::open_store()?;
    let name = super::machine_name(&args.name)?;
    let machine = store
        .load(&name)
        .map_err(|error| CommandError::from_error(&error).with_hints(error.hints()))?;
    let provider = registry::provider(machine.config.provider)
        .map_err(|error| CommandError::from_error(&error).with_hints(error.hints()))?;
    let cache = super::directories()?.data.join("accelerators.json");
    supervisor::supervise(machine.config, machine.files, provider, cache, args.timeout)
        .await
        .map_err(|error| CommandError::from_error(&error))
}
