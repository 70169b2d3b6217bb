//! Where the files of `machine` live, decided from the environment alone.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::sys::{self, Platform};

/// The variable that moves all of machine's files, for tests and for several setups side by side.
pub const MACHINE_HOME: &str = "MACHINE_HOME";

/// The places of a user's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// Machines and images.
    pub data: PathBuf,
    /// The configuration file; it need not exist.
    pub config_file: PathBuf,
    /// Parent of the sockets whose path in the machine's own directory would be too long.
    pub short_sockets: PathBuf,
    /// The user's home directory.
    pub home: PathBuf,
}

/// Why the places could not be decided.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// No variable names the home directory and the user database has none.
    #[error("No home directory is known: `{variable}` is not set")]
    NoHome {
        /// The variable that was asked for.
        variable: &'static str,
    },
    /// A relative path would mean another place in each working directory.
    #[error("`{variable}` must be an absolute path, not `{}`", path.display())]
    Relative {
        /// The variable that holds the path.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
    },
}

impl Directories {
    /// Decides from the variables that `env` returns. An empty variable counts as not set.
    pub fn resolve(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, DirectoryError> {
        Self::resolve_for(sys::PLATFORM, env)
    }

    /// Decides from the environment of this process, and asks the system for what it does not name.
    pub fn from_environment() -> Result<Self, DirectoryError> {
        Self::resolve(&environment)
    }

    /// The directory of the user's files for container tools, `containers.conf` and the connections among them. It is
    /// podman's, so [`MACHINE_HOME`] does not move it.
    pub fn containers(env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, DirectoryError> {
        containers_for(sys::PLATFORM, env)
    }

    fn resolve_for(
        platform: Platform,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, DirectoryError> {
        let variable = |name: &str| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home_variable = match platform {
            Platform::Xdg => "HOME",
            Platform::Windows => "USERPROFILE",
        };
        let home = match variable(home_variable) {
            Some(path) => Ok(absolute(platform, home_variable, path)?),
            None => Err(DirectoryError::NoHome {
                variable: home_variable,
            }),
        };
        if let Some(root) = variable(MACHINE_HOME) {
            let root = absolute(platform, MACHINE_HOME, root)?;
            return Ok(Self {
                data: root.join("data"),
                config_file: root.join("config.toml"),
                short_sockets: root.join("s"),
                // Services may run without a home; with everything else given, none is needed.
                home: home.unwrap_or(root),
            });
        }
        let home = home?;
        let (data, config) = match platform {
            // A relative path is invalid by the XDG specification and is to be ignored.
            Platform::Xdg => {
                let base = |name: &str, default: &str| {
                    variable(name)
                        .filter(|path| is_absolute(platform, path))
                        .unwrap_or_else(|| home.join(default))
                };
                (
                    base("XDG_DATA_HOME", ".local/share"),
                    base("XDG_CONFIG_HOME", ".config"),
                )
            }
            Platform::Windows => {
                let base = |name: &'static str, default: &str| match variable(name) {
                    Some(path) => absolute(platform, name, path),
                    None => Ok(home.join("AppData").join(default)),
                };
                (base("LOCALAPPDATA", "Local")?, base("APPDATA", "Roaming")?)
            }
        };
        Ok(Self {
            data: data.join("machine"),
            config_file: config.join("machine").join("config.toml"),
            short_sockets: home.join(".machine"),
            home,
        })
    }
}

fn containers_for(
    platform: Platform,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, DirectoryError> {
    let variable = |name: &'static str| {
        let path = env(name).filter(|value| !value.is_empty())?;
        Some(absolute(platform, name, PathBuf::from(path)))
    };
    let (base, home, below) = match platform {
        Platform::Xdg => ("XDG_CONFIG_HOME", "HOME", ".config"),
        Platform::Windows => ("APPDATA", "USERPROFILE", r"AppData\Roaming"),
    };
    let base = match variable(base) {
        Some(path) => path?,
        None => variable(home)
            .ok_or(DirectoryError::NoHome { variable: home })??
            .join(below),
    };
    Ok(base.join("containers"))
}

/// The environment of this process, with what the system knows where a variable is not set.
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .or_else(|| {
            match name {
                "HOME" | "USERPROFILE" => dirs::home_dir(),
                "LOCALAPPDATA" => dirs::data_local_dir(),
                "APPDATA" => dirs::config_dir(),
                _ => None,
            }
            .map(PathBuf::into_os_string)
        })
}

fn absolute(
    platform: Platform,
    variable: &'static str,
    path: PathBuf,
) -> Result<PathBuf, DirectoryError> {
    if is_absolute(platform, &path) {
        Ok(path)
    } else {
        Err(DirectoryError::Relative { variable, path })
    }
}

/// `Path::is_absolute` knows only the rules of the system it was compiled for; the tables of all
/// systems are tested on each.
fn is_absolute(platform: Platform, path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    match platform {
        Platform::Xdg => bytes.first() == Some(&b'/'),
        Platform::Windows => {
            bytes.starts_with(br"\\")
                || matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(platform: Platform, set: &[(&str, &str)]) -> Result<Directories, DirectoryError> {
        Directories::resolve_for(platform, &|name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    /// The separators of the system the test runs on do not matter here.
    fn plain(path: &Path) -> String {
        path.display().to_string().replace('\\', "/")
    }

    /// Platform, variables, and the four places in the order of the fields.
    type Case<'a> = (Platform, &'a [(&'a str, &'a str)], [&'a str; 4]);

    #[test]
    fn table_of_places() {
        let xdg = Platform::Xdg;
        let windows = Platform::Windows;
        let cases: &[Case<'_>] = &[
            (
                xdg,
                &[("HOME", "/home/ann")],
                [
                    "/home/ann/.local/share/machine",
                    "/home/ann/.config/machine/config.toml",
                    "/home/ann/.machine",
                    "/home/ann",
                ],
            ),
            (
                xdg,
                &[
                    ("HOME", "/h"),
                    ("XDG_DATA_HOME", "/d"),
                    ("XDG_CONFIG_HOME", "/c"),
                ],
                ["/d/machine", "/c/machine/config.toml", "/h/.machine", "/h"],
            ),
            (
                xdg,
                &[
                    ("HOME", "/h"),
                    ("XDG_DATA_HOME", "relative"),
                    ("XDG_CONFIG_HOME", ""),
                ],
                [
                    "/h/.local/share/machine",
                    "/h/.config/machine/config.toml",
                    "/h/.machine",
                    "/h",
                ],
            ),
            (
                xdg,
                &[
                    ("HOME", "/h"),
                    ("XDG_DATA_HOME", "/d"),
                    ("MACHINE_HOME", "/m"),
                ],
                ["/m/data", "/m/config.toml", "/m/s", "/h"],
            ),
            (
                xdg,
                &[("MACHINE_HOME", "/m")],
                ["/m/data", "/m/config.toml", "/m/s", "/m"],
            ),
            (
                windows,
                &[
                    ("USERPROFILE", r"C:\Users\ann"),
                    ("LOCALAPPDATA", r"C:\Users\ann\AppData\Local"),
                    ("APPDATA", r"C:\Users\ann\AppData\Roaming"),
                    ("XDG_DATA_HOME", "/ignored"),
                ],
                [
                    "C:/Users/ann/AppData/Local/machine",
                    "C:/Users/ann/AppData/Roaming/machine/config.toml",
                    "C:/Users/ann/.machine",
                    "C:/Users/ann",
                ],
            ),
            (
                windows,
                &[("USERPROFILE", r"C:\Users\ann"), ("MACHINE_HOME", r"D:\m")],
                ["D:/m/data", "D:/m/config.toml", "D:/m/s", "C:/Users/ann"],
            ),
        ];
        for (platform, set, expected) in cases {
            let found = resolve(*platform, set).unwrap();
            let found = [
                &found.data,
                &found.config_file,
                &found.short_sockets,
                &found.home,
            ];
            assert_eq!(
                found.map(|path| plain(path)),
                *expected,
                "{platform:?} {set:?}"
            );
        }
    }

    #[test]
    fn container_tools_have_a_place_of_their_own() {
        let place = |platform, set: &[(&str, &str)]| {
            let env = |name: &str| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            containers_for(platform, &env).map(|path| plain(&path))
        };
        let set: &[(&str, &str)] = &[("HOME", "/h"), ("MACHINE_HOME", "/m")];
        assert_eq!(place(Platform::Xdg, set).unwrap(), "/h/.config/containers");
        let set = &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")];
        assert_eq!(place(Platform::Xdg, set).unwrap(), "/c/containers");
        let set = &[("APPDATA", r"C:\Users\ann\AppData\Roaming")];
        let expected = "C:/Users/ann/AppData/Roaming/containers";
        assert_eq!(place(Platform::Windows, set).unwrap(), expected);
        assert!(place(Platform::Xdg, &[("MACHINE_HOME", "/m")]).is_err());
    }

    #[test]
    fn missing_home_and_relative_paths_are_refused() {
        let text = |platform, set: &[(&str, &str)]| resolve(platform, set).unwrap_err().to_string();
        assert_eq!(
            text(Platform::Xdg, &[("XDG_DATA_HOME", "/d")]),
            "No home directory is known: `HOME` is not set"
        );
        assert_eq!(
            text(Platform::Xdg, &[("HOME", "/h"), ("MACHINE_HOME", "m")]),
            "`MACHINE_HOME` must be an absolute path, not `m`"
        );
        assert_eq!(
            text(Platform::Windows, &[("USERPROFILE", r"\Users\ann")]),
            r"`USERPROFILE` must be an absolute path, not `\Users\ann`"
        );
    }

    #[test]
    fn this_environment_has_places() {
        let found = Directories::from_environment().unwrap();
        assert!(found.home.is_absolute(), "{found:?}");
        assert!(found.data.is_absolute(), "{found:?}");
    }
}
