//! The supervisor's end of the control socket: greets clients and passes their requests to the owner task.

use std::io;
use std::path::Path;

use machine_host::local_socket::{self, Listener, Stream};
use machine_protocol::message::Target;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::control::{self, Greeting, LINE_LIMIT, Reply, Request};
use crate::machine::deadlines;

/// Replies that may wait for a client that does not read; one that lags further is dropped.
const REPLY_BACKLOG: usize = 256;

/// A client's request on its way to the owner task.
#[derive(Debug)]
pub(super) enum ClientRequest {
    /// A question or an order with replies.
    Ask {
        /// What is asked.
        request: Request,
        /// Where the replies go; dropping it ends the connection.
        replies: mpsc::Sender<Reply>,
    },
    /// A connection to be joined to the guest.
    Tunnel {
        /// The client.
        stream: Stream,
        /// What it wants.
        target: Target,
    },
}

/// Serves clients until it is dropped, and then lets running answers end.
#[derive(Debug)]
pub(super) struct Server {
    accepting: tokio::task::JoinHandle<()>,
    closing: watch::Sender<bool>,
    path: std::path::PathBuf,
}

impl Server {
    /// Listens at `path`. Each client gets the newest greeting; what it asks goes to `requests`.
    pub(super) fn open(
        path: &Path,
        greeting: watch::Receiver<Greeting>,
        requests: mpsc::UnboundedSender<ClientRequest>,
    ) -> io::Result<Self> {
        let listener = local_socket::bind(path)?;
        let (closing, closed) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, greeting, requests, closed));
        Ok(Self {
            accepting,
            closing,
            path: path.to_owned(),
        })
    }

    /// Removes the socket, so that new clients see that nobody is here; connected ones keep their connection.
    pub(super) fn unlink(&self) {
        if let Err(error) = fs_err::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "The control socket stays behind");
        }
    }

    /// Waits, for a bounded time, until every answer that is under way has been written.
    pub(super) async fn close(self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(deadlines::SUPERVISOR_REPLY.limit, self.accepting)
            .await
            .is_err()
        {
            tracing::warn!("A client of the control socket did not take its answer");
        }
    }
}

async fn accept(
    mut listener: Listener,
    greeting: watch::Receiver<Greeting>,
    requests: mpsc::UnboundedSender<ClientRequest>,
    mut closed: watch::Receiver<bool>,
) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => {
                    let greeting = greeting.borrow().clone();
                    let requests = requests.clone();
                    clients.spawn(async move {
                        if let Err(error) = client(stream, greeting, requests).await {
                            tracing::debug!(%error, "A client of the control socket went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "A client of the control socket could not be accepted");
                    // Out of descriptors, as a rule.
                    let _ = tokio::time::timeout(deadlines::ACCEPT.limit, std::future::pending::<()>()).await;
                }
            },
            Some(_) = clients.join_next() => {}
            _ = closed.changed() => break,
        }
    }
    drop((listener, requests));
    while clients.join_next().await.is_some() {}
}

async fn client(
    stream: Stream,
    greeting: Greeting,
    requests: mpsc::UnboundedSender<ClientRequest>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream
        .get_mut()
        .write_all(&control::line(&greeting))
        .await?;
    let mut line = Vec::new();
    if (&mut stream)
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut line)
        .await?
        == 0
    {
        return Ok(());
    }
    let request = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => request,
        Err(error) => {
            let refusal = Reply::Refused {
                reason: format!("a request that is not of the control protocol: {error}"),
            };
            return stream.get_mut().write_all(&control::line(&refusal)).await;
        }
    };
    if let Request::Tunnel { target, .. } = request {
        if !stream.buffer().is_empty() {
            let refusal = Reply::Refused {
                reason: "bytes before the connection was joined".to_owned(),
            };
            return stream.get_mut().write_all(&control::line(&refusal)).await;
        }
        stream
            .get_mut()
            .write_all(&control::line(&Reply::Joined))
            .await?;
        // The owner task is gone when its inbox is; the client then sees the connection close.
        let _ = requests.send(ClientRequest::Tunnel {
            stream: stream.into_inner(),
            target,
        });
        return Ok(());
    }
    let (replies, mut inbox) = mpsc::channel(REPLY_BACKLOG);
    if requests
        .send(ClientRequest::Ask { request, replies })
        .is_err()
    {
        return Ok(());
    }
    let mut hangup = [0; 1];
    loop {
        tokio::select! {
            reply = inbox.recv() => match reply {
                Some(reply) => stream.get_mut().write_all(&control::line(&reply)).await?,
                None => return Ok(()),
            },
            // A client has nothing more to say: this is its hang-up.
            _ = stream.read(&mut hangup) => return Ok(()),
        }
    }
}
