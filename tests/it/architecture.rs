//! The architecture as rules over the source: who may know whom, and what may stand where.
//!
//! The tables come first; a change of the architecture is a change of a line there.

mod rules;
mod snippets;
mod source;

use rules::{
    crate_edges, first_lines, forbidden_words, forgotten_tests, lengths, module_edges,
    platform_conditions, printing, provider_kinds, provider_words, unsafe_code, wall_clock,
};
use source::{Source, tree};

/// What each module of the root crate may name of the others: a module, or a path inside one. A
/// longer line adds to the shorter one above it. Tests may put together what they like.
const EDGES: &[(&str, &[&str])] = &[
    // The store is what ops works on, the client's probe is what it is given, and events are the
    // progress that it hands through.
    (
        "cli",
        &[
            "ops",
            "machine",
            "connection",
            "store::Store",
            "store::layout",
            "hostconf::HostConf",
            "connection::Connections",
            "connection::ConnectionsFile",
            "supervisor::client",
            "supervisor::events",
            "docker_socket::Claim",
        ],
    ),
    // Every error gets its hints and its words in one place.
    (
        "cli::error",
        &[
            "connection::ConnectionError",
            "provider::ProviderError",
            "store::StoreError",
            "connection::ConnectionError",
            "hostconf::HostConfError",
            "supervisor::SuperviseError",
        ],
    ),
    // The hidden subcommand puts the parts of a supervisor together.
    (
        "cli::cmd::supervise",
        &["provider::registry", "supervisor", "connection", "service"],
    ),
    (
        "ops",
        &[
            "supervisor::client",
            "supervisor::control",
            "supervisor::events",
            "store",
            "connection",
            "hostconf",
            "provider",
            "engine",
            "machine",
            "service",
            "docker_socket",
        ],
    ),
    // What a start would choose, and where it would look for programs, are told before one.
    ("ops::doctor", &["agent", "network::egress", "hostfacts"]),
    ("ops::report", &["hostfacts"]),
    // And a provider is asked before anything is made for it, for programs that lie where the host has them.
    ("ops::host", &["hostfacts"]),
    (
        "supervisor",
        &[
            "provider",
            "link",
            "forward",
            "network",
            "engine",
            "store",
            "connection",
            "hostfacts",
            "machine",
            "agent",
            "service",
            "docker_socket",
        ],
    ),
    ("agent", &[]),
    ("docker_socket", &["machine"]),
    ("service", &["machine"]),
    ("provider", &["machine", "link"]),
    // The link's thread serves the sockets that lead over it.
    (
        "link",
        &["forward", "network::publish", "network::sockets", "machine"],
    ),
    ("network", &["forward", "machine"]),
    ("forward", &["machine"]),
    ("engine", &["machine"]),
    ("store", &["machine"]),
    ("connection", &["machine"]),
    // The pair of a machine leads to its files.
    ("connection::machine", &["store::MachineFiles"]),
    ("hostconf", &["machine"]),
    // Whether supervisors are services is a setting.
    ("hostconf::own", &["service::Wanted"]),
    ("hostfacts", &["hostconf", "machine"]),
    ("machine", &[]),
];

/// The hypervisors, each a module of `provider` that knows none of the others.
const PROVIDERS: &[&str] = &["qemu", "apple", "hyperv", "wsl"];

/// What each crate of the workspace may use of the others.
const CRATES: &[(&str, &str, &[&str])] = &[
    (
        "machine",
        "Cargo.toml",
        &[
            "machine-host",
            "machine-images",
            "machine-protocol",
            "machine-provisioning",
        ],
    ),
    ("machine-host", "src/host/Cargo.toml", &[]),
    (
        "machine-images",
        "machine-images/Cargo.toml",
        &["machine-host"],
    ),
    (
        "machine-provisioning",
        "provisioning/Cargo.toml",
        &["machine-protocol"],
    ),
    ("machine-protocol", "provisioning/protocol/Cargo.toml", &[]),
    (
        "machine-agent",
        "provisioning/agent/Cargo.toml",
        &["machine-protocol"],
    ),
    (
        "machine-fake-vfkit",
        "tests/fakes/vfkit/Cargo.toml",
        &["machine-protocol"],
    ),
    // Its tests, which are not built into anything, put it together with the provider.
    ("machine-fake-wsl", "tests/fakes/wsl/Cargo.toml", &[]),
];

