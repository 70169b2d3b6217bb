//! Asks the REST service at a VM's socket. Each question has a connection of its own and a limit.

use std::io;
use std::path::{Path, PathBuf};

use machine_host::local_socket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{State, Unusable, Wish};
use crate::machine::deadlines;
use crate::provider::ProviderError;

/// No answer is longer.
const LONGEST: u64 = 64 * 1024;

/// The service of one VM.
#[derive(Clone, Debug)]
pub(in crate::provider::apple) struct Client {
    socket: PathBuf,
}

impl Client {
    /// The service at this socket.
    pub(in crate::provider::apple) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// What the VM does.
    pub(in crate::provider::apple) async fn state(&self) -> Result<State, ProviderError> {
        let answer = self.exchange(&super::ask_state()).await?;
        super::state(&answer).map_err(|unusable| refusal("state", unusable))
    }

    /// Asks the VM to do something.
    pub(in crate::provider::apple) async fn wish(&self, wish: Wish) -> Result<(), ProviderError> {
        let answer = self.exchange(&super::ask_for(wish)).await?;
        let taken = super::body(&answer).map(drop);
        taken.map_err(|unusable| refusal(wish.word(), unusable))
    }

    async fn exchange(&self, question: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let asked = async {
            let mut stream = local_socket::connect(&self.socket).await?;
            stream.write_all(question).await?;
            let mut answer = Vec::new();
            stream.take(LONGEST).read_to_end(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let limit = deadlines::VM_REQUEST.limit;
        match tokio::time::timeout(limit, asked).await {
            Ok(answer) => answer.map_err(|source| ProviderError::Monitor { source }),
            Err(_) => Err(ProviderError::MonitorSilent {
                path: self.socket.clone(),
                seconds: limit.as_secs(),
            }),
        }
    }
}

/// Words of the service are a refusal; what is no answer is a service that cannot be reached.
fn refusal(command: &'static str, unusable: Unusable) -> ProviderError {
    match unusable {
        Unusable::Refused { reason, .. } => ProviderError::Refused {
            command,
            description: reason,
        },
        Unusable::Garbled | Unusable::NoState => ProviderError::Monitor {
            source: io::Error::new(io::ErrorKind::InvalidData, unusable),
        },
    }
}
