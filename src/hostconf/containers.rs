//! `containers.conf`: the keys that concern machines and connections (spec 1.3), from all its layers.
//!
//! Later layers win key by key. A list replaces the one before it, unless one of its items is `{append=true}`; that
//! mark holds for the layers behind it too, until one says `{append=false}`. A service destination replaces the one of
//! the same name as a whole. Unknown keys are podman's business, not ours.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::HostConfError;
use super::document::{Document, ListValue, Section};
use super::layers;
use super::locations::Locations;
use crate::machine::settings::Wishes;
use crate::machine::volume;

/// What `containers.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainersConf {
    /// `[machine]`.
    pub machine: MachineTable,
    /// `[engine]`.
    pub engine: EngineTable,
    /// `[containers] tz`: the default of `init --timezone`.
    pub tz: Option<String>,
    /// The files that were there, lowest first.
    pub files: Vec<PathBuf>,
}

/// `[machine]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineTable {
    /// Virtual CPUs.
    pub cpus: Option<u64>,
    /// Disk in GiB.
    pub disk_size: Option<u64>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// The image of new machines.
    pub image: Option<String>,
    /// The user in the guest.
    pub user: Option<String>,
    /// Shared folders as they are written, variables unexpanded ([`expand`]).
    pub volumes: ListSetting,
    /// The provider of new machines.
    pub provider: Option<String>,
    /// Rosetta in the guest.
    pub rosetta: Option<bool>,
    /// Whether the guest trusts the host's certificate authorities.
    pub import_native_ca: Option<bool>,
}

/// `[engine]`, as far as it concerns a host with machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineTable {
    /// Where helper programs are looked for.
    pub helper_binaries_dir: ListSetting,
    /// The default connection where the connections file has none.
    pub active_service: Option<String>,
    /// Connections that are read only.
    pub service_destinations: BTreeMap<String, Destination>,
    /// Variables that podman sets for itself where the environment has none of the name; Podman Desktop keeps the
    /// user's proxies here.
    pub env: EngineEnvironment,
}

/// A connection of `[engine.service_destinations.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// Where to.
    pub uri: String,
    /// The SSH key.
    pub identity: Option<String>,
    /// The client's certificate.
    pub tls_cert: Option<String>,
    /// The client's key.
    pub tls_key: Option<String>,
    /// The authority that signed the server's certificate.
    pub tls_ca: Option<String>,
    /// Whether it leads to a machine.
    pub is_machine: bool,
}

/// A list, which may add to a default instead of replacing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListSetting {
    items: Option<Vec<String>>,
    keeps_default: bool,
    append: Option<bool>,
}

impl ListSetting {
    /// The list, where `default` is what is built in.
    pub fn resolve(&self, default: &[String]) -> Vec<String> {
        match &self.items {
            None => default.to_vec(),
            Some(items) if self.keeps_default => [default, items].concat(),
            Some(items) => items.clone(),
        }
    }

    /// Whether any file has it.
    pub fn is_set(&self) -> bool {
        self.items.is_some()
    }

    fn merge(&mut self, value: Option<ListValue>) {
        let Some(ListValue { items, append }) = value else {
            return;
        };
        self.append = append.or(self.append);
        if self.append == Some(true) {
            self.keeps_default |= self.items.is_none();
            self.items.get_or_insert_default().extend(items);
        } else {
            self.keeps_default = false;
            self.items = Some(items);
        }
    }
}

/// `[engine] env`. The values may hold passwords and are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EngineEnvironment(BTreeMap<String, String>);

