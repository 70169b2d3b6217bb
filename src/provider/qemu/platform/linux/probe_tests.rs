//! The ladder over programs that play QEMU, over the real one, and the firmware image against its source.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use machine_host::facts::Architecture;

use super::launch_tests::write_program;
use crate::provider::qemu::QemuProvider;
use crate::provider::qemu::platform::ACCELERATORS;
use crate::provider::qemu::probe::attempt::{self, Verdict};
use crate::provider::qemu::probe::cache::Cache;
use crate::provider::qemu::probe::{Choice, Ladder, choose, firmware};
use crate::provider::{Accelerator, Provider, ProviderError, ResolveRequest};

/// A program in the place of QEMU.
fn wrapper(directory: &Path, body: &str) -> PathBuf {
    let path = directory.join("qemu-system-x86_64");
    write_program(&path, &format!("#!/bin/sh\n{body}\n"));
    path
}

async fn climb(program: &Path, cache: &mut Cache, limit: Duration) -> Choice {
    let ladder = Ladder {
        program,
        architecture: Architecture::X86_64,
        limit,
        obstacle: &|_| None,
    };
    ladder
        .choose(&[Accelerator::Kvm, Accelerator::Hvf], cache)
        .await
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn first_candidate_that_runs_to_the_end_is_taken_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache.json");
    let program = wrapper(directory.path(), "echo \"$*\" >> \"$0.calls\"; exit 35");
    let mut cache = Cache::load(&path, &program);
    let choice = climb(&program, &mut cache, LONG).await;
    assert_eq!(
        (choice.accelerator, choice.warnings),
        (Accelerator::Kvm, vec![])
    );
    cache.store();

    // The second start does not run it again.
    let mut cache = Cache::load(&path, &program);
    assert_eq!(
        climb(&program, &mut cache, LONG).await.accelerator,
        Accelerator::Kvm
    );
    let calls = fs::read_to_string(directory.path().join("qemu-system-x86_64.calls")).unwrap();
    assert_eq!(calls.lines().count(), 1, "{calls}");
    assert!(calls.contains("-accel kvm -cpu host"), "{calls}");
}

#[tokio::test]
async fn one_that_aborts_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let program = wrapper(
        directory.path(),
        "case \"$*\" in *'-accel kvm'*) echo 'qemu: error: failed to set MSR 0x10a' >&2; echo 'Assertion failed' >&2; kill -ABRT $$;; esac; exit 35",
    );
    let mut cache = Cache::load(Path::new(""), &program);
    let choice = climb(&program, &mut cache, LONG).await;
    assert_eq!(
        (choice.accelerator, choice.warnings),
        (Accelerator::Hvf, vec![])
    );
    let Some(Verdict::Unusable { reason, by_time }) = cache.verdict(Accelerator::Kvm) else {
        panic!("no verdict on kvm");
    };
    assert_eq!(
        reason,
        "QEMU was ended by signal 6, saying `qemu: error: failed to set MSR 0x10a`"
    );
    assert!(!by_time);
}

