//! The hello over a carrier.

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    sync::Notify,
};

use super::{Link, LinkDriver, LinkError, driver};
use crate::hello::{GuestHello, Hello, HostHello, HostStep, Role, Session};

const READ: usize = 4096;

/// The host's end: sends HELLO, scans for the answer (stale bytes are dropped) and proves itself.
/// `again` says that a new HELLO must be sent, as when the guest has opened the port only now.
///
/// There is no time limit in here: the caller knows how long a guest may take. Dropping the
/// future gives up.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    hello: &Hello,
    again: &Notify,
) -> Result<(Link, LinkDriver<S>), LinkError> {
    let mut host = HostHello::new(hello)?;
    let (mut reader, mut writer) = split(stream);
    let mut out = host.greet()?;
    let mut written = 0;
    // A message that is half written is finished before the next one begins.
    let mut greet = false;
    let mut buffer = [0; READ];
    let session = 'hello: loop {
        if written == out.len() && std::mem::take(&mut greet) {
            out = host.greet()?;
            written = 0;
        }
        tokio::select! {
            biased;
            count = reader.read(&mut buffer) => {
                let mut arrived = &buffer[..count?];
                if arrived.is_empty() {
                    return Err(LinkError::Eof);
                }
                loop {
                    match host.receive(arrived) {
                        HostStep::Wait => break,
                        HostStep::Greet => greet = true,
                        HostStep::Rejected(rejection) => return Err(LinkError::Rejected(rejection)),
                        HostStep::Done { proof, session } => {
                            writer.write_all(&proof).await?;
                            writer.flush().await?;
                            break 'hello session;
                        }
                    }
                    arrived = &[];
                }
            }
            count = write_some(&mut writer, &out[written..]), if written < out.len() => {
                written += count?;
                if written == out.len() {
                    writer.flush().await?;
                }
            }
            () = again.notified() => greet = true,
        }
    };
    Ok(start(Role::Host, session, reader.unsplit(writer)))
}

/// The guest's end: says that it reads from here on, waits for a HELLO, answers and waits for
/// the proof. Give `&mut stream` to keep the carrier when the hello fails.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    hello: &Hello,
) -> Result<(Link, LinkDriver<S>), LinkError> {
    accept_with(stream, Vec::new(), hello).await
}

/// [`accept`] on a carrier whose last session left bytes unused, [`super::LinkEnd::leftover`]:
/// the HELLO of the host that broke into that session may be in them.
pub async fn accept_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    leftover: Vec<u8>,
    hello: &Hello,
) -> Result<(Link, LinkDriver<S>), LinkError> {
    let mut guest = GuestHello::new(hello)?;
    let (mut reader, mut writer) = split(stream);
    let mut buffer = [0; READ];
    let mut out = guest.knock();
    let mut written = 0;
    let mut step = guest.receive(&leftover)?;
    let session = loop {
        if let Some(session) = step.session.take() {
            break session;
        }
        if written == out.len() {
            out.clear();
            written = 0;
        }
        out.append(&mut step.send);
        // While much waits to be written no more is read, so that it stays bounded.
        tokio::select! {
            biased;
            count = write_some(&mut writer, &out[written..]), if written < out.len() => {
                written += count?;
                if written == out.len() {
                    writer.flush().await?;
                }
            }
            count = reader.read(&mut buffer), if out.len() < 8 * READ => {
                let count = count?;
                if count == 0 {
                    return Err(LinkError::Eof);
                }
                step = guest.receive(&buffer[..count])?;
            }
        }
    };
    Ok(start(Role::Guest, session, reader.unsplit(writer)))
}

/// Cancel safe: either bytes were written or none.
async fn write_some<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> std::io::Result<usize> {
    let count = writer.write(bytes).await?;
    if count == 0 {
        return Err(std::io::ErrorKind::WriteZero.into());
    }
    Ok(count)
}

fn start<S>(role: Role, session: Session, stream: S) -> (Link, LinkDriver<S>) {
    driver::start(role, session, stream)
}
