//! The host: programs, the data directory, files that are read, and what killed commands left.

use std::path::{Path, PathBuf};

use machine_host::{access, atomic, facts, limits, program};

use super::finding::Told;
use super::{About, Finding, Premises, Remedy, bounded, shown, silent};
use crate::agent::{self, AgentError};
use crate::connection::Connections;
use crate::connection::machine::{Scheme, orphans};
use crate::hostconf::HostConf;
use crate::hostconf::own::Settings;
use crate::hostfacts::{self, Host};
use crate::machine::Egress;
use crate::network::egress::{HostNetwork, backend};
use crate::ops::connection::scheme;
use crate::ops::host::providers;
use crate::provider::{Accelerator, ResolveRequest, ShareWay, Survey, registry};
use crate::store::{Leftover, layout};

/// Below this the host is soon full; machines write gigabytes.
const LITTLE_SPACE: u64 = 5 << 30;
/// Nobody's file: what is written to see whether anything can be.
const PROBE: &str = "machine-doctor";
/// Below this a guest that writes is paused before long.
const NO_SPACE: u64 = 512 << 20;

/// virtiofsd has each file open that a guest has looked at, and trees of a hundred thousand files are usual.
const MANY_FILES: u64 = 128 << 10;

/// What the findings about machines depend on besides the machines.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// Podman's connections; none where they cannot be read, which is told of the host.
    pub(super) connections: Option<Connections>,
    /// How the connections of machines lead to them; none where that cannot be read.
    pub(super) scheme: Option<Scheme>,
    /// The number of the user, who is not root; none where anybody's files do.
    pub(super) user: Option<u32>,
    /// What a guest's way out depends on.
    pub(super) network: NetworkFacts,
}

/// What a guest's way out depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkFacts {
    pub(super) host: HostNetwork,
    /// Where programs are looked for before `PATH`.
    pub(super) directories: Vec<PathBuf>,
}

/// A program that may carry packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetworkProgram {
    pub(super) name: &'static str,
    pub(super) install: &'static str,
    pub(super) is_installed: bool,
}

/// The data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DataFacts {
    pub(super) path: PathBuf,
    /// The owner's number, where it is there and has one.
    pub(super) owner: Option<u32>,
    /// Why no file can be made in it, or in the nearest directory above it that is there.
    pub(super) obstacle: Option<String>,
    /// Free bytes of its file system.
    pub(super) free: Option<u64>,
}

/// What was read of the host's files.
#[derive(Debug)]
pub(super) struct FileFacts {
    pub(super) data: DataFacts,
    pub(super) own: Result<Settings, Told>,
    pub(super) containers: Result<(), Told>,
    pub(super) connections: Result<Connections, Told>,
    /// Connections of machines that are gone.
    pub(super) orphans: Vec<String>,
    /// What killed commands left; none where another command is at it.
    pub(super) leftovers: Result<Option<Vec<Leftover>>, Told>,
    pub(super) network: NetworkFacts,
}

/// Looks at the host and judges it.
pub(super) async fn examine(premises: &Premises) -> (Vec<Finding>, Surroundings) {
    let read = {
        let premises = premises.clone();
        bounded(move || look(&premises)).await
    };
    let user = Some(facts::user_id()).filter(|_| !facts::effective_root());
    let Some(read) = read else {
        let surroundings = Surroundings {
            connections: None,
            scheme: None,
            user,
            network: NetworkFacts::default(),
        };
        return (vec![silent(About::Host)], surroundings);
    };
    let mut surveys = Vec::new();
    let mut carried: Vec<Egress> = Vec::new();
    for kind in providers() {
        let Ok(provider) = registry::provider(kind) else {
            continue;
        };
        carried.extend(provider.capabilities().network.egress);
        let request = ResolveRequest {
            cache: layout::accelerators(&premises.directories),
            program_directories: read.network.directories.clone(),
            ..ResolveRequest::default()
        };
        let survey = provider.survey(&request).await;
        surveys.push(survey.map_err(|error| Told::of(&error, error.hints())));
    }
    let programs = network_programs(&carried, &read.network.directories);
    let mut findings: Vec<Finding> = surveys.iter().flat_map(judge_survey).collect();
    let agent = bounded(|| agent::load(facts::architecture()).map(|(path, _)| path)).await;
    findings.extend(agent.as_ref().map(judge_agent));
    findings.extend(judge_open_files(&surveys, limits::most_open_files()));
    findings.extend(programs.iter().map(judge_program));
    findings.extend(judge_files(&read, user));
    let surroundings = Surroundings {
        scheme: read
            .own
            .as_ref()
            .ok()
            .map(|own| scheme(own.connection_scheme)),
        connections: read.connections.ok(),
        user,
        network: read.network,
    };
    (findings, surroundings)
}

