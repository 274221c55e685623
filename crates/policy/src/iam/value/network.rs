//! Addresses and networks of the IP address operators.
//!
//! Invariant: an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4
//! address, so that it cannot slip past a condition.

use std::net::{IpAddr, Ipv6Addr};

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `203.0.113.0/24`, `2001:db8::/32` or one address. Bits behind the
    /// prefix mean nothing. (IAM User Guide: Condition operators, "IP address
    /// condition operators".)
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= longest)?
            }
            Some(_) => return None,
        };
        let mapped = address.to_canonical();
        if address.is_ipv6() && mapped.is_ipv4() && prefix >= 96 {
            return Some(Self { address: mapped, prefix: prefix - 96 });
        }
        Some(Self { address, prefix })
    }

    /// Whether the network has the address; `None` if `text` is no address.
    pub(in super::super) fn contains(self, text: &str) -> Option<bool> {
        let given = text.parse::<IpAddr>().ok()?.to_canonical();
        if self.address.is_ipv4() != given.is_ipv4() {
            return Some(false);
        }
        let width = if given.is_ipv4() { 32 } else { 128 };
        let difference = bits(self.address) ^ bits(given);
        // Shifting by the whole width is no shift in Rust, so it is asked for separately.
        Some(difference.checked_shr(width - u32::from(self.prefix)).unwrap_or(0) == 0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn ranges() {
        let cases = [
            ("203.0.113.0/24", "203.0.113.255", Some(true)),
            ("203.0.113.0/24", "203.0.114.0", Some(false)),
            ("203.0.113.7/24", "203.0.113.1", Some(true)),
            ("203.0.113.1", "203.0.113.1", Some(true)),
            ("203.0.113.1", "203.0.113.2", Some(false)),
            ("0.0.0.0/0", "8.8.8.8", Some(true)),
            ("0.0.0.0/0", "2001:db8::1", Some(false)),
            ("::/0", "8.8.8.8", Some(false)),
            ("::/0", "2001:db8::1", Some(true)),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678:ffff::", Some(true)),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5679::", Some(false)),
            ("203.0.113.0/24", "::ffff:203.0.113.9", Some(true)),
            ("::ffff:203.0.113.0/120", "203.0.113.9", Some(true)),
            ("203.0.113.0/24", "203.0.113", None),
            ("203.0.113.0/24", "", None),
        ];
        for (network, address, expected) in cases {
            assert_eq!(Network::parse(network).unwrap().contains(address), expected, "{network} {address}");
        }
        for bad in
            ["", "203.0.113", "203.0.113.0/33", "203.0.113.0/", "203.0.113.0/+8", "2001:db8::/129", "*", "1.2.3.*"]
        {
            assert_eq!(Network::parse(bad), None, "{bad:?}");
        }
    }
}
