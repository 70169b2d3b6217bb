//! Whether a program can be told of a path: both split their arguments at commas, and have no way to write one.

use std::path::Path;

use crate::provider::apple::flavour::Flavour;
use crate::provider::{LaunchPlan, ProviderError};

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
    for (path, reserved) in all {
        if let Some(why) = obstacle(path, reserved) {
            return Err(ProviderError::Unspeakable {
                program: flavour.program,
                path: path.clone(),
                why,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::apple::flavour::{KRUNKIT, VFKIT};
    use crate::provider::plan::testing;

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