#[tokio::test]
async fn one_that_spins_is_ended_at_the_limit_and_leaves_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let program = wrapper(
        directory.path(),
        "echo $$ >> \"$0.pids\"; while :; do :; done",
    );
    let mut cache = Cache::load(Path::new(""), &program);
    let choice = climb(&program, &mut cache, Duration::from_millis(500)).await;
    assert_eq!(choice.accelerator, Accelerator::Tcg);
    assert_eq!(choice.warnings.len(), 1);
    assert_eq!(
        choice.warnings[0],
        "Hardware virtualization is not usable, so the machine is emulated and slow \
         (kvm does not work here: a test program did not end within 0.5 s; \
         hvf does not work here: a test program did not end within 0.5 s)"
    );
    let pids = fs::read_to_string(directory.path().join("qemu-system-x86_64.pids")).unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        let process = machine_host::process::ProcessIdentity::of(pid.parse().unwrap()).unwrap();
        if let Some(process) = process {
            tokio::time::timeout(LONG, process.ended()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn one_that_ends_in_any_other_way_is_not_taken() {
    for (body, expected) in [
        ("exit 0", "its processor failed"),
        ("exit 33", "QEMU gave up with exit code 33"),
        (
            "echo no such option >&2; exit 1",
            "exit code 1, saying `no such option`",
        ),
        ("yes error >&2; exit 1", "QEMU gave up"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let program = wrapper(directory.path(), body);
        let mut cache = Cache::load(Path::new(""), &program);
        let choice = climb(&program, &mut cache, LONG).await;
        assert_eq!(choice.accelerator, Accelerator::Tcg, "{body}");
        assert!(
            choice.warnings[0].contains(expected),
            "{body}: {}",
            choice.warnings[0]
        );
    }
}

#[tokio::test]
async fn obstacle_is_told_without_a_try() {
    let ladder = Ladder {
        program: Path::new("/no/such/qemu"),
        architecture: Architecture::X86_64,
        limit: LONG,
        obstacle: &|_| Some("`/dev/kvm` may not be opened".to_owned()),
    };
    let mut cache = Cache::load(Path::new(""), Path::new("/no/such/qemu"));
    let choice = ladder.choose(&[Accelerator::Kvm], &mut cache).await;
    assert_eq!(
        choice.warnings,
        [
            "Hardware virtualization is not usable, so the machine is emulated and slow (`/dev/kvm` may not be opened)"
        ]
    );
    assert_eq!(cache.verdict(Accelerator::Kvm), None, "nothing to remember");
}

fn qemu() -> PathBuf {
    machine_host::program::find("qemu-system-x86_64", &[]).expect("qemu-system-x86 is installed")
}

#[tokio::test]
async fn image_runs_to_its_end_in_the_real_qemu() {
    let verdict = attempt::run(&qemu(), Architecture::X86_64, Accelerator::Tcg, LONG).await;
    assert_eq!(verdict, Verdict::Usable);
}

#[tokio::test]
async fn this_host_s_kvm_is_judged_in_time() {
    let began = Instant::now();
    let mut cache = Cache::load(Path::new(""), &qemu());
    let choice = choose(&qemu(), Architecture::X86_64, ACCELERATORS, &mut cache).await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    // Whether it works depends on the host; that one of the two is said does not.
    match choice.accelerator {
        Accelerator::Tcg => assert_eq!(choice.warnings.len(), 1, "{choice:?}"),
        _ => assert!(choice.warnings.is_empty(), "{choice:?}"),
    }
}

/// Plays a QEMU of that version whose accelerator works, and counts its runs.
fn counting(directory: &Path, version: &str) -> ResolveRequest {
    wrapper(
        directory,
        &format!(
            "echo run >> \"$0.calls\"; case \"$1\" in --version) echo 'QEMU emulator version {version} (x)';; *) exit 35;; esac"
        ),
    );
    ResolveRequest {
        shares: false,
        translator: false,
        cache: directory.join("cache.json"),
        program_directories: vec![directory.to_owned()],
        vsock: crate::machine::Vsock::Auto,
    }
}

#[tokio::test]
async fn second_start_runs_nothing_to_find_out_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let request = counting(directory.path(), "10.1.0");
    let calls = || {
        let path = directory.path().join("qemu-system-x86_64.calls");
        fs::read_to_string(path).unwrap().lines().count()
    };
    let first = QemuProvider::new().resolve(&request).await.unwrap();
    assert_eq!(first.version, "10.1.0");
    assert_eq!(first.program, directory.path().join("qemu-system-x86_64"));
    let runs = calls();
    let second = QemuProvider::new().resolve(&request).await.unwrap();
    assert_eq!(second, first);
    assert_eq!(calls(), runs);

    // A cache that is lost or broken costs the runs, no more.
    fs::write(&request.cache, "{\"key\": ").unwrap();
    let third = QemuProvider::new().resolve(&request).await.unwrap();
    assert_eq!(third, first);
    assert_eq!(calls(), 2 * runs);
}

#[tokio::test]
async fn old_qemu_is_refused_with_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    let request = counting(directory.path(), "6.2.0");
    let error = QemuProvider::new().resolve(&request).await.unwrap_err();
    assert!(matches!(error, ProviderError::TooOld { .. }), "{error}");
    assert_eq!(error.hints().len(), 1);
}

#[test]
fn bytes_are_those_of_the_source() {
    let directory = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program)
            .args(arguments)
            .current_dir(directory.path())
            .status()
            .expect("binutils is installed");
        assert!(status.success(), "{program} {arguments:?}");
    };
    fs::write(
        directory.path().join("firmware.S"),
        include_str!("../../probe/firmware.S"),
    )
    .unwrap();
    run("as", &["--32", "-o", "firmware.o", "firmware.S"]);
    run(
        "ld",
        &[
            "-m",
            "elf_i386",
            "-Ttext=0xffff0000",
            "--oformat=binary",
            "-o",
            "firmware.bin",
            "firmware.o",
        ],
    );
    let built = fs::read(directory.path().join("firmware.bin")).unwrap();
    assert!(
        built == firmware::image(Architecture::X86_64),
        "firmware.rs and firmware.S differ"
    );
}
