//! Gives a build its name beside the version: eight hexadecimal digits of what it is made from. So development builds of
//! one version are told apart, and the same sources built the same way have the same name.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script that needs no other crate is built in a moment"
)]

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// What the program is made from, beside its dependencies, which `Cargo.lock` names.
const PARTS: [&str; 8] = [
    "Cargo.lock",
    "Cargo.toml",
    "machine-images/catalog.toml",
    "machine-images/keys",
    "machine-images/src",
    "provisioning",
    "rust-toolchain.toml",
    "src",
];
/// A program of its own, with a build of its own.
const AGENT: &str = "provisioning/agent";
/// How it is made.
const MANNER: [&str; 4] = ["TARGET", "PROFILE", "OPT_LEVEL", "DEBUG"];

#[expect(clippy::print_stdout, reason = "this is how Cargo is told")]
fn main() -> std::io::Result<()> {
    let mut files = Vec::new();
    for part in PARTS {
        println!("cargo::rerun-if-changed={part}");
        gather(Path::new(part), &mut files)?;
    }
    files.sort();
    // Any other digest would do: it is only ever compared with that of another build.
    let mut digest = DefaultHasher::new();
    for file in files {
        file.hash(&mut digest);
        std::fs::read(&file)?.hash(&mut digest);
    }
    for name in MANNER {
        std::env::var_os(name).hash(&mut digest);
    }
    let id = digest.finish() >> 32;
    println!("cargo::rustc-env=MACHINE_BUILD_ID={id:08x}");
    Ok(())
}

/// All files below `path`; a part that a package leaves out is none.
fn gather(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path == Path::new(AGENT) || !path.exists() {
        return Ok(());
    }
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        gather(&entry?.path(), files)?;
    }
    Ok(())
}
