//! What `--fix` does: only what can be done at any time, again, and half, by the functions that other commands use.

use std::error::Error;
use std::io::Read as _;
use std::path::Path;

use fs_err as fs;
use machine_host::access;
use machine_host::atomic::{self, Access};
use machine_protocol::secret::Secret;
use machine_provisioning::keys::{self, KeyPair};

use super::finding::Told;
use super::host::listed;
use super::kept;
use super::look::{self, SocketState};
use super::{About, Finding, Lost, Mending, Premises, Remedy, shown};
use crate::connection::machine as pair;
use crate::machine::MachineName;
use crate::ops::connection::scheme;
use crate::ops::host;
use crate::ops::init;
use crate::provider::{Kept, KeptState, registry};
use crate::supervisor::client;

/// Why something was not mended, in a line.
type Mended = Result<String, String>;

/// Does what a finding offers, and notes what came of it.
pub(super) async fn mend(finding: &mut Finding, premises: &Premises) {
    let Mending::Offered(remedy) = &finding.mending else {
        return;
    };
    let mended = match (remedy, &finding.about) {
        (Remedy::ClearLeftovers, _) => clear_leftovers(premises),
        (Remedy::SweepConnections, _) => sweep(premises),
        (Remedy::KeepPrivate(path), _) => keep_private(path),
        (Remedy::RemoveSockets, About::Machine(name)) => remove_sockets(premises, name).await,
        (Remedy::CompleteConnections, About::Machine(name)) => complete(premises, name),
        (Remedy::CorrectPort, About::Machine(name)) => correct_port(premises, name),
        (Remedy::Remake(lost), About::Machine(name)) => remake(premises, name, *lost),
        (Remedy::DiscardHalf, About::Machine(name)) => discard_half(premises, name).await,
        (
            Remedy::RemoveSockets
            | Remedy::DiscardHalf
            | Remedy::CompleteConnections
            | Remedy::CorrectPort
            | Remedy::Remake(_),
            About::Host,
        ) => return,
    };
    finding.mending = match mended {
        Ok(done) => Mending::Done(done),
        Err(why) => Mending::Failed(why),
    };
}

