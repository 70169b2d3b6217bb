//! What may be in the dependency graph, by `deny.toml`, from what cargo knows without a network.

use std::process::Command;

fn read(name: &str) -> String {
    fs_err::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn policy() -> toml::Table {
    read("deny.toml").parse().unwrap()
}

/// The banned crates that a lock file holds.
fn banned(policy: &toml::Table, lock: &str) -> Vec<String> {
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let bans = policy["bans"]["deny"].as_array().unwrap().iter();
    bans.map(|ban| ban["crate"].as_str().unwrap())
        .filter(|ban| {
            packages
                .iter()
                .any(|package| package["name"].as_str() == Some(ban))
        })
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met by allowed licences. `/` is an old way to write OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    words.reverse();
    let met = either(&mut words, allowed);
    met && words.is_empty()
}

fn either(words: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let mut met = both(words, allowed);
    while words.last() == Some(&"OR") {
        words.pop();
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.last() == Some(&"AND") {
        words.pop();
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Vec<&str>, allowed: &[&str]) -> bool {
    match words.pop() {
        Some("(") => {
            let met = either(words, allowed);
            words.pop() == Some(")") && met
        }
        Some(name) if words.last() == Some(&"WITH") => {
            words.pop();
            let exception = words.pop().unwrap_or_default();
            // The licence alone allows no less than with an exception from its duties.
            allowed.contains(&name)
                || allowed.contains(&format!("{name} WITH {exception}").as_str())
        }
        Some(name) => allowed.contains(&name),
        None => false,
    }
}

#[test]
fn no_banned_crate_is_locked() {
    assert_eq!(banned(&policy(), &read("Cargo.lock")), [] as [String; 0]);
}

#[test]
fn licences_are_allowed() {
    let policy = policy();
    let names = |list: &toml::Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    let allowed = names(&policy["licenses"]["allow"]);
    let exceptions = policy["licenses"]["exceptions"].as_array().unwrap();
    // Only what this build has used is there without a network, hence the target.
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let target = rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let found = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--frozen",
            "--format-version=1",
            "--filter-platform",
            target,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let packages = found["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "{}", packages.len());
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let mut allowed = allowed.clone();
        for exception in exceptions
            .iter()
            .filter(|exception| exception["crate"].as_str() == Some(name))
        {
            allowed.extend(names(&exception["allow"]));
        }
        let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
        if !package["license"]
            .as_str()
            .is_some_and(|text| is_allowed(text, &allowed))
        {
            wrong.push(format!("{name}: {}", package["license"]));
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
}

#[test]
fn bans_and_licences_can_fail() {
    let lock = "[[package]]\nname = \"ring\"\n[[package]]\nname = \"openssl-sys\"\n";
    assert_eq!(banned(&policy(), lock), ["openssl-sys"]);

    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-2.0/MIT", true),
        ("(MIT OR GPL-3.0) AND Apache-2.0", true),
        ("(MIT AND GPL-3.0) OR LGPL-2.1", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("MIT )", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

/// Crates of another version are compiled once more for the fuzz targets, in each run of CI.
#[test]
fn the_fuzz_targets_have_the_versions_of_the_project() {
    let versions = |lock: &str| -> std::collections::BTreeSet<(String, String)> {
        let lock: toml::Table = read(lock).parse().unwrap();
        let packages = lock["package"].as_array().unwrap().iter();
        let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
        packages
            .map(|package| (text(package, "name"), text(package, "version")))
            .collect()
    };
    let own = ["arbitrary", "libfuzzer-sys", "machine-fuzz"];
    let (project, fuzz) = (versions("Cargo.lock"), versions("tests/fuzz/Cargo.lock"));
    let other: Vec<_> = fuzz
        .difference(&project)
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    assert_eq!(other, [] as [&(String, String); 0]);
}
