//! The configuration file of `machine` (`<config>` in docs/configuration.md).
//!
//! A key that is not known is an error, with the key that may have been meant: a mistyped limit that silently does
//! nothing is found too late.

use std::path::{Path, PathBuf};

use super::HostConfError;
use super::document::{Document, Section};
use super::layers::{self, Layer};
use crate::machine::nearest::nearest;
use crate::machine::ports::PortScope;
use crate::machine::settings::Wishes;
use crate::service::Wanted;

/// The format that is read; a newer one changes the meaning of keys.
pub const FORMAT: u64 = 1;

const ROOT_KEYS: [&str; 6] = [
    "format",
    "connection_scheme",
    "image",
    "machine",
    "ports",
    "supervisor",
];
const SUPERVISOR_KEYS: [&str; 1] = ["systemd"];
const PORTS_KEYS: [&str; 1] = ["bind"];
const IMAGE_KEYS: [&str; 2] = ["default", "mirrors"];
const MACHINE_KEYS: [&str; 11] = [
    "cpus",
    "memory",
    "disk_size",
    "image",
    "user",
    "rootful",
    "time_zone",
    "swap",
    "import_native_ca",
    "provider",
    "volumes",
];

/// What the file says. Everything may be unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How connections lead to machines; `ssh` where nothing is said.
    pub connection_scheme: Option<ConnectionScheme>,
    /// `[machine]`: what new machines are like.
    pub machine: MachineSettings,
    /// `[image] mirrors`: sites that have what Fedora CoreOS' own has, asked before it.
    pub image_mirrors: Vec<String>,
    /// `[ports] bind`: where machines' ports may listen; anywhere where nothing is said.
    pub ports: Option<PortScope>,
    /// `[supervisor] systemd`: whether supervisors are services of the user; `auto` where nothing is said.
    pub supervisor: Option<Wanted>,
    /// The file, where there is one.
    pub file: Option<PathBuf>,
}

/// How connections lead to machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionScheme {
    /// `ssh://` over the machine's SSH port, as podman has it.
    #[default]
    Ssh,
    /// `unix://` straight to the API socket.
    Socket,
}

/// `[machine]`: what new machines are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSettings {
    /// Virtual CPUs.
    pub cpus: Option<u64>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Disk in GiB.
    pub disk_size: Option<u64>,
    /// The image: `image` here, or `default` in `[image]`.
    pub image: Option<String>,
    /// The user in the guest.
    pub user: Option<String>,
    /// Whether the API socket is the engine of root.
    pub rootful: Option<bool>,
    /// The guest's time zone.
    pub time_zone: Option<String>,
    /// Compressed swap space in MiB.
    pub swap: Option<u64>,
    /// Whether the guest trusts the host's certificate authorities.
    pub import_native_ca: Option<bool>,
    /// What runs machines.
    pub provider: Option<String>,
    /// Folders of the host in the guest, as `--volume` has them, variables unexpanded.
    pub volumes: Option<Vec<String>>,
}

impl From<&Settings> for Wishes {
    fn from(settings: &Settings) -> Self {
        let machine = settings.machine.clone();
        Self {
            cpus: machine.cpus,
            memory_mib: machine.memory,
            disk_gib: machine.disk_size,
            image: machine.image,
            user: machine.user,
            provider: machine.provider,
            rootful: machine.rootful,
            time_zone: machine.time_zone,
            swap_mib: machine.swap,
            import_native_ca: machine.import_native_ca,
            volumes: machine.volumes,
        }
    }
}

/// Reads the file; without one everything is unset.
pub(super) fn read(path: &Path) -> Result<Settings, HostConfError> {
    match layers::read(path)? {
        None => Ok(Settings::default()),
        Some(layer) => parse(&layer),
    }
}

