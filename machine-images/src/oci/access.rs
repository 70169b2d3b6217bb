//! What the host says about registries: which files hold passwords, certificates and mirrors. Plain data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where to look for credentials, mirrors and certificates. Files that do not exist say nothing; one that is there
/// and broken is an error as soon as it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Files in the format of containers-auth.json(5) or of docker's `config.json`; the first with an entry decides.
    pub auth_files: Vec<PathBuf>,
    /// The first of these files that exists is the host's `registries.conf`.
    pub registries_conf: Vec<PathBuf>,
    /// Directories of further such files, later ones win.
    pub registries_conf_d: Vec<PathBuf>,
    /// Directories with one directory per registry, of certificates; the first that has one for it is taken.
    pub certs_d: Vec<PathBuf>,
    /// `--tls-verify`; without it, `insecure` of `registries.conf` decides.
    pub tls_verify: Option<bool>,
}

impl Access {
    /// Podman's places on this host. `variable` looks up an environment variable, `home` is the user's home.
    ///
    /// Credentials: `$REGISTRY_AUTH_FILE` alone where it is set, else `$XDG_RUNTIME_DIR/containers/auth.json`,
    /// `containers/auth.json` below the user's configuration, `$DOCKER_CONFIG/config.json` or, without the variable,
    /// `~/.docker/config.json`.
    pub fn of_host(home: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let in_home = |rest: &str| home.map(|home| home.join(rest));
        let configuration = path("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
        let auth_files = match path("REGISTRY_AUTH_FILE") {
            Some(file) => vec![file],
            None => [
                path("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
                configuration.map(|directory| directory.join("containers/auth.json")),
                path("DOCKER_CONFIG")
                    .or_else(|| in_home(".docker"))
                    .map(|directory| directory.join("config.json")),
            ]
            .into_iter()
            .flatten()
            .collect(),
        };
        let named = path("CONTAINERS_REGISTRIES_CONF").or_else(|| path("REGISTRIES_CONFIG_PATH"));
        let registries_conf = match named {
            Some(file) => vec![file],
            None => in_home(".config/containers/registries.conf")
                .into_iter()
                .chain([PathBuf::from("/etc/containers/registries.conf")])
                .collect(),
        };
        let registries_conf_d = [PathBuf::from("/etc/containers/registries.conf.d")]
            .into_iter()
            .chain(in_home(".config/containers/registries.conf.d"))
            .collect();
        let certs_d = in_home(".config/containers/certs.d")
            .into_iter()
            .chain(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from))
            .collect();
        Self {
            auth_files,
            registries_conf,
            registries_conf_d,
            certs_d,
            tls_verify: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Access {
        let find = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(found.1))
        };
        Access::of_host(Some(Path::new("/home/u")), find)
    }

    fn paths(texts: &[&str]) -> Vec<PathBuf> {
        texts.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_places_are_podmans() {
        let access = of(&[("DOCKER_CONFIG", "")]);
        assert_eq!(
            access.auth_files,
            paths(&[
                "/home/u/.config/containers/auth.json",
                "/home/u/.docker/config.json"
            ])
        );
        assert_eq!(
            access.registries_conf,
            paths(&[
                "/home/u/.config/containers/registries.conf",
                "/etc/containers/registries.conf"
            ])
        );
        assert_eq!(
            access.registries_conf_d,
            paths(&[
                "/etc/containers/registries.conf.d",
                "/home/u/.config/containers/registries.conf.d"
            ])
        );
        assert_eq!(
            access.certs_d,
            paths(&[
                "/home/u/.config/containers/certs.d",
                "/etc/containers/certs.d",
                "/etc/docker/certs.d"
            ])
        );
        assert_eq!(access.tls_verify, None);
        let nobody = Access::of_host(None, |_| None);
        assert_eq!(nobody.auth_files, paths(&[]));
        assert_eq!(
            nobody.registries_conf,
            paths(&["/etc/containers/registries.conf"])
        );
    }

    #[test]
    fn variables_name_other_places() {
        let access = of(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("DOCKER_CONFIG", "/d"),
            ("CONTAINERS_REGISTRIES_CONF", "/r.conf"),
        ]);
        let files = paths(&[
            "/run/user/1/containers/auth.json",
            "/c/containers/auth.json",
            "/d/config.json",
        ]);
        assert_eq!(access.auth_files, files);
        assert_eq!(access.registries_conf, paths(&["/r.conf"]));
        let access = of(&[("REGISTRY_AUTH_FILE", "/only"), ("DOCKER_CONFIG", "/d")]);
        assert_eq!(access.auth_files, paths(&["/only"]));
    }
}
