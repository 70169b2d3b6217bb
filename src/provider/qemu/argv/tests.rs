//! The whole argument lists, written down from the design.

use std::path::{Path, PathBuf};

use super::*;
use crate::provider::VsockDevice;
use crate::provider::plan::testing;

fn plan() -> LaunchPlan {
    LaunchPlan {
        name: "default".to_owned(),
        cpus: 4,
        memory_mib: 2048,
        ..testing::plan(Path::new("/m/default"))
    }
}

const SOUND: Emulation = Emulation {
    threads: EmulationThreads::PerProcessor,
    cx16: true,
};

fn surroundings(architecture: Architecture, accelerator: Accelerator) -> Surroundings<'static> {
    Surroundings {
        architecture,
        accelerator,
        emulation: SOUND,
        firmware: None,
        control_fd: 3,
        link_fd: 4,
        vsock: None,
        network_fd: None,
        shares: &[],
        sandbox: true,
    }
}

/// A flag and its value a line.
fn lines(plan: &LaunchPlan, surroundings: &Surroundings<'_>) -> String {
    let mut text = String::new();
    for argument in arguments(plan, surroundings) {
        let argument = argument.into_string().unwrap();
        if argument.starts_with('-') && !text.is_empty() {
            text.push('\n');
        } else if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&argument);
    }
    text
}

