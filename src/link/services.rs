//! What the link's thread serves on the host: sockets and the SSH port, each leading to a target in the guest.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use machine_protocol::link::Link;
use machine_protocol::message::Target;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::forward::{self, Listener};

/// Where a service is to be found on the host.
#[derive(Debug)]
pub enum Place {
    /// A socket at this path.
    Socket(PathBuf),
    /// A port that is bound already.
    Port(TcpListener),
}

/// Everything that is served; dropping it closes all listeners and removes their sockets. Connections that are open
/// live until their ends close.
pub(super) struct Services {
    link: watch::Receiver<Option<Link>>,
    sockets: HashMap<PathBuf, Service>,
    ports: Vec<Service>,
}

struct Service {
    target: watch::Sender<Target>,
    accepting: AbortHandle,
}

impl Services {
    pub(super) fn new(link: watch::Receiver<Option<Link>>) -> Self {
        Self {
            link,
            sockets: HashMap::new(),
            ports: Vec::new(),
        }
    }

    /// Serves `target` at `place`. A socket that is served already leads new clients there from now on, and stays open
    /// meanwhile.
    pub(super) fn serve(&mut self, place: Place, target: Target) -> io::Result<()> {
        match place {
            Place::Socket(path) => {
                if let Some(service) = self.sockets.get(&path) {
                    service.target.send_replace(target);
                    return Ok(());
                }
                let listener = Listener::Local(machine_host::local_socket::bind(&path)?);
                let service = self.start(listener, target);
                self.sockets.insert(path, service);
            }
            Place::Port(listener) => {
                listener.set_nonblocking(true)?;
                let listener = Listener::Tcp(tokio::net::TcpListener::from_std(listener)?);
                let service = self.start(listener, target);
                self.ports.push(service);
            }
        }
        Ok(())
    }

    fn start(&self, listener: Listener, target: Target) -> Service {
        let (target, present) = watch::channel(target);
        let serving = forward::serve(listener, present, self.link.clone());
        Service {
            target,
            accepting: tokio::spawn(serving).abort_handle(),
        }
    }

    /// Closes all listeners.
    pub(super) fn close(&mut self) {
        for (path, service) in self.sockets.drain() {
            service.accepting.abort();
            remove(&path);
        }
        for service in self.ports.drain(..) {
            service.accepting.abort();
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.close();
    }
}

fn remove(socket: &Path) {
    if let Err(error) = fs_err::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "A socket stays behind");
    }
}

#[cfg(test)]
mod tests {
    use machine_protocol::message::Engine;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn without_a_link_a_client_is_closed_and_with_the_services_the_socket_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (_publish, link) = watch::channel(None);
        let mut services = Services::new(link);
        let place = || Place::Socket(path.clone());
        services
            .serve(place(), Target::Engine(Engine::Rootful))
            .unwrap();
        // The same place again is another target, not another listener.
        services.serve(place(), Target::Ssh).unwrap();
        assert_eq!(services.sockets.len(), 1);
        assert_eq!(
            *services.sockets[&path].target.borrow(),
            Target::Ssh,
            "new clients are led there"
        );
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        services.serve(Place::Port(port), Target::Ssh).unwrap();

        let mut nothing = Vec::new();
        let mut client = machine_host::local_socket::connect(&path).await.unwrap();
        assert_eq!(client.read_to_end(&mut nothing).await.unwrap(), 0);
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        assert_eq!(client.read_to_end(&mut nothing).await.unwrap(), 0);

        services.close();
        // The listener goes with its task, which ends when it is polled next.
        tokio::task::yield_now().await;
        assert!(!machine_host::local_socket::may_exist(&path));
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}
