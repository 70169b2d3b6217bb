//! The guest's own system: a directory as its root, the agent off the seed disk, and what the agent expects around it.

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use fs_err as fs;
use machine_protocol::boot::{
    BootParameters, Carrier, SEED_AGENT, SEED_BOOT, SEED_CERTIFICATES, SEED_LABEL,
};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::hardware::Hardware;
use super::power::Switch;
use super::{FakeError, engine, failed, log, say, vsock};

/// The first word of a command line that is our own: what follows is the agent's program and its arguments.
pub(super) const BE_THE_GUEST: &str = "--fake-guest";

/// Becomes the agent, as a process that does not outlive its hypervisor, however that ends.
pub(super) fn become_agent(words: &[OsString]) -> ExitCode {
    let Some((program, arguments)) = words.split_first() else {
        return ExitCode::FAILURE;
    };
    let signal = rustix::process::Signal::KILL;
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(signal)) {
        log(&format!("the guest would outlive its hypervisor: {error}"));
        return ExitCode::FAILURE;
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    log(&format!("the guest's agent does not start: {error}"));
    ExitCode::FAILURE
}

/// A guest that runs.
pub(super) struct Guest {
    directory: PathBuf,
    agent: Child,
}

impl Guest {
    /// Starts the system: mounts the seed, and has the agent run off it as the unit in the guest does.
    pub(super) async fn start(
        hardware: &Hardware,
        program: &Path,
        switch: &Switch,
    ) -> Result<Self, FakeError> {
        let directory = program.with_file_name(format!("guest-{}", std::process::id()));
        let (seed, root) = (directory.join("seed"), directory.join("root"));
        for part in [
            &seed,
            &root.join("run/systemd"),
            &root.join("usr/bin"),
            &root.join("etc"),
            &root.join("var"),
        ] {
            fs::create_dir_all(part).map_err(failed("guest"))?;
        }
        let boot = mount_seed(hardware, &seed)?;
        fs::write(root.join("etc/resolv.conf"), "nameserver 192.0.2.53\n")
            .map_err(failed("guest"))?;
        if let Some(zone) = &boot.facts.time_zone {
            let file = root.join("usr/share/zoneinfo").join(zone);
            fs::create_dir_all(file.parent().unwrap_or(&root)).map_err(failed("guest"))?;
            fs::write(file, "TZif").map_err(failed("guest"))?;
        }
        install_systemctl(&root, switch)?;
        // The firewall by which podman's requests for ports reach the agent.
        for name in ["nft", "ip"] {
            install(&root, name, b"#!/bin/sh\n")?;
        }
        engine::serve(&root.join("run/podman/podman.sock"))?;
        engine::serve(&root.join(format!("run/user/{}/podman/podman.sock", boot.uid)))?;
        let ssh = serve_ssh().await?;
        show_disks(hardware, &root)?;
        let own = std::env::current_exe().map_err(failed("guest"))?;
        let mut words = mounts_apart();
        words.extend([
            own.into_os_string(),
            OsString::from(BE_THE_GUEST),
            seed.join(SEED_AGENT).into(),
            "--seed".into(),
            seed.into(),
            "--root".into(),
            root.into(),
            "--ssh-port".into(),
            ssh.to_string().into(),
        ]);
        for (number, port) in carriers(&boot).into_iter().enumerate() {
            let Some(socket) = vsock::leads_to(hardware, port) else {
                return Err(FakeError::Guest(format!(
                    "the host does not listen at vsock port {port}"
                )));
            };
            let entrance = directory.join(format!("vsock-{number}"));
            vsock::relay(&entrance, socket.to_owned())?;
            words.extend(["--socket".into(), entrance.into_os_string()]);
        }
        let mut words = words.into_iter();
        let agent = Command::new(words.next().unwrap_or_default())
            .args(words)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut agent = agent.map_err(failed("guest"))?;
        hardware.print("Started machine-agent");
        if let Some(mut said) = agent.stderr.take() {
            let consoles = hardware.consoles.clone();
            tokio::spawn(async move {
                let mut text = vec![0; 4096];
                while let Ok(length @ 1..) = said.read(&mut text).await {
                    for console in &consoles {
                        let file = fs::OpenOptions::new().append(true).open(console);
                        if let Ok(mut file) = file {
                            say(
                                &mut file,
                                String::from_utf8_lossy(&text[..length]).trim_end(),
                            );
                        }
                    }
                }
            });
        }
        Ok(Self { directory, agent })
    }

    /// Ready when the agent has ended.
    pub(super) async fn ended(&mut self) {
        // An error would say that there is no such process any more.
        let _ = self.agent.wait().await;
    }

