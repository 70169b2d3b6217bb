//! The real QEMU without a guest: SeaBIOS finds nothing to boot and waits.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use machine_host::facts::Architecture;
use machine_host::process::ProcessIdentity;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::machine::DiskFormat;
use crate::provider::plan::testing;
use crate::provider::qemu::launch::{attach, launch};
use crate::provider::qemu::vm::QemuVm;
use crate::provider::{
    Accelerator, ExitReason, LaunchPlan, NetworkJoint, PauseReason, ProviderError, Resolved, Vm,
    VmEvent,
};

const LIMIT: Duration = Duration::from_mins(1);

/// Writes a program that a test runs. It is written by another process, for one that this process has open for
/// writing while it forks cannot be run ("text file busy").
pub(super) fn write_program(path: &Path, text: &str) {
    let source = path.with_extension("source");
    fs::write(&source, text).unwrap();
    let status = Command::new("install")
        .args(["-m", "755"])
        .args([&source, path])
        .status()
        .unwrap();
    assert!(status.success());
}

struct Fixture {
    directory: TempDir,
    plan: LaunchPlan,
    resolved: Resolved,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // A comma in every path: they must all arrive unchanged.
        let home = directory.path().join("a,b");
        fs::create_dir(&home).unwrap();
        let plan = LaunchPlan {
            os_disk_format: DiskFormat::Raw,
            ..testing::plan(&home)
        };
        fs::write(plan.ignition.as_ref().unwrap(), "{}").unwrap();
        for disk in plan.seed.iter().chain([&plan.os_disk]) {
            fs::File::create(disk).unwrap().set_len(1 << 20).unwrap();
        }
        let program = machine_host::program::find("qemu-system-x86_64", &[]);
        let resolved = Resolved {
            translator: None,
            program: program.expect("qemu-system-x86 is installed"),
            version: String::new(),
            accelerator: Accelerator::Tcg,
            firmware: None,
            vsock: None,
            shares: None,
            warnings: Vec::new(),
        };
        Self {
            directory,
            plan,
            resolved,
        }
    }

    /// A program in the place of QEMU.
    fn replace_program(&mut self, body: &str) {
        let path: PathBuf = self.directory.path().join("qemu");
        write_program(&path, &format!("#!/bin/sh\n{body}\n"));
        self.resolved.program = path;
    }

    async fn launch(&self) -> (Result<Running, ProviderError>, Events) {
        let (sender, events) = mpsc::unbounded_channel();
        let vm = launch(&self.plan, &self.resolved, Architecture::X86_64, sender).await;
        (vm.map(|vm| Running(Some(vm))), Events(events))
    }

    async fn run(&self) -> (Running, Events) {
        let (vm, events) = self.launch().await;
        (vm.unwrap(), events)
    }
}

/// A VM that no failed test leaves behind.
struct Running(Option<QemuVm>);

impl std::ops::Deref for Running {
    type Target = QemuVm;

    fn deref(&self) -> &QemuVm {
        self.0.as_ref().unwrap()
    }
}

impl Running {
    /// Drops the handle, not the VM.
    fn let_go(mut self) -> Left {
        Left(self.0.take().unwrap().identity().clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(vm) = &self.0 {
            vm.identity().kill().unwrap();
        }
    }
}

struct Left(ProcessIdentity);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.kill().unwrap();
    }
}

struct Events(mpsc::UnboundedReceiver<VmEvent>);

impl Events {
    async fn next(&mut self) -> VmEvent {
        let event = tokio::time::timeout(LIMIT, self.0.recv()).await;
        event.expect("an event in time").expect("a live VM")
    }

    async fn exit(&mut self) -> ExitReason {
        match self.next().await {
            VmEvent::Exited(reason) => reason,
            other => panic!("{other:?} instead of the end"),
        }
    }
}

