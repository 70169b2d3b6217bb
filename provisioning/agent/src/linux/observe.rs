//! Finds out what the host is to be told: sockets that appear, the engine that answers, the end of the boot.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::message::{AgentEvent, Engine};
use tokio::sync::watch as news;

use super::docker::{self, Outcome};
use super::engine::{self, PingError};
use super::events::uptime_ms;
use super::facts::Certificates;
use super::guest::Guest;
use super::log::{chain, log, log_error};
use super::{
    data_disk, facts, health, listeners, name_services, notify, publish, shares, sockets, systemd,
    watch,
};

/// A socket's file is there a moment before the socket listens.
const REFUSALS: u32 = 5;
const BETWEEN_REFUSALS: Duration = Duration::from_millis(200);

/// The longest that the guest's engines wait for folders of the host: a host that does not answer must not cost it more.
const ENGINES_WAIT: Duration = Duration::from_secs(30);

/// Runs for as long as there is something to find out.
pub(super) async fn observe(guest: Rc<Guest>, certificates: Certificates) {
    docker_link(&guest);
    name_services::load_early(&guest.paths);
    let (booted, boot_is_over) = news::channel(false);
    let facts = async {
        // A container that is started by the first question has its folders.
        let ((), folders_again) =
            tokio::join!(facts::apply(&guest, &certificates), folders(&guest));
        let facts_again = facts::came_too_early(&guest);
        if facts_again || folders_again {
            // The end of the sender is as good.
            let _ = boot_is_over.clone().wait_for(|over| *over).await;
        }
        if facts_again {
            facts::retry(&guest, &certificates).await;
        }
        if folders_again {
            shares::apply(&guest).await;
        }
        guest.set_facts_applied();
    };
    tokio::join!(
        facts,
        engine(&guest, Engine::Rootful),
        engine(&guest, Engine::Rootless),
        health::ssh_listens(&guest),
        publish::serve(Rc::clone(&guest), boot_is_over.clone()),
        listeners::serve(&guest),
        boot(&guest, booted)
    );
}

/// Mounts the disk for what the engines keep, then the folders of the host, which may lie in it. The engines and the user's
/// services wait for that: for the disk as long as it takes, since each of its steps has a limit of its own and nothing may
/// be written in its place; for folders not for ever.
async fn folders(guest: &Rc<Guest>) -> bool {
    let in_use = data_disk::apply(guest).await;
    let mut applied = pin!(shares::apply(guest));
    let in_time = tokio::time::timeout(ENGINES_WAIT, &mut applied).await;
    notify::ready();
    if in_use {
        data_disk::quadlets::start(&guest.paths).await;
    }
    match in_time {
        Ok(again) => again,
        Err(_) => applied.await,
    }
}

async fn engine(guest: &Rc<Guest>, engine: Engine) {
    let socket = guest.paths.engine_socket(engine);
    if let Err(error) = watch::until(&socket, || is_socket(&socket).then_some(())).await {
        let reason = format!("`{}` could not be waited for", socket.display());
        log_error(&reason, &error);
        fail(guest, engine, reason).await;
        return;
    }
    // With it the file systems are there that the host's sockets may lie in.
    sockets::refresh(guest).await;
    guest.events.publish(AgentEvent::SocketListening { engine });
    // By then another may be the machine's.
    guest.facts_applied().await;
    if engine == guest.engine() {
        answers(guest, engine).await;
    }
}

/// Asks an engine whose socket is there, and says what it answered.
async fn answers(guest: &Guest, engine: Engine) {
    // The question starts the engine, which then reads its environment and whom to trust.
    guest.facts_applied().await;
    let disk_is_full = health::check_storage(guest);
    let socket = guest.paths.engine_socket(engine);
    let invocation = guest.paths.engine_invocation(engine);
    let answer = tokio::select! {
        answer = ping(&socket, disk_is_full) => answer,
        futile = engine::restarts(&invocation) => Err(futile),
    };
    match answer {
        Ok(()) => guest.events.publish(AgentEvent::EngineReady {
            engine,
            uptime_ms: uptime_ms(),
        }),
        Err(error) => fail(guest, engine, chain(&error)).await,
    }
}

async fn ping(socket: &Path, disk_is_full: bool) -> Result<(), PingError> {
    let mut refusals = 0;
    loop {
        match engine::ping(socket, disk_is_full).await {
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

async fn boot(guest: &Rc<Guest>, booted: news::Sender<bool>) {
    let finished = systemd::boot_finished(&guest.paths).await;
    booted.send_replace(true);
    sockets::refresh(guest).await;
    let state = match finished {
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
    guest.facts_applied().await;
    health::check_storage(guest);
    health::check_dns(guest);
    health::check_ssh(guest).await;
    guest.events.publish(AgentEvent::BootFinished {
        state,
        failed_units,
    });
    // Configuration of the image's own may have put its link there during the boot.
    docker_link(guest);
    let engine = guest.engine();
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

/// Makes `engine` the machine's: Docker's clients in the guest are led to it, and the host is told whether it answers.
pub(super) async fn switch(guest: &Guest, engine: Engine) {
    guest.choose(engine);
    docker_link(guest);
    // Where the socket is not there yet, whoever waits for it goes on from there.
    let listening = AgentEvent::SocketListening { engine };
    if guest.events.holds(|event| *event == listening) {
        answers(guest, engine).await;
    }
}

async fn fail(guest: &Guest, engine: Engine, reason: String) {
    log(&reason);
    health::check_storage(guest);
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
    let engine = guest.paths.engine_socket(guest.engine());
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
