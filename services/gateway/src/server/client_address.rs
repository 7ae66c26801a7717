//! Whose request it is: the peer of the connection, or what trusted proxies say about it.

use std::net::IpAddr;

use anyhow::Context;
use http::HeaderMap;
use ipnet::{IpNet, Ipv6Net};

/// Where each proxy on the way appends the address it was called from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies whose word about client addresses is believed.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks, such as `10.0.0.7` or `10.0.0.0/8`.
    ///
    /// # Errors
    /// When an entry is neither.
    pub(super) fn parse(entries: &[String]) -> anyhow::Result<Self> {
        let network = |entry: &String| {
            let text = entry.trim();
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>()
                .or_else(|_| address())
                .with_context(|| format!("gateway.trusted_proxies: `{entry}` is no address or network"))
        };
        Ok(Self(entries.iter().map(network).collect::<anyhow::Result<_>>()?))
    }

    /// Whether `address` is one of the proxies.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind `peer`: going back from the peer, the first address that is not a trusted proxy.
    /// What an unreadable entry hides is not guessed at: the proxy that named it stands for it.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let entries: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .collect();
        for entry in entries.into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Ok(address) = entry.trim().parse::<IpAddr>() else {
                break;
            };
            client = address.to_canonical();
        }
        client
    }
}

/// What counts as one caller: the address, or the /64 of an IPv6 address, since one customer has a whole one.
pub(crate) fn caller_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Net::new_assert(v6, 64).network().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                FORWARDED_FOR,
                http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let proxies = TrustedProxies::parse(&trusted).unwrap();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_unknown_is_believed_about_addresses() {
        assert_eq!(client(&[], "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(
            client(&["10.0.0.0/8"], "203.0.113.9", &["10.0.0.1"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn the_last_address_before_the_trusted_proxies_is_the_client() {
        let trusted = &["10.0.0.0/8", "fd00::1"];
        assert_eq!(client(trusted, "10.0.0.2", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client(trusted, "10.0.0.2", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]),
            "198.51.100.7"
        );
        assert_eq!(
            client(trusted, "fd00::1", &["1.1.1.1", "198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(
            client(trusted, "::ffff:10.0.0.2", &["198.51.100.7"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn an_unreadable_entry_stands_for_the_proxy_that_named_it() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(client(trusted, "10.0.0.2", &["1.1.1.1, nonsense"]), "10.0.0.2");
        assert_eq!(
            client(trusted, "10.0.0.2", &["1.1.1.1, \u{ff}, 10.0.0.3"]),
            "10.0.0.2"
        );
        assert_eq!(client(trusted, "10.0.0.2", &[""]), "10.0.0.2");
    }

    #[test]
    fn an_ipv6_customer_counts_as_one() {
        let one = caller_network("2001:db8:1:2:3::4".parse().unwrap());
        assert_eq!(one, caller_network("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert_ne!(one, caller_network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(
            caller_network("::ffff:192.0.2.1".parse().unwrap()).to_string(),
            "192.0.2.1"
        );
    }

    #[test]
    fn a_proxy_that_is_no_address_is_an_error() {
        assert!(TrustedProxies::parse(&["proxy.example".into()]).is_err());
    }
}
