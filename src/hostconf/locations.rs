//! Where `containers.conf` lies (spec 1.2, 1.3), from the system's defaults to the user's last word.
//!
//! ```text
//! vendor   /usr/share/containers/containers.conf            (none on Windows)
//! admin    /etc/containers/containers.conf                  %ProgramData%\containers\containers.conf
//! user     ${XDG_CONFIG_HOME:-~/.config}/containers/…       %APPDATA%\containers\containers.conf
//! ```
//!
//! Behind each file come its drop-ins: `containers.conf.d`, and for the system's two also `containers.rootful.conf.d`
//! for root or `containers.rootless.conf.d` and `…/UID` for everybody else, as podman 6 has them. `CONTAINERS_CONF`
//! names a file that stands for all of this, `CONTAINERS_CONF_OVERRIDE` one that is read last in any case.

use std::path::{Path, PathBuf};

use super::Environment;

/// Names the only file that is read.
pub const CONTAINERS_CONF: &str = "CONTAINERS_CONF";
/// Names the file that is read last.
pub const CONTAINERS_CONF_OVERRIDE: &str = "CONTAINERS_CONF_OVERRIDE";

const NAME: &str = "containers.conf";

/// The two conventions for the places of system and user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// Linux and macOS.
    Unix,
    /// Windows.
    Windows,
}

/// A place with configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file that need not be there.
    File(PathBuf),
    /// A directory that need not be there; its `*.conf` count, in the order of their names.
    DropIns(PathBuf),
    /// A file that a variable names, so that it must be there.
    Named {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// All places, lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations(Vec<Place>);

impl Locations {
    /// The places of the user with this home directory and number.
    pub fn locate(convention: Convention, home: &Path, uid: u32, env: &Environment<'_>) -> Self {
        let variable = |name: &str| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let mut places = Vec::new();
        if let Some(path) = variable(CONTAINERS_CONF) {
            places.push(Place::Named {
                variable: CONTAINERS_CONF,
                path,
            });
        } else {
            let system = match convention {
                Convention::Unix => vec![
                    PathBuf::from("/usr/share/containers"),
                    PathBuf::from("/etc/containers"),
                ],
                Convention::Windows => variable("ProgramData")
                    .map(|directory| directory.join("containers"))
                    .into_iter()
                    .collect(),
            };
            for directory in system {
                places.push(Place::File(directory.join(NAME)));
                places.push(drop_ins(&directory, ""));
                match (convention, uid) {
                    (Convention::Windows, _) => {}
                    (Convention::Unix, 0) => places.push(drop_ins(&directory, ".rootful")),
                    (Convention::Unix, uid) => {
                        let rootless = directory.join("containers.rootless.conf.d");
                        places.push(Place::DropIns(rootless.clone()));
                        places.push(Place::DropIns(rootless.join(uid.to_string())));
                    }
                }
            }
            let user = match convention {
                Convention::Unix => {
                    variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"))
                }
                Convention::Windows => {
                    variable("APPDATA").unwrap_or_else(|| home.join("AppData").join("Roaming"))
                }
            }
            .join("containers");
            places.push(Place::File(user.join(NAME)));
            places.push(drop_ins(&user, ""));
        }
        if let Some(path) = variable(CONTAINERS_CONF_OVERRIDE) {
            places.push(Place::Named {
                variable: CONTAINERS_CONF_OVERRIDE,
                path,
            });
        }
        Self(places)
    }

    /// One file that need not be there, with its drop-ins.
    pub(super) fn only(path: PathBuf) -> Self {
        let mut drop_ins = path.clone().into_os_string();
        drop_ins.push(".d");
        Self(vec![
            Place::File(path),
            Place::DropIns(PathBuf::from(drop_ins)),
        ])
    }

    /// The places, lowest first.
    pub fn places(&self) -> &[Place] {
        &self.0
    }
}

fn drop_ins(directory: &Path, kind: &str) -> Place {
    Place::DropIns(directory.join(format!("containers{kind}.conf.d")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn places(convention: Convention, uid: u32, set: &[(&str, &str)]) -> Vec<String> {
        let env = |name: &str| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        let plain = |path: &PathBuf| path.display().to_string().replace('\\', "/");
        Locations::locate(convention, Path::new("/home/ann"), uid, &env)
            .places()
            .iter()
            .map(|place| match place {
                Place::File(path) => plain(path),
                Place::DropIns(path) => format!("{}/*", plain(path)),
                Place::Named { variable, path } => format!("{variable}={}", plain(path)),
            })
            .collect()
    }

    #[test]
    fn of_a_user() {
        assert_eq!(
            places(Convention::Unix, 1000, &[]),
            [
                "/usr/share/containers/containers.conf",
                "/usr/share/containers/containers.conf.d/*",
                "/usr/share/containers/containers.rootless.conf.d/*",
                "/usr/share/containers/containers.rootless.conf.d/1000/*",
                "/etc/containers/containers.conf",
                "/etc/containers/containers.conf.d/*",
                "/etc/containers/containers.rootless.conf.d/*",
                "/etc/containers/containers.rootless.conf.d/1000/*",
                "/home/ann/.config/containers/containers.conf",
                "/home/ann/.config/containers/containers.conf.d/*",
            ]
        );
    }

    #[test]
    fn of_root_with_xdg() {
        assert_eq!(
            places(Convention::Unix, 0, &[("XDG_CONFIG_HOME", "/c")])[5..],
            [
                "/etc/containers/containers.rootful.conf.d/*",
                "/c/containers/containers.conf",
                "/c/containers/containers.conf.d/*",
            ]
        );
    }

    #[test]
    fn on_windows() {
        let set = [("ProgramData", "C:/ProgramData"), ("APPDATA", "C:/Roaming")];
        assert_eq!(
            places(Convention::Windows, 1000, &set),
            [
                "C:/ProgramData/containers/containers.conf",
                "C:/ProgramData/containers/containers.conf.d/*",
                "C:/Roaming/containers/containers.conf",
                "C:/Roaming/containers/containers.conf.d/*",
            ]
        );
    }

    #[test]
    fn named_by_variables() {
        let set = [("CONTAINERS_CONF", "/a"), ("CONTAINERS_CONF_OVERRIDE", "b")];
        assert_eq!(
            places(Convention::Unix, 1000, &set),
            ["CONTAINERS_CONF=/a", "CONTAINERS_CONF_OVERRIDE=b"]
        );
        let set = [("CONTAINERS_CONF", ""), ("CONTAINERS_CONF_OVERRIDE", "/b")];
        let found = places(Convention::Unix, 1000, &set);
        assert_eq!(found.len(), 11);
        assert_eq!(found[10], "CONTAINERS_CONF_OVERRIDE=/b");
    }
}