    /// The agent's process, as long as it has not ended.
    pub(super) fn process(&self) -> Option<Pid> {
        let pid = self.agent.id().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw)
    }

    /// Switches it off in good order.
    pub(super) async fn power_off(&mut self) {
        signal(self.process(), Signal::TERM);
        let limit = std::time::Duration::from_secs(5);
        let _ = tokio::time::timeout(limit, self.ended()).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Signals a process that may have ended.
pub(super) fn signal(process: Option<Pid>, signal: Signal) {
    if let Some(process) = process {
        let _ = rustix::process::kill_process(process, signal);
    }
}

/// What keeps from the host what the agent mounts, where it may mount at all: it starts what follows and is that process.
fn mounts_apart() -> Vec<OsString> {
    const PROGRAM: &str = "/usr/bin/unshare";
    if rustix::process::geteuid().is_root() && Path::new(PROGRAM).exists() {
        let words = [PROGRAM, "--mount", "--propagation", "private", "--"];
        words.map(OsString::from).to_vec()
    } else {
        Vec::new()
    }
}

/// The ports at which this boot's host is to be dialled.
fn carriers(boot: &BootParameters) -> Vec<u32> {
    let port = |carrier: &Carrier| match carrier {
        Carrier::Vsock { cid: 2, port } => Some(*port),
        _ => None,
    };
    boot.carriers.iter().filter_map(port).collect()
}

/// Finds the seed by its label, as the guest's kernel would, and takes the files off it.
fn mount_seed(hardware: &Hardware, to: &Path) -> Result<BootParameters, FakeError> {
    for disk in &hardware.disks {
        let mut file = fs::File::open(&disk.path).map_err(failed("seed"))?;
        let mut sector = [0; 512];
        file.read_exact(&mut sector).map_err(failed("seed"))?;
        // The label of FAT12 and FAT16 (Microsoft's specification: `BS_VolLab`).
        if &sector[43..54] != SEED_LABEL.as_bytes() {
            continue;
        }
        file.seek(SeekFrom::Start(0)).map_err(failed("seed"))?;
        return take_files(file, to).map_err(failed("seed"));
    }
    Err(FakeError::Guest("there is no seed disk".to_owned()))
}

fn take_files(image: fs::File, to: &Path) -> std::io::Result<BootParameters> {
    let image = Source(image);
    let system = fatfs::FileSystem::new(image, fatfs::FsOptions::new())?;
    let directory = system.root_dir();
    for name in [SEED_AGENT, SEED_BOOT, SEED_CERTIFICATES] {
        let mut bytes = Vec::new();
        match directory.open_file(name) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(_) if name == SEED_CERTIFICATES => continue,
            Err(error) => return Err(error),
        };
        fs::write(to.join(name), bytes)?;
    }
    let executable = std::fs::Permissions::from_mode(0o755);
    fs::set_permissions(to.join(SEED_AGENT), executable)?;
    let boot = fs::read(to.join(SEED_BOOT))?;
    serde_json::from_slice(&boot).map_err(std::io::Error::other)
}

/// A disk that the guest mounts read-only: nothing is written, whatever the library would tidy up.
struct Source(fs::File);

impl std::io::Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl std::io::Write for Source {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn install(root: &Path, name: &str, script: &[u8]) -> Result<(), FakeError> {
    let path = root.join("usr/bin").join(name);
    fs::write(&path, script).map_err(failed("guest"))?;
    let executable = std::fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, executable).map_err(failed("guest"))
}

/// A stand-in for systemd: the boot has ended, and `poweroff` presses the power button.
fn install_systemctl(root: &Path, switch: &Switch) -> Result<(), FakeError> {
    let button = root.join("run/power-button");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &button, mode)
        .map_err(|error| failed("guest")(error.into()))?;
    let script = [
        OsStr::new("#!/bin/sh\ncase $1 in\nis-system-running) echo running ;;\npoweroff) echo > '"),
        button.as_os_str(),
        OsStr::new("' ;;\nesac\n"),
    ];
    let script: Vec<u8> = script
        .iter()
        .flat_map(|part| part.as_bytes())
        .copied()
        .collect();
    install(root, "systemctl", &script)?;
    let switch = switch.clone();
    // Opening waits for somebody who writes.
    std::thread::spawn(move || {
        if fs::read(&button).is_ok() {
            switch.press();
        }
    });
    Ok(())
}

/// A server that says no more than its version.
async fn serve_ssh() -> Result<u16, FakeError> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(failed("SSH server"))?;
    let port = listener.local_addr().map_err(failed("SSH server"))?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream.write_all(b"SSH-2.0-fake\r\n").await;
        }
    });
    Ok(port)
}

/// What the guest's kernel tells of the disks: their serial numbers.
fn show_disks(hardware: &Hardware, root: &Path) -> Result<(), FakeError> {
    for (disk, letter) in hardware.disks.iter().zip('a'..='z') {
        let directory = root.join(format!("sys/block/vd{letter}"));
        fs::create_dir_all(&directory).map_err(failed("guest"))?;
        let serial = disk.serial.clone().unwrap_or_default();
        fs::write(directory.join("serial"), format!("{serial}\n")).map_err(failed("guest"))?;
    }
    Ok(())
}