#[tokio::test]
async fn reset_and_quit_are_events_in_order() {
    let fixture = Fixture::new();
    let (vm, mut events) = fixture.run().await;
    vm.execute(qapi::qmp::system_reset {}).await.unwrap();
    assert_eq!(
        events.next().await,
        VmEvent::Reset {
            by_guest: false,
            reason: "host-qmp-system-reset".to_owned()
        }
    );
    vm.power_down().await.unwrap();
    vm.quit().await.unwrap();
    let reason = events.exit().await;
    assert_eq!(reason.code, Some(0));
    assert_eq!(reason.shutdown.as_deref(), Some("host-qmp-quit"));
    assert!(reason.is_orderly(), "{reason}");
    assert!(events.0.recv().await.is_none(), "nothing after the end");

    // All of it may be asked for again.
    vm.quit().await.unwrap();
    vm.power_down().await.unwrap();
    vm.resume().await.unwrap();
    vm.kill().await.unwrap();
}

/// Whether the connections that a process has at a socket block, by what the kernel says of each open file.
fn blocking(process: u32, socket: &Path) -> Vec<bool> {
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let place = socket.to_str().unwrap();
    // State 3 is connected, see `unix_seq_show`.
    let inodes: Vec<String> = sockets
        .lines()
        .filter(|line| line.ends_with(place))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words[5] == "03")
        .map(|words| format!("socket:[{}]", words[6]))
        .collect();
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    open.filter_map(|entry| {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).ok()?;
        inodes.iter().find(|inode| target == Path::new(inode))?;
        let number = path.file_name()?.to_str()?.to_owned();
        let told = fs::read_to_string(format!("/proc/{process}/fdinfo/{number}")).ok()?;
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"))?;
        Some(u32::from_str_radix(flags.trim(), 8).unwrap() & 0o4000 == 0)
    })
    .collect()
}