fn parse(layer: &Layer) -> Result<Settings, HostConfError> {
    let document = Document::parse(layer)?;
    let root = document.root();
    // First, since a newer format may have other keys.
    if let Some(found) = root.unsigned("format")?
        && found != FORMAT
    {
        return Err(HostConfError::Newer {
            path: layer.path.clone(),
            found,
            supported: FORMAT,
        });
    }
    let machine = document.section("machine")?;
    check_keys(layer, &root, "", &ROOT_KEYS)?;
    check_keys(layer, &machine, "machine.", &MACHINE_KEYS)?;
    let image = document.section("image")?;
    check_keys(layer, &image, "image.", &IMAGE_KEYS)?;
    let ports = document.section("ports")?;
    check_keys(layer, &ports, "ports.", &PORTS_KEYS)?;
    let supervisor = document.section("supervisor")?;
    check_keys(layer, &supervisor, "supervisor.", &SUPERVISOR_KEYS)?;
    let own_image = machine.text("image")?;
    let default_image = image.text("default")?;
    if own_image.is_some() && default_image.is_some() {
        return Err(HostConfError::Twice {
            path: layer.path.clone(),
            keys: ["image.default", "machine.image"],
        });
    }
    Ok(Settings {
        connection_scheme: root.word(
            "connection_scheme",
            "\"ssh\" or \"socket\"",
            &[
                ("ssh", ConnectionScheme::Ssh),
                ("socket", ConnectionScheme::Socket),
            ],
        )?,
        machine: MachineSettings {
            cpus: machine.unsigned("cpus")?,
            memory: machine.unsigned("memory")?,
            disk_size: machine.unsigned("disk_size")?,
            image: default_image.or(own_image),
            user: machine.text("user")?,
            rootful: machine.boolean("rootful")?,
            time_zone: machine.text("time_zone")?,
            swap: machine.unsigned("swap")?,
            import_native_ca: machine.boolean("import_native_ca")?,
            provider: machine.text("provider")?,
            volumes: machine.list("volumes")?.map(|list| list.items),
        },
        image_mirrors: image
            .list("mirrors")?
            .map_or_else(Vec::new, |list| list.items),
        ports: ports.word(
            "bind",
            "\"all\" or \"loopback\"",
            &[("all", PortScope::All), ("loopback", PortScope::Loopback)],
        )?,
        supervisor: supervisor.word(
            "systemd",
            "\"auto\", \"always\" or \"off\"",
            &[
                ("auto", Wanted::Auto),
                ("always", Wanted::Always),
                ("off", Wanted::Off),
            ],
        )?,
        file: Some(layer.path.clone()),
    })
}

