//! The command line's end of the control socket: what is this machine doing, follow it, stop it.

use std::io;
use std::path::Path;

use machine_host::local_socket::{self, Stream};
use machine_host::process::ProcessIdentity;
use machine_protocol::message::Target;
use machine_protocol::sockets::MissingSocket;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::control::{self, Greeting, LINE_LIMIT, Reply, Request, WireStatus};
use super::record::VmRecord;
use crate::machine::deadlines;
use crate::machine::status::Status;
use crate::network::publish::{MissingPort, OpenPort};
use crate::provider::launching;
use crate::store::layout::MachineFiles;

/// Why a supervisor could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its socket is there but nothing came from it in time.
    #[error("The supervisor at `{socket}` does not answer")]
    Silent {
        /// The control socket.
        socket: String,
    },
    /// The connection broke.
    #[error("The connection to the supervisor at `{socket}` broke")]
    Broken {
        /// The control socket.
        socket: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What came is not of the protocol.
    #[error("The supervisor at `{socket}` sent something that is not of the control protocol")]
    Garbled {
        /// The control socket.
        socket: String,
    },
    /// The two builds have no protocol in common.
    #[error("The machine is run by build {theirs}, which this build cannot talk to")]
    Protocol {
        /// The supervisor's build.
        theirs: String,
    },
    /// It closed the connection without the answer.
    #[error("The supervisor at `{socket}` ended before it answered")]
    Ended {
        /// The control socket.
        socket: String,
    },
    /// The supervisor refused a request.
    #[error("The supervisor refused: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
}

/// What a machine that read its file again could not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Configured ports that are not open.
    pub ports: Vec<MissingPort>,
    /// Sockets that the guest could not make.
    pub sockets: Vec<MissingSocket>,
}

/// A connection that leads into the guest.
pub type Tunnel = BufReader<Stream>;

/// A connection that was greeted.
#[derive(Debug)]
pub struct Connection {
    /// What the supervisor said of itself and the machine.
    pub greeting: Greeting,
    stream: BufReader<Stream>,
    socket: String,
}

