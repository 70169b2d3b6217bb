//! UDP ports: each client's datagrams travel on a stream of their own, so that replies find it.
//!
//! Datagrams are lost rather than waited for, as they are on any network: where a client has too many under way, where
//! clients are too many, where there is no link. A client that is silent, and hears nothing, is forgotten.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use machine_protocol::link::{Link, MuxStream};
use machine_protocol::message::Target;
use machine_protocol::publish::Protocol;
use machine_protocol::publish::datagram::{Datagrams, framed};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::machine::deadlines;

/// Clients of a port at a time.
const CLIENTS: usize = 256;
/// Datagrams of one client that wait for the link.
const WAITING: usize = 64;
/// Bytes of all clients of a port that wait for the link.
const WAITING_BYTES: usize = 4 << 20;
/// Room for the longest datagram.
const LARGEST: usize = 65536;

/// A datagram and its share of the bytes that may wait.
type Waiting = (Bytes, OwnedSemaphorePermit);

/// Carries datagrams between the clients of `socket` and a port of the guest, for as long as the caller polls.
pub(super) async fn serve(socket: UdpSocket, port: u16, link: watch::Receiver<Option<Link>>) {
    let socket = Arc::new(socket);
    let room = Arc::new(Semaphore::new(WAITING_BYTES));
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Waiting>> = HashMap::new();
    // Ended with this future.
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; LARGEST];
    loop {
        let (length, client) = tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(error) => {
                    // Some systems tell here that an earlier reply met nobody.
                    tracing::debug!(%error, "A datagram was not received");
                    let pause = std::future::pending::<()>();
                    let _ = timeout(deadlines::ACCEPT.limit, pause).await;
                    continue;
                }
            },
            Some(ended) = tasks.join_next() => {
                if let Ok(client) = ended
                    && clients.get(&client).is_some_and(mpsc::Sender::is_closed)
                {
                    clients.remove(&client);
                }
                continue;
            }
        };
        let share = u32::try_from(length.max(1)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&room).try_acquire_many_owned(share) else {
            continue;
        };
        let datagram = (Bytes::copy_from_slice(&buffer[..length]), permit);
        let known = clients.get(&client).filter(|queue| !queue.is_closed());
        if let Some(queue) = known {
            // A full queue is a datagram lost.
            let _ = queue.try_send(datagram);
            continue;
        }
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            continue;
        }
        let Some(stream) = open(&link, port) else {
            continue;
        };
        let (queue, waiting) = mpsc::channel(WAITING);
        let _ = queue.try_send(datagram);
        clients.insert(client, queue);
        let socket = Arc::clone(&socket);
        tasks.spawn(async move {
            carry(&socket, client, waiting, stream).await;
            client
        });
    }
}

fn open(link: &watch::Receiver<Option<Link>>, port: u16) -> Option<MuxStream> {
    let link = link.borrow().clone()?;
    let target = Target::Port {
        protocol: Protocol::Udp,
        port,
    };
    link.open(&target).ok()
}

/// Carries the datagrams of one client until it is silent for long, or the guest or the link ends it.
async fn carry(
    socket: &UdpSocket,
    client: SocketAddr,
    mut waiting: mpsc::Receiver<Waiting>,
    stream: MuxStream,
) {
    let (mut from, mut to) = stream.into_split();
    let mut datagrams = Datagrams::default();
    loop {
        let step = async {
            tokio::select! {
                next = waiting.recv() => {
                    let (datagram, _permit) = next?;
                    // What waits meanwhile is bounded, and the rest is lost.
                    to.write_all(&framed(&datagram)?).await.ok()
                }
                bytes = from.read() => {
                    datagrams.push(&bytes.ok()??);
                    while let Some(datagram) = datagrams.next_datagram() {
                        // The system sends at once, or has no way there.
                        let _ = socket.send_to(&datagram, client).await;
                    }
                    Some(())
                }
            }
        };
        match timeout(deadlines::UDP_IDLE.limit, step).await {
            Ok(Some(())) => {}
            _ => break,
        }
    }
    to.finish();
}