#[test]
fn x86_64_with_kvm() {
    let text = lines(
        &plan(),
        &surroundings(Architecture::X86_64, Accelerator::Kvm),
    );
    insta::assert_snapshot!(text, @r"
    -name guest=machine-default,process=machine-default,debug-threads=on
    -no-user-config
    -nodefaults
    -display none
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
    -machine q35,vmport=off,graphics=off
    -accel kvm
    -cpu host
    -smp 4
    -m 2048M
    -chardev socket,id=monitor,fd=3,server=on,wait=off
    -mon chardev=monitor,mode=control
    -blockdev node-name=os-file,driver=file,filename=/m/default/disk.qcow2,discard=unmap
    -blockdev node-name=os,driver=qcow2,file=os-file,discard=unmap,detect-zeroes=unmap
    -device virtio-blk-pci,id=os0,drive=os,serial=machine-os,bootindex=1,werror=stop,rerror=stop
    -blockdev node-name=seed-file,driver=file,filename=/m/default/seed.img,read-only=on
    -blockdev node-name=seed,driver=raw,file=seed-file,read-only=on
    -device virtio-blk-pci,id=seed0,drive=seed,serial=machine-seed
    -chardev file,id=console,path=/m/default/console.log
    -serial chardev:console
    -device virtio-serial-pci,id=ports0
    -chardev socket,id=link,fd=4,server=on,wait=off
    -device virtserialport,id=link0,bus=ports0.0,chardev=link,name=machine.link.0
    -chardev file,id=journal,path=/m/default/first-boot-journal.log
    -device virtserialport,id=journal0,bus=ports0.0,chardev=journal,name=com.coreos.ignition.journal
    -fw_cfg name=opt/com.coreos/config,file=/m/default/ignition.json
    -netdev user,id=net0,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15,ipv4=on,ipv6=on
    -device virtio-net-pci,id=nic0,netdev=net0,romfile=
    -object rng-builtin,id=rng0
    -device virtio-rng-pci,rng=rng0
    -device virtio-balloon-pci,free-page-reporting=on
    -device pvpanic-pci
    ");
}

#[test]
fn aarch64_with_emulation_and_only_what_must_be() {
    let mut plan = plan();
    plan.os_disk = "/m/default/disk.raw".into();
    plan.os_disk_format = DiskFormat::Raw;
    plan.seed = None;
    plan.ignition = None;
    let surroundings = Surroundings {
        firmware: Some(Path::new("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")),
        sandbox: false,
        emulation: Emulation {
            threads: EmulationThreads::One,
            cx16: false,
        },
        ..surroundings(Architecture::Aarch64, Accelerator::Tcg)
    };
    insta::assert_snapshot!(lines(&plan, &surroundings), @r"
    -name guest=machine-default,process=machine-default,debug-threads=on
    -no-user-config
    -nodefaults
    -display none
    -machine virt,gic-version=max
    -accel tcg,thread=single
    -cpu max,pauth-impdef=on
    -smp 4
    -m 2048M
    -bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd
    -chardev socket,id=monitor,fd=3,server=on,wait=off
    -mon chardev=monitor,mode=control
    -blockdev node-name=os-file,driver=file,filename=/m/default/disk.raw,discard=unmap
    -blockdev node-name=os,driver=raw,file=os-file,discard=unmap,detect-zeroes=unmap
    -device virtio-blk-pci,id=os0,drive=os,serial=machine-os,bootindex=1,werror=stop,rerror=stop
    -chardev file,id=console,path=/m/default/console.log
    -serial chardev:console
    -device virtio-serial-pci,id=ports0
    -chardev socket,id=link,fd=4,server=on,wait=off
    -device virtserialport,id=link0,bus=ports0.0,chardev=link,name=machine.link.0
    -chardev file,id=journal,path=/m/default/first-boot-journal.log
    -device virtserialport,id=journal0,bus=ports0.0,chardev=journal,name=com.coreos.ignition.journal
    -netdev user,id=net0,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15,ipv4=on,ipv6=on
    -device virtio-net-pci,id=nic0,netdev=net0,romfile=
    -object rng-builtin,id=rng0
    -device virtio-rng-pci,rng=rng0
    -device virtio-balloon-pci,free-page-reporting=on
    -device pvpanic-pci
    ");
}

#[test]
fn vsock_of_the_kernel_and_of_a_program() {
    let with = |device| {
        let surroundings = Surroundings {
            vsock: Some(VsockArguments { device, fd: 5 }),
            ..surroundings(Architecture::X86_64, Accelerator::Kvm)
        };
        let text = lines(&plan(), &surroundings);
        let plain = lines(
            &plan(),
            &Surroundings {
                vsock: None,
                ..surroundings
            },
        );
        let plain: Vec<&str> = plain.lines().collect();
        let added = text.lines().filter(|line| !plain.contains(line));
        added.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(with(VsockDevice::Kernel { cid: 17 }), @"-device vhost-vsock-pci,id=vsock0,guest-cid=17,vhostfd=5");
    insta::assert_snapshot!(with(VsockDevice::Program), @r"
    -object memory-backend-memfd,id=memory,size=2048M,share=on
    -machine q35,vmport=off,graphics=off,memory-backend=memory
    -chardev socket,id=vsock,fd=5
    -device vhost-user-vsock-pci,id=vsock0,chardev=vsock
    ");
}

#[test]
fn networks_of_programs() {
    let netdev = |network| {
        let mut plan = plan();
        plan.network = network;
        let surroundings = Surroundings {
            network_fd: Some(5),
            ..surroundings(Architecture::X86_64, Accelerator::Kvm)
        };
        let text = lines(&plan, &surroundings);
        assert!(text.contains("\n-device virtio-net-pci,id=nic0,netdev=net0,romfile=\n"));
        let line = text.lines().find(|line| line.starts_with("-netdev"));
        line.unwrap().to_owned()
    };
    insta::assert_snapshot!(netdev(NetworkJoint::Listens), @"-netdev stream,id=net0,server=on,addr.type=fd,addr.str=5");
    insta::assert_snapshot!(netdev(NetworkJoint::Connects), @"-netdev stream,id=net0,server=off,addr.type=fd,addr.str=5");
}

#[test]
fn the_other_hosts_accelerators() {
    let text = |kind| {
        accelerator(Architecture::X86_64, kind, SOUND)
            .map(|word| word.into_string().unwrap())
            .join(" ")
    };
    assert_eq!(text(Accelerator::Tcg), "-accel tcg,thread=multi -cpu max");
    let old = Emulation {
        threads: EmulationThreads::One,
        cx16: false,
    };
    assert_eq!(
        accelerator(Architecture::X86_64, Accelerator::Tcg, old),
        ["-accel", "tcg,thread=single", "-cpu", "max,-cx16"]
    );
    assert_eq!(
        accelerator(Architecture::X86_64, Accelerator::Kvm, old),
        ["-accel", "kvm", "-cpu", "host"]
    );
    assert_eq!(text(Accelerator::Hvf), "-accel hvf -cpu host");
    assert_eq!(
        text(Accelerator::Whpx),
        "-accel whpx,kernel-irqchip=off -cpu max"
    );
}

/// The image below is named on the command line and is never written.
#[test]
fn a_disk_over_an_image() {
    let mut plan = plan();
    plan.os_base = Some(("/m/default/base.raw".into(), DiskFormat::Raw));
    let text = lines(&plan, &surroundings(Architecture::X86_64, Accelerator::Tcg));
    let expected = "\
-blockdev node-name=os-file,driver=file,filename=/m/default/disk.qcow2,discard=unmap
-blockdev node-name=base-file,driver=file,filename=/m/default/base.raw,read-only=on
-blockdev node-name=base,driver=raw,file=base-file,read-only=on
-blockdev node-name=os,driver=qcow2,file=os-file,backing=base,discard=unmap,detect-zeroes=unmap
";
    assert!(text.contains(expected), "{text}");
}

/// Design, "Two disks": raw, the whole of it, found by its serial number; a full disk of the host pauses the VM.
#[test]
fn a_disk_for_what_the_engines_keep() {
    let mut plan = plan();
    let without = lines(&plan, &surroundings(Architecture::X86_64, Accelerator::Tcg));
    plan.data_disk = Some("/d/a,b.raw".into());
    let text = lines(&plan, &surroundings(Architecture::X86_64, Accelerator::Tcg));
    let expected = "\
-blockdev node-name=data-file,driver=file,filename=/d/a,,b.raw,discard=unmap
-blockdev node-name=data,driver=raw,file=data-file,discard=unmap,detect-zeroes=unmap
-device virtio-blk-pci,id=data0,drive=data,serial=machine-data,werror=stop,rerror=stop
";
    assert!(text.contains(expected), "{text}");
    assert_eq!(text.replace(expected, ""), without);
}

#[test]
fn no_name_or_path_adds_an_option() {
    let mut plan = plan();
    plan.os_disk = "/m/a,read-only=on,b".into();
    plan.link_port = "x,chardev=console".to_owned();
    plan.paths.console_log = "/m/,".into();
    let text = lines(&plan, &surroundings(Architecture::X86_64, Accelerator::Tcg));
    for expected in [
        "filename=/m/a,,read-only=on,,b,discard=unmap",
        "name=x,,chardev=console\n",
        "path=/m/,,\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

/// Spec, QEMU's table: memory that is shared, a queue of 1024; 9p without a program, and without shared memory.
#[test]
fn folders_of_the_host() {
    let share = |tag: &str, device| ShareArguments {
        tag: tag.to_owned(),
        device,
    };
    let mut surroundings = surroundings(Architecture::X86_64, Accelerator::Kvm);
    let both = [
        share("one", ShareDevice::Virtiofs { fd: 7 }),
        share("two", ShareDevice::Virtiofs { fd: 8 }),
    ];
    surroundings.shares = &both;
    let shared = |text: &str| {
        let words = ["share", "memory", "9p", "fsdev"];
        let lines = text
            .lines()
            .filter(|line| words.iter().any(|word| line.contains(word)));
        lines.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(shared(&lines(&plan(), &surroundings)), @r"
    -object memory-backend-memfd,id=memory,size=2048M,share=on
    -machine q35,vmport=off,graphics=off,memory-backend=memory
    -chardev socket,id=share0,fd=7
    -device vhost-user-fs-pci,id=fs0,chardev=share0,tag=one,queue-size=1024
    -chardev socket,id=share1,fd=8
    -device vhost-user-fs-pci,id=fs1,chardev=share1,tag=two,queue-size=1024
    ");
    let folders = [("a,b", true), ("c", false)].map(|(source, read_only)| {
        let source = PathBuf::from(source);
        share(
            source.to_str().unwrap(),
            ShareDevice::NineP {
                source: source.clone(),
                read_only,
            },
        )
    });
    surroundings.shares = &folders;
    insta::assert_snapshot!(shared(&lines(&plan(), &surroundings)), @r"
    -fsdev local,id=share0,path=a,,b,security_model=none,multidevs=remap,readonly=on
    -device virtio-9p-pci,id=fs0,fsdev=share0,mount_tag=a,,b
    -fsdev local,id=share1,path=c,security_model=none,multidevs=remap
    -device virtio-9p-pci,id=fs1,fsdev=share1,mount_tag=c
    ");
}
