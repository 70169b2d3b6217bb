//! `machine.toml` and `last-up`: from text and to text.
//!
//! The format is `MAJOR.MINOR`. A newer minor adds keys that an older program may pass over, so it is read; a newer
//! major changes meaning, so it is refused. A change touches the keys whose values change and nothing else, so comments
//! and unknown keys survive; a document of a newer minor is not changed at all, for it may hold what follows from the
//! changed value.

use std::io;
use std::path::Path;

use fs_err as fs;
use jiff::Timestamp;
use machine_host::atomic::{self, Access};
use serde::Deserialize;

use super::{CorruptReason, MachineFiles, StoreError};
use crate::machine::{MachineConfig, MachineName};

/// The format that is written.
const FORMAT: Format = Format { major: 1, minor: 7 };

/// The keys that are left out where they say nothing. All others are written whatever their value is.
const OPTIONAL: [&str; 4] = ["image_checksum", "base", "generation", "data_disk"];

/// The version of a document's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    major: u32,
    minor: u32,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let (major, minor) = text.split_once('.')?;
        let format = Self {
            major: number(major)?,
            minor: number(minor)?,
        };
        (format.major > 0).then_some(format)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[derive(Deserialize)]
struct Header {
    format: String,
}

/// Reads `machine.toml`.
pub(super) fn parse(
    name: &MachineName,
    path: &Path,
    bytes: &[u8],
) -> Result<MachineConfig, StoreError> {
    let corrupt = |reason| StoreError::corrupt(name, path, reason);
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt(CorruptReason::NotText))?;
    let header: Header = toml::from_str(text).map_err(|error| corrupt(error.into()))?;
    let format = Format::parse(&header.format)
        .ok_or_else(|| corrupt(CorruptReason::Format(header.format.clone())))?;
    if format.major > FORMAT.major {
        return Err(newer(name, path, format));
    }
    let config: MachineConfig = toml::from_str(text).map_err(|error| corrupt(error.into()))?;
    config.check().map_err(|error| corrupt(error.into()))?;
    Ok(config)
}

/// Writes `machine.toml`.
pub(super) fn render(config: &MachineConfig) -> Result<String, StoreError> {
    let body = body(config)?;
    Ok(format!(
        "# What was asked for when this machine was made. Memory is in MiB, the disk in GiB.\n\
         # Edit it while the machine is stopped; `name`, `disk`, `base`, `generation`, `data_disk` and `sockets` have to stay.\n\
         format = \"{FORMAT}\"\n{body}"
    ))
}

fn body(config: &MachineConfig) -> Result<String, StoreError> {
    // All else in it is text and numbers.
    toml::to_string(config).map_err(|_| StoreError::NotUnicode(config.sockets.clone()))
}

/// Changes what differs between the document `old` and `config`, and leaves everything else as it is.
pub(super) fn amend(
    name: &MachineName,
    path: &Path,
    old: &[u8],
    config: &MachineConfig,
) -> Result<String, StoreError> {
    let corrupt = |reason| StoreError::corrupt(name, path, reason);
    let text = std::str::from_utf8(old).map_err(|_| corrupt(CorruptReason::NotText))?;
    let header: Header = toml::from_str(text).map_err(|error| corrupt(error.into()))?;
    let format = Format::parse(&header.format)
        .ok_or_else(|| corrupt(CorruptReason::Format(header.format.clone())))?;
    if (format.major, format.minor) > (FORMAT.major, FORMAT.minor) {
        return Err(newer(name, path, format));
    }
    let mut document: toml_edit::DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| corrupt(error.into()))?;
    let wanted: toml_edit::DocumentMut = body(config)?
        .parse()
        .map_err(|error: toml_edit::TomlError| corrupt(error.into()))?;
    merge(document.as_table_mut(), wanted.as_table());
    for key in OPTIONAL {
        if !wanted.contains_key(key) {
            document.remove(key);
        }
    }
    document["format"] = toml_edit::value(FORMAT.to_string());
    Ok(document.to_string())
}

