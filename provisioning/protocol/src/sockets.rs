//! What is said about sockets of the host in the guest.
//!
//! The host tells the agent, by [`crate::message::AgentRequest::SetSockets`], at which paths of the guest it has to
//! listen. Each client there is a [`crate::message::Target::Socket`] stream, opened by the guest, which names the guest's
//! path and nothing else: where it leads is for the host to know.

use serde::{Deserialize, Serialize};

/// How many a machine may have.
pub const MOST: usize = 64;
/// The longest path in the guest, in bytes: `sun_path` of `unix(7)` has 108, with a zero byte at the end.
pub const LONGEST_PATH: usize = 107;
/// The longest reason in bytes, of which none is a control character: then a reply of all sockets is a line.
pub const LONGEST_REASON: usize = 300;

/// A socket that the guest does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingSocket {
    /// Its path in the guest.
    pub guest: String,
    /// Why, in one line.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::MAX_TARGET;
    use crate::message::{AgentReply, AgentRequest, Target, to_line};

    fn line(message: &impl Serialize) -> String {
        String::from_utf8(to_line(message).unwrap()).unwrap()
    }

    /// The vectors of docs/protocol.md.
    #[test]
    fn requests_and_replies_keep_their_form() {
        let guest = || "/run/host/a.sock".to_owned();
        assert_eq!(
            line(&AgentRequest::SetSockets {
                sockets: vec![guest()]
            }),
            "{\"request\":\"set-sockets\",\"sockets\":[\"/run/host/a.sock\"]}\n"
        );
        let missing = MissingSocket {
            guest: guest(),
            reason: "r".to_owned(),
        };
        assert_eq!(
            line(&AgentReply::Sockets {
                missing: vec![missing]
            }),
            "{\"reply\":\"sockets\",\"missing\":[{\"guest\":\"/run/host/a.sock\",\"reason\":\"r\"}]}\n"
        );
        assert_eq!(
            line(&AgentReply::Sockets {
                missing: Vec::new()
            }),
            "{\"reply\":\"sockets\",\"missing\":[]}\n"
        );
    }

    #[test]
    fn the_most_that_can_be_said_fits() {
        let path = |number: usize| format!("/{number}{}", "\"".repeat(LONGEST_PATH - 3));
        let target = Target::Socket { guest: path(10) };
        assert!(serde_json::to_vec(&target).unwrap().len() <= MAX_TARGET);
        let sockets: Vec<_> = (10..10 + MOST).map(path).collect();
        let missing = sockets.iter().map(|guest| MissingSocket {
            guest: guest.clone(),
            reason: "\"".repeat(LONGEST_REASON),
        });
        let missing = missing.collect();
        to_line(&AgentReply::Sockets { missing }).unwrap();
        to_line(&AgentRequest::SetSockets { sockets }).unwrap();
    }
}
