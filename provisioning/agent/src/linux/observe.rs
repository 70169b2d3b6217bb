//! Finds out what the host is to be told: sockets that appear, the engine that answers, the end of the boot.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::message::{AgentEvent, Engine};

use super::docker::{self, Outcome};
use super::engine::{self, PingError};
use super::events::uptime_ms;
use super::log::{chain, log, log_error};
use super::paths::chosen_engine;
use super::session::Guest;
use super::{systemd, watch};

/// A socket's file is there a moment before the socket listens.
const REFUSALS: u32 = 5;
const BETWEEN_REFUSALS: Duration = Duration::from_millis(200);

/// Runs for as long as there is something to find out.
pub(super) async fn observe(guest: Rc<Guest>) {
    docker_link(&guest);
    tokio::join!(
        engine(&guest, Engine::Rootful),
        engine(&guest, Engine::Rootless),
        boot(&guest)
    );
}

async fn engine(guest: &Guest, engine: Engine) {
    let socket = guest.paths.engine_socket(engine);
    if let Err(error) = watch::until(&socket, || is_socket(&socket).then_some(())).await {
        let reason = format!("`{}` could not be waited for", socket.display());
        log_error(&reason, &error);
        fail(guest, engine, reason).await;
        return;
    }
    guest.events.publish(AgentEvent::SocketListening { engine });
    if engine != chosen_engine(guest.boot.rootful) {
        return;
    }
    match ping(&socket).await {
        Ok(()) => guest.events.publish(AgentEvent::EngineReady {
            engine,
            uptime_ms: uptime_ms(),
        }),
        Err(error) => fail(guest, engine, chain(&error)).await,
    }
}

async fn ping(socket: &Path) -> Result<(), PingError> {
    let mut refusals = 0;
    loop {
        match engine::ping(socket).await {
            Err(PingError::Connect(error))
                if error.kind() == std::io::ErrorKind::ConnectionRefused && refusals < REFUSALS =>
            {
                refusals += 1;
                let change = watch::until(socket, || None::<()>);
                let _ = tokio::time::timeout(BETWEEN_REFUSALS, change).await;
            }
            done => return done,
        }
    }
}

async fn boot(guest: &Guest) {
    let state = match systemd::boot_finished(&guest.paths).await {
        Ok(state) => state,
        Err(error) => {
            log_error("The end of the boot cannot be told", &error);
            return;
        }
    };
    let failed_units = systemd::failed_units(&guest.paths)
        .await
        .unwrap_or_else(|error| {
            log_error("The failed units are not known", &error);
            Vec::new()
        });
    guest.events.publish(AgentEvent::BootFinished {
        state,
        failed_units,
    });
    // Configuration of the image's own may have put its link there during the boot.
    docker_link(guest);
    let engine = chosen_engine(guest.boot.rootful);
    let listening = AgentEvent::SocketListening { engine };
    if !guest.events.holds(|event| *event == listening) {
        let socket = guest.paths.engine_socket(engine);
        let reason = format!(
            "The guest has started without the engine's socket `{}`",
            socket.display()
        );
        fail(guest, engine, reason).await;
    }
}

async fn fail(guest: &Guest, engine: Engine, reason: String) {
    log(&reason);
    let units = systemd::engine_units(&guest.paths, engine, guest.boot.uid).await;
    let mut detail = units.unwrap_or_else(|error| vec![format!("No units: {error}")]);
    detail.extend(systemd::journal(&guest.paths, engine).await);
    // The socket, and the engine behind it, may have come while the journal was read.
    if !guest.events.holds(
        |event| matches!(event, AgentEvent::EngineReady { engine: ready, .. } if *ready == engine),
    ) {
        guest.events.publish(AgentEvent::EngineFailed {
            engine,
            reason,
            detail,
        });
    }
}

fn docker_link(guest: &Guest) {
    let place = guest.paths.docker_socket();
    let engine = guest.paths.engine_socket(chosen_engine(guest.boot.rootful));
    match docker::link(&place, &engine) {
        Ok(Outcome::Made) => log(&format!(
            "`{}` leads to `{}`",
            place.display(),
            engine.display()
        )),
        Ok(Outcome::Kept) => {}
        Ok(Outcome::Taken) => log(&format!(
            "`{}` belongs to somebody else and is kept",
            place.display()
        )),
        Err(error) => log_error(&format!("`{}` could not be made", place.display()), &error),
    }
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|there| there.file_type().is_socket())
}
