//! The image read back. What other programs see in it is asked in `tests/linux.rs`.

use std::io::Read;

use machine_protocol::boot::{Carrier, VIRTIO_SERIAL_PORT};
use machine_protocol::secret::Secret;
use proptest::prelude::*;

use super::*;

fn parameters() -> BootParameters {
    BootParameters {
        format: 1,
        machine: "default".to_owned(),
        secret: Secret::generate().unwrap(),
        user: "core".to_owned(),
        uid: 1000,
        rootful: false,
        carriers: vec![Carrier::VirtioSerial {
            port: VIRTIO_SERIAL_PORT.to_owned(),
        }],
        host_build: "test".to_owned(),
        facts: machine_protocol::boot::HostFacts::default(),
        shares: Vec::new(),
        data_disk: None,
    }
}

#[test]
fn equal_input_gives_equal_bytes() {
    let boot = parameters();
    assert_eq!(
        image(b"agent", &boot, None).unwrap(),
        image(b"agent", &boot, None).unwrap()
    );
    assert_ne!(
        image(b"agent", &boot, None).unwrap(),
        image(b"Agent", &boot, None).unwrap()
    );
}

#[test]
fn as_small_as_fits() {
    let boot = parameters();
    assert_eq!(image(b"agent", &boot, None).unwrap().len(), SMALLEST);
    let agent = vec![1; 3_000_000];
    assert!(image(&agent, &boot, None).unwrap().len() < agent.len() + 2 * GRANULE);
}

#[test]
fn no_agent_and_too_large_an_agent() {
    let boot = parameters();
    assert_eq!(
        image(b"", &boot, None).unwrap_err().to_string(),
        "The agent is an empty file"
    );
    assert_eq!(
        image(&vec![0; AGENT_LIMIT + 1], &boot, None)
            .unwrap_err()
            .to_string(),
        "The agent has 67108865 bytes, more than 67108864"
    );
}

fn read_back(image: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let system = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
    let mut files = Vec::new();
    for entry in system.root_dir().iter() {
        let entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.to_file().read_to_end(&mut bytes).unwrap();
        files.push((entry.file_name(), bytes));
    }
    files
}

#[test]
fn certificates_come_along() {
    let boot = parameters();
    let certificates = vec![b'c'; 300_000];
    let back = read_back(image(b"agent", &boot, Some(&certificates)).unwrap());
    let names: Vec<&str> = back.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["agent", "boot.json", "host-ca.pem"]);
    assert!(back[2].1 == certificates);
    assert_eq!(read_back(image(b"agent", &boot, None).unwrap()).len(), 2);
    let error = image(b"agent", &boot, Some(&vec![0; CERTIFICATES_LIMIT + 1])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The certificates have 16777217 bytes, more than 16777216"
    );
}

fn round_trip(length: usize) {
    let agent = vec![0x5a; length];
    let files = [(SEED_AGENT, &agent[..]), (SEED_BOOT, b"{}".as_slice())];
    let back = read_back(file_system(&files).unwrap());
    assert_eq!(back.len(), 2);
    assert!(back[0].0 == SEED_AGENT && back[0].1 == agent, "{length}");
    assert!(back[1].0 == SEED_BOOT && back[1].1 == b"{}", "{length}");
}

/// Around the border between the two widths of the table, and the largest.
#[test]
fn every_width_of_table() {
    let border = (FAT16_CLUSTERS - BORDER) * CLUSTER;
    for clusters in 0..4 {
        round_trip(border - (clusters * CLUSTER));
        round_trip(border + (clusters * CLUSTER) - 1);
    }
    round_trip(AGENT_LIMIT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_length_fits(length in 1_usize..(20 << 20)) {
        round_trip(length);
    }
}
