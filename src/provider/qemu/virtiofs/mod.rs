//! Shared folders by virtiofsd, one process a folder.
//!
//! It runs as the user who started the machine, in namespaces of its own where the host allows that, with a map of ids
//! that lets containers in the guest give files to each other's users ([`ids`]). What it cannot have it does without, one
//! step after another ([`way`]): that a step works is known by an answer to the first question of the protocol, on the
//! connection that QEMU then gets. It ends when QEMU lets go of that connection.

mod find;
mod greeting;
mod ids;
mod way;

use std::io;
use std::path::Path;
use std::process::Command;

use machine_host::program;
use machine_host::subordinate::{OwnIds, own_ids};

pub(super) use self::find::choose;
use self::way::{Way, ways};
use crate::machine::deadlines;
use crate::provider::process::last_lines;
use crate::provider::qemu::helper::Helper;
use crate::provider::qemu::platform::{self, Inherited};
use crate::provider::{GuestIds, SharePlan};

/// What maps ids for users who are not root.
const MAPPERS: [&str; 2] = ["newuidmap", "newgidmap"];

/// A folder that is ready to be given to QEMU.
#[derive(Debug)]
pub(super) struct Shared {
    /// The program.
    pub(super) helper: Helper,
    /// A connection to it.
    pub(super) connection: Inherited,
    /// What is missing in the way it runs, and how to mend it.
    pub(super) limitation: Option<String>,
}

/// Starts the program for a folder, in the first way that works. The error has what each way said.
pub(super) async fn share(
    program: &Path,
    share: &SharePlan,
    guest: GuestIds,
) -> Result<Shared, String> {
    share_as(program, share, &own_ids(), can_map(), guest).await
}

fn can_map() -> bool {
    MAPPERS
        .iter()
        .all(|name| program::find(name, &[]).is_some())
}

/// What this user lacks for folders in which containers have files of their own, and how to get it.
pub(super) fn lack() -> Option<(String, String)> {
    way::lack(&own_ids(), can_map())
}

/// The same for these ids.
pub(super) async fn share_as(
    program: &Path,
    share: &SharePlan,
    own: &OwnIds,
    can_map: bool,
    guest: GuestIds,
) -> Result<Shared, String> {
    let mut failures = Vec::new();
    for way in ways(own, can_map, guest) {
        match start(program, share, &way).await {
            Ok((helper, connection)) => {
                return Ok(Shared {
                    helper,
                    connection,
                    limitation: way.limitation,
                });
            }
            Err(error) => {
                tracing::info!(%error, sandbox = %way.sandbox, "A shared folder cannot be had in this way");
                let failure = error.to_string();
                if !failures.contains(&failure) {
                    failures.push(failure);
                }
            }
        }
    }
    Err(failures.join("; "))
}

/// Starts the program in one way. What it says last explains a failure best.
async fn start(program: &Path, share: &SharePlan, way: &Way) -> io::Result<(Helper, Inherited)> {
    let log_start = fs_err::metadata(&share.log).map_or(0, |log| log.len());
    let started = try_to_start(program, share, way).await;
    started.map_err(|error| match last_lines(&share.log, log_start).pop() {
        Some(words) => io::Error::new(error.kind(), words),
        None => error,
    })
}

async fn try_to_start(
    program: &Path,
    share: &SharePlan,
    way: &Way,
) -> io::Result<(Helper, Inherited)> {
    let listener = platform::listen(&share.socket)?;
    let mut command = Command::new(program);
    command
        .arg("--fd")
        .arg(platform::FIRST_FD.to_string())
        .arg("--shared-dir")
        .arg(&share.source)
        .args(way.options());
    if share.read_only {
        command.arg("--readonly");
    }
    platform::inherit(&mut command, vec![listener])?;
    let helper = Helper::start(command, &share.log);
    let greeted = async {
        let stream = platform::connect(&share.socket).await?;
        platform::to_inherit(greeting::greet(stream).await?)
    };
    let limit = deadlines::SHARE_DEVICE.limit;
    let greeted = tokio::time::timeout(limit, greeted).await;
    // Nobody else is to come.
    fs_err::remove_file(&share.socket)?;
    let mut helper = helper?;
    match greeted {
        Ok(Ok(connection)) => Ok((helper, connection)),
        Ok(Err(error)) => {
            // It ends when it closes the connection, and then has said why.
            let _ = tokio::time::timeout(deadlines::KILLED.limit, helper.ended()).await;
            Err(error)
        }
        Err(_) => {
            let text = format!("it does not answer after {} s", limit.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}