fn check_keys(
    layer: &Layer,
    section: &Section<'_, '_>,
    prefix: &str,
    known: &[&'static str],
) -> Result<(), HostConfError> {
    let unknown = section
        .keys()
        .into_iter()
        .find(|(key, _)| !known.contains(&key.as_str()));
    match unknown {
        None => Ok(()),
        Some((key, line)) => Err(HostConfError::UnknownKey {
            path: layer.path.clone(),
            line,
            nearest: nearest(&key, known),
            key: format!("{prefix}{key}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Settings, HostConfError> {
        parse(&Layer {
            path: PathBuf::from("/c/config.toml"),
            text: text.to_owned(),
        })
    }

    fn complaint(text: &str) -> (String, String) {
        let error = parsed(text).expect_err(text);
        (error.to_string(), error.hints().join("; "))
    }

    #[test]
    fn every_key() {
        let text = r#"
            format = 1
            connection_scheme = "socket"
            [image]
            mirrors = ["https://m/fcos/", "http://10.0.0.1"]
            [machine]
            cpus = 3
            memory = 0x1000
            disk_size = 1_000
            image = "/images/fcos.qcow2"
            user = "ann"
            rootful = true
            time_zone = "Europe/Berlin"
            swap = 512
            import_native_ca = true
            provider = "qemu"
            volumes = ["$HOME/src:/src:ro"]
            [ports]
            bind = "loopback"
            [supervisor]
            systemd = "off"
        "#;
        let expected = Settings {
            connection_scheme: Some(ConnectionScheme::Socket),
            machine: MachineSettings {
                cpus: Some(3),
                memory: Some(4096),
                disk_size: Some(1000),
                image: Some("/images/fcos.qcow2".to_owned()),
                user: Some("ann".to_owned()),
                rootful: Some(true),
                time_zone: Some("Europe/Berlin".to_owned()),
                swap: Some(512),
                import_native_ca: Some(true),
                provider: Some("qemu".to_owned()),
                volumes: Some(vec!["$HOME/src:/src:ro".to_owned()]),
            },
            image_mirrors: vec!["https://m/fcos/".to_owned(), "http://10.0.0.1".to_owned()],
            ports: Some(PortScope::Loopback),
            supervisor: Some(Wanted::Off),
            file: Some(PathBuf::from("/c/config.toml")),
        };
        assert_eq!(parsed(text).expect("a good file"), expected);
        for key in MACHINE_KEYS {
            assert!(text.contains(&format!("{key} =")), "{key} is not tried");
        }
    }

    #[test]
    fn the_default_image_has_two_names() {
        for text in ["[image]\ndefault = \"next\"", "[machine]\nimage = \"next\""] {
            let wishes = Wishes::from(&parsed(text).expect("a good file"));
            assert_eq!(wishes.image.as_deref(), Some("next"), "{text}");
        }
    }

    #[test]
    fn nothing_is_set_in_an_empty_file_and_without_one() {
        let empty = parsed("# nothing\n").expect("a good file");
        assert_eq!(empty.machine, MachineSettings::default());
        assert_eq!(empty.connection_scheme, None);
        let none = read(Path::new("/nowhere/config.toml")).expect("no file is no error");
        assert_eq!(none, Settings::default());
    }

    #[test]
    fn a_slip_is_named_with_its_line() {
        assert_eq!(
            complaint("format = 1\n\n[machine]\nmemroy = 1"),
            (
                "`/c/config.toml`, line 4: unknown key `machine.memroy`".to_owned(),
                "did you mean `memory`?".to_owned()
            )
        );
        assert_eq!(
            complaint("[machines]\ncpus = 1"),
            (
                "`/c/config.toml`, line 1: unknown key `machines`".to_owned(),
                "did you mean `machine`?".to_owned()
            )
        );
        let (text, hint) = complaint("colour = 1");
        assert_eq!(text, "`/c/config.toml`, line 1: unknown key `colour`");
        assert!(hint.contains("docs/configuration.md"), "{hint}");
    }

    #[test]
    fn wrong_values_are_named_with_their_line() {
        for (text, expected) in [
            (
                "[machine]\ncpus = \"two\"",
                "`/c/config.toml`, line 2: `machine.cpus` must be a whole number of at least 0, not the text `two`",
            ),
            (
                "[machine]\ncpus = -1",
                "`/c/config.toml`, line 2: `machine.cpus` must be a whole number of at least 0, not `-1`",
            ),
            (
                "[machine]\nrootful = \"yes\"",
                "`/c/config.toml`, line 2: `machine.rootful` must be true or false, not the text `yes`",
            ),
            (
                "[ports]\nbind = \"0.0.0.0\"",
                "`/c/config.toml`, line 2: `ports.bind` must be \"all\" or \"loopback\", not the text `0.0.0.0`",
            ),
            (
                "connection_scheme = \"tcp\"",
                "`/c/config.toml`, line 1: `connection_scheme` must be \"ssh\" or \"socket\", not the text `tcp`",
            ),
            (
                "[supervisor]\nsystemd = true",
                "`/c/config.toml`, line 2: `supervisor.systemd` must be \"auto\", \"always\" or \"off\", not `true`",
            ),
            (
                "machine = 3",
                "`/c/config.toml`, line 1: `machine` must be a table, not `3`",
            ),
            (
                "format = 2\nlater = true",
                "`/c/config.toml` has format 2; this version of `machine` reads format 1",
            ),
        ] {
            assert_eq!(complaint(text).0, expected, "{text}");
        }
        assert_eq!(
            complaint("[image]\ndefault = \"next\"\n[machine]\nimage = \"next\""),
            (
                "`/c/config.toml` has `image.default` and `machine.image`, which mean the same"
                    .to_owned(),
                "remove one of the two".to_owned()
            )
        );
        let (text, hint) = complaint("[machine\ncpus = 1");
        assert!(text.starts_with("`/c/config.toml`, line 1: "), "{text}");
        assert_eq!(hint, "correct line 1 of `/c/config.toml`");
    }
}
