//! Which way out a machine takes, by what was asked for and what the host has. Pure.

use std::path::PathBuf;

use machine_host::routes::Block;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::addresses;
use super::backend::backend;
use super::host::HostNetwork;
use crate::machine::{Egress, GuestNetwork, Network, NetworkOffer, NetworkSocket};

/// What a machine is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What is to carry its packets.
    pub network: Network,
    /// Whether its guest is to reach what listens on the host's loopback.
    pub host_loopback: bool,
}

/// What a machine has during one run. Kept beside the record of its VM, for a supervisor that takes it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPlan {
    /// What carries the packets.
    pub egress: Egress,
    /// The program, where it is one.
    pub program: Option<PathBuf>,
    /// The guest's addresses.
    pub network: GuestNetwork,
    /// Whether the guest reaches the host's loopback.
    pub host_loopback: bool,
    /// What the program carries packets over.
    #[serde(default)]
    pub socket: NetworkSocket,
}

/// A plan, and what the user should know of it.
pub type Choice = (EgressPlan, Vec<String>);

/// Why there is no way out as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EgressError {
    /// The program is not installed.
    #[error("`{program}` was not found, which was asked for to carry the machine's packets")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
        /// How to install it.
        install: &'static str,
    },
    /// The hypervisor has no part for it.
    #[error("The network `{0}` does not go together with this machine's provider")]
    Unsupported(Network),
    /// The loopback of the host stays open.
    #[error("The network `{0}` cannot keep a guest from the host's loopback")]
    OpenLoopback(Network),
    /// The program would not run on a host without a way out.
    #[error(
        "The host has no network, and only passt could keep the guest from its loopback, which needs one"
    )]
    NoRoute,
}

impl EgressError {
    /// What the user of this machine can do about it.
    pub fn hints(&self, machine: &str) -> Vec<String> {
        match self {
            Self::Missing {
                searched, install, ..
            } => {
                let places: Vec<String> = searched
                    .iter()
                    .map(|place| format!("`{}`", place.display()))
                    .chain(["PATH".to_owned()])
                    .collect();
                vec![
                    format!("It was looked for in {}", places.join(", ")),
                    format!(
                        "Either {install}, or choose another one: `machine set --network auto {machine}`"
                    ),
                ]
            }
            Self::Unsupported(_) => vec![format!(
                "`machine set --network auto {machine}` takes one that does"
            )],
            Self::OpenLoopback(_) => vec![
                format!(
                    "`machine set --network passt {machine}` can; it needs the package `passt`"
                ),
                format!("`machine set --host-loopback {machine}` opens it, as podman has it"),
            ],
            Self::NoRoute => vec![format!(
                "Connect the host, or let the guest reach the loopback: `machine set --host-loopback {machine}`"
            )],
        }
    }
}

