//! The agent proper.
//!
//! * [`arguments`], [`parameters`], [`paths`]: what this boot is about, and where things lie in the guest.
//! * [`carrier`], [`port`], [`bridge`]: the byte streams to the host, each opened again after every session.
//! * [`guest`]: what all parts know; [`session`]: one link from its hello to its end; [`targets`], [`control`] and
//!   [`datagrams`] serve its streams.
//! * [`events`]: what the host has been, or will be, told about the guest; [`observe`] finds it out with [`watch`],
//!   [`engine`], [`systemd`].
//! * [`exec`]: programs that the host has run in the guest; [`users`]: as whom.
//! * [`docker`]: the link at the place where Docker's clients look; [`clock`]: the guest's clock;
//!   [`health`]: what else has to work; [`facts`]: what the guest has in common with its host;
//!   [`name_services`]: what root's engine has to have loaded; [`publish`]: ports of the host for containers;
//!   [`listeners`]: servers of the guest, for a host that forwards them;
//!   [`shares`]: folders of the host, and [`data_disk`]: the disk for what the engines keep, both by [`mounting`], which
//!   [`notify`] lets others wait for; [`sockets`]: sockets of the host.
//!
//! One thread, and no state but the list of events and, in a file, the published ports: a new agent in place of a dead one
//! says the same.

mod arguments;
mod bridge;
mod carrier;
mod clock;
mod control;
mod data_disk;
mod datagrams;
mod docker;
mod engine;
mod events;
mod exec;
mod facts;
mod files;
mod guest;
mod health;
mod hosts;
mod listeners;
mod log;
mod mounting;
mod name_services;
mod notify;
mod observe;
mod parameters;
mod paths;
mod port;
mod program;
mod publish;
mod session;
mod shares;
mod sockets;
mod sys;
mod systemd;
mod targets;
mod users;
mod watch;

use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use self::arguments::Arguments;
use self::carrier::Carrier;
use self::events::Events;
use self::facts::Certificates;
use self::guest::Guest;
use self::log::{log, log_error};
use self::paths::Paths;
use self::publish::Published;

/// Names this build in the hello and in the events.
const BUILD: &str = match option_env!("MACHINE_BUILD") {
    Some(build) => build,
    None => concat!("machine-agent ", env!("CARGO_PKG_VERSION")),
};

/// Each waits for an engine whose queue of connections is full.
const BLOCKING_THREADS: usize = 16;

/// How long the host may take to read that the agent ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the agent cannot go on. systemd starts it again.
#[derive(Debug, thiserror::Error)]
enum AgentError {
    #[error(transparent)]
    Arguments(#[from] arguments::ArgumentError),
    #[error(transparent)]
    Parameters(#[from] parameters::ParameterError),
    #[error(transparent)]
    Carrier(#[from] carrier::CarrierError),
    #[error(transparent)]
    Bridge(#[from] bridge::BridgeError),
    #[error("The agent could not set itself up")]
    Setup(#[from] std::io::Error),
}

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log_error("The agent ends", &error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), AgentError> {
    let arguments = Arguments::parse(std::env::args_os().skip(1))?;
    if let Some(socket) = &arguments.bridge {
        return Ok(bridge::run(socket)?);
    }
    let boot = parameters::read(&arguments.seed)?;
    let certificates = parameters::certificates(&arguments.seed, &boot);
    let paths = Paths::new(arguments.root, boot.uid);
    if arguments.detach_seed {
        parameters::detach(&arguments.seed);
    }
    log(&format!(
        "Agent {BUILD} of machine {}, for host {}",
        boot.machine, boot.host_build
    ));

    let carriers = Carrier::all(arguments.sockets, &boot)?;
    let boot_id = events::boot_id()?;
    let published = Published::load(&paths, &boot_id);
    let guest = Rc::new(Guest::new(
        boot,
        paths,
        Events::new(events::started(boot_id)),
        published,
        arguments.ssh_port,
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    LocalSet::new().block_on(&runtime, live(carriers, guest, certificates))
}

/// Serves the host until systemd asks the agent to end, or the only carrier cannot be used any more.
async fn live(
    carriers: Vec<Carrier>,
    guest: Rc<Guest>,
    certificates: Certificates,
) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::task::spawn_local(observe::observe(Rc::clone(&guest), certificates));
    let mut serving = pin!(session::serve(carriers, Rc::clone(&guest)));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        _ = terminate.recv() => log("Asked to end"),
    }
    if guest.close() {
        let _ = tokio::time::timeout(FAREWELL, serving).await;
    }
    Ok(())
}
