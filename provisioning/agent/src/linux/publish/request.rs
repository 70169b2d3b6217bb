//! A port in gvproxy's words: `{"local":":8080","remote":":8080","protocol":"tcp"}`. The field `remote` is there only to
//! publish. Texts of errors go to whoever runs a container.

use std::net::{IpAddr, Ipv4Addr};

use machine_protocol::publish::{Port, Protocol};
use serde::Deserialize;

use super::Refusal;

/// The guest's address behind gvproxy, which clients of its own may name.
const GUEST_OF_GVPROXY: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 2);

/// What is posted.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Posted {
    /// The host's address, which may be empty, and port.
    #[serde(default)]
    pub(super) local: String,
    /// The guest's, the same.
    #[serde(default)]
    remote: Option<String>,
    /// TCP where there is none.
    #[serde(default)]
    protocol: String,
}

impl Posted {
    /// The port; to be given back it needs no `remote`.
    pub(super) fn port(&self) -> Result<Port, Refusal> {
        let protocol = match self.protocol.as_str() {
            "" | "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "unix" | "npipe" => {
                return Err("a machine publishes ports, and no paths of its host".to_owned());
            }
            other => return Err(format!("unknown protocol {}", quoted(other))),
        };
        let (host, port) = address(&self.local)?;
        let guest_port = match &self.remote {
            None => port,
            Some(remote) => {
                let (guest, port) = address(remote)?;
                if !(guest.is_unspecified() || guest.is_loopback() || guest == GUEST_OF_GVPROXY) {
                    return Err(format!(
                        "{} is not the machine: only its own ports can be published",
                        quoted(remote)
                    ));
                }
                port
            }
        };
        Ok(Port {
            protocol,
            address: host,
            port,
            guest_port,
        })
    }
}

/// `ADDRESS:PORT` with an IPv6 address in brackets, or no address for all.
fn address(text: &str) -> Result<(IpAddr, u16), Refusal> {
    let wrong = |why: &str| format!("{} is no address with a port: {why}", quoted(text));
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("missing port"))?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| port.parse::<u16>().ok()).flatten();
    let port = number
        .filter(|port| *port > 0)
        .ok_or_else(|| wrong("ports are numbers from 1 to 65535"))?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| wrong("missing ]"))?,
        None => host,
    };
    if bare.is_empty() {
        return Ok((Ipv4Addr::UNSPECIFIED.into(), port));
    }
    let address = bare
        .parse()
        .map_err(|_| wrong("the host must be an IP address"))?;
    Ok((address, port))
}

/// Short, and without what would need escapes in Podman's own message.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let clean = short.replace(|letter: char| letter.is_control() || letter == '"', "?");
    format!("`{clean}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(json: &str) -> Result<Port, Refusal> {
        serde_json::from_str::<Posted>(json).unwrap().port()
    }

    /// What Podman 5.4 posts.
    #[test]
    fn podmans_words() {
        let published = |protocol, address: &str, port, guest_port| Port {
            protocol,
            address: address.parse().unwrap(),
            port,
            guest_port,
        };
        for (json, expected) in [
            (
                r#"{"local":":8080","remote":":8080","protocol":"tcp"}"#,
                published(Protocol::Tcp, "0.0.0.0", 8080, 8080),
            ),
            (
                r#"{"local":"127.0.0.1:9090","remote":":9090","protocol":"udp"}"#,
                published(Protocol::Udp, "127.0.0.1", 9090, 9090),
            ),
            (
                r#"{"local":"[::1]:1","remote":"192.168.127.2:65535"}"#,
                published(Protocol::Tcp, "::1", 1, 65535),
            ),
            (
                r#"{"local":"0.0.0.0:5","protocol":"tcp","more":[1]}"#,
                published(Protocol::Tcp, "0.0.0.0", 5, 5),
            ),
        ] {
            assert_eq!(port(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_port_is_named() {
        for (json, words) in [
            ("{}", "missing port"),
            (r#"{"local":":0"}"#, "from 1 to 65535"),
            (r#"{"local":":70000"}"#, "from 1 to 65535"),
            (r#"{"local":":x"}"#, "from 1 to 65535"),
            (r#"{"local":":+5"}"#, "from 1 to 65535"),
            (r#"{"local":"[::1:5"}"#, "missing ]"),
            (r#"{"local":"localhost:5"}"#, "must be an IP address"),
            (r#"{"local":":5","remote":":0"}"#, "from 1 to 65535"),
            (
                r#"{"local":":5","remote":"10.0.2.2:22"}"#,
                "is not the machine",
            ),
            (
                r#"{"local":":5","protocol":"sctp"}"#,
                "unknown protocol `sctp`",
            ),
            (
                r#"{"local":"/etc/x","remote":":5","protocol":"unix"}"#,
                "no paths",
            ),
            (r#"{"local":"a\"b\nc:5"}"#, "`a?b?c:5`"),
        ] {
            let refusal = port(json).unwrap_err();
            assert!(refusal.contains(words), "{json}: {refusal}");
        }
    }
}
