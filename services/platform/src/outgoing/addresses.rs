//! Which addresses may be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Context;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::OutgoingConfig;

/// Not public, by the IANA registry of special-purpose addresses; and what clouds tell their secrets at.
const CLOSED_V4: [Ipv4Net; 18] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Azure's wire server, in the middle of public addresses.
    v4([168, 63, 129, 16], 32),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 31, 196, 0], 24),
    v4([192, 52, 193, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([192, 175, 48, 0], 24),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast, reserved, broadcast.
    v4([224, 0, 0, 0], 3),
];
/// Where public IPv6 addresses are. So mapped, translated (NAT64), unique local, link-local and multicast ones are out.
const OPEN_V6: Ipv6Net = v6([0x2000, 0, 0], 3);
/// What is not public within that: protocol assignments with Teredo and benchmarks, documentation, 6to4.
const CLOSED_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0], 23),
    v6([0x2001, 0xdb8, 0], 32),
    v6([0x2002, 0, 0], 16),
    v6([0x2620, 0x4f, 0x8000], 48),
    v6([0x3fff, 0, 0], 20),
];

const fn v4(address: [u8; 4], bits: u8) -> Ipv4Net {
    let [a, b, c, d] = address;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(address: [u16; 3], bits: u8) -> Ipv6Net {
    let [a, b, c] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

/// Where a role may connect to.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    own: Vec<IpNet>,
    ports: Vec<u16>,
}

impl Reach {
    pub(super) fn new(config: &OutgoingConfig) -> anyhow::Result<Self> {
        let network = |text: &String| {
            let whole = text.parse::<IpNet>();
            whole
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .with_context(|| format!("outgoing.allow: {text} is neither an address nor a network"))
        };
        Ok(Self {
            own: config.allow.iter().map(network).collect::<Result<_, _>>()?,
            ports: config
                .ports
                .iter()
                .map(|text| {
                    text.parse()
                        .with_context(|| format!("outgoing.ports: {text} is no port"))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn includes(&self, address: IpAddr, port: u16) -> bool {
        let own = self.own.iter().any(|network| network.contains(&address));
        own || self.ports.contains(&port) && is_public(address)
    }
}

/// Whether an address is one of the internet's, where anybody may ask.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            OPEN_V6.contains(&address) && !CLOSED_V6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    /// A network and an address in it: the bits below the network's are those of `host`.
    fn within_v4(network: Ipv4Net, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(network.network()) | host & u32::from(network.hostmask()))
    }

    #[test]
    fn the_internet_is_reached() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "2606:4700:4700::1111",
            "2a00:1450:4007:80c::2004",
            "2001:4860:4860::8888",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn what_is_inside_is_not() {
        for address in [
            "0.0.0.0",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn ones_own_networks_are_reached_on_every_port_and_the_others_on_few() {
        let config = OutgoingConfig {
            allow: vec!["10.1.0.0/16".into(), "192.168.7.7".into(), "fd00:1::/32".into()],
            ..OutgoingConfig::default()
        };
        let reach = Reach::new(&config).unwrap();
        let includes = |address: &str, port| reach.includes(address.parse().unwrap(), port);
        assert!(includes("10.1.2.3", 8_080) && includes("192.168.7.7", 25) && includes("fd00:1::9", 1));
        assert!(!includes("10.2.0.1", 80) && !includes("192.168.7.8", 443));
        assert!(includes("8.8.8.8", 443) && !includes("8.8.8.8", 22));
    }

    proptest! {
        #[test]
        fn no_address_of_a_closed_network_is_reached_in_any_clothes(
            which in 0..CLOSED_V4.len(), host: u32, wrapped in 0..4_usize,
        ) {
            let inside = within_v4(CLOSED_V4[which], host);
            prop_assert!(!is_public(inside.into()));
            let [a, b, c, d] = inside.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let clothes = [
                inside.to_ipv6_mapped(),
                Ipv6Addr::from(u128::from(u32::from(inside))),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ];
            prop_assert!(!is_public(clothes[wrapped].into()));
        }

        #[test]
        fn what_the_standard_library_calls_special_is_not_reached(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!special || !is_public(address.into()));
        }

        #[test]
        fn only_global_unicast_is_reached(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let special = address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast()
                || address.is_loopback() || address.to_ipv4().is_some();
            prop_assert!(!is_public(address.into()) || !special && bits >> 125 == 1);
        }
    }
}
