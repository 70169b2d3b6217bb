//! How a machine is to reach the network, and how it does.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::word::Word;

/// What is to carry the packets of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The network inside of the hypervisor, which needs no other program.
    BuiltIn,
    /// The program passt.
    Passt,
    /// The program gvproxy.
    Gvproxy,
    /// The best that is there. A word of a later version counts as this one.
    #[default]
    #[serde(other)]
    Auto,
}

impl Word for Network {
    const ALL: &'static [Self] = &[Self::Auto, Self::BuiltIn, Self::Passt, Self::Gvproxy];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::BuiltIn => "built-in",
            Self::Passt => "passt",
            Self::Gvproxy => "gvproxy",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::from_word(word)
    }
}

/// What a hypervisor has a part for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkOffer {
    /// How its guests can reach the network, best first.
    pub egress: &'static [Egress],
    /// What a program beside the VM carries the packets over.
    pub socket: NetworkSocket,
    /// Whether the network inside of it has addresses of its own choice, and no way to the host's loopback.
    pub own_addresses: bool,
}

/// The kind of socket between a hypervisor and the program that carries its guest's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkSocket {
    /// A stream, in which the length of each packet stands before it.
    #[default]
    Stream,
    /// Datagrams, each a packet.
    Datagram,
}

/// How a guest reaches the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// The network inside of the hypervisor.
    BuiltIn,
    /// The program passt.
    Passt,
    /// The program gvproxy.
    Gvproxy,
}

impl Egress {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Passt => "passt",
            Self::Gvproxy => "gvproxy",
        }
    }
}

/// The addresses of a guest's IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestNetwork {
    /// Its first address.
    pub first: Ipv4Addr,
    /// How many bits all of its addresses have in common.
    pub prefix: u8,
    /// The gateway, by which the guest reaches what listens on the host's loopback, unless that is closed.
    pub host: Ipv4Addr,
    /// The name server.
    pub name_server: Ipv4Addr,
    /// The guest's own address.
    pub guest: Ipv4Addr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_files_and_on_the_command_line_are_the_same() {
        #[derive(Serialize, Deserialize)]
        struct File {
            #[serde(default)]
            network: Network,
        }
        for network in Network::ALL.iter().copied() {
            let text = toml::to_string(&File { network }).unwrap();
            assert_eq!(text, format!("network = \"{network}\"\n"));
            assert_eq!(toml::from_str::<File>(&text).unwrap().network, network);
            assert_eq!(network.word().parse(), Ok(network));
        }
        assert_eq!(toml::from_str::<File>("").unwrap().network, Network::Auto);
        let later = toml::from_str::<File>("network = \"pigeon\"").unwrap();
        assert_eq!(later.network, Network::Auto);
        let refused = "pigeon".parse::<Network>().unwrap_err();
        let expected = "`pigeon` is none of auto, built-in, passt and gvproxy";
        assert_eq!(refused, expected);
    }
}