#[tokio::test]
async fn it_does_not_wait_for_the_program_of_its_network() {
    let mut fixture = Fixture::new();
    fixture.plan.network = NetworkJoint::Listens;
    let (vm, _events) = fixture.run().await;
    let (socket, process) = (&fixture.plan.paths.network_socket, vm.identity().pid);
    for _ in 0..2 {
        // One program after the other.
        let _program = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let unblocked = async {
            while blocking(process, socket) != [false] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, unblocked).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_nobody_carries_is_said_to_be_so() {
    let mut fixture = Fixture::new();
    fixture.plan.network = NetworkJoint::Connects;
    let (vm, _events) = fixture.launch().await;
    let error = vm.err().expect("no network, no VM");
    let socket = &fixture.plan.paths.network_socket;
    let said = error.to_string();
    assert!(
        said.contains("network") && said.contains(&*socket.to_string_lossy()),
        "{said}"
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("does not listen"),
        "{said}"
    );
    assert!(
        error.hints()[0].contains("`machine set --network auto test`"),
        "{:?}",
        error.hints()
    );
}

#[tokio::test]
async fn pause_and_resumption_are_events() {
    let fixture = Fixture::new();
    let (vm, mut events) = fixture.run().await;
    vm.execute(qapi::qmp::stop {}).await.unwrap();
    let reason = PauseReason::Requested;
    assert_eq!(events.next().await, VmEvent::Paused { reason });
    vm.resume().await.unwrap();
    assert_eq!(events.next().await, VmEvent::Resumed);
}

#[tokio::test]
async fn kill_ends_it_and_the_signal_is_told() {
    let fixture = Fixture::new();
    let (vm, mut events) = fixture.run().await;
    vm.kill().await.unwrap();
    let reason = events.exit().await;
    assert_eq!((reason.code, reason.signal), (None, Some(9)));
    assert_eq!(reason.to_string(), "ended by signal 9");
    assert!(!reason.is_orderly());
}

#[tokio::test]
async fn survivor_is_attached_to_by_its_paths() {
    let fixture = Fixture::new();
    let (vm, events) = fixture.run().await;
    vm.execute(qapi::qmp::stop {}).await.unwrap();
    let left = vm.let_go();
    drop(events);
    assert!(left.0.is_alive());

    let (sender, receiver) = mpsc::unbounded_channel();
    let mut events = Events(receiver);
    let again = attach(&fixture.plan.paths, &left.0, &[], sender)
        .await
        .unwrap();
    // What was so before is told.
    assert!(matches!(events.next().await, VmEvent::Paused { .. }));
    assert_eq!(again.identity(), &left.0);
    again.connect_link().await.unwrap();
    again.quit().await.unwrap();
    let reason = events.exit().await;
    assert_eq!(reason.shutdown.as_deref(), Some("host-qmp-quit"));

    let (sender, _receiver) = mpsc::unbounded_channel();
    let error = attach(&fixture.plan.paths, &left.0, &[], sender)
        .await
        .unwrap_err();
    assert!(matches!(error, ProviderError::Gone { .. }), "{error}");
}

#[tokio::test]
async fn progress_is_counted() {
    let fixture = Fixture::new();
    let (vm, _events) = fixture.run().await;
    vm.progress().await.unwrap();
    // SeaBIOS reads the first sector to see whether it boots.
    let read = async {
        while vm.progress().await.unwrap().read_bytes == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, read).await.unwrap();
}

#[tokio::test]
async fn disk_in_use_is_said_so() {
    let fixture = Fixture::new();
    let (_vm, _events) = fixture.run().await;
    let mut other = Fixture::new();
    other.plan.os_disk.clone_from(&fixture.plan.os_disk);
    let error = other.launch().await.0.map(|_| ()).unwrap_err();
    let ProviderError::DiskInUse { disk, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(disk, &fixture.plan.os_disk);
    assert_eq!(
        error.to_string(),
        format!("The disk `{}` is in use by another process", disk.display())
    );
}

#[tokio::test]
async fn refused_arguments_are_told_in_qemu_s_words() {
    let mut fixture = Fixture::new();
    fixture.plan.os_disk = fixture.directory.path().join("missing.raw");
    let error = fixture.launch().await.0.map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("ended with exit code 1 before the machine ran"),
        "{text}"
    );
    assert!(
        text.contains("missing.raw': No such file or directory"),
        "{text}"
    );
}

#[tokio::test]
async fn program_that_ends_at_once_or_says_nothing_is_an_error() {
    for (body, expected) in [
        ("exit 3", "ended with exit code 3 before the machine ran"),
        (
            "echo boom >&2; kill -9 $$",
            "ended by signal 9 before the machine ran: boom",
        ),
    ] {
        let mut fixture = Fixture::new();
        fixture.replace_program(body);
        let error = fixture.launch().await.0.map(|_| ()).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let mut fixture = Fixture::new();
    fixture.resolved.program = fixture.directory.path().join("missing");
    let error = fixture.launch().await.0.map(|_| ()).unwrap_err();
    assert!(matches!(error, ProviderError::Spawn { .. }), "{error}");
}

#[tokio::test]
async fn dropped_launch_leaves_no_process() {
    let mut fixture = Fixture::new();
    // It never speaks, so the launch waits for the greeting.
    fixture.replace_program("echo $$ > \"$0.pid\"; exec cat /dev/zero > /dev/null");
    let pid_file = fixture.directory.path().join("qemu.pid");
    let launched = fixture.launch();
    let written = async {
        while !fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = launched => panic!("the launch ended"),
        written = tokio::time::timeout(LIMIT, written) => written.unwrap(),
    }
    let pid = fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(ProcessIdentity::of(pid).unwrap(), None);
}

#[tokio::test]
async fn only_the_owner_can_reach_the_sockets_and_logs_begin_anew() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    fs::write(&fixture.plan.paths.console_log, "of the run before").unwrap();
    fs::write(&fixture.plan.paths.vm_log, vec![b'x'; 2 << 20]).unwrap();
    let (_vm, _events) = fixture.run().await;
    for socket in [
        &fixture.plan.paths.control_socket,
        &fixture.plan.paths.link_socket,
    ] {
        let mode = fs::metadata(socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", socket.display());
    }
    let console = fs::read_to_string(&fixture.plan.paths.console_log).unwrap();
    assert!(!console.contains("of the run before"));
    assert!(fs::metadata(&fixture.plan.paths.vm_log).unwrap().len() < 1024);
}
