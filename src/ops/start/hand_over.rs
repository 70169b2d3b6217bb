//! A machine that runs under another build of this program gets a supervisor of this one. Its VM is not touched.

use machine_host::process::ProcessIdentity;
use thiserror::Error;

use crate::machine::deadlines;
use crate::supervisor::client::{ClientError, Connection};
use crate::supervisor::control::BUILD;

/// Why the supervisor of another build stays.
#[derive(Debug, Error)]
pub enum HandOverError {
    /// It said no, or nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It does not know the request, and the system does not say who it is.
    #[error(
        "it does not know how to leave a machine to another build, and the system does not say which process it is"
    )]
    Unknown,
    /// It does not know the request, and could not be ended.
    #[error("process {pid} cannot be ended")]
    Kill {
        /// Its process.
        pid: u32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was ended, or said that it leaves, and is still there.
    #[error("process {pid} does not end")]
    Stays {
        /// Its process.
        pid: u32,
    },
}

/// How a supervisor is made to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is asked.
    Ask,
    /// This process is killed, which a VM outlives.
    Kill(u32),
}

/// `said` is the process that the greeting names, `holder` the one that the system names.
fn way(knows_hand_over: bool, said: u32, holder: Option<u32>) -> Result<Way, HandOverError> {
    match holder {
        _ if knows_hand_over => Ok(Way::Ask),
        // Nobody else's process is ended for what somebody wrote into a socket.
        Some(holder) if holder == said && holder != std::process::id() => Ok(Way::Kill(holder)),
        _ => Err(HandOverError::Unknown),
    }
}

/// Makes the supervisor leave; when this returns, another one may come.
pub(super) async fn part(mut connection: Connection) -> Result<(), HandOverError> {
    let greeting = &connection.greeting;
    let way = way(
        greeting.knows_hand_over(),
        greeting.pid,
        connection.holder(),
    )?;
    match way {
        Way::Ask => Ok(connection.hand_over(BUILD).await?),
        Way::Kill(pid) => {
            let failed = |source| HandOverError::Kill { pid, source };
            // The connection is open, so the number is still that of the process that opened the socket.
            let Some(process) = ProcessIdentity::of(pid).map_err(failed)? else {
                return Ok(());
            };
            process.kill().map_err(failed)?;
            let ended = tokio::time::timeout(deadlines::KILLED.limit, process.ended());
            ended.await.map_err(|_| HandOverError::Stays { pid })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_of_the_socket_is_ended() {
        let killed = |holder| way(false, 7, holder);
        assert_eq!(killed(Some(7)).unwrap(), Way::Kill(7));
        for holder in [None, Some(8)] {
            assert!(matches!(killed(holder), Err(HandOverError::Unknown)));
        }
        let own = std::process::id();
        assert!(matches!(
            way(false, own, Some(own)),
            Err(HandOverError::Unknown)
        ));
        for holder in [None, Some(7), Some(8)] {
            assert_eq!(way(true, 7, holder).unwrap(), Way::Ask);
        }
    }
}
