//! A UDP port of the guest: one socket for each of the host's clients, which the host ends.

use std::net::Ipv4Addr;

use machine_protocol::link::{MuxStream, RecvHalf, SendHalf};
use machine_protocol::publish::datagram::{Datagrams, framed};
use tokio::net::UdpSocket;

/// Room for the longest datagram.
const LARGEST: usize = 65536;

/// A socket of its own that speaks with this port.
pub(super) async fn connect(port: u16) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect((Ipv4Addr::LOCALHOST, port)).await?;
    Ok(socket)
}

/// Carries datagrams both ways until the host ends the stream.
pub(super) async fn relay(socket: UdpSocket, stream: MuxStream) {
    let (from, mut to) = stream.into_split();
    tokio::select! {
        () = out(&socket, from) => {}
        () = back(&socket, &mut to) => {}
    }
    to.finish();
}

async fn out(socket: &UdpSocket, mut from: RecvHalf) {
    let mut datagrams = Datagrams::default();
    while let Ok(Some(bytes)) = from.read().await {
        datagrams.push(&bytes);
        while let Some(datagram) = datagrams.next_datagram() {
            // Nobody listens: it is lost, as on any network.
            let _ = socket.send(&datagram).await;
        }
    }
}

async fn back(socket: &UdpSocket, to: &mut SendHalf) {
    let mut buffer = vec![0; LARGEST];
    loop {
        // An error says that an earlier datagram met nobody, and is over when it was told.
        let Ok(length) = socket.recv(&mut buffer).await else {
            continue;
        };
        let Some(frame) = framed(&buffer[..length]) else {
            continue;
        };
        // While this waits the kernel keeps some, and loses the rest.
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}
