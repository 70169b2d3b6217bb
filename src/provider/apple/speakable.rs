//! Whether a program can be told of a path: both split their arguments at commas, and have no way to write one.

use std::path::Path;

use crate::provider::apple::flavour::Flavour;
use crate::provider::{LaunchPlan, NewMachine, ProviderError};

/// Why a program cannot be told of a path, if it cannot.
pub(super) fn obstacle(path: &Path, reserved: &[char]) -> Option<String> {
    let Some(text) = path.to_str() else {
        return Some("it is not valid Unicode".to_owned());
    };
    let found = text
        .chars()
        .find(|c| reserved.contains(c) || c.is_control())?;
    Some(if found.is_control() {
        "there is a control character in it".to_owned()
    } else {
        format!("there is `{found}` in it")
    })
}

/// Refuses a plan with a path that the program cannot be told of. Shared folders are not looked at: a machine can go
/// without one.
pub(super) fn check(flavour: &Flavour, plan: &LaunchPlan) -> Result<(), ProviderError> {
    let paths = &plan.paths;
    let files = [&plan.os_disk, &plan.firmware_variables, &paths.console_log];
    let files = files.into_iter().chain(&plan.data_disk).chain(&plan.seed);
    let sockets = [
        &paths.control_socket,
        &paths.vsock_socket,
        &paths.network_socket,
    ];
    let all = files
        .map(|path| (path, flavour.unspeakable))
        .chain(sockets.map(|path| (path, flavour.unspeakable_in_sockets)));
    all.into_iter()
        .try_for_each(|(path, reserved)| can_be_told(flavour, path, reserved))
}

/// The same of a machine that is to be made: what is in its directories has names without any such character.
pub(super) fn check_new(flavour: &Flavour, machine: &NewMachine) -> Result<(), ProviderError> {
    let files = [&machine.directory];
    for path in files.into_iter().chain(&machine.data_disk) {
        can_be_told(flavour, path, flavour.unspeakable)?;
    }
    can_be_told(flavour, &machine.sockets, flavour.unspeakable_in_sockets)
}

fn can_be_told(flavour: &Flavour, path: &Path, reserved: &[char]) -> Result<(), ProviderError> {
    match obstacle(path, reserved) {
        None => Ok(()),
        Some(why) => Err(ProviderError::Unspeakable {
            program: flavour.program,
            path: path.to_owned(),
            why,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::apple::flavour::{KRUNKIT, VFKIT};
    use crate::provider::plan::testing;

    #[test]
    fn a_machine_is_not_made_where_it_could_not_run() {
        let at = |directory: &str, sockets: &str| NewMachine {
            name: "m".to_owned(),
            directory: directory.into(),
            sockets: sockets.into(),
            own_directory: "/o".into(),
            data_disk: None,
            program_directories: Vec::new(),
        };
        check_new(&VFKIT, &at("/Users/Ann Lee/100%", "/s")).unwrap();
        for (flavour, directory, sockets) in [
            (&VFKIT, "/a,b", "/s"),
            (&VFKIT, "/a", "/100%/s"),
            (&KRUNKIT, "/a=b", "/s"),
        ] {
            check_new(flavour, &at(directory, sockets)).unwrap_err();
        }
        let mut with_disk = at("/a", "/s");
        with_disk.data_disk = Some("/data,1.raw".into());
        let error = check_new(&VFKIT, &with_disk).unwrap_err();
        assert!(error.to_string().contains("`/data,1.raw`"), "{error}");
    }

    #[test]
    fn paths_with_a_meaning_are_refused_and_others_are_not() {
        for good in ["/m", "/Users/Ann Lee/Library", "/Users/ä/ö"] {
            check(&VFKIT, &testing::plan(Path::new(good))).unwrap();
            check(&KRUNKIT, &testing::plan(Path::new(good))).unwrap();
        }
        let said = |flavour, home: &str| {
            let refused = check(flavour, &testing::plan(Path::new(home))).unwrap_err();
            refused.to_string()
        };
        assert_eq!(
            said(&VFKIT, "/a,b"),
            "`vfkit` cannot be told of the path `/a,b/disk.qcow2`: there is `,` in it"
        );
        for (flavour, home) in [(&VFKIT, "/a%20b"), (&VFKIT, "/a?b"), (&KRUNKIT, "/a=b")] {
            assert!(said(flavour, home).contains("there is `"), "{home}");
        }
        // A file is no URL.
        let mut plan = testing::plan(Path::new("/m"));
        plan.os_disk = "/100%/disk".into();
        check(&VFKIT, &plan).unwrap();
        plan.data_disk = Some("/a,b/data.raw".into());
        check(&VFKIT, &plan).unwrap_err();
    }
}