/// Connects and reads the greeting; `None` when nobody listens.
pub async fn connect(socket: &Path) -> Result<Option<Connection>, ClientError> {
    let name = socket.display().to_string();
    let greeted = tokio::time::timeout(deadlines::CONTROL_CONNECT.limit, async {
        let stream = match local_socket::connect(socket).await {
            Ok(stream) => stream,
            Err(error) if nobody_listens(&error) => return Ok(None),
            Err(source) => {
                return Err(ClientError::Broken {
                    socket: name.clone(),
                    source,
                });
            }
        };
        let mut stream = BufReader::new(stream);
        // A supervisor that ends between our connect and its greeting is gone, not broken.
        let Some(greeting) = read_line(&mut stream, &name).await? else {
            return Ok(None);
        };
        Ok(Some(Connection {
            greeting,
            stream,
            socket: name.clone(),
        }))
    });
    greeted.await.unwrap_or(Err(ClientError::Silent {
        socket: name.clone(),
    }))
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

impl Connection {
    /// Follows the events of this run from its beginning.
    pub async fn follow(&mut self) -> Result<(), ClientError> {
        let protocol = self.protocol()?;
        self.send(&Request::Follow { protocol }).await
    }

    /// Asks the supervisor to stop the machine; replies follow until [`Reply::Stopped`].
    pub async fn stop(&mut self, force: bool) -> Result<(), ClientError> {
        let protocol = self.protocol()?;
        self.send(&Request::Stop { protocol, force }).await
    }

    /// Joins the connection to a target in the guest. What is returned carries the target's bytes.
    pub async fn tunnel(mut self, target: Target) -> Result<Tunnel, ClientError> {
        let protocol = self.protocol()?;
        self.send(&Request::Tunnel { protocol, target }).await?;
        match self.next().await? {
            Some(Reply::Joined) => Ok(self.stream),
            Some(_) => Err(ClientError::Garbled {
                socket: self.socket,
            }),
            None => Err(broken(&self.socket, io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Asks the supervisor to read `machine.toml` again, and waits until it is in force.
    pub async fn reload(&mut self) -> Result<Missing, ClientError> {
        let protocol = self.protocol()?;
        self.send(&Request::Reload { protocol }).await?;
        let socket = self.socket.clone();
        let reloaded = async {
            let mut missing = Missing::default();
            loop {
                match self.next().await? {
                    Some(Reply::Reloaded) => return Ok(missing),
                    Some(Reply::Missing(port)) => missing.ports.push(port),
                    Some(Reply::MissingSocket(socket)) => missing.sockets.push(socket),
                    Some(_) => {}
                    None => {
                        return Err(ClientError::Ended {
                            socket: self.socket.clone(),
                        });
                    }
                }
            }
        };
        let limit = deadlines::RELOAD.limit;
        let reloaded = tokio::time::timeout(limit, reloaded).await;
        reloaded.unwrap_or(Err(ClientError::Silent { socket }))
    }

    /// The ports of the host that lead to the guest; none while there is no VM.
    pub async fn ports(&mut self) -> Result<Vec<OpenPort>, ClientError> {
        let protocol = self.protocol()?;
        self.send(&Request::Ports { protocol }).await?;
        let socket = self.socket.clone();
        let listed = async {
            let mut ports = Vec::new();
            loop {
                match self.next().await? {
                    Some(Reply::Port(port)) => ports.push(port),
                    Some(Reply::Listed) => return Ok(ports),
                    Some(_) => {}
                    None => {
                        return Err(ClientError::Ended {
                            socket: self.socket.clone(),
                        });
                    }
                }
            }
        };
        let limit = deadlines::SUPERVISOR_REPLY.limit;
        let listed = tokio::time::timeout(limit, listed).await;
        listed.unwrap_or(Err(ClientError::Silent { socket }))
    }

    /// The process at the other end, as the system says; `None` where it does not.
    pub fn holder(&self) -> Option<u32> {
        local_socket::peer_process(self.stream.get_ref())
    }

    /// Asks the supervisor to leave the machine to the build `to`, and waits until the machine is nobody's. A supervisor
    /// that ends without the answer has left, too.
    pub async fn hand_over(&mut self, to: &str) -> Result<(), ClientError> {
        let protocol = self.protocol()?;
        let to = to.to_owned();
        self.send(&Request::HandOver { protocol, to }).await?;
        let socket = self.socket.clone();
        let left = async {
            loop {
                match self.next().await? {
                    Some(Reply::HandedOver) | None => return Ok(()),
                    Some(_) => {}
                }
            }
        };
        let limit = deadlines::SUPERVISOR_REPLY.limit;
        let left = tokio::time::timeout(limit, left).await;
        left.unwrap_or(Err(ClientError::Silent { socket }))
    }

    /// The next reply; `None` when the supervisor has closed the connection.
    pub async fn next(&mut self) -> Result<Option<Reply>, ClientError> {
        match read_line(&mut self.stream, &self.socket).await? {
            Some(Reply::Refused { reason }) => Err(ClientError::Refused { reason }),
            reply => Ok(reply),
        }
    }

    fn protocol(&self) -> Result<u32, ClientError> {
        self.greeting
            .negotiate()
            .ok_or_else(|| ClientError::Protocol {
                theirs: self.greeting.build.clone(),
            })
    }

    async fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let line = control::line(request);
        self.stream
            .get_mut()
            .write_all(&line)
            .await
            .map_err(|source| broken(&self.socket, source))
    }
}

fn broken(socket: &str, source: io::Error) -> ClientError {
    ClientError::Broken {
        socket: socket.to_owned(),
        source,
    }
}

async fn read_line<T: DeserializeOwned>(
    stream: &mut BufReader<Stream>,
    socket: &str,
) -> Result<Option<T>, ClientError> {
    let mut line = Vec::new();
    let read = stream.take(LINE_LIMIT).read_until(b'\n', &mut line).await;
    match read {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|_| ClientError::Garbled {
                socket: socket.to_owned(),
            }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(source) => Err(broken(socket, source)),
    }
}

/// What the machine is doing, observed: it takes no lock, starts no process and waits for at most
/// [`deadlines::CONTROL_CONNECT`].
pub async fn status(files: &MachineFiles) -> Status {
    match connect(&files.control_socket()).await {
        Ok(Some(connection)) => match connection.greeting.status {
            WireStatus::Starting { .. } => Status::Starting,
            WireStatus::Running => Status::Running,
            WireStatus::Degraded { reason } => Status::Degraded { reason },
            WireStatus::Stopping => Status::Stopping,
        },
        Ok(None) if survivor(files).is_some() => Status::Unmanaged,
        Ok(None) => Status::Stopped,
        Err(_) => Status::Busy,
    }
}

/// [`status`] for callers without a runtime. A machine whose control socket is missing costs no more than a look.
pub fn probe(files: &MachineFiles) -> Status {
    let socket = files.control_socket();
    if !local_socket::may_exist(&socket) {
        return if survivor(files).is_some() {
            Status::Unmanaged
        } else {
            Status::Stopped
        };
    }
    // A thread of its own, for the caller's may be inside of a runtime.
    let probed = std::thread::scope(|scope| {
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            Some(runtime.block_on(status(files)))
        };
        scope.spawn(ask).join().ok().flatten()
    });
    probed.unwrap_or(Status::Busy)
}

/// Ends what is left beside a VM that ended while nobody looked. A machine that runs is left alone.
pub fn sweep(files: &MachineFiles) {
    VmRecord::sweep(&files.vm_record());
    if survivor(files).is_none() {
        launching::end(&files.launch_note());
    }
}

/// The VM that outlived its supervisor, if there is one.
pub fn survivor(files: &MachineFiles) -> Option<ProcessIdentity> {
    VmRecord::read(&files.vm_record())
        .map(|record| record.process)
        .filter(ProcessIdentity::is_alive)
}
