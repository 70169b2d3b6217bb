//! What is wrong with distributions that machines have, or that have names as those of machines. Reads records alone.

use std::collections::BTreeSet;

use super::distro::{self, Distro, Step};
use super::error::WslError;
use crate::provider::{Kept, KeptRequest, KeptState};

/// Judges WSL's `names` by the records of the machines. A distribution of another home of machines is known by its name,
/// which has that place in it, and is left out.
pub(super) fn judge(request: &KeptRequest<'_>, names: &[String]) -> Result<Vec<Kept>, WslError> {
    let mut found = Vec::new();
    let mut noted = BTreeSet::new();
    for machine in &request.machines {
        let Some(directory) = (request.place)(machine) else {
            continue;
        };
        let Some((distro, _)) = Distro::noted(&directory)? else {
            continue;
        };
        let state = match distro.step(names)? {
            Step::ImportAnew => Some(KeptState::Half),
            Step::Lost => Some(KeptState::Lost),
            Step::Nothing | Step::Import | Step::Refuse => None,
        };
        found.extend(state.map(|state| kept(machine, &distro.name, state)));
        noted.insert(distro.name.to_ascii_lowercase());
    }
    for name in names {
        let Some(machine) = distro::machine_of(name) else {
            continue;
        };
        let own = (request.place)(machine).map(|place| distro::own_name(&place, machine));
        if own.as_deref() == Some(name) && !noted.contains(&name.to_ascii_lowercase()) {
            let remove = format!("wsl --unregister {name}");
            found.push(kept(machine, name, KeptState::Stray { remove }));
        }
    }
    Ok(found)
}

fn kept(machine: &str, distro: &str, state: KeptState) -> Kept {
    Kept {
        machine: machine.to_owned(),
        what: format!("distribution `{distro}`"),
        state,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::distro::{Progress, Record};
    use super::*;

    fn note(place: &Path, machine: &str, progress: Progress) -> String {
        let name = distro::own_name(place, machine);
        let record = Record {
            name: name.clone(),
            program: "/wsl".into(),
            progress,
        };
        fs_err::create_dir_all(place).unwrap();
        let text = serde_json::to_vec(&record).unwrap();
        fs_err::write(place.join("distribution.json"), text).unwrap();
        name
    }

    #[test]
    fn halves_losses_and_strays_are_told_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let place = |machine: &str| -> Option<PathBuf> { Some(home.path().join(machine)) };
        let at = |machine: &str| place(machine).unwrap();
        let half = note(&at("half"), "half", Progress::Importing);
        let whole = note(&at("whole"), "whole", Progress::Imported);
        note(&at("lost"), "lost", Progress::Imported);
        // Its import was cut off before WSL knew of it: the next launch imports it, and nothing is to be mended.
        note(&at("unborn"), "unborn", Progress::Importing);
        let gone = distro::own_name(&at("gone"), "gone");
        let unnoted = distro::own_name(&at("unnoted"), "unnoted");
        let elsewhere = distro::own_name(Path::new("/elsewhere/half"), "half");
        let theirs = ["Ubuntu", "machine-a", "podman-machine-default"].map(str::to_owned);
        let names = [
            half.clone(),
            whole,
            gone.clone(),
            unnoted.clone(),
            elsewhere,
        ];
        let names: Vec<String> = names.into_iter().chain(theirs).collect();
        let machines = ["half", "whole", "lost", "unborn", "unnoted", "empty"];
        let request = KeptRequest {
            program_directories: Vec::new(),
            machines: machines.map(str::to_owned).to_vec(),
            place: &place,
        };
        let stray = |machine: &str, name: &str| {
            let remove = format!("wsl --unregister {name}");
            kept(machine, name, KeptState::Stray { remove })
        };
        let lost = distro::own_name(&at("lost"), "lost");
        assert_eq!(
            judge(&request, &names).unwrap(),
            [
                kept("half", &half, KeptState::Half),
                kept("lost", &lost, KeptState::Lost),
                stray("gone", &gone),
                stray("unnoted", &unnoted),
            ]
        );
        // What cannot be read is told, and nothing is guessed.
        fs_err::write(at("whole").join("distribution.json"), "{").unwrap();
        judge(&request, &names).unwrap_err();
    }
}