/// A table may also be written in one line, which is no table to its parser.
fn merge(into: &mut dyn toml_edit::TableLike, from: &dyn toml_edit::TableLike) {
    for (key, item) in from.iter() {
        if let (Some(old), Some(new)) = (
            into.get_mut(key)
                .and_then(toml_edit::Item::as_table_like_mut),
            item.as_table_like(),
        ) {
            merge(old, new);
            continue;
        }
        match (into.get_mut(key), item) {
            (Some(toml_edit::Item::Value(old)), toml_edit::Item::Value(new)) => {
                let decor = old.decor().clone();
                *old = new.clone();
                *old.decor_mut() = decor;
            }
            (_, new) => {
                into.insert(key, new.clone());
            }
        }
    }
}

fn newer(name: &MachineName, path: &Path, format: Format) -> StoreError {
    StoreError::Newer {
        name: name.clone(),
        path: path.to_owned(),
        found: format.to_string(),
        supported: FORMAT.to_string(),
    }
}

/// Notes when a machine was last up. It is its supervisor's to write, who holds the run lock; the time is history and
/// decides nothing.
pub fn write_last_up(files: &MachineFiles, time: Timestamp) -> io::Result<()> {
    atomic::write(
        &files.last_up(),
        format!("{time}\n").as_bytes(),
        Access::Private,
    )
}

