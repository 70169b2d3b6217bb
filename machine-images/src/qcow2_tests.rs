//! Headers, good and bad, and whatever bytes there are.

use proptest::prelude::*;

use super::*;

/// A header as `qemu-img create` writes it for a disk of 1 GiB.
fn version_3() -> Vec<u8> {
    let mut header = vec![0; 112];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(4, &3_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(24, &(1_u64 << 30).to_be_bytes());
    put(36, &2_u32.to_be_bytes());
    put(40, &0x3_0000_u64.to_be_bytes());
    put(48, &0x1_0000_u64.to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &112_u32.to_be_bytes());
    header.extend([0; 8]);
    header
}

fn with(at: usize, bytes: &[u8]) -> Result<u64, HeaderFault> {
    let mut header = version_3();
    header[at..at + bytes.len()].copy_from_slice(bytes);
    virtual_bytes(&header, 0x4_0000)
}

fn reason(result: Result<u64, HeaderFault>) -> String {
    match result {
        Err(HeaderFault::Bad(reason)) => reason,
        other => panic!("expected a bad header, got {other:?}"),
    }
}

#[test]
fn a_good_header_gives_its_size() {
    assert_eq!(virtual_bytes(&version_3(), 0x4_0000), Ok(1 << 30));
}

#[test]
fn version_2_has_a_shorter_header() {
    let mut header = version_3();
    header.truncate(72);
    header[7] = 2;
    header.extend([0; 8]);
    assert_eq!(virtual_bytes(&header, 0x4_0000), Ok(1 << 30));
}

#[test]
fn files_of_others_are_refused() {
    assert_eq!(
        with(8, &200_u64.to_be_bytes()),
        Err(HeaderFault::BackingFile)
    );
    assert_eq!(
        with(16, &9_u32.to_be_bytes()),
        Err(HeaderFault::BackingFile)
    );
    assert_eq!(with(72, &4_u64.to_be_bytes()), Err(HeaderFault::DataFile));
    // The name alone, without the bit that makes it count.
    assert_eq!(with(112, b"DATA"), Err(HeaderFault::DataFile));
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    assert_eq!(
        with(24, &u64::MAX.to_be_bytes()),
        Err(HeaderFault::TooLarge(u64::MAX))
    );
    let reason_of = |at, bytes: &[u8]| reason(with(at, bytes));
    assert!(reason_of(24, &(2_u64 << 30).to_be_bytes()).contains("first table do not fit"));
    assert!(reason_of(36, &u32::MAX.to_be_bytes()).contains("first table do not fit"));
    assert!(reason_of(20, &63_u32.to_be_bytes()).contains("2^63"));
    assert!(reason_of(100, &u32::MAX.to_be_bytes()).contains("length"));
}

#[test]
fn tables_outside_of_the_file_are_refused() {
    assert!(reason(virtual_bytes(&version_3(), 0x3_0000)).contains("first table lies outside"));
    let reason_of = |at, bytes: &[u8]| reason(with(at, bytes));
    assert!(reason_of(40, &u64::MAX.to_be_bytes()).contains("first table lies outside"));
    assert!(reason_of(40, &0_u64.to_be_bytes()).contains("first table lies outside"));
    assert!(reason_of(48, &(1_u64 << 40).to_be_bytes()).contains("reference counts lie outside"));
    assert!(reason_of(56, &0_u32.to_be_bytes()).contains("reference counts lie outside"));
}

#[test]
fn what_is_not_supported_is_named() {
    let reason_of = |at, bytes: &[u8]| reason(with(at, bytes));
    assert!(reason_of(4, &4_u32.to_be_bytes()).contains("version 4"));
    assert!(reason_of(32, &1_u32.to_be_bytes()).contains("encrypted"));
    assert!(reason_of(60, &1_u32.to_be_bytes()).contains("snapshots"));
    assert!(reason_of(72, &1_u64.to_be_bytes()).contains("not closed"));
    assert!(reason_of(72, &2_u64.to_be_bytes()).contains("corrupt"));
    assert!(reason_of(72, &16_u64.to_be_bytes()).contains("0x10"));
}

#[test]
fn an_extension_longer_than_its_cluster_is_bad() {
    let mut extension = 0x6803_f857_u32.to_be_bytes().to_vec();
    extension.extend(5000_u32.to_be_bytes());
    assert!(reason(with(112, &extension)).contains("extension"));
}

#[test]
fn a_header_that_ends_early_is_bad() {
    let header = version_3();
    for length in 0..104 {
        assert!(
            virtual_bytes(&header[..length], 0x4_0000).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn a_first_table_with_room_grows_in_the_header() {
    let header = version_3();
    let growth = growth(&header, (3 << 30) + 512).unwrap();
    // 512 MiB for each of 7 entries, of which there were 2.
    assert_eq!(growth.virtual_bytes, (3 << 30) + 512);
    assert_eq!(growth.new_entries, 0x3_0010..0x3_0038);
    let mut grown = header;
    grown[24..40].copy_from_slice(&growth.header);
    assert_eq!(virtual_bytes(&grown, 0x4_0000), Ok(growth.virtual_bytes));
}

#[test]
fn a_first_table_without_room_does_not_grow() {
    // One cluster of 64 KiB has 8192 entries, 4 TiB.
    assert!(growth(&version_3(), 4 << 40).is_some());
    assert_eq!(growth(&version_3(), (4 << 40) + 512), None);
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), length: u64) {
        let _ = virtual_bytes(&bytes, length);
        if bytes.len() >= 8 {
            bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
            let _ = virtual_bytes(&bytes, length);
        }
    }

    #[test]
    fn a_changed_byte_never_makes_a_disk_too_large(at in 0_usize..120, byte: u8, length in 0..0x8_0000_u64) {
        let mut header = version_3();
        header[at] = byte;
        if let Ok(size) = virtual_bytes(&header, length) {
            prop_assert!(size <= MAX_DISK_BYTES);
            // What the tables can describe, and tables that lie inside of the file.
            prop_assert!(length >= 0x1_0000);
        }
    }
}
