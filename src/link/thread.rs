//! The thread that owns a machine's link: it keeps a session up, relays the agent's reports and serves the API socket.

use std::io;
use std::path::PathBuf;

use machine_protocol::link::Link;
use machine_protocol::message::Engine;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::{LinkConfig, LinkHandle, LinkReport, Order};
use crate::forward;
use crate::link::session::Session;

/// Starts the thread. It ends when the handle is dropped; reports end with it.
pub fn spawn(
    config: LinkConfig,
    reports: mpsc::UnboundedSender<LinkReport>,
) -> io::Result<LinkHandle> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("link".to_owned())
        .spawn(move || {
            runtime.block_on(serve(config, inbox, reports));
            // The owner may have given up waiting.
            let _ = done.send(());
        })?;
    Ok(LinkHandle { orders, ended })
}

async fn serve(
    config: LinkConfig,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    reports: mpsc::UnboundedSender<LinkReport>,
) {
    let (publish, current) = watch::channel(None::<Link>);
    let session = Session::spawn(config, publish, reports);
    let mut api: Option<Api> = None;
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Serve {
                socket,
                engine,
                opened,
            } => {
                api = None;
                let result =
                    Api::open(socket, engine, current.clone()).map(|open| api = Some(open));
                // Nobody waits any more when the owner gave up; the socket is open all the same.
                let _ = opened.send(result);
            }
            Order::Unserve => api = None,
            Order::GuestOpened => session.guest_opened(),
            Order::GuestClosed => session.guest_closed(),
            Order::Ask(request) => session.ask(request),
            Order::Tunnel { stream, target } => forward::tunnel(stream, &target, &current),
            Order::Statistics(answer) => {
                if let Some(link) = current.borrow().as_ref() {
                    // Nobody waits any more when the client hung up.
                    let _ = answer.send(link.statistics());
                }
            }
        }
    }
    drop(api);
}

/// The open API socket; dropping it closes and removes the socket.
struct Api {
    socket: PathBuf,
    accepting: AbortHandle,
}

impl Api {
    fn open(
        socket: PathBuf,
        engine: Engine,
        link: watch::Receiver<Option<Link>>,
    ) -> io::Result<Self> {
        let listener = machine_host::local_socket::bind(&socket)?;
        let accepting = tokio::spawn(forward::engine(listener, engine, link)).abort_handle();
        Ok(Self { socket, accepting })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Err(error) = fs_err::remove_file(&self.socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "The API socket stays behind");
        }
    }
}