/// Crates that a crate must not use, because of what it is.
const UNWANTED: &[(&str, &[&str])] = &[
    // Pure: neither files nor a runtime.
    ("machine-provisioning", &["tokio", "fs-err", "reqwest"]),
    // Knows no terminal: progress goes through a trait.
    ("machine-images", &["indicatif", "clap"]),
    ("machine-host", &["clap", "indicatif", "reqwest"]),
];

/// Where code may depend on the operating system, beside leaves named after it.
const PLATFORM_FOLDERS: &[&str] = &["src/host/sys/", "provisioning/agent/"];
const PLATFORM_LEAVES: &[&str] = &["unix", "windows", "linux", "macos"];
const PLATFORM_WORDS: &[&str] = &["target_os", "target_family", "windows", "unix"];

/// Where `unsafe` may stand.
const UNSAFE_PLACES: &[&str] = &["src/host/sys/", "provisioning/agent/src/linux/sys.rs"];

/// Where output may be printed and the process ended. The agent's output is the guest's journal; the
/// supervisor's is a pipe to the command that started it and carries events.
const PRINTING_PLACES: &[&str] = &[
    "src/cli/",
    "src/main.rs",
    "src/supervisor/audience.rs",
    "provisioning/agent/",
    "tests/",
    "benches/",
    "packaging/",
];
const PRINTING_WORDS: &[&str] = &[
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "process::exit",
    "io::stdout()",
    "io::stderr()",
    "anstream::stdout()",
    "anstream::stderr()",
];

/// Where code may ask which provider a machine has. Everything else asks for capabilities.
const KIND_PLACES: &[&str] = &["src/provider/", "src/machine/provider_kind.rs"];

/// The words by which code knows one hypervisor from the others.
const KIND_WORDS: &[&str] = &[
    "qemu", "vfkit", "krunkit", "applehv", "libkrun", "hyperv", "wsl",
];

/// The other files whose code or texts have such a word, and what for.
const KIND_NAMERS: &[(&str, &str)] = &[
    (
        "src/machine/deadlines.rs",
        "every wait is listed there, those of one provider under its name",
    ),
    (
        "src/network/egress/backend.rs",
        "gvproxy's options for the two forms of its socket are called after programs",
    ),
    (
        "src/ops/data_disk.rs",
        "`qemu-img` converts a disk for the user",
    ),
    (
        "src/ops/os_disk.rs",
        "`qemu-img`, and the tree of files has its name in another crate",
    ),
    (
        "src/ops/report/versions.rs",
        "a report has the versions of all programs that there are",
    ),
    (
        "src/service/platform/unix/environment.rs",
        "the user's own settings of a program go to it",
    ),
    (
        "src/service/platform/task.rs",
        "the same, where they would not",
    ),
];

/// Where the time of day is asked for, and what for. It may be set at any moment, forwards and backwards, so no wait and no
/// order depends on it: those are `Instant`'s.
const WALL_CLOCK_PLACES: &[(&str, &str)] = &[
    ("src/supervisor/clock.rs", "the guest is given it"),
    (
        "src/supervisor/owner.rs",
        "the same, and when the machine was last up",
    ),
    (
        "src/supervisor/events.rs",
        "when something happened, for people",
    ),
    ("src/supervisor/run.rs", "the same"),
    ("src/cli/cmd/start_lines.rs", "the same"),
    ("src/cli/cmd/list.rs", "how long ago, for people"),
    (
        "src/cli/cmd/image.rs",
        "the same, and what nobody used lately",
    ),
    ("src/ops/init.rs", "when a machine was made, for people"),
    ("src/ops/report.rs", "when a report was made, for people"),
    (
        "src/provider/qemu/probe/cache.rs",
        "a verdict that is not of now is asked for again",
    ),
    (
        "provisioning/agent/src/linux/data_disk/owner.rs",
        "when a disk was made, for people",
    ),
    (
        "machine-images/src/cache/downloads.rs",
        "what nobody went on with lately",
    ),
    (
        "machine-images/src/bundle/import.rs",
        "when an image was had, for people",
    ),
    ("machine-images/src/fetch/mod.rs", "the same"),
    (
        "machine-images/src/openpgp/",
        "signatures and keys have times",
    ),
];

