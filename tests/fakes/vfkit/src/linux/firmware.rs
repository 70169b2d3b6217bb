//! The boot up to the point at which the guest's own system runs: firmware, and Ignition at the first boot.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::hardware::Hardware;
use super::mischief::Mischief;
use super::{FakeError, failed, vsock};

/// The port of the host that Ignition asks on these platforms.
const IGNITION_PORT: u32 = 1024;
/// Ignition asks again and again, for longer than a test would wait.
const IGNITION_LIMIT: Duration = Duration::from_secs(20);
const IGNITION_PAUSE: Duration = Duration::from_millis(50);
/// No configuration is longer.
const LONGEST: u64 = 1 << 20;
/// What the disk has in its last sector once Ignition has run.
const PROVISIONED: &[u8; 16] = b"FAKE-PROVISIONED";
/// Where that is, from the end.
const MARK: i64 = 16;

/// Boots from the first disk.
pub(super) async fn boot(hardware: &Hardware, mischief: &Mischief) -> Result<(), FakeError> {
    let Some(disk) = hardware.disks.first() else {
        return Err(FakeError::Guest("no disk to boot from".to_owned()));
    };
    hardware.print("BdsDxe: starting Boot0001 from the first disk");
    if !is_provisioned(&disk.path).map_err(failed("OS disk"))? {
        hardware.print("Ignition: first boot");
        mischief.point("ignition");
        let configuration = fetch(hardware).await?;
        let version = configuration["ignition"]["version"]
            .as_str()
            .unwrap_or_default();
        if !version.starts_with("3.") {
            hardware.print("Ignition: config is not valid");
            return Err(FakeError::Guest(format!(
                "Ignition: no version 3: `{version}`"
            )));
        }
        hardware.print(&format!("Ignition: ran with a config of version {version}"));
        provision(&disk.path).map_err(failed("OS disk"))?;
    }
    hardware.print("systemd[1]: Welcome to the fake guest!");
    Ok(())
}

fn is_provisioned(disk: &Path) -> std::io::Result<bool> {
    let mut file = fs::File::open(disk)?;
    file.seek(SeekFrom::End(-MARK))?;
    let mut mark = [0; PROVISIONED.len()];
    file.read_exact(&mut mark)?;
    Ok(&mark == PROVISIONED)
}

fn provision(disk: &Path) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(disk)?;
    file.seek(SeekFrom::End(-MARK))?;
    file.write_all(PROVISIONED)
}

/// Asks until there is an answer.
async fn fetch(hardware: &Hardware) -> Result<Value, FakeError> {
    let lacking = |text: String| FakeError::Guest(format!("Ignition: {text}"));
    let Some(socket) = vsock::leads_to(hardware, IGNITION_PORT) else {
        return Err(lacking(
            "nobody listens at vsock port 1024 of the host".to_owned(),
        ));
    };
    let begun = tokio::time::Instant::now();
    loop {
        let error = match ask(socket).await {
            Ok(answer) => return parse(&answer).map_err(lacking),
            Err(error) => error,
        };
        if begun.elapsed() > IGNITION_LIMIT {
            hardware.print("Ignition: failed to fetch config: timed out");
            return Err(lacking(format!("no answer at vsock port 1024: {error}")));
        }
        pause().await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "Ignition asks again after a while as well, and there is no event"
)]
async fn pause() {
    tokio::time::sleep(IGNITION_PAUSE).await;
}

/// The question of Ignition's client for these platforms, whose host name is a placeholder.
async fn ask(socket: &Path) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    let question = "GET / HTTP/1.1\r\nHost: d\r\nUser-Agent: Ignition/2.20.0\r\n\
        Accept: application/vnd.coreos.ignition+json;version=3.5.0, */*;q=0.1\r\nAccept-Encoding: identity\r\n\
        Connection: close\r\n\r\n";
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

/// The document in a complete answer.
fn parse(answer: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(answer).map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer is no HTTP")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the answer is `{status}`"));
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse::<usize>());
    match length {
        Some(Ok(length)) if body.len() == length => {}
        _ => return Err("the answer has another length than it says".to_owned()),
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}
