//! Where the host sends packets: what a network for a guest must not hide, and whether there is a way out at all.

use std::net::Ipv4Addr;

use crate::sys;

/// A block of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Its first address.
    pub first: Ipv4Addr,
    /// How many bits all of its addresses have in common, at most 32.
    pub prefix: u8,
}

impl Block {
    /// Whether any address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        let common = u32::from(self.prefix.min(other.prefix));
        // A block of everything has nothing in common that could differ.
        let mask = u32::MAX.checked_shl(32 - common).unwrap_or(0);
        (self.first.to_bits() ^ other.first.to_bits()) & mask == 0
    }
}

/// The host's routes, as far as a guest's network depends on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// The networks that are reached in a way of their own, the default route left out.
    pub networks: Vec<Block>,
    /// Whether anything is reached by IPv4 that no other route is for.
    pub default_ipv4: bool,
    /// The same for IPv6.
    pub default_ipv6: bool,
}

/// The routes of now; `None` where the system is not asked, or does not say.
pub fn present() -> Option<Routes> {
    sys::routes::present()
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
    fn blocks_that_share_an_address_overlap() {
        let home = block("192.168.1.0", 24);
        for (other, expected) in [
            (block("192.168.1.0", 24), true),
            (block("192.168.1.128", 25), true),
            (block("192.168.0.0", 16), true),
            (block("192.168.2.0", 24), false),
            (block("0.0.0.0", 0), true),
            (block("192.168.1.7", 32), true),
            (block("192.168.2.7", 32), false),
        ] {
            assert_eq!(home.overlaps(other), expected, "{other:?}");
            assert_eq!(other.overlaps(home), expected, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn an_address_in_both_means_that_they_overlap(
            address: u32, one in 0_u8..=32, other in 0_u8..=32,
        ) {
            let around = |prefix: u8| Block {
                first: Ipv4Addr::from_bits(address & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)),
                prefix,
            };
            prop_assert!(around(one).overlaps(around(other)));
        }
    }
}
