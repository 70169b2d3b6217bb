//! Ports of the host that lead to a machine's guest because its configuration says so, and where ports may listen at all.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use machine_protocol::publish::{Port, Protocol};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Ports that one machine may have configured.
pub const MOST: usize = 1024;

/// Where ports may listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortScope {
    /// Wherever it is asked for.
    #[default]
    All,
    /// On the loopback; a port of all addresses has those of the loopback.
    Loopback,
}

/// Who wants a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortOwner {
    /// A container that publishes it.
    Container,
    /// The machine's configuration.
    Configured,
    /// A server of the guest, which yields to both.
    Listener,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Container => "a container",
            Self::Configured => "`machine port`",
            Self::Listener => "a guest's server",
        })
    }
}

/// A port of the host and where it leads. Its text is `[ADDRESS:]PORT[:GUEST-PORT][/tcp|/udp]`, as with `-p` of podman's
/// containers, but that one number is both ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Forward(Port);

/// A text that is no port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ForwardError {
    /// It has another form.
    #[error("`{0}` is not `[ADDRESS:]PORT[:GUEST-PORT][/tcp|/udp]`")]
    Form(String),
    /// A part of it is no port.
    #[error("`{0}` is no port: ports are numbers from 1 to 65535")]
    Number(String),
    /// A part of it is no address.
    #[error("`{0}` is no IP address")]
    Address(String),
}

/// Ports that cannot be configured together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ForwardsError {
    /// Twice the same.
    #[error("The port {0} is there twice")]
    Twice(Forward),
    /// More than there may be.
    #[error("A machine has at most {MOST} configured ports")]
    TooMany,
}

impl Forward {
    /// What it says.
    pub fn port(&self) -> Port {
        self.0
    }

    /// Whether it is the same port of the host, wherever it leads.
    pub fn is_at(&self, other: &Self) -> bool {
        let place = |port: &Port| (port.protocol, port.address, port.port);
        place(&self.0) == place(&other.0)
    }
}

/// Checks what one port alone does not tell.
pub fn check(forwards: &[Forward]) -> Result<(), ForwardsError> {
    if forwards.len() > MOST {
        return Err(ForwardsError::TooMany);
    }
    for (index, forward) in forwards.iter().enumerate() {
        if forwards[..index].iter().any(|other| other.is_at(forward)) {
            return Err(ForwardsError::Twice(*forward));
        }
    }
    Ok(())
}

impl FromStr for Forward {
    type Err = ForwardError;

    fn from_str(text: &str) -> Result<Self, ForwardError> {
        let form = || ForwardError::Form(text.to_owned());
        let (ports, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(form()),
        };
        let (address, ports) = match ports.strip_prefix('[') {
            Some(rest) => {
                let (address, ports) = rest.split_once("]:").ok_or_else(form)?;
                (Some(address), ports)
            }
            None => match ports.split_once(':') {
                Some((first, rest)) if first.is_empty() || first.contains('.') => {
                    (Some(first).filter(|first| !first.is_empty()), rest)
                }
                _ => (None, ports),
            },
        };
        let address = match address {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(text) => text
                .parse()
                .map_err(|_| ForwardError::Address(text.to_owned()))?,
        };
        let (port, guest_port) = ports.split_once(':').unwrap_or((ports, ports));
        if guest_port.contains(':') {
            return Err(form());
        }
        Ok(Self(Port {
            protocol,
            address,
            port: number(port)?,
            guest_port: number(guest_port)?,
        }))
    }
}

fn number(text: &str) -> Result<u16, ForwardError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse::<u16>().ok()).flatten();
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| ForwardError::Number(text.to_owned()))
}

impl fmt::Display for Forward {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Port {
            protocol,
            address,
            port,
            guest_port,
        } = self.0;
        match address {
            IpAddr::V4(all) if all.is_unspecified() => {}
            IpAddr::V4(address) => write!(formatter, "{address}:")?,
            IpAddr::V6(address) => write!(formatter, "[{address}]:")?,
        }
        write!(formatter, "{port}:{guest_port}/{protocol}")
    }
}

impl From<Port> for Forward {
    fn from(port: Port) -> Self {
        Self(port)
    }
}

impl From<Forward> for String {
    fn from(forward: Forward) -> Self {
        forward.to_string()
    }
}

impl TryFrom<String> for Forward {
    type Error = ForwardError;

    fn try_from(text: String) -> Result<Self, ForwardError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_and_its_full_one() {
        for (text, full) in [
            ("8080", "8080:8080/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("53/udp", "53:53/udp"),
            (":8080:80/tcp", "8080:80/tcp"),
            ("0.0.0.0:5", "5:5/tcp"),
            ("127.0.0.1:5", "127.0.0.1:5:5/tcp"),
            ("127.0.0.1:5:6/udp", "127.0.0.1:5:6/udp"),
            ("[::1]:5", "[::1]:5:5/tcp"),
            ("[::]:5:6", "[::]:5:6/tcp"),
        ] {
            let forward: Forward = text.parse().unwrap();
            assert_eq!(forward.to_string(), full, "{text}");
            assert_eq!(full.parse(), Ok(forward), "{full}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("", "`` is no port"),
            ("0", "`0` is no port"),
            ("70000", "`70000` is no port"),
            ("5:", "`` is no port"),
            ("-5", "`-5` is no port"),
            ("+5", "`+5` is no port"),
            ("5-7", "`5-7` is no port"),
            ("5/sctp", "is not `[ADDRESS:]PORT"),
            ("1:2:3", "is not `[ADDRESS:]PORT"),
            ("1.2.3:5", "`1.2.3` is no IP address"),
            ("[x]:5", "`x` is no IP address"),
            ("[::1]", "is not `[ADDRESS:]PORT"),
        ] {
            let error = text.parse::<Forward>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn together() {
        let all = |texts: &[&str]| -> Vec<Forward> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(check(&all(&["5", "6", "5/udp", "127.0.0.1:5"])), Ok(()));
        let twice = all(&["5:80", "5:81"]);
        assert_eq!(check(&twice), Err(ForwardsError::Twice(twice[1])));
        let many: Vec<_> = (1..=1025).map(|port| port.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(check(&all(&many)), Err(ForwardsError::TooMany));
        assert_eq!(check(&all(&many[1..])), Ok(()));
    }
}
