//! The disk for what the engines keep: found, formatted once, checked, mounted, and laid over the places of the guest that
//! belong on it, before the engines start.
//!
//! * [`device`]: finds it. [`ends`], [`signs`]: what is on it; [`plan`] decides what is to be done; [`disk`] does it.
//! * [`owner`]: whose it is. [`superblock`]: how large.
//! * [`places`]: what of the guest lies on it; [`labels`]: as `SELinux` wants it; [`quadlets`]: what systemd finds too late.
//!
//! A disk that cannot be used is told, and its places are made unusable: what the engines write to the disk of the
//! operating system instead would be hidden by the next start, and lost with the next image.
//!
//! Applied at each start of the agent; what is mounted already stays. What the disk of the operating system has in those
//! places stays there, hidden.

mod device;
mod disk;
mod ends;
mod labels;
mod owner;
mod places;
mod plan;
pub(super) mod quadlets;
mod signs;
mod superblock;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use machine_protocol::boot::{BootParameters, DataDisk};
use machine_protocol::message::Part;

use self::owner::Owner;
use self::places::Place;
use super::guest::Guest;
use super::health::tell;
use super::log::{chain, log};
use super::mounting::{Kernel, Linux};
use super::paths::Paths;
use super::{notify, systemd, users};

/// How long the guest's own file systems may take. Where one never comes, the boot ends in emergency mode by then.
const FILE_SYSTEMS: Duration = Duration::from_secs(100);
/// Of what is done in the mounted disk.
const SOON: Duration = Duration::from_mins(1);

/// In one sentence.
type Problem = String;
/// Whether the file system of a disk that is in use fills it.
type Grown = Result<(), Problem>;

/// Has the disk in its places, and reports. Gives whether it is in use.
pub(super) async fn apply(guest: &Guest) -> bool {
    let Some(disk) = &guest.boot.data_disk else {
        return false;
    };
    let work = Work {
        kernel: Arc::new(Linux),
        paths: &guest.paths,
        boot: &guest.boot,
    };
    let (problem, small) = match work.all(disk).await {
        Ok(grown) => (None, grown.err()),
        Err(problem) => (Some(problem), None),
    };
    let in_use = problem.is_none();
    tell(guest, Part::DataDisk, problem);
    tell(guest, Part::DataDiskSize, small);
    in_use
}

struct Work<'g, K> {
    kernel: Arc<K>,
    paths: &'g Paths,
    boot: &'g BootParameters,
}

impl<K: Kernel> Work<'_, K> {
    async fn all(&self, disk: &DataDisk) -> Result<Grown, Problem> {
        notify::takes(FILE_SYSTEMS);
        if let Err(problem) = systemd::local_file_systems(self.paths, FILE_SYSTEMS).await {
            // What is missing shows in what follows.
            log(&format!(
                "The guest's file systems cannot be waited for: {problem}"
            ));
        }
        notify::takes(device::WAIT);
        let device = device::find(self.paths.root(), &disk.serial, device::WAIT).await;
        self.with(device).await
    }

    /// Uses the disk, or makes its places unusable.
    async fn with(&self, device: Result<PathBuf, Problem>) -> Result<Grown, Problem> {
        let root = self.paths.root();
        let mut places = places::of_root(root);
        let user = match users::find(root, &self.boot.user) {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(format!("the guest has no user `{}`", self.boot.user)),
            Err(error) => Err(format!("the guest's users are not known: {error}")),
        };
        if let Ok(user) = &user {
            places.extend(places::of_user(root, user));
        }
        let known = user.map_err(|problem| format!("the data disk cannot be used: {problem}"));
        let done = match (known, device) {
            (Ok(_), Ok(device)) => self.attach(&device, &places).await,
            (Err(problem), _) | (_, Err(problem)) => Err(problem),
        };
        if let Err(problem) = &done {
            self.block(places, problem).await;
        }
        done
    }

    async fn attach(&self, device: &Path, places: &[Place]) -> Result<Grown, Problem> {
        let failed = |problem: Problem| format!("the data disk cannot be mounted: {problem}");
        let (at, new) = self.place().map_err(|error| failed(chain(&error)))?;
        let mounted = disk::is_mounted(&*self.kernel, device, &at);
        let mounted = mounted.map_err(|error| failed(chain(&error)))?;
        if !mounted {
            disk::prepare(self.paths, device).await?;
            disk::mount(&self.kernel, device, &at).await?;
        }
        let grown = disk::grow(self.paths, device).await;
        let (owner, disk) = (Owner::of(self.boot), at.clone());
        let checked = blocking(SOON, move || Ok(owner::check(&disk, &owner))).await;
        if let Err(problem) = checked.and_then(|checked| checked) {
            if !mounted {
                self.unmount(&at);
            }
            return Err(problem);
        }
        let mut made = new;
        for place in places {
            let (kernel, place) = (Arc::clone(&self.kernel), place.clone());
            let (device, disk) = (device.to_owned(), at.clone());
            let put = move || Ok(places::put(&*kernel, &device, &disk, &place));
            made.extend(blocking(SOON, put).await.and_then(|put| put)?);
        }
        let targets: Vec<PathBuf> = places.iter().map(|place| place.target().into()).collect();
        labels::keep(self.paths, &at, &targets, &made).await?;
        Ok(grown)
    }

    /// Where the disk is mounted, for root alone; and what was made for it.
    fn place(&self) -> std::io::Result<(PathBuf, Vec<PathBuf>)> {
        const ROOTS: u32 = 0o700;
        let place = self.paths.data_disk();
        let above = place.ancestors().skip(1);
        let mut missing: Vec<PathBuf> = above
            .take_while(|above| !above.is_dir())
            .map(Path::to_owned)
            .collect();
        missing.reverse();
        for above in &missing {
            places::create(above, places::MODE)?;
        }
        if !place.is_dir() {
            places::create(&place, ROOTS)?;
        }
        Ok((fs_err::canonicalize(place)?, missing))
    }

    fn unmount(&self, place: &Path) {
        if let Err(error) = self.kernel.unmount(place) {
            log(&format!("The data disk stays mounted: {}", chain(&error)));
        }
    }

    async fn block(&self, places: Vec<Place>, problem: &str) {
        let (kernel, root) = (Arc::clone(&self.kernel), self.paths.root().to_owned());
        let problem = problem.to_owned();
        let work = move || {
            for place in places {
                if let Err(error) = places::block(&*kernel, &root, &place, &problem) {
                    let place = place.target().display();
                    log(&format!("`{place}` stays usable: {}", chain(&error)));
                }
            }
            Ok(())
        };
        if let Err(problem) = blocking(SOON, work).await {
            log(&format!(
                "The data disk's places may stay usable: {problem}"
            ));
        }
    }
}

/// Has a thread of its own do what may wait for a disk.
async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let work = tokio::task::spawn_blocking(work);
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(error))) => Err(chain(&error)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", limit.as_secs())),
    }
}

#[cfg(test)]
mod tests;
