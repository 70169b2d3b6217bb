//! The thread that owns a machine's link: it keeps sessions up, relays the agent's reports and serves what leads over it.

use std::io;
use std::sync::Arc;

use machine_protocol::link::Link;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::carrier::{Acceptor, Carrier};
use super::dialled::Signals;
use super::services::Services;
use super::session::{GuestServices, Hub, ask_present};
use super::sockets::Sockets;
use super::{LinkConfig, LinkHandle, LinkReport, Order, awaited, dialled, started};
use crate::forward;
use crate::network::publish::Publisher;
use crate::network::sockets::HostSockets;

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

/// The tasks of the carriers, and what wakes them.
struct Carriers {
    signals: Arc<Signals>,
    reset: Arc<Notify>,
    /// Ended with this value.
    _tasks: JoinSet<()>,
}

impl Carriers {
    fn open(
        config: LinkConfig,
        publish: watch::Sender<Option<Link>>,
        guest: GuestServices,
        reports: mpsc::UnboundedSender<LinkReport>,
    ) -> Self {
        let names: Vec<_> = config.carriers.iter().map(Carrier::name).collect();
        let hub = Arc::new(Hub::new(
            (config.secret, config.build),
            names,
            publish,
            guest,
            reports,
        ));
        let (signals, reset) = (Arc::new(Signals::default()), Arc::new(Notify::new()));
        let mut tasks = JoinSet::new();
        for (number, carrier) in config.carriers.into_iter().enumerate() {
            let hub = Arc::clone(&hub);
            match carrier {
                Carrier::VirtioSerial { socket } => {
                    tasks.spawn(dialled::keep_up(hub, number, socket, Arc::clone(&signals)));
                }
                Carrier::Program(program) => {
                    tasks.spawn(started::keep_up(hub, number, program, Arc::clone(&reset)));
                }
                Carrier::Vsock(end) => match Acceptor::open(end) {
                    Ok(callers) => {
                        tasks.spawn(awaited::serve(hub, number, callers, Arc::clone(&reset)));
                    }
                    Err(error) => tracing::warn!(%error, "The machine's vsock cannot be served"),
                },
            }
        }
        Self {
            signals,
            reset,
            _tasks: tasks,
        }
    }
}

async fn serve(
    config: LinkConfig,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    reports: mpsc::UnboundedSender<LinkReport>,
) {
    let (publish, current) = watch::channel(None::<Link>);
    let told = reports.clone();
    let publisher = Publisher::new(config.ports.clone(), current.clone(), move |news| {
        // The owner that hears no more is on its way out.
        let _ = told.send(LinkReport::Port(news));
    });
    let publisher = Arc::new(publisher);
    let told = reports.clone();
    let host_sockets = Arc::new(HostSockets::new(move |news| {
        let _ = told.send(LinkReport::SocketUnreachable(news));
    }));
    let sockets = Sockets::new(Arc::clone(&host_sockets), current.clone(), reports.clone());
    let sockets = Arc::new(sockets);
    tokio::spawn(Arc::clone(&sockets).keep_told());
    let guest = GuestServices {
        publisher: Arc::clone(&publisher),
        sockets: Arc::clone(&host_sockets),
    };
    let carriers = Carriers::open(config, publish, guest, reports);
    let mut services = Services::new(current.clone());
    while let Some(order) = inbox.recv().await {
        match order {
            Order::Serve {
                place,
                target,
                opened,
            } => {
                // Nobody waits any more when the owner gave up; the place is served all the same.
                let _ = opened.send(services.serve(place, target));
            }
            Order::Unserve => {
                services.close();
                publisher.close().await;
            }
            Order::Configure { ports, done } => {
                let publisher = Arc::clone(&publisher);
                tokio::spawn(async move {
                    let missing = publisher.configure(&ports).await;
                    let _ = done.send(missing);
                });
            }
            Order::Sockets { routes, done } => {
                host_sockets.set(routes);
                let sockets = Arc::clone(&sockets);
                tokio::spawn(async move {
                    let _ = done.send(sockets.tell().await);
                });
            }
            Order::ForwardListeners { on, done } => {
                let publisher = Arc::clone(&publisher);
                tokio::spawn(async move {
                    publisher.forward_listeners(on).await;
                    let _ = done.send(());
                });
            }
            Order::Ports(answer) => {
                let publisher = Arc::clone(&publisher);
                tokio::spawn(async move {
                    let _ = answer.send(publisher.list().await);
                });
            }
            Order::GuestOpened => carriers.signals.opened.notify_one(),
            Order::GuestClosed => carriers.signals.closed.notify_waiters(),
            Order::GuestReset => carriers.reset.notify_one(),
            Order::Ask { request, answer } => ask_present(&current, request, answer),
            Order::Tunnel { stream, target } => forward::tunnel(stream, &target, &current),
            Order::Statistics(answer) => {
                if let Some(link) = current.borrow().as_ref() {
                    // Nobody waits any more when the client hung up.
                    let _ = answer.send(link.statistics());
                }
            }
        }
    }
}
