//! The host's time zone (spec 3.3): `TZ` if it names a zone, else that of the host's clock.

use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use super::platform;
use crate::hostconf::Environment;
use crate::machine::time_zone::is_name;

/// Where zone databases lie on Linux and macOS.
const DATABASES: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/var/db/timezone/zoneinfo",
    "/etc/zoneinfo",
];

/// The zone of the host at this moment.
pub(super) fn local(env: &Environment<'_>, warnings: &mut Vec<String>) -> Option<String> {
    let databases = databases(env);
    if let Some(value) = env("TZ").filter(|value| !value.is_empty()) {
        let value = value.to_string_lossy();
        match of_variable(&value, &databases) {
            Some(name) => return Some(name),
            None => warnings.push(format!(
                "TZ names no time zone that can be given to the machine; the host's clock decides: `{value}`"
            )),
        }
    }
    let zone = platform::clock_zone();
    if zone.is_none() {
        warnings
            .push("the host's time zone is not known; the machine keeps the one it has".to_owned());
    }
    zone
}

fn databases(env: &Environment<'_>) -> Vec<PathBuf> {
    let own = env("TZDIR").filter(|directory| !directory.is_empty());
    let known = DATABASES.map(PathBuf::from);
    own.into_iter()
        .map(PathBuf::from)
        .chain(known)
        .filter(|directory| directory.is_dir())
        .collect()
}

/// The zone that `TZ` names, with or without a colon, or as a file. Rules (`CET-1CEST`) are no names; they look like
/// some, so a name has to be in a database where there is one.
fn of_variable(value: &str, databases: &[PathBuf]) -> Option<String> {
    let value = value.strip_prefix(':').unwrap_or(value);
    if Path::new(value).is_absolute() {
        return of_link(Path::new(value));
    }
    if !is_name(value) {
        return None;
    }
    match databases
        .iter()
        .map(|database| database.join(value))
        .find(|file| file.is_file())
    {
        // An old name becomes the present one, which more guests know.
        Some(file) => of_link(&file).or_else(|| Some(value.to_owned())),
        None => databases.is_empty().then(|| value.to_owned()),
    }
}

/// The zone whose file a link leads to: what stands behind `zoneinfo` in the path.
pub(super) fn of_link(link: &Path) -> Option<String> {
    zone_of_path(&fs::canonicalize(link).ok()?)
        // A database may be a heap of links to files with other names.
        .or_else(|| zone_of_path(&fs::read_link(link).ok()?))
}

fn zone_of_path(path: &Path) -> Option<String> {
    let words: Vec<&str> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(word) => word.to_str(),
            _ => None,
        })
        .collect();
    // macOS has `zoneinfo.default` beside it.
    let at = words
        .iter()
        .rposition(|word| word.starts_with("zoneinfo"))?;
    let name = words[at + 1..].join("/");
    let name = name
        .strip_prefix("posix/")
        .or_else(|| name.strip_prefix("right/"))
        .unwrap_or(&name);
    is_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_paths() {
        for (path, expected) in [
            ("/usr/share/zoneinfo/Europe/Berlin", Some("Europe/Berlin")),
            ("../usr/share/zoneinfo/UTC", Some("UTC")),
            (
                "/var/db/timezone/zoneinfo/America/New_York",
                Some("America/New_York"),
            ),
            ("/usr/share/zoneinfo.default/Asia/Tokyo", Some("Asia/Tokyo")),
            (
                "/nix/store/x-tzdata/share/zoneinfo/Etc/UTC",
                Some("Etc/UTC"),
            ),
            (
                "/usr/share/zoneinfo/posix/Europe/Paris",
                Some("Europe/Paris"),
            ),
            (
                "/usr/share/zoneinfo/right/Europe/Paris",
                Some("Europe/Paris"),
            ),
            ("/etc/localtime", None),
            ("/usr/share/zoneinfo", None),
        ] {
            assert_eq!(zone_of_path(Path::new(path)).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn the_variable_names_a_zone_of_the_database_and_no_rule() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("zoneinfo");
        fs::create_dir_all(database.join("Europe")).unwrap();
        let berlin = database.join("Europe/Berlin");
        fs::write(&berlin, "TZif").unwrap();
        let databases = [database];
        let of = |value: &str| of_variable(value, &databases);
        assert_eq!(of("Europe/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(of(":Europe/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(
            of(berlin.to_str().unwrap()).as_deref(),
            Some("Europe/Berlin")
        );
        for none in [
            "CET-1CEST",
            "Europe/Nowhere",
            "<+03>-3",
            "../Europe/Berlin",
            ":",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        // Without a database the guest has to say whether it knows the name.
        assert_eq!(
            of_variable("Europe/Nowhere", &[]).as_deref(),
            Some("Europe/Nowhere")
        );
    }

    #[test]
    fn the_host_has_a_zone_or_says_that_it_has_none() {
        let mut warnings = Vec::new();
        let zone = local(&|_| None, &mut warnings);
        assert_eq!(
            zone.is_none(),
            !warnings.is_empty(),
            "{zone:?} {warnings:?}"
        );
        assert!(zone.is_none_or(|zone| is_name(&zone)));
    }

    #[test]
    fn a_variable_that_names_none_is_told() {
        let mut warnings = Vec::new();
        let env = |name: &str| (name == "TZ").then(|| "no zone at all".into());
        local(&env, &mut warnings);
        assert!(warnings[0].contains("`no zone at all`"), "{warnings:?}");
    }
}
