//! What a registry answers: an index or a manifest, with any type.

#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_images::oci::Wanted;
use machine_images::oci::artifact::{listed, only_file};

const TYPES: [&str; 4] = [
    "",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8",
];

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let content_type = TYPES[usize::from(*kind) % TYPES.len()];
    let wanted = Wanted {
        disktype: "qemu",
        architecture: "x86_64",
    };
    if let Err(error) = listed(input, content_type, "a/b:c", &wanted) {
        for text in error.hints() {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
    match only_file(input, content_type, "a/b:c") {
        Ok(file) => {
            assert!(!file.title.contains(['/', '\\', '\0']));
            assert!(!matches!(file.title.as_str(), "" | "." | ".."));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
});
