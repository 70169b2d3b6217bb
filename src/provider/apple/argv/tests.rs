//! The arguments, against what the documentation of the two programs says.

use std::path::Path;

use super::*;
use crate::machine::DiskFormat;
use crate::provider::apple::flavour::{KRUNKIT, VFKIT};
use crate::provider::plan::testing;

fn plan() -> LaunchPlan {
    LaunchPlan {
        cpus: 4,
        memory_mib: 2048,
        os_disk: "/m/disk.raw".into(),
        os_disk_format: DiskFormat::Raw,
        data_disk: Some("/m/data.raw".into()),
        network: NetworkJoint::Connects,
        ..testing::plan(Path::new("/m"))
    }
}

fn share(number: usize, source: &str) -> SharePlan {
    SharePlan {
        tag: format!("machine-share-{number}"),
        source: source.into(),
        target: source.to_owned(),
        read_only: false,
        socket: "/m/share.sock".into(),
        log: "/m/share.log".into(),
    }
}

/// An option and its value a line.
fn lines(plan: &LaunchPlan, flavour: &Flavour, shares: &[&SharePlan]) -> String {
    let surroundings = Surroundings {
        flavour,
        balloon: flavour.balloon_since.is_some(),
        shares,
    };
    let words = arguments(plan, &surroundings).into_iter();
    let words: Vec<String> = words.map(|word| word.into_string().unwrap()).collect();
    words.join(" ").replace(" --", "\n--")
}

/// doc/usage.md: `--cpus`, `--memory` in MiB; `--bootloader efi,variable-store=…,create`; `--device virtio-blk,path=…`, with
/// `deviceId` for what lies in `/dev/disk/by-id/`; `virtio-rng`, `virtio-balloon`; `virtio-serial,logFilePath=…`;
/// `virtio-vsock,port=…,socketURL=…,listen` for a host that waits for the guest; `virtio-net,unixSocketPath=…,mac=…`;
/// `virtio-fs,sharedDir=…,mountTag=…`; `--timesync vsockPort=…`; `--restful-uri unix://…`.
#[test]
fn vfkit_as_documented() {
    let shares = [share(0, "/Users/ann"), share(1, "/Volumes/a b")];
    let shares: Vec<&SharePlan> = shares.iter().collect();
    assert_eq!(
        lines(&plan(), &VFKIT, &shares),
        "--cpus 4
--memory 2048
--bootloader efi,variable-store=/m/efi-variables,create
--device virtio-blk,path=/m/disk.raw
--device virtio-blk,path=/m/seed.img
--device virtio-blk,path=/m/data.raw,deviceId=machine-data
--device virtio-rng
--device virtio-balloon
--device virtio-serial,logFilePath=/m/console.log
--device virtio-vsock,port=1025,socketURL=/m/vsock.sock_1025,listen
--device virtio-vsock,port=1024,socketURL=/m/vsock.sock_1024,listen
--device virtio-net,unixSocketPath=/m/network.sock,mac=5a:0c:43:85:6c:4e
--device virtio-fs,sharedDir=/Users/ann,mountTag=machine-share-0
--device virtio-fs,sharedDir=/Volumes/a b,mountTag=machine-share-1
--timesync vsockPort=1234
--restful-uri unix:///m/qmp.sock"
    );
}

/// doc/usage.md: `--device rosetta,mountTag=…[,install]`; docs/usage.md of krunkit has no such device.
#[test]
fn rosetta_where_it_is_there() {
    let plan = LaunchPlan {
        translator: Some("rosetta".to_owned()),
        ..plan()
    };
    let said = lines(&plan, &VFKIT, &[]);
    let device = "\n--device rosetta,mountTag=rosetta,install\n--timesync";
    assert!(said.contains(device), "{said}");
    let said = lines(&plan, &KRUNKIT, &[]);
    assert!(!said.contains("rosetta"), "{said}");
}

/// The framework's own network: `virtio-net,nat`, without a program.
#[test]
fn vfkit_alone() {
    let alone = LaunchPlan {
        data_disk: None,
        ..testing::plan(Path::new("/m"))
    };
    let said = lines(&alone, &VFKIT, &[]);
    assert!(said.contains("--device virtio-net,nat,mac=5a:"), "{said}");
    assert!(!said.contains("deviceId"), "{said}");
    let surroundings = Surroundings {
        flavour: &VFKIT,
        balloon: false,
        shares: &[],
    };
    let words = arguments(&alone, &surroundings);
    assert!(!words.contains(&"virtio-balloon".into()));
}

/// docs/usage.md: the same but for what it does not list, `deviceId` and `virtio-balloon`, and with `--nested`.
#[test]
fn krunkit_as_documented() {
    let folder = share(0, "/Users/ann");
    assert_eq!(
        lines(&plan(), &KRUNKIT, &[&folder]),
        "--cpus 4
--memory 2048
--bootloader efi,variable-store=/m/efi-variables,create
--device virtio-blk,path=/m/disk.raw
--device virtio-blk,path=/m/seed.img
--device virtio-rng
--device virtio-serial,logFilePath=/m/console.log
--device virtio-vsock,port=1025,socketURL=/m/vsock.sock_1025,listen
--device virtio-vsock,port=1024,socketURL=/m/vsock.sock_1024,listen
--device virtio-net,unixSocketPath=/m/network.sock,mac=5a:0c:43:85:6c:4e
--device virtio-fs,sharedDir=/Users/ann,mountTag=machine-share-0
--restful-uri unix:///m/qmp.sock
--nested"
    );
}

#[test]
fn each_machine_has_a_card_of_its_own() {
    let of = |path: &str| address(Path::new(path));
    assert_eq!(of("/a/qmp.sock"), of("/a/qmp.sock"));
    assert_ne!(of("/a/qmp.sock"), of("/b/qmp.sock"));
    let first = u8::from_str_radix(&of("/a")[..2], 16).unwrap();
    assert_eq!(first & 3, 2);
}
