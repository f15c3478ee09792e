//! Tests on addresses.

use std::net::IpAddr;

use super::error::ConditionErrorKind;

/// What is asked of an address that is there. Addresses are compared in their canonical form: an IPv4 address mapped into
/// IPv6 is the IPv4 address, or a program could avoid a rule by the family of its socket.
#[derive(Clone, Debug)]
pub(super) enum AddressTest {
    /// Sorted.
    In(Box<[IpAddr]>),
    NotEqual(IpAddr),
    InNetworks(Box<[Network]>),
}

impl AddressTest {
    pub(super) fn one_of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
        addresses.sort_unstable();
        Self::In(addresses.into())
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::In(addresses) => addresses.binary_search(&address).is_ok(),
            Self::NotEqual(other) => address != *other,
            Self::InNetworks(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

/// Reads an address, in canonical form.
pub(super) fn address(text: &str) -> Result<IpAddr, ConditionErrorKind> {
    let parsed = text.parse::<IpAddr>().map(|address| address.to_canonical());
    parsed.map_err(|_| ConditionErrorKind::InvalidAddress { text: text.to_owned() })
}

/// An address and the length of the prefix that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads `address/prefix`, or an address alone. Bits after the prefix are an error, because the writer meant something
    /// else than what would be tested.
    pub(super) fn parse(text: &str) -> Result<Self, ConditionErrorKind> {
        Self::try_parse(text).ok_or_else(|| ConditionErrorKind::InvalidNetwork { text: text.to_owned() })
    }

    fn try_parse(text: &str) -> Option<Self> {
        let (first, prefix) = match text.split_once('/') {
            None => (text.parse::<IpAddr>().ok()?.to_canonical(), None),
            // Not canonical yet: the prefix counts the bits of the form it stands behind.
            Some((first, prefix)) => (first.parse::<IpAddr>().ok()?, Some(prefix)),
        };
        let width = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= width)?
            }
            Some(_) => return None,
        };
        let (bits, width) = bits(first);
        if bits != bits & mask(prefix, width) {
            return None;
        }
        // Addresses are canonical when they are tested, so a network of mapped ones has to be.
        let mapped = prefix.checked_sub(96).filter(|_| first.is_ipv6() && first.to_canonical().is_ipv4());
        Some(mapped.map_or(Self { first, prefix }, |prefix| Self { first: first.to_canonical(), prefix }))
    }

    fn contains(self, address: IpAddr) -> bool {
        let ((first, own_width), (address, width)) = (bits(self.first), bits(address));
        width == own_width && (address ^ first) & mask(self.prefix, width) == 0
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

/// Ones where the first `prefix` bits of an address of `width` bits are, or above them.
fn mask(prefix: u32, width: u32) -> u128 {
    // A shift by all 128 bits is not defined.
    u128::MAX.checked_shl(width - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let test = AddressTest::InNetworks([Network::parse(network).unwrap()].into());
        for (addresses, expected) in [(inside, true), (outside, false)] {
            for address in addresses {
                assert_eq!(test.holds(address.parse().unwrap()), expected, "{address} in {network}");
            }
        }
    }

    #[test]
    fn networks_contain_their_addresses() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "9.255.255.255", "::a"],
        );
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]);
        check("192.168.1.7", &["192.168.1.7"], &["192.168.1.6"]);
        check("192.168.1.6/31", &["192.168.1.7"], &["192.168.1.5", "192.168.1.8"]);
        check("fe80::/10", &["fe80::1", "febf::1"], &["fec0::", "10.0.0.1"]);
        check("::/0", &["::1", "ff::"], &["10.0.0.1"]);
        check("::1/128", &["::1"], &["::2"]);
        check("::ffff:0:0/96", &["10.0.0.1"], &["::1"]);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::1/64",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "a/8",
            "10.0.0.0/8/8",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mapped_addresses_equal_what_they_map() {
        let test = AddressTest::one_of([address("::ffff:10.0.0.1").unwrap()]);
        assert!(test.holds("10.0.0.1".parse().unwrap()) && test.holds("::ffff:10.0.0.1".parse().unwrap()));
        assert!(address("localhost").is_err());
    }
}