fn look(premises: &Premises) -> FileFacts {
    let Premises {
        directories,
        store,
        connections,
        hostconf,
    } = premises;
    let host = Host::read(hostconf);
    let own = own_settings(hostconf);
    let containers = hostconf.containers().map(drop);
    let found = connections.read();
    let orphans = found
        .as_ref()
        .map(|all| orphans(all, |name| store.absent(name)));
    FileFacts {
        data: look_at_data(&directories.data),
        own,
        containers: containers.map_err(|error| Told::of(&error, error.hints())),
        orphans: orphans.unwrap_or_default(),
        connections: found.map_err(|error| Told::of(&error, error.hints())),
        leftovers: store
            .leftovers()
            .map_err(|error| Told::of(&error, error.hints())),
        network: NetworkFacts {
            host: HostNetwork::present(),
            directories: host.program_directories(&hostfacts::environment),
        },
    }
}

fn own_settings(hostconf: &HostConf) -> Result<Settings, Told> {
    hostconf
        .own()
        .map_err(|error| Told::of(&error, error.hints()))
}

fn look_at_data(path: &Path) -> DataFacts {
    let metadata = fs_err::metadata(path).ok();
    let nearest = path.ancestors().find(|above| above.exists());
    let nearest = nearest.unwrap_or(path);
    // The only sure answer: permissions, read-only file systems, quotas and lists of access all have a say.
    let probe = nearest.join(PROBE);
    // What a doctor left that was killed, or whose disk failed in between. Another that runs does not miss its own.
    atomic::clear_temporaries(&probe);
    let written = atomic::temporary(&probe);
    DataFacts {
        path: path.to_owned(),
        owner: metadata.as_ref().and_then(access::owner),
        obstacle: written.err().map(|error| error.to_string()),
        free: facts::free_bytes(nearest).ok(),
    }
}

fn network_programs(carried: &[Egress], directories: &[PathBuf]) -> Vec<NetworkProgram> {
    let programs = carried
        .iter()
        .filter_map(|egress| backend(*egress).program());
    programs
        .map(|program| NetworkProgram {
            name: program.name,
            install: program.install,
            is_installed: program::find(program.name, directories).is_some(),
        })
        .collect()
}

/// What a provider says of this host.
pub(super) fn judge_survey(survey: &Result<Survey, Told>) -> Vec<Finding> {
    let survey = match survey {
        Ok(survey) => survey,
        Err(told) => return vec![Finding::told(About::Host, "hypervisor", told)],
    };
    let program = format!("{}, version {}", shown(&survey.program), survey.version);
    let mut findings = vec![Finding::ok(About::Host, "hypervisor", program)];
    findings.push(judge_accelerator(survey.accelerator, &survey.remarks));
    let way = match &survey.shares {
        ShareWay::Virtiofs(program) => format!("Folders are shared by {}", shown(program)),
        ShareWay::BuiltIn => "Folders are shared by virtiofs".to_owned(),
        ShareWay::NineP => "Folders are shared by 9p".to_owned(),
    };
    findings.push(match &survey.share_remark {
        None => Finding::ok(About::Host, "folders", way),
        Some((why, mend)) => Finding::note(About::Host, "folders", way)
            .because(why)
            .hint(mend),
    });
    findings
}

fn judge_accelerator(accelerator: Accelerator, remarks: &[String]) -> Finding {
    let what = if accelerator.is_emulation() {
        "Machines are emulated, which is many times slower".to_owned()
    } else {
        format!("Machines run by {}", accelerator.word())
    };
    if accelerator.is_emulation() || !remarks.is_empty() {
        Finding::note(About::Host, "accelerator", what).because(remarks.join("; "))
    } else {
        Finding::ok(About::Host, "accelerator", what)
    }
}

/// What is put into each guest.
pub(super) fn judge_agent(agent: &Result<PathBuf, AgentError>) -> Finding {
    match agent {
        Ok(path) => {
            let what = format!("The guest's agent is {}", shown(path));
            Finding::ok(About::Host, "agent", what)
        }
        Err(error) => Finding::problem(About::Host, "agent", error.to_string())
            .because(error.why())
            .hint(error.hint()),
    }
}

