//! `info`: the machines of this host in short.

use crate::machine::Status;
use crate::ops::list;
use crate::store::{MachineFiles, Store, StoreError};

/// The machines of this host in short (spec 1.4.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachinesInfo {
    /// The machine that runs or starts, else the default one.
    pub current: String,
    /// The machine that the default connection leads to.
    pub default: String,
    /// What the current one does: `Running`, `Starting`, `Stopped`, or nothing where there is none.
    pub state: &'static str,
    /// How many there are.
    pub count: usize,
}

/// Looks at all machines. `default` tells whether the default connection leads to a machine.
pub fn info(
    store: &Store,
    default: impl Fn(&str) -> bool,
    probe: impl Fn(&MachineFiles) -> Status + Sync,
) -> Result<MachinesInfo, StoreError> {
    let machines = list::list(store, probe)?;
    let is_up = |machine: &&list::ListedMachine| {
        machine.status.is_running() || machine.status == Status::Starting
    };
    let default = machines
        .iter()
        .find(|machine| default(machine.name.as_str()));
    // Several may run; then the default one is what the user works with.
    let current = default
        .filter(is_up)
        .or_else(|| machines.iter().find(is_up))
        .or(default);
    let state = current.map_or("", |machine| match &machine.status {
        Status::Starting => "Starting",
        status if status.is_running() => "Running",
        _ => "Stopped",
    });
    let name = |machine: Option<&list::ListedMachine>| {
        machine.map_or_else(String::new, |machine| machine.name.to_string())
    };
    Ok(MachinesInfo {
        current: name(current),
        default: name(default),
        state,
        count: machines.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Bench;

    fn looked(
        bench: &Bench,
        default: &str,
        up: &[(&str, Status)],
    ) -> (String, String, &'static str) {
        let info = info(
            &bench.store,
            |name| name == default,
            |files| {
                let name = files.directory().file_name().unwrap().to_str().unwrap();
                let found = up.iter().find(|(up, _)| *up == name);
                found.map_or(Status::Stopped, |(_, status)| status.clone())
            },
        )
        .unwrap();
        assert_eq!(info.count, 3);
        (info.current, info.default, info.state)
    }

    #[test]
    fn the_current_machine_is_one_that_is_up_or_the_default() {
        let bench = Bench::new();
        assert_eq!(
            info(&bench.store, |_| true, |_| Status::Stopped).unwrap(),
            MachinesInfo::default()
        );
        for name in ["a", "b", "c"] {
            bench.make(name);
        }
        let text = |one: &str, two: &str, state| (one.to_owned(), two.to_owned(), state);
        let running = || Status::Running;
        assert_eq!(looked(&bench, "", &[]), text("", "", ""));
        assert_eq!(looked(&bench, "b", &[]), text("b", "b", "Stopped"));
        assert_eq!(
            looked(&bench, "b", &[("c", running())]),
            text("c", "b", "Running")
        );
        assert_eq!(
            looked(&bench, "c", &[("a", running()), ("c", Status::Starting)]),
            text("c", "c", "Starting")
        );
        let degraded = Status::Degraded {
            reason: "x".to_owned(),
        };
        assert_eq!(
            looked(&bench, "", &[("b", degraded)]),
            text("b", "", "Running")
        );
    }
}
