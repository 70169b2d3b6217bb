//! From the command line to the end of the machine.

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use super::guest::{Guest, signal as signal_guest};
use super::hardware::{Hardware, Network};
use super::mischief::Mischief;
use super::power::{State, Switch};
use super::{FakeError, Flavour, failed, firmware, krunkit, log, rest, vfkit, vsock};

/// How long vfkit waits for a guest when it is asked to end by a signal.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does what is asked for. Gives words where words were asked for.
pub(super) fn run(
    flavour: Flavour,
    program: &Path,
    words: &[OsString],
) -> Result<Option<String>, FakeError> {
    let mischief = Mischief::read(flavour, program);
    if mischief.unsigned {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL)
            .map_err(|error| failed("kill")(error.into()))?;
    }
    if words == ["--version"] {
        let version = match flavour {
            _ if mischief.mute => String::new(),
            Flavour::Vfkit => vfkit::version(&mischief.version),
            Flavour::Krunkit => krunkit::version(&mischief.version),
        };
        return Ok(Some(version));
    }
    if let Some(text) = mischief.refuse {
        return Err(FakeError::Guest(text));
    }
    let hardware = match flavour {
        Flavour::Vfkit => vfkit::parse(words)?,
        Flavour::Krunkit => krunkit::parse(words)?,
    };
    hardware.check()?;
    mischief.point("configured");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("runtime"))?;
    runtime.block_on(live(flavour, program, &hardware, &mischief))?;
    Ok(None)
}

async fn live(
    flavour: Flavour,
    program: &Path,
    hardware: &Hardware,
    mischief: &Mischief,
) -> Result<(), FakeError> {
    let switch = Switch::new();
    // Datagrams that nobody reads; the program at the other end learns where the guest is.
    let _network = connect_networks(flavour, hardware)?;
    let service: Option<UnixListener> = match &hardware.rest {
        Some(_) if mischief.no_rest => None,
        Some(path) => Some(rest::listen(flavour, path)?),
        None => None,
    };
    hardware.power_on()?;
    vsock::listen_for_host(hardware)?;
    let asked = async {
        if let Some(listener) = service {
            rest::serve(flavour, listener, switch.clone(), mischief).await;
        }
        std::future::pending::<()>().await;
    };
    let machine = async {
        switch.set(State::Running);
        log("virtual machine is running");
        mischief.point("running");
        operate(flavour, program, hardware, mischief, &switch).await
    };
    let ended = tokio::select! {
        () = asked => Ok(()),
        ended = machine => ended,
    };
    tidy(flavour, hardware);
    ended
}

/// From power on to power off.
async fn operate(
    flavour: Flavour,
    program: &Path,
    hardware: &Hardware,
    mischief: &Mischief,
    switch: &Switch,
) -> Result<(), FakeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("signals"))?;
    let boot = async {
        firmware::boot(hardware, mischief).await?;
        mischief.point("agent");
        Guest::start(hardware, program, switch).await
    };
    let mut guest = tokio::select! {
        guest = boot => match guest {
            Ok(guest) => Some(guest),
            Err(error) => {
                // A guest that does not come up is the guest's trouble: the machine runs on.
                log(&error.to_string());
                None
            }
        },
        () = switch.off() => return stopped(),
    };
    let pressed = async {
        switch.pressed().await;
        if mischief.deaf {
            std::future::pending::<()>().await;
        }
    };
    let asked_to_end = async {
        terminate.recv().await;
        if flavour == Flavour::Krunkit {
            return;
        }
        switch.press();
        if mischief.deaf {
            let _ = tokio::time::timeout(PATIENCE, switch.off()).await;
        }
    };
    let process = guest.as_ref().and_then(Guest::process);
    let pauses = async {
        loop {
            switch.stands(true).await;
            signal_guest(process, Signal::STOP);
            switch.stands(false).await;
            signal_guest(process, Signal::CONT);
        }
    };
    let agent_ended = async {
        match &mut guest {
            Some(guest) => guest.ended().await,
            None => std::future::pending().await,
        }
        log("the guest's agent has ended");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = pressed => {}
        () = asked_to_end => {}
        () = switch.off() => return stopped(),
        () = agent_ended => {}
        never = pauses => never,
    }
    switch.set(State::Stopping);
    hardware.print("systemd-shutdown[1]: Powering off.");
    if let Some(guest) = &mut guest {
        guest.power_off().await;
    }
    switch.set(State::Stopped);
    stopped()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the last words of a function that can fail"
)]
fn stopped() -> Result<(), FakeError> {
    log("VM is stopped");
    Ok(())
}

/// Each has a socket of its own beside the program's, and introduces itself.
fn connect_networks(flavour: Flavour, hardware: &Hardware) -> Result<Vec<UnixDatagram>, FakeError> {
    let mut connected = Vec::new();
    for (network, _) in &hardware.networks {
        let Network::Datagrams(path) = network else {
            continue;
        };
        let own = own_socket(flavour, path);
        let what = format!("virtio-net at {}", path.display());
        let socket = UnixDatagram::bind(&own).map_err(failed(what.clone()))?;
        let greeted = socket.connect(path).and_then(|()| socket.send(b"VFKT"));
        if let Err(error) = greeted {
            let _ = fs_err::remove_file(&own);
            return Err(failed(what)(error));
        }
        connected.push(socket);
    }
    Ok(connected)
}

fn own_socket(flavour: Flavour, path: &Path) -> std::path::PathBuf {
    match flavour {
        Flavour::Vfkit => path.with_file_name(format!("vfkit-{:x}-ffff.sock", std::process::id())),
        Flavour::Krunkit => {
            let mut name = path.as_os_str().to_owned();
            name.push("-krun.sock");
            name.into()
        }
    }
}

/// What vfkit removes when it ends in good order; krunkit leaves all of it.
fn tidy(flavour: Flavour, hardware: &Hardware) {
    if flavour == Flavour::Krunkit {
        return;
    }
    for (network, _) in &hardware.networks {
        if let Network::Datagrams(path) = network {
            let _ = fs_err::remove_file(own_socket(flavour, path));
        }
    }
}
