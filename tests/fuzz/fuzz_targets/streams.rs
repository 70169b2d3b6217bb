//! The metadata of a stream and of a release, as a mirror or an attacker may give them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_images::streams::{Metadata, StreamRef, select};

fuzz_target!(|input: &[u8]| {
    for reference in ["stable", "stable@44.20261101.3.0"] {
        let reference: StreamRef = reference.parse().unwrap();
        let found = Metadata::parse(&reference, "fuzz", input)
            .and_then(|metadata| select(&metadata, "x86_64", "qemu", &["raw.xz", "qcow2.xz"]));
        match found {
            Ok(artifact) => {
                for url in [&artifact.location, &artifact.signature] {
                    assert!(url.starts_with("https://") || url.starts_with("http://"));
                }
                let release = artifact.release.as_str();
                assert!(
                    release
                        .bytes()
                        .all(|byte| byte == b'.' || byte.is_ascii_digit())
                );
            }
            Err(error) => assert!(!error.to_string().contains('\u{1b}')),
        }
    }
});
