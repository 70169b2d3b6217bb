//! Each rule on code that breaks it, and on its neighbour that does not.

use super::rules::{
    crate_edges, first_lines, forbidden_words, forgotten_tests, lengths, module_edges,
    platform_conditions, printing, provider_kinds, provider_words, unsafe_code, wall_clock,
};
use super::source::Source;
use super::{FORBIDDEN, MOST_LINES, Rule};

#[test]
fn rules_can_fail() {
    let long = "//! x\n".repeat(MOST_LINES);
    let registry = format!("cd {}{}", FORBIDDEN[0].0, FORBIDDEN[0].1);
    let cases: &[(Rule, &str, &str, usize)] = &[
        (
            module_edges,
            "src/store/mod.rs",
            "use crate::machine::Name;",
            0,
        ),
        (
            module_edges,
            "src/store/mod.rs",
            "use crate::{machine, ops::init};",
            1,
        ),
        (
            module_edges,
            "src/store/draft.rs",
            "fn f() { super::super::cli::run() }",
            1,
        ),
        (
            module_edges,
            "src/cli/mod.rs",
            "use crate::supervisor::events;",
            0,
        ),
        (
            module_edges,
            "src/cli/mod.rs",
            "use crate::supervisor::boot;",
            1,
        ),
        (
            module_edges,
            "src/cli/cmd/supervise.rs",
            "use crate::supervisor::boot;",
            0,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(unix)]\n#[path = \"unix.rs\"]\nmod platform;",
            0,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "fn f() { #[cfg(unix)] return unix::g(); #[cfg(windows)] return 1; }",
            1,
        ),
        (
            module_edges,
            "src/cli/mod.rs",
            "// crate::store\nconst T: &str = \"crate::store\";",
            0,
        ),
        (
            module_edges,
            "src/provider/qemu/vm.rs",
            "use super::argv; use crate::provider::Vm;",
            0,
        ),
        (
            module_edges,
            "src/provider/qemu/vm.rs",
            "use crate::provider::{qemu, wsl::run};",
            1,
        ),
        (
            module_edges,
            "src/provider/qemu/vm.rs",
            "use super::super::hyperv;",
            1,
        ),
        (module_edges, "src/novel/mod.rs", "", 1),
        (module_edges, "src/main.rs", "use machine::cli;", 0),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(target_os = \"linux\")]\nfn f() {}",
            1,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "fn f() { if cfg!(windows) {} }",
            1,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(not(unix))]\nuse std::io;",
            1,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg_attr(unix, path = \"a.rs\")]\nmod a;",
            1,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(unix)]\nmod unix;",
            0,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(unix)]\npub(crate) use unix::{a, b};",
            0,
        ),
        (
            platform_conditions,
            "src/store/unix.rs",
            "#[cfg(target_os = \"macos\")]\nfn f() {}",
            0,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(all(test, unix))]\nmod tests {}",
            0,
        ),
        (
            platform_conditions,
            "src/store/mod.rs",
            "#[cfg(feature = \"x\")]\nfn unix() {}",
            0,
        ),
        (
            platform_conditions,
            "src/host/sys/mod.rs",
            "#[cfg(windows)]\nfn f() {}",
            0,
        ),
        (
            unsafe_code,
            "src/store/mod.rs",
            "fn f() { unsafe { g() } }",
            1,
        ),
        (
            unsafe_code,
            "src/store/mod.rs",
            "#[expect(unsafe_code)] // unsafe\nfn f() {}",
            0,
        ),
        (
            unsafe_code,
            "src/host/sys/unix.rs",
            "fn f() { unsafe { g() } }",
            0,
        ),
        (
            printing,
            "src/ops/mod.rs",
            "fn f() { println!(\"x\"); std::process::exit(1) }",
            2,
        ),
        (
            printing,
            "src/ops/mod.rs",
            "fn f() { std::io::stderr().flush() }",
            1,
        ),
        (
            printing,
            "src/ops/mod.rs",
            "fn f() { command.stdout(Stdio::null()) }",
            0,
        ),
        (
            printing,
            "src/ops/mod.rs",
            "#[cfg(test)]\nmod tests { fn f() { println!(\"\"); } }",
            0,
        ),
        (printing, "src/cli/mod.rs", "fn f() { println!(\"x\"); }", 0),
        (
            wall_clock,
            "src/link/mod.rs",
            "use std::time::SystemTime; fn f() { jiff::Timestamp::now() }",
            2,
        ),
        (
            wall_clock,
            "src/link/mod.rs",
            "fn f() { Instant::now() }\n#[cfg(test)]\nmod tests { fn f() { SystemTime::now() } }",
            0,
        ),
        (
            provider_kinds,
            "src/ops/init.rs",
            "fn f() { match k { ProviderKind::Qemu => 1 } }",
            1,
        ),
        (
            provider_kinds,
            "src/ops/init.rs",
            "fn f() { ProviderKind::from_name(n); ProviderKind::ALL }",
            0,
        ),
        (
            provider_kinds,
            "src/store/mod.rs",
            "fn f() { ProviderKind::Qemu }",
            1,
        ),
        (
            provider_kinds,
            "src/provider/registry/mod.rs",
            "fn f() { ProviderKind::Qemu }",
            0,
        ),
        (
            provider_words,
            "src/ops/init.rs",
            "// QEMU\nfn f() { the(\"hypervisor\") }\n#[cfg(test)]\nmod tests { fn g() { \"wsl\" } }",
            0,
        ),
        (
            provider_words,
            "src/ops/init.rs",
            "fn by_Qemu() { say(\"in WSL\") }",
            2,
        ),
        (provider_words, "src/provider/wsl/mod.rs", "fn wsl() {}", 0),
        (first_lines, "src/a.rs", "fn f() {}", 1),
        (first_lines, "src/a.rs", "//! For this.", 0),
        (lengths, "src/a.rs", &long, 0),
        (lengths, "src/a.rs", &format!("{long}\n"), 1),
        (forbidden_words, "docs/a.md", &registry, 1),
        (forbidden_words, "docs/a.md", "cd work", 0),
    ];
    for (rule, path, text, expected) in cases {
        let found = rule(&Source::new(path, text));
        assert_eq!(found.len(), *expected, "{path}: {text}\n{found:?}");
    }

    let manifest = "[dependencies]\nserde = \"1\"\n[target.'cfg(unix)'.dependencies]\nmachine = { path = \"..\" }";
    assert_eq!(
        crate_edges("machine-host", manifest, &[]),
        ["crate `machine-host` uses `machine`"]
    );
    let manifest = "[build-dependencies]\ntokio = \"1\"\n[dev-dependencies]\nfs-err = \"3\"";
    assert_eq!(
        crate_edges("machine-provisioning", manifest, &[]),
        ["crate `machine-provisioning` uses `tokio`"]
    );
    let entries = [
        "main".to_owned(),
        "known".to_owned(),
        "forgotten".to_owned(),
    ];
    assert_eq!(
        forgotten_tests("mod known;\n// mod forgotten;\n", &entries),
        ["tests/it/forgotten is no module of main.rs"]
    );
}
