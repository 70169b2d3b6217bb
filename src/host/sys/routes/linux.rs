//! Linux: `/proc/net/route` and `/proc/net/ipv6_route`, whose forms are those of the kernel's `fib_route_seq_show` and
//! `rt6_info_route`.

use std::net::Ipv4Addr;

use crate::routes::{Block, Routes};

/// Flag of a route that can be used (`RTF_UP` of route.h).
const UP: u32 = 1;
/// Flag of a route that says that there is none (`RTF_REJECT`).
const REJECT: u32 = 0x0200;

/// A route whose addresses have no more bits than these in common leads to no network of its own, but is a part of the
/// default route: VPNs add two halves of all addresses (`OpenVPN` with `redirect-gateway def1`). The widest private block
/// has 8 bits (RFC 1918).
const DEFAULT_UP_TO_IPV4: u8 = 7;
/// The same for IPv6, where all that is given out is in `2000::/3` (RFC 4291, 2.4).
const DEFAULT_UP_TO_IPV6: u8 = 3;

/// The routes of this process's network namespace.
pub(crate) fn present() -> Option<Routes> {
    let mut routes = ipv4(&fs_err::read_to_string("/proc/net/route").ok()?);
    // Absent where the kernel has no IPv6.
    let text = fs_err::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    routes.default_ipv6 = text.lines().any(is_ipv6_default);
    Some(routes)
}

/// Lines of `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses as hexadecimal numbers in the
/// processor's own order of bytes.
fn ipv4(text: &str) -> Routes {
    let mut routes = Routes::default();
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let (Some(destination), Some(flags), Some(mask)) = (number(1), number(3), number(7)) else {
            continue;
        };
        if flags & UP == 0 || flags & REJECT != 0 {
            continue;
        }
        let prefix = u8::try_from(mask.count_ones()).unwrap_or(32);
        if prefix <= DEFAULT_UP_TO_IPV4 {
            routes.default_ipv4 = true;
            continue;
        }
        routes.networks.push(Block {
            first: Ipv4Addr::from(destination.to_ne_bytes()),
            prefix,
        });
    }
    routes
}

/// Lines of `destination prefix source prefix gateway metric references use flags device`.
fn is_ipv6_default(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let flags = words
        .get(8)
        .and_then(|flags| u32::from_str_radix(flags, 16).ok());
    let prefix = words
        .get(1)
        .and_then(|prefix| u8::from_str_radix(prefix, 16).ok());
    prefix.is_some_and(|prefix| prefix <= DEFAULT_UP_TO_IPV6)
        && flags.is_some_and(|flags| flags & UP != 0 && flags & REJECT == 0)
        && words.get(9) != Some(&"lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a kernel with the addresses in little-endian order, as on every processor that is supported.
    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n\
        *\t0000FEA9\t00000000\t0200\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        nonsense\n";

    #[test]
    fn networks_and_the_default_are_told_apart() {
        let routes = ipv4(ROUTE);
        assert!(routes.default_ipv4);
        let block = |first: &str, prefix| Block {
            first: first.parse().unwrap(),
            prefix,
        };
        assert_eq!(
            routes.networks,
            [block("192.0.2.0", 24), block("10.0.0.0", 8)]
        );
        assert_eq!(ipv4(""), Routes::default());
    }

    /// What `OpenVPN` adds, so that the line's own default route stays as it is.
    #[test]
    fn halves_of_all_addresses_are_a_default() {
        let half = |first: &str, mask: &str| {
            format!("heading\ntun0\t{first}\t0100080A\t0003\t0\t0\t0\t{mask}\t0\t0\t0\n")
        };
        for text in [half("00000000", "00000080"), half("00000080", "00000080")] {
            let routes = ipv4(&text);
            assert!(routes.default_ipv4);
            assert_eq!(routes.networks, []);
        }
        let eighth = ipv4(&half("0000000A", "000000FF"));
        assert!(!eighth.default_ipv4);
        let zeros = "0".repeat(32);
        let global = format!(
            "2{} 03 {zeros} 00 {zeros} 00000400 00000001 00000000 00000003 tun0",
            "0".repeat(31)
        );
        assert!(is_ipv6_default(&global));
        assert!(!is_ipv6_default(&global.replacen(" 03 ", " 07 ", 1)));
    }

    #[test]
    fn an_unreachable_default_of_ipv6_is_none() {
        let zeros = "0".repeat(32);
        let line = |flags: &str, device: &str| {
            format!("{zeros} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 {flags} {device}")
        };
        assert!(is_ipv6_default(&line("00450003", "eth0")));
        assert!(!is_ipv6_default(&line("00200200", "lo")));
        assert!(!is_ipv6_default(
            &line("00450003", "eth0").replacen(" 00 ", " 40 ", 1)
        ));
        assert!(!is_ipv6_default("short"));
    }

    #[test]
    fn this_host_is_looked_at() {
        assert!(present().is_some());
    }
}
