//! What is tried of a machine that runs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use machine_protocol::exec::Exit;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::Trouble;
use crate::engine;
use crate::machine::deadlines;
use crate::machine::ports::Forward;
use crate::ops::exec::{self, ExecRequest, Output};
use crate::ops::port as ports;
use crate::store::{Store, StoredMachine};

/// A program that every guest has, and that says something of it.
const PROGRAM: [&str; 2] = ["uname", "-srm"];
/// The port of the guest's SSH server, which every guest has.
const SSH: u16 = 22;
/// What an SSH server says first (RFC 4253, section 4.2).
const GREETING: &str = "SSH-2.0-";
/// So much of what a guest says is shown.
const MOST_SHOWN: usize = 100;
/// So much is read of it.
const MOST_READ: usize = 4096;

/// Asks the engine whether it is there.
pub(super) async fn ping(socket: &Path) -> Result<String, Trouble> {
    let pinged = engine::ping(socket).await;
    pinged.map_err(|error| Trouble::of(&error, Vec::new(), Vec::new()))?;
    Ok("the engine answers".to_owned())
}

/// Asks the engine what it is.
pub(super) async fn version(socket: &Path) -> Result<String, Trouble> {
    let version = engine::version(socket).await;
    let version = version.map_err(|error| Trouble::of(&error, Vec::new(), Vec::new()))?;
    Ok(format!("podman {}", shown(&version)))
}

/// Runs a program by the agent.
pub(super) async fn exec(machine: &StoredMachine) -> Result<String, Trouble> {
    let told = |error: exec::ExecError| {
        let hints = error.hints();
        Trouble::of(&error, Vec::new(), hints)
    };
    let request = ExecRequest {
        words: PROGRAM.map(Into::into).to_vec(),
        ..ExecRequest::default()
    };
    let program = exec::begin(&machine.config.name, &machine.files, &request);
    let program = program.await.map_err(told)?;
    // Nothing is typed: the input has ended.
    let (_, input) = mpsc::channel(1);
    let (_gesture, gestures) = mpsc::unbounded_channel();
    let (output, mut heard) = mpsc::channel(1);
    let mut said = Vec::new();
    let listen = async {
        while let Some(Output::Stdout(bytes) | Output::Stderr(bytes)) = heard.recv().await {
            if said.len() < MOST_READ {
                said.extend_from_slice(&bytes);
            }
        }
    };
    let talk = async { tokio::join!(program.converse(input, gestures, output), listen).0 };
    let limit = deadlines::EXEC.limit;
    let ended = tokio::time::timeout(limit, talk).await;
    let said = shown(&String::from_utf8_lossy(&said));
    match ended {
        Err(_) => Err(Trouble::new(format!(
            "`{}` did not end within {} s",
            PROGRAM.join(" "),
            limit.as_secs()
        ))),
        Ok(Err(error)) => Err(told(error)),
        Ok(Ok(Exit::Code(0))) if !said.is_empty() => Ok(said),
        Ok(Ok(exit)) => Err(Trouble {
            why: vec![said],
            ..Trouble::new(format!(
                "`{}` ended with code {}",
                PROGRAM.join(" "),
                exit.shell_code()
            ))
        }),
    }
}

/// Lets a port of the host lead to the guest's SSH server, and hears what that says.
pub(super) async fn port(store: &Store, machine: &StoredMachine) -> Result<String, Trouble> {
    let told = |error: ports::PortError| {
        let hints = error.hints();
        Trouble::of(&error, Vec::new(), hints)
    };
    let number = free_port().map_err(|error| Trouble::of(&error, Vec::new(), Vec::new()))?;
    let text = format!("{}:{number}:{SSH}", Ipv4Addr::LOCALHOST);
    let forward = text.parse::<Forward>();
    let forward = forward.map_err(|error| Trouble::of(&error, Vec::new(), Vec::new()))?;
    let name = &machine.config.name;
    ports::add(store, name, forward).await.map_err(told)?;
    let limit = deadlines::SSH_CONNECT.limit;
    let greeting = tokio::time::timeout(limit, greeting(number)).await;
    ports::remove(store, name, forward).await.map_err(told)?;
    match greeting {
        Err(_) => Err(Trouble::new(format!(
            "nothing came through port {number} within {} s",
            limit.as_secs()
        ))),
        Ok(Err(error)) => Err(Trouble::of(&error, Vec::new(), Vec::new())),
        Ok(Ok(said)) if said.starts_with(GREETING) => Ok(format!("{text} leads to {said}")),
        Ok(Ok(said)) => Err(Trouble::new(format!(
            "port {number} leads to something that is no SSH server: {said:?}"
        ))),
    }
}

/// A port that nobody has at this moment.
fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// The first line that comes from the port.
async fn greeting(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).await?;
    let mut said = Vec::new();
    while !said.contains(&b'\n') && said.len() < MOST_READ {
        if stream.read_buf(&mut said).await? == 0 {
            break;
        }
    }
    Ok(shown(&String::from_utf8_lossy(&said)))
}

/// The first line of what a guest says, without what a terminal would obey.
fn shown(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.chars().filter(|character| !character.is_control());
    line.take(MOST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn what_a_guest_says_does_nothing_to_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\rc\nd"), "a[2Jbc");
        assert_eq!(shown(""), "");
        assert_eq!(shown(&"x".repeat(1000)).len(), MOST_SHOWN);
    }

    #[tokio::test]
    async fn a_greeting_is_one_line_however_it_comes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            for pieces in [&["SSH-2.0-", "x\r\nmore"][..], &["half"]] {
                let (mut stream, _) = listener.accept().await.unwrap();
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
        };
        let ask = async {
            assert_eq!(greeting(port).await.unwrap(), "SSH-2.0-x");
            assert_eq!(greeting(port).await.unwrap(), "half");
        };
        tokio::join!(serve, ask);
    }
}