/// Chooses. `searched` are the directories in which `find` looks before `PATH`.
pub fn choose(
    wish: Wish,
    offer: &NetworkOffer,
    host: &HostNetwork,
    searched: &[PathBuf],
    find: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<Choice, EgressError> {
    let mut warnings = Vec::new();
    let asked = match wish.network {
        Network::Auto => automatic(wish, offer.egress, find)?,
        Network::BuiltIn => Egress::BuiltIn,
        Network::Passt => Egress::Passt,
        Network::Gvproxy => Egress::Gvproxy,
    };
    if !offer.egress.contains(&asked) {
        return Err(EgressError::Unsupported(wish.network));
    }
    let is_closed = |egress| egress == Egress::BuiltIn && offer.own_addresses;
    let may_stay_open =
        wish.host_loopback || is_closed(asked) || backend(asked).can_close_loopback();
    if !may_stay_open {
        return Err(EgressError::OpenLoopback(wish.network));
    }
    let egress = if backend(asked).needs_route() && !host.has_route() {
        if !wish.host_loopback {
            return Err(EgressError::NoRoute);
        }
        warnings.push(format!(
            "the host has no network, which `{}` cannot do without; the machine has the hypervisor's own until its next start",
            wish.network
        ));
        Egress::BuiltIn
    } else {
        asked
    };
    if !wish.host_loopback && host.has_own_name_server {
        warnings.push(
            "the guest finds no names: the host's name server is on its loopback, which is closed to the guest"
                .to_owned(),
        );
    }
    if wish.host_loopback && is_closed(egress) {
        warnings.push(
            "the guest does not reach what listens on the host's loopback, to which the hypervisor's own network has no \
             way; it does with the network `gvproxy`"
                .to_owned(),
        );
    }
    let program = match backend(egress).program() {
        None => None,
        Some(program) => Some(find(program.name).ok_or_else(|| EgressError::Missing {
            program: program.name,
            searched: searched.to_vec(),
            install: program.install,
        })?),
    };
    let network = backend(egress).network(free(host, &mut warnings));
    let ours = Block {
        first: network.first,
        prefix: network.prefix,
    };
    if let Some(clash) = host.networks().iter().find(|route| route.overlaps(ours)) {
        warnings.push(format!(
            "the guest's network {}/{} hides the host's network {}/{} from the guest",
            network.first, network.prefix, clash.first, clash.prefix
        ));
    }
    let plan = EgressPlan {
        egress,
        program,
        network,
        host_loopback: wish.host_loopback && !is_closed(egress),
        socket: offer.socket,
    };
    Ok((plan, warnings))
}

/// The provider's best that is there. With QEMU that is the hypervisor's own: it needs no program, follows the host's
/// networks and name servers, and where the two were measured it was not the slower one (docs/architecture.md). passt where
/// only that does what is wanted.
fn automatic(
    wish: Wish,
    supported: &[Egress],
    find: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<Egress, EgressError> {
    if wish.host_loopback {
        let is_there = |egress: &&Egress| {
            let program = backend(**egress).program();
            program.is_none_or(|program| find(program.name).is_some())
        };
        // Where nothing is there, what is missing is named.
        let best = supported.iter().find(is_there).or(supported.first());
        return Ok(best.copied().unwrap_or(Egress::BuiltIn));
    }
    let passt = backend(Egress::Passt).program();
    let is_there = passt.is_some_and(|program| find(program.name).is_some());
    if is_there && supported.contains(&Egress::Passt) {
        Ok(Egress::Passt)
    } else {
        Err(EgressError::OpenLoopback(wish.network))
    }
}

fn free(host: &HostNetwork, warnings: &mut Vec<String>) -> GuestNetwork {
    addresses::free(host.networks()).unwrap_or_else(|| {
        warnings.push(
            "the host has routes to all private networks; the guest hides one of them".to_owned(),
        );
        addresses::customary()
    })
}

#[cfg(test)]
mod tests {
    use machine_host::routes::Routes;

    use super::*;

    const ALL: &NetworkOffer = &NetworkOffer {
        egress: &[Egress::BuiltIn, Egress::Passt, Egress::Gvproxy],
        socket: NetworkSocket::Stream,
        own_addresses: false,
    };

    fn host() -> HostNetwork {
        HostNetwork {
            routes: Some(Routes {
                networks: Vec::new(),
                default_ipv4: true,
                default_ipv6: false,
            }),
            has_own_name_server: true,
        }
    }

    fn wish(network: Network) -> Wish {
        Wish {
            network,
            host_loopback: true,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the form of a search")]
    fn installed(name: &str) -> Option<PathBuf> {
        Some(PathBuf::from("/p").join(name))
    }

    fn nothing(_: &str) -> Option<PathBuf> {
        None
    }

    fn chosen(wish: Wish, host: &HostNetwork) -> Result<(Egress, usize), EgressError> {
        choose(wish, ALL, host, &[], &installed)
            .map(|(plan, warnings)| (plan.egress, warnings.len()))
    }

    #[test]
    fn by_itself_the_hypervisors_own_whatever_is_installed() {
        let auto = wish(Network::Auto);
        let offline = HostNetwork {
            routes: Some(Routes::default()),
            ..host()
        };
        for host in [host(), offline] {
            assert_eq!(chosen(auto, &host), Ok((Egress::BuiltIn, 0)));
        }
        let (plan, _) = choose(auto, ALL, &host(), &[], &installed).unwrap();
        assert_eq!(plan.program, None);
    }

    #[test]
    fn what_is_asked_for_by_name_is_taken_or_refused() {
        for (network, egress) in [
            (Network::BuiltIn, Egress::BuiltIn),
            (Network::Passt, Egress::Passt),
            (Network::Gvproxy, Egress::Gvproxy),
        ] {
            assert_eq!(chosen(wish(network), &host()), Ok((egress, 0)));
        }
        let places = [PathBuf::from("/usr/libexec/podman")];
        let error = choose(wish(Network::Gvproxy), ALL, &host(), &places, &nothing).unwrap_err();
        let hints = error.hints("m").join("\n");
        assert!(hints.contains("`/usr/libexec/podman`, PATH"), "{hints}");
        assert!(hints.contains("the package `gvproxy`"), "{hints}");
        let error = choose(
            wish(Network::Passt),
            &NetworkOffer {
                egress: &[Egress::BuiltIn],
                ..*ALL
            },
            &host(),
            &[],
            &installed,
        );
        assert_eq!(error, Err(EgressError::Unsupported(Network::Passt)));
    }

    #[test]
    fn by_itself_the_best_of_another_provider_that_is_there() {
        let offer = NetworkOffer {
            egress: &[Egress::Gvproxy, Egress::BuiltIn],
            socket: NetworkSocket::Datagram,
            own_addresses: true,
        };
        let auto = wish(Network::Auto);
        let (plan, warnings) = choose(auto, &offer, &host(), &[], &installed).unwrap();
        assert_eq!(
            (plan.egress, plan.socket),
            (Egress::Gvproxy, NetworkSocket::Datagram)
        );
        assert!(plan.host_loopback && warnings.is_empty());
        let (plan, warnings) = choose(auto, &offer, &host(), &[], &nothing).unwrap();
        assert_eq!(plan.egress, Egress::BuiltIn);
        assert!(!plan.host_loopback && warnings.len() == 1, "{warnings:?}");
        // What is closed anyway may be asked to be.
        let closed = Wish {
            network: Network::BuiltIn,
            host_loopback: false,
        };
        let (plan, _) = choose(closed, &offer, &host(), &[], &nothing).unwrap();
        assert!(!plan.host_loopback);
        let alone = NetworkOffer {
            egress: &[Egress::Gvproxy],
            ..offer
        };
        let missing = choose(auto, &alone, &host(), &[], &nothing).unwrap_err();
        assert!(matches!(
            missing,
            EgressError::Missing {
                program: "gvproxy",
                ..
            }
        ));
    }

    #[test]
    fn a_host_without_a_network_starts_machines_all_the_same() {
        let offline = HostNetwork {
            routes: Some(Routes::default()),
            ..host()
        };
        assert_eq!(
            chosen(wish(Network::Passt), &offline),
            Ok((Egress::BuiltIn, 1))
        );
        let unknown = HostNetwork {
            routes: None,
            ..host()
        };
        assert_eq!(
            chosen(wish(Network::Passt), &unknown),
            Ok((Egress::Passt, 0))
        );
    }

    #[test]
    fn a_closed_loopback_is_closed_or_an_error() {
        let closed = |network| Wish {
            network,
            host_loopback: false,
        };
        let elsewhere = HostNetwork {
            has_own_name_server: false,
            ..host()
        };
        for (host, warnings) in [(&elsewhere, 0), (&host(), 1)] {
            let found = chosen(closed(Network::Auto), host);
            assert_eq!(found, Ok((Egress::Passt, warnings)));
        }
        for network in [Network::BuiltIn, Network::Gvproxy] {
            let error = chosen(closed(network), &host());
            assert_eq!(error, Err(EgressError::OpenLoopback(network)));
        }
        let missing = choose(closed(Network::Auto), ALL, &host(), &[], &nothing);
        assert_eq!(missing, Err(EgressError::OpenLoopback(Network::Auto)));
        let offline = HostNetwork {
            routes: Some(Routes::default()),
            ..host()
        };
        let error = chosen(closed(Network::Passt), &offline);
        assert_eq!(error, Err(EgressError::NoRoute));
    }

    #[test]
    fn a_network_that_cannot_move_and_clashes_is_told() {
        let mut there = host();
        if let Some(routes) = &mut there.routes {
            routes.networks.push(Block {
                first: [192, 168, 127, 0].into(),
                prefix: 24,
            });
        }
        assert_eq!(
            chosen(wish(Network::Gvproxy), &there),
            Ok((Egress::Gvproxy, 1))
        );
        assert_eq!(
            chosen(wish(Network::BuiltIn), &there),
            Ok((Egress::BuiltIn, 0))
        );
    }
}