/// How large the trees can be that guests see.
pub(super) fn judge_open_files(
    surveys: &[Result<Survey, Told>],
    most: Option<u64>,
) -> Option<Finding> {
    let shared = |survey: &Survey| matches!(survey.shares, ShareWay::Virtiofs(_));
    let most = most.filter(|most| *most < MANY_FILES)?;
    surveys.iter().flatten().any(shared).then(|| {
        Finding::note(
            About::Host,
            "open-files",
            format!("A program may have {most} files open"),
        )
        .because("a guest that looks at more files of a shared folder is told that too many are open")
        .hint("raise the hard limit `nofile`, in /etc/security/limits.conf or by DefaultLimitNOFILE= of systemd")
    })
}

/// Nobody needs one of these, unless a machine was told to have it.
pub(super) fn judge_program(program: &NetworkProgram) -> Finding {
    let NetworkProgram { name, install, .. } = program;
    if program.is_installed {
        Finding::ok(
            About::Host,
            "network-program",
            format!("`{name}` is installed"),
        )
    } else {
        Finding::note(
            About::Host,
            "network-program",
            format!("`{name}` was not found"),
        )
        .because("machines whose network is not named by `--network` do without it")
        .hint(format!("to have it, {install}"))
    }
}

/// What was read of the host's files.
pub(super) fn judge_files(read: &FileFacts, user: Option<u32>) -> Vec<Finding> {
    let mut findings = judge_data(&read.data, user);
    let files = [
        ("config", read.own.as_ref().err()),
        ("containers-conf", read.containers.as_ref().err()),
        ("connections", read.connections.as_ref().err()),
        ("leftovers", read.leftovers.as_ref().err()),
    ];
    for (code, told) in files {
        findings.extend(told.map(|told| Finding::told(About::Host, code, told)));
    }
    if !read.orphans.is_empty() {
        let names = listed(&read.orphans);
        findings.push(
            Finding::note(
                About::Host,
                "orphaned-connections",
                format!("Connections of machines that are gone: {names}"),
            )
            .because("the `rm` of their machine was interrupted")
            .mended_by(Remedy::SweepConnections),
        );
    }
    if let Ok(Some(leftovers)) = &read.leftovers
        && !leftovers.is_empty()
    {
        let words: Vec<String> = leftovers
            .iter()
            .map(|leftover| match leftover {
                Leftover::Unmade(name) => format!("an `init` of {name}"),
                Leftover::Removed(name) => format!("an `rm` of {name}"),
            })
            .collect();
        findings.push(
            Finding::note(
                About::Host,
                "leftovers",
                format!("Commands were interrupted: {}", words.join(", ")),
            )
            .because("what they left takes space; the next `init` or `rm` clears it away, too")
            .mended_by(Remedy::ClearLeftovers),
        );
    }
    findings
}

/// Names in backticks.
pub(super) fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn judge_data(data: &DataFacts, user: Option<u32>) -> Vec<Finding> {
    let place = shown(&data.path);
    let mut findings = Vec::new();
    if let (Some(user), Some(owner)) = (user, data.owner)
        && user != owner
    {
        findings.push(
            Finding::problem(
                About::Host,
                "data-directory",
                format!("The data directory {place} belongs to another user"),
            )
            .because(format!("its owner has the number {owner}, you have {user}"))
            .hint(format!("sudo chown -R {user} '{}'", data.path.display())),
        );
    } else if let Some(obstacle) = &data.obstacle {
        findings.push(
            Finding::problem(
                About::Host,
                "data-directory",
                format!("The data directory {place} cannot be written"),
            )
            .because(obstacle)
            .hint(
                "make it writable, or let `MACHINE_HOME` or `XDG_DATA_HOME` name another directory",
            ),
        );
    } else {
        let what = format!("The data directory is {place}");
        findings.push(Finding::ok(About::Host, "data-directory", what));
    }
    if let Some(free) = data.free {
        findings.push(judge_space(&place, free));
    }
    findings
}

fn judge_space(place: &str, free: u64) -> Finding {
    let what = format!("{} MiB are free at {place}", free >> 20);
    let hint = "see which images can go: machine image list; remove those: machine image prune";
    if free < NO_SPACE {
        Finding::problem(About::Host, "free-space", what)
            .because("a guest that finds no space to write is paused")
            .hint(hint)
    } else if free < LITTLE_SPACE {
        Finding::note(About::Host, "free-space", what)
            .because("images and disks take gigabytes")
            .hint(hint)
    } else {
        Finding::ok(About::Host, "free-space", what)
    }
}