fn line(error: &(dyn Error + 'static)) -> String {
    Told::of(error, Vec::new()).line()
}

fn clear_leftovers(premises: &Premises) -> Mended {
    let store = &premises.store;
    store.clear_leftovers().map_err(|error| line(&error))?;
    match store.leftovers().map_err(|error| line(&error))? {
        Some(left) if !left.is_empty() => Err(format!(
            "some of it cannot be deleted; look into {}",
            shown(store.directory())
        )),
        _ => Ok("what interrupted commands left was cleared away".to_owned()),
    }
}

fn sweep(premises: &Premises) -> Mended {
    let swept = pair::sweep(&premises.connections, |name| premises.store.absent(name));
    swept.map_err(|error| line(&error))?;
    Ok("the connections were removed".to_owned())
}

fn keep_private(path: &Path) -> Mended {
    access::make_private(path).map_err(|error| error.to_string())?;
    Ok(format!("{} is yours alone now", shown(path)))
}

/// Under the lock of a supervisor, and only while there is no VM: what it opens is its own.
async fn remove_sockets(premises: &Premises, name: &MachineName) -> Mended {
    let guard = premises.store.edit(name).map_err(|error| line(&error))?;
    let stopped = guard.keep_stopped().map_err(|error| line(&error))?;
    let files = guard.files();
    let Some(_stopped) = stopped.filter(|_| client::survivor(files).is_none()) else {
        return Err("the machine was started meanwhile".to_owned());
    };
    let mut removed = Vec::new();
    for (path, state) in look::sockets(files).await {
        if state == SocketState::Stale {
            fs::remove_file(&path).map_err(|error| error.to_string())?;
            let name = path.file_name().unwrap_or_default();
            removed.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(format!("removed {}", listed(&removed)))
}

/// Under the locks of a start, and only what is a half now: what is whole has been made by somebody meanwhile.
async fn discard_half(premises: &Premises, name: &MachineName) -> Mended {
    let guard = premises.store.edit(name).map_err(|error| line(&error))?;
    let stopped = guard.keep_stopped().map_err(|error| line(&error))?;
    let Some(_stopped) = stopped.filter(|_| client::survivor(guard.files()).is_none()) else {
        return Err("the machine was started meanwhile".to_owned());
    };
    let machine = premises.store.load(name).map_err(|error| line(&error))?;
    let provider = registry::provider(machine.config.provider).map_err(|error| line(&error))?;
    let directories = host::program_directories();
    let kept = kept::ask(premises, &*provider, &directories).await;
    let kept = kept.map_err(|error| line(&error))?;
    let is_half = |kept: &Kept| kept.machine == name.as_str() && kept.state == KeptState::Half;
    if !kept.iter().any(is_half) {
        return Err("it is no half any more".to_owned());
    }
    let own = machine.files.provider_directory();
    provider.discard(&own).await.map_err(|error| line(&error))?;
    Ok("the half was removed; the next start makes all of it".to_owned())
}

fn complete(premises: &Premises, name: &MachineName) -> Mended {
    let machine = premises.store.load(name).map_err(|error| line(&error))?;
    let own = premises.hostconf.own().map_err(|error| line(&error))?;
    let completed = pair::complete(
        &premises.connections,
        &machine.config,
        &machine.files,
        scheme(own.connection_scheme),
    );
    let completed = completed.map_err(|error| line(&error))?;
    Ok(format!("added {}", listed(&completed.added)))
}

/// Under the lock of the machine's files, and where nobody has put the file back. The secret of a machine that runs is
/// what its guest was told at its start, so another one is for stopped machines only.
fn remake(premises: &Premises, name: &MachineName, lost: Lost) -> Mended {
    let guard = premises.store.edit(name).map_err(|error| line(&error))?;
    let files = guard.files();
    let (path, text, _stopped) = match lost {
        Lost::Secret => {
            let stopped = guard.keep_stopped().map_err(|error| line(&error))?;
            let Some(stopped) = stopped.filter(|_| client::survivor(files).is_none()) else {
                return Err("the machine was started meanwhile".to_owned());
            };
            let secret = Secret::generate().map_err(|error| line(&error))?;
            (files.secret(), secret.to_hex() + "\n", Some(stopped))
        }
        Lost::KnownHosts => {
            let text = init::known_hosts(name, &key(&files.ssh_host_key())?);
            (files.known_hosts(), text, None)
        }
        Lost::Ignition => {
            let config = premises.store.load(name).map_err(|error| line(&error))?;
            let config = config.config;
            let client_key = key(&files.ssh_client_key())?;
            let host_key = key(&files.ssh_host_key())?;
            let guest = init::guest(
                &config.user,
                config.uid,
                &config.volumes,
                client_key.public,
                host_key,
            );
            let text = machine_provisioning::ignition(&guest);
            (files.ignition(), text.map_err(|error| line(&error))?, None)
        }
    };
    atomic::write_new(&path, text.as_bytes(), Access::Private)
        .map_err(|error| error.to_string())?;
    Ok(format!("{} was made anew", shown(&path)))
}

/// A key of the machine, with its public half.
fn key(path: &Path) -> Result<KeyPair, String> {
    let mut file = access::open_regular(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    keys::from_private(&text).map_err(|error| format!("{}: {}", shown(path), line(&error)))
}

fn correct_port(premises: &Premises, name: &MachineName) -> Mended {
    let machine = premises.store.load(name).map_err(|error| line(&error))?;
    let written = pair::set_port(&premises.connections, &machine.config, &machine.files);
    written.map_err(|error| line(&error))?;
    let port = machine.config.ssh_port;
    Ok(format!("its connections lead to port {port} now"))
}