impl EngineEnvironment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for EngineEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl From<&ContainersConf> for Wishes {
    fn from(conf: &ContainersConf) -> Self {
        let machine = &conf.machine;
        Self {
            cpus: machine.cpus,
            memory_mib: machine.memory,
            disk_gib: machine.disk_size,
            image: machine.image.clone(),
            user: machine.user.clone(),
            provider: machine.provider.clone(),
            // Podman takes an empty zone for none.
            time_zone: conf.tz.clone().filter(|zone| !zone.is_empty()),
            import_native_ca: machine.import_native_ca,
            volumes: machine.volumes.is_set().then(|| {
                machine
                    .volumes
                    .resolve(&volume::defaults(std::env::consts::OS))
            }),
            ..Self::default()
        }
    }
}

/// Reads and merges all layers.
pub(super) fn read(locations: &Locations) -> Result<ContainersConf, HostConfError> {
    let mut conf = ContainersConf::default();
    let mut env = ListSetting::default();
    for layer in layers::read_all(locations)? {
        let document = Document::parse(&layer)?;
        merge(&mut conf, &mut env, &document)?;
        conf.files.push(document.path().to_owned());
    }
    for pair in env.resolve(&[]) {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                // podman sets them in turn and skips what is set, so the first one counts.
                let entry = conf.engine.env.0.entry(name.to_owned());
                entry.or_insert_with(|| value.to_owned());
            }
            _ => tracing::debug!("An item of `[engine] env` is not NAME=VALUE and is passed over"),
        }
    }
    Ok(conf)
}

fn merge(
    conf: &mut ContainersConf,
    env: &mut ListSetting,
    document: &Document<'_>,
) -> Result<(), HostConfError> {
    let section = document.section("machine")?;
    let machine = &mut conf.machine;
    set(&mut machine.cpus, section.unsigned("cpus")?);
    set(&mut machine.disk_size, section.unsigned("disk_size")?);
    set(&mut machine.memory, section.unsigned("memory")?);
    set(&mut machine.image, section.text("image")?);
    set(&mut machine.user, section.text("user")?);
    machine.volumes.merge(section.list("volumes")?);
    set(&mut machine.provider, section.text("provider")?);
    set(&mut machine.rosetta, section.boolean("rosetta")?);
    set(
        &mut machine.import_native_ca,
        section.boolean("import_native_ca")?,
    );

    let section = document.section("engine")?;
    let engine = &mut conf.engine;
    engine
        .helper_binaries_dir
        .merge(section.list("helper_binaries_dir")?);
    set(&mut engine.active_service, section.text("active_service")?);
    env.merge(section.list("env")?);
    let destinations = section.section("service_destinations")?;
    for (name, _) in destinations.keys() {
        let destination = destination(&destinations.section(&name)?)?;
        engine.service_destinations.insert(name, destination);
    }

    set(&mut conf.tz, document.section("containers")?.text("tz")?);
    Ok(())
}

fn destination(section: &Section<'_, '_>) -> Result<Destination, HostConfError> {
    Ok(Destination {
        uri: section.text("uri")?.unwrap_or_default(),
        identity: section.text("identity")?,
        tls_cert: section.text("tls_cert")?,
        tls_key: section.text("tls_key")?,
        tls_ca: section.text("tls_ca")?,
        is_machine: section.boolean("is_machine")?.unwrap_or_default(),
    })
}

fn set<T>(to: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *to = value;
    }
}

/// Expands `$NAME` and `${NAME}`, as podman does in `[machine] volumes` (spec 1.3). What is not set is nothing; a `$`
/// without a name stays.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, end) = variable_name(rest);
        if name.is_empty() {
            expanded.push('$');
            continue;
        }
        expanded.push_str(&variable(name).unwrap_or_default());
        rest = &rest[end..];
    }
    expanded.push_str(rest);
    expanded
}

/// The name at the beginning of what follows a `$`, and where it ends, braces included.
fn variable_name(text: &str) -> (&str, usize) {
    if let Some(braced) = text.strip_prefix('{') {
        return match braced.find('}') {
            Some(close) => (&braced[..close], close + 2),
            None => ("", 0),
        };
    }
    let end = text
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(text.len());
    (&text[..end], end)
}

#[cfg(test)]
mod tests;
