//! Loopback addresses of units: each unit has one of its own, so that two units of one charm can
//! listen on the same port of one machine.

use std::net::Ipv4Addr;

/// Hosts of one network of 256 addresses: without the first and the last.
const HOSTS: u32 = 254;

/// Networks: from 127.1.0 to 127.255.255.
const NETWORKS: u32 = 255 * 256;

/// How many addresses there are.
pub const UNIT_ADDRESSES: u32 = HOSTS * NETWORKS;

/// The number of the address a controller begins with: one of the 255 networks `127.x`, so that the
/// units of two controllers on one machine seldom meet. The seed is any random number.
#[must_use]
pub fn first_unit_address(seed: u128) -> u32 {
    u32::try_from(seed % 255).unwrap_or_default() * HOSTS * 256
}

/// The nth loopback address, from 127.1.0.1 to 127.255.255.254; none beyond. Never one that ends
/// in 0 or 255, and never one of 127.0, where other programs listen.
#[must_use]
pub fn unit_address(nth: u32) -> Option<Ipv4Addr> {
    let (network, host) = (nth / HOSTS, nth % HOSTS + 1);
    (network < NETWORKS).then(|| Ipv4Addr::from_bits((127 << 24) + ((network + 256) << 8) + host))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_and_the_last() {
        let text = |nth| unit_address(nth).map(|address| address.to_string());
        assert_eq!(text(0).as_deref(), Some("127.1.0.1"));
        assert_eq!(text(253).as_deref(), Some("127.1.0.254"));
        assert_eq!(text(254).as_deref(), Some("127.1.1.1"));
        assert_eq!(text(254 * 256).as_deref(), Some("127.2.0.1"));
        assert_eq!(text(HOSTS * NETWORKS - 1).as_deref(), Some("127.255.255.254"));
        assert_eq!(text(HOSTS * NETWORKS), None);
        assert_eq!(text(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn every_unit_has_its_own(one in 0..HOSTS * NETWORKS, other in 0..HOSTS * NETWORKS) {
            let address = unit_address(one).unwrap();
            prop_assert!(address.is_loopback());
            prop_assert!(!matches!(address.octets(), [_, 0, ..] | [.., 0 | 255]));
            prop_assert_eq!(one == other, unit_address(other) == Some(address));
        }
    }
}