/// When the machine was last up. The file decides nothing, so one that cannot be read means never.
pub(super) fn read_last_up(files: &MachineFiles) -> Option<Timestamp> {
    fs::read_to_string(files.last_up())
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, name};
    use super::*;
    use crate::machine::{DataDisk, Volume};

    const PATH: &str = "/m/dev/machine.toml";

    fn read(text: &str) -> Result<MachineConfig, StoreError> {
        parse(&name("dev"), Path::new(PATH), text.as_bytes())
    }

    fn golden(file: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/store");
        fs::read_to_string(folder.join(file)).unwrap()
    }

    fn chain(error: &StoreError) -> String {
        let mut links = vec![error.to_string()];
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            links.push(error.to_string());
            source = error.source();
        }
        links.join(
            "
",
        )
    }

    #[test]
    fn what_is_written_is_the_golden_file_and_is_read_back() {
        let config = recreated();
        let text = render(&config).unwrap();
        assert_eq!(text, golden("machine-1.7.toml"));
        assert_eq!(read(&text).unwrap(), config);
    }

    /// With every key that is left out where it says nothing.
    fn recreated() -> MachineConfig {
        MachineConfig {
            image_checksum: Some("sha256:00".to_owned()),
            base: Some(crate::machine::DiskFormat::Raw),
            generation: 2,
            data_disk: Some(DataDisk::Own),
            volumes: vec![Volume {
                source: "/src".into(),
                target: "/mnt/src".to_owned(),
                read_only: false,
                watch: true,
            }],
            ..config("dev", "/m/dev")
        }
    }

    #[test]
    fn a_data_disk_is_own_or_a_path() {
        let with = |value: &str| {
            read(&golden("machine-1.7.toml").replace("\"own\"", value))
                .map(|config| config.data_disk)
                .map_err(|error| chain(&error))
        };
        assert_eq!(with("\"own\"").unwrap(), Some(DataDisk::Own));
        let there = Some(DataDisk::At("/a b/c.raw".into()));
        assert_eq!(with("'/a b/c.raw'").unwrap(), there);
        let mut config = recreated();
        config.data_disk = there;
        assert_eq!(read(&render(&config).unwrap()).unwrap(), config);
        for (value, expected) in [
            ("'c.raw'", "The data disk `c.raw` is not an absolute path"),
            ("'Own'", "The data disk `Own` is not an absolute path"),
            ("''", "a data disk is `own` or a path"),
            ("true", "invalid type"),
        ] {
            let error = with(value).unwrap_err();
            assert!(error.contains(expected), "{value}: {error}");
        }
    }

    /// A key that is left out of the new text would keep its old value.
    #[test]
    fn what_is_said_no_more_goes() {
        let old = render(&recreated())
            .unwrap()
            .replace("cpus = 2", "cpus = 2 # enough");
        let wanted = config("dev", "/m/dev");
        let new = amend(&name("dev"), Path::new(PATH), old.as_bytes(), &wanted).unwrap();
        assert_eq!(read(&new).unwrap(), wanted, "{new}");
        assert!(new.contains("cpus = 2 # enough"), "{new}");
    }

    #[test]
    fn the_first_format_is_read_with_what_came_later_at_its_default() {
        let first = read(&golden("machine-1.0.toml")).unwrap();
        let expected = MachineConfig {
            ssh_port: 0,
            ..config("dev", "/m/dev")
        };
        assert_eq!(first, expected);
        for later in [
            "machine-1.1.toml",
            "machine-1.2.toml",
            "machine-1.3.toml",
            "machine-1.4.toml",
            "machine-1.5.toml",
        ] {
            assert_eq!(read(&golden(later)).unwrap(), config("dev", "/m/dev"));
        }
        let expected = MachineConfig {
            volumes: Vec::new(),
            ..recreated()
        };
        assert_eq!(read(&golden("machine-1.6.toml")).unwrap(), expected);
    }

    #[test]
    fn a_change_leaves_comments_and_unknown_keys() {
        let old = golden("machine-1.0.toml")
            .replace("cpus = 2", "cpus = 2 # enough")
            .replace("[resources]", "mine = [1, 2]\n\n[resources]")
            + "\n[else]\nkey = \"kept\"\n";
        let mut wanted = read(&old).unwrap();
        wanted.resources.cpus = 4;
        wanted.rootful = true;
        let new = amend(&name("dev"), Path::new(PATH), old.as_bytes(), &wanted).unwrap();
        assert_eq!(read(&new).unwrap(), wanted);
        for kept in [
            "cpus = 4 # enough",
            "mine = [1, 2]",
            "[else]\nkey = \"kept\"",
            "# Edit it while",
            "rootful = true",
            "format = \"1.7\"",
        ] {
            assert!(new.contains(kept), "{kept}: {new}");
        }
    }

    /// A table in one line is one too.
    #[test]
    fn unknown_keys_of_a_table_in_one_line_stay() {
        let old = golden("machine-1.5.toml");
        let (top, table) = old.split_once("[resources]\n").unwrap();
        let keys: Vec<&str> = table.lines().collect();
        let old = format!("{top}resources = {{ {}, mine = 7 }}\n", keys.join(", "));
        let mut wanted = read(&old).unwrap();
        wanted.resources.cpus = 4;
        let new = amend(&name("dev"), Path::new(PATH), old.as_bytes(), &wanted).unwrap();
        assert_eq!(read(&new).unwrap(), wanted);
        assert!(new.contains("mine = 7"), "{new}");
    }

    /// A list goes as a whole, in both of its forms, and what a person wrote beside it stays.
    #[test]
    fn volumes_are_replaced() {
        let folder = |source: &str, read_only| Volume {
            source: source.into(),
            target: "/t ä".to_owned(),
            read_only,
            watch: !read_only,
        };
        let mut text = golden("machine-1.3.toml").replace("cpus = 2", "cpus = 2 # enough");
        for volumes in [
            vec![folder("/a b", false)],
            vec![folder("/c", true)],
            vec![],
            vec![folder("/d", false)],
            vec![],
        ] {
            let mut wanted = read(&text).unwrap();
            wanted.volumes = volumes;
            text = amend(&name("dev"), Path::new(PATH), text.as_bytes(), &wanted).unwrap();
            assert_eq!(read(&text).unwrap(), wanted, "{text}");
            assert!(text.contains("cpus = 2 # enough"), "{text}");
        }
    }

    #[test]
    fn sockets_are_replaced() {
        let socket = |host: &str, guest: &str| crate::machine::ForwardSocket {
            host: host.to_owned().into(),
            guest: guest.to_owned(),
        };
        let mut text = golden("machine-1.4.toml").replace("cpus = 2", "cpus = 2 # enough");
        for sockets in [
            vec![socket("ssh-agent", "/run/host/a")],
            vec![socket("/b c", "/run/host/b"), socket("/d", "/run/d ä")],
            vec![],
            vec![socket("/b", "/run/host/b")],
            vec![],
        ] {
            let mut wanted = read(&text).unwrap();
            wanted.forward_sockets = sockets;
            text = amend(&name("dev"), Path::new(PATH), text.as_bytes(), &wanted).unwrap();
            assert_eq!(read(&text).unwrap(), wanted, "{text}");
            assert!(text.contains("cpus = 2 # enough"), "{text}");
        }
    }

    /// A key that is left out of the new text would keep its old value.
    #[test]
    fn what_is_back_at_its_default_is_written() {
        let mut config = config("dev", "/m/dev");
        config.host_loopback = false;
        config.forward_listeners = true;
        config.network = crate::machine::Network::Passt;
        let closed = render(&config).unwrap();
        assert_eq!(read(&closed).unwrap(), config);
        let config = self::config("dev", "/m/dev");
        let path = Path::new(PATH);
        let open = amend(&name("dev"), path, closed.as_bytes(), &config).unwrap();
        assert_eq!(read(&open).unwrap(), config);
    }

    #[test]
    fn a_newer_minor_is_not_changed() {
        let old = golden("newer-minor.toml");
        let config = read(&old).unwrap();
        let error = amend(&name("dev"), Path::new(PATH), old.as_bytes(), &config).unwrap_err();
        assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    }

    #[test]
    fn a_newer_minor_with_unknown_keys_is_read() {
        let text = golden("newer-minor.toml");
        assert!(text.contains("format = \"1.8\"") && text.contains("[future]"));
        assert_eq!(
            read(&text).unwrap().resources,
            config("dev", "/m/dev").resources
        );
    }

    #[test]
    fn a_newer_major_is_refused_with_both_numbers_whatever_else_it_holds() {
        assert_eq!(
            read(&golden("newer-major.toml")).unwrap_err().to_string(),
            "Machine `dev` was made by a newer version of this program: \
             `/m/dev/machine.toml` has format 2.0, this version reads 1.7"
        );
    }

    #[test]
    fn damage_is_named() {
        let cases = [
            ("", "missing field `format`"),
            ("format = 1", "invalid type"),
            ("format = \"1\"", "format `1` is not two numbers"),
            ("format = \"0.9\"", "format `0.9`"),
            ("format = \"1.+1\"", "format `1.+1`"),
            ("format = \"99999999999.0\"", "is not two numbers"),
            ("format = \"1.0\"", "missing field `name`"),
            ("\u{0}\u{1}", "does not parse"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{text:?}");
            assert!(
                chain(&error).contains(expected),
                "{text:?}: {}",
                chain(&error)
            );
        }
        let error = parse(&name("dev"), Path::new(PATH), b"\xff\xfe").unwrap_err();
        assert!(chain(&error).contains("not UTF-8"));
        for file in ["truncated.toml", "wrong-type.toml", "no-resources.toml"] {
            let error = read(&golden(file)).unwrap_err();
            assert!(
                chain(&error).contains("does not parse"),
                "{file}: {}",
                chain(&error)
            );
        }
    }

    #[test]
    fn nonsense_by_hand_is_found() {
        let good = golden("machine-1.0.toml");
        let edits = [
            ("cpus = 2", "cpus = 0", "minimum of 1"),
            ("memory_mib = 2048", "memory_mib = 5", "minimum of 512"),
            ("disk_gib = 100", "disk_gib = 0", "outside the range"),
            ("user = \"core\"", "user = \"a b\"", "invalid username"),
            (
                "sockets = \"/m/dev\"",
                "sockets = \"m\"",
                "not an absolute path",
            ),
            ("name = \"dev\"", "name = \"../x\"", "invalid name"),
            (
                "provider = \"qemu\"",
                "provider = \"xen\"",
                "unknown variant",
            ),
            ("uid = 1000", "uid = -1", "invalid value"),
            (
                "uid = 1000",
                "uid = 1000\nvolumes = [{ source = \"/a\", target = \"/etc\" }]",
                "machine mount destination cannot be \"/etc\"",
            ),
            (
                "uid = 1000",
                "uid = 1000\nvolumes = [{ source = \"a\", target = \"/b\" }]",
                "`a` is not an absolute path",
            ),
            (
                "uid = 1000",
                "uid = 1000\nforward_sockets = [{ host = \"/a\", guest = \"/etc/a\" }]",
                "a socket of the host cannot be at `/etc/a`",
            ),
        ];
        for (old, new, expected) in edits {
            let edited = good.replace(old, new);
            assert_ne!(edited, good, "{old}");
            let error = read(&edited).unwrap_err();
            assert!(chain(&error).contains(expected), "{new}: {}", chain(&error));
        }
    }
}
