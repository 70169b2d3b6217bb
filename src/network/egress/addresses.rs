//! The addresses of a guest's network: QEMU's customary ones, moved where the host reaches something else by them.

use std::net::Ipv4Addr;

use machine_host::routes::Block;

use crate::machine::GuestNetwork;

/// How many bits the addresses of a guest's network have in common.
const PREFIX: u8 = 24;

/// The networks that are tried, best first: QEMU's own, others of its kind below those that podman gives to containers
/// (10.88.0.0/16 and up, containers.conf(5)), then the other private blocks (RFC 1918).
fn candidates() -> impl Iterator<Item = Block> {
    let ten = (0..88).map(|number| [10, number, 2, 0]);
    let seventeen = (16..32).rev().map(|number| [172, number, 2, 0]);
    let home = (2..255).rev().map(|number| [192, 168, number, 0]);
    ten.chain(seventeen).chain(home).map(|first| Block {
        first: first.into(),
        prefix: PREFIX,
    })
}

/// A network of a guest that overlaps none of the host's; `None` where the host has routes to all private addresses.
pub fn free(host: &[Block]) -> Option<GuestNetwork> {
    let mut candidates = candidates();
    let is_free = |block: &Block| !host.iter().any(|route| route.overlaps(*block));
    candidates.find(is_free).map(at)
}

/// QEMU's customary addresses, for when nothing is known of the host's.
pub fn customary() -> GuestNetwork {
    at(Block {
        first: Ipv4Addr::new(10, 0, 2, 0),
        prefix: PREFIX,
    })
}

/// The addresses in a network, counted as QEMU does.
fn at(block: Block) -> GuestNetwork {
    let address = |number: u32| Ipv4Addr::from_bits(block.first.to_bits() | number);
    GuestNetwork {
        first: block.first,
        prefix: block.prefix,
        host: address(2),
        name_server: address(3),
        guest: address(15),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(first: &str, prefix: u8) -> Block {
        let first = first.parse().unwrap();
        Block { first, prefix }
    }

    #[test]
    fn customary_where_the_host_is_elsewhere() {
        let network = free(&[block("192.168.1.0", 24)]).unwrap();
        assert_eq!(network, customary());
        let text = [network.host, network.name_server, network.guest].map(|it| it.to_string());
        assert_eq!(text, ["10.0.2.2", "10.0.2.3", "10.0.2.15"]);
    }

    #[test]
    fn moved_where_it_clashes() {
        let first = |host: &[Block]| free(host).map(|network| network.first.to_string());
        let one = first(&[block("10.0.2.0", 24)]);
        assert_eq!(one.as_deref(), Some("10.1.2.0"));
        let company = first(&[block("10.0.0.0", 8)]);
        assert_eq!(company.as_deref(), Some("172.31.2.0"));
        let both = first(&[block("10.0.0.0", 8), block("172.16.0.0", 12)]);
        assert_eq!(both.as_deref(), Some("192.168.254.0"));
        assert_eq!(first(&[block("0.0.0.0", 1), block("128.0.0.0", 1)]), None);
    }

    proptest! {
        #[test]
        fn never_what_the_host_has(routes in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..20)) {
            let host: Vec<Block> = routes
                .into_iter()
                .map(|(first, prefix)| Block { first: Ipv4Addr::from_bits(first), prefix })
                .collect();
            if let Some(network) = free(&host) {
                let ours = Block { first: network.first, prefix: network.prefix };
                prop_assert!(!host.iter().any(|route| route.overlaps(ours)));
                prop_assert!(network.first.is_private());
                prop_assert!(!ours.overlaps(block("10.88.0.0", 16)));
            }
        }
    }
}