/// No file is longer; a good one has a hundred to four hundred lines.
const MOST_LINES: usize = 800;

/// What no file may name, in two halves so that this one does not either: hosts of package registries, which
/// packagers and mirrors replace.
const FORBIDDEN: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("py", "pi.org"),
    ("pythonhos", "ted.org"),
    ("npm", "js.org"),
    ("npm", "js.com"),
    ("deb.deb", "ian.org"),
];

/// From a file to the list of what is wrong in it.
type Rule = fn(&Source) -> Vec<String>;

/// Every rule that looks at one file.
const RULES: &[(&str, Rule)] = &[
    ("modules know only what EDGES allows", module_edges),
    (
        "conditions on the system stand in leaves",
        platform_conditions,
    ),
    ("unsafe code stands in sys", unsafe_code),
    ("only the command line prints and exits", printing),
    (
        "only registry and store know the provider's kind",
        provider_kinds,
    ),
    (
        "only the provider's own code names a hypervisor",
        provider_words,
    ),
    ("only some ask for the time of day", wall_clock),
    ("files say first what they are for", first_lines),
    ("files are short", lengths),
    (
        "no file names one machine or a registry's host",
        forbidden_words,
    ),
];

#[test]
fn tree_keeps_the_rules() {
    let sources = tree();
    assert!(
        sources.iter().any(|source| source.path == "src/main.rs"),
        "the tree was not found"
    );
    let mut wrong = String::new();
    for (rule, check) in RULES {
        for found in sources.iter().flat_map(check) {
            wrong = format!("{wrong}\n{rule}:\n  {found}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A line for a file that names no hypervisor any more would let it name one again.
#[test]
fn namers_of_hypervisors_are_few_and_name_one() {
    let sources = tree();
    for (path, why) in KIND_NAMERS {
        let source = sources.iter().find(|source| source.path == *path);
        let text = source.map(Source::text_without_tests).unwrap_or_default();
        assert!(!rules::kind_words(&text).is_empty(), "{path}: {why}");
    }
}

/// A table with a circle in it would allow one in the code.
#[test]
fn edges_have_no_circle() {
    let top = |path: &'static str| path.split("::").next().unwrap_or(path);
    let mut left: Vec<(&str, Vec<&str>)> = EDGES
        .iter()
        .map(|(from, to)| {
            (
                top(from),
                to.iter()
                    .map(|to| top(to))
                    .filter(|to| *to != top(from))
                    .collect(),
            )
        })
        .collect();
    // What names nothing that is still left can be taken away, until nothing is left.
    loop {
        let named: Vec<&str> = left.iter().map(|(from, _)| *from).collect();
        let before = left.len();
        left.retain(|(_, to)| to.iter().any(|to| named.contains(to)));
        if left.len() == before {
            break;
        }
    }
    assert_eq!(left, []);
}

#[test]
fn crates_keep_their_edges() {
    let sources = tree();
    let text = |path: &str| {
        &sources
            .iter()
            .find(|source| source.path == path)
            .unwrap()
            .text
    };
    let mut wrong = Vec::new();
    for (name, path, allowed) in CRATES {
        wrong.extend(crate_edges(name, text(path), allowed));
    }
    // A new crate needs a line.
    let root: toml::Table = text("Cargo.toml").parse().unwrap();
    let members = root["workspace"]["members"].as_array().unwrap().iter();
    for member in members.map(|member| member.as_str().unwrap()) {
        let manifest = format!("{member}/Cargo.toml");
        if !CRATES.iter().any(|(_, path, _)| *path == manifest) {
            wrong.push(format!("{member} has no line in CRATES"));
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
}

#[test]
fn every_test_file_is_run() {
    let entries: Vec<String> = tree()
        .iter()
        .filter_map(|source| {
            source
                .path
                .strip_prefix("tests/it/")?
                .strip_suffix(".rs")
                .map(str::to_owned)
        })
        .map(|path| path.split('/').next().unwrap_or_default().to_owned())
        .collect();
    assert!(entries.len() > 2, "{entries:?}");
    let main =
        fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/main.rs")).unwrap();
    assert_eq!(forgotten_tests(&main, &entries), [] as [String; 0]);
}
