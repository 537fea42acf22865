//! Which addresses a source may lead to.
//!
//! A source's metadata and redirects are written by others. Unless its settings say otherwise, a source on the open internet
//! leads to the open internet only; one on a private network, or on this machine, leads to such, too; and none leads to
//! link-local addresses, where clouds keep their metadata. Names are judged by the addresses that are connected to, so
//! a name that changes its address is judged anew each time.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::error::{Reason, Refused};

/// How far a source may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The open internet.
    Public,
    /// And private networks and this machine.
    Internal,
    /// Anywhere.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Public,
    Private,
    Special,
}

impl Reach {
    /// How far a source of that url may lead.
    pub(super) async fn of(url: &Url) -> Self {
        let addresses: Vec<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(name)) => match tokio::net::lookup_host((name, 0)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                // It will fail when it is connected to.
                Err(_) => Vec::new(),
            },
            None => Vec::new(),
        };
        let is_private = |address: &IpAddr| place(*address) == Place::Private;
        if !addresses.is_empty() && addresses.iter().all(is_private) {
            Self::Internal
        } else {
            Self::Public
        }
    }

    pub(super) fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => place(address) == Place::Public,
            Self::Internal => place(address) != Place::Special,
            Self::Any => true,
        }
    }

    /// Refuses a url whose host is an address out of reach. Names are judged when they are resolved.
    pub(super) fn check(self, url: &Url) -> Result<(), Reason> {
        let address: IpAddr = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            _ => return Ok(()),
        };
        if self.allows(address) {
            return Ok(());
        }
        Err(Reason::Address { host: address.to_string(), address })
    }
}

/// Resolves names to addresses within reach.
pub(super) struct Resolver {
    pub(super) reach: Reach,
    /// The proxy's name, which whoever set it up vouches for.
    pub(super) proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let is_proxy = self.proxy.as_deref() == Some(host.as_str());
        let reach = if is_proxy { Reach::Any } else { self.reach };
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| reach.allows(address.ip())).collect();
            match found.first() {
                Some(first) if allowed.is_empty() => {
                    Err(Arc::new(Refused { host, address: first.ip() }).into_error())
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

impl Refused {
    fn into_error(self: Arc<Self>) -> Box<dyn std::error::Error + Send + Sync> {
        match Arc::try_unwrap(self) {
            Ok(refused) => Box::new(refused),
            Err(shared) => Box::new(Self { host: shared.host.clone(), address: shared.address }),
        }
    }
}

fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => place_v6(address),
    }
}

/// By IANA's registry of special addresses.
fn place_v4(address: Ipv4Addr) -> Place {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    if address.is_loopback() || address.is_private() || is_shared {
        Place::Private
    } else if a == 0
        || a >= 224
        || address.is_link_local()
        || is_benchmark
        || (a, b, c) == (192, 0, 0)
    {
        Place::Special
    } else {
        Place::Public
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    let segments = address.segments();
    let [.., high, low] = segments;
    let embedded = || {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        place_v4(Ipv4Addr::new(a, b, c, d))
    };
    if address.is_loopback() {
        return Place::Private;
    }
    match segments {
        // IPv4 in IPv6, and what a gateway turns into IPv4 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(),
        // Unspecified, and the old way of IPv4 in IPv6.
        [0, 0, 0, 0, 0, 0, ..] => Place::Special,
        // IPv4 behind the prefix (RFC 3056).
        [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            place_v4(Ipv4Addr::new(a, b, c, d))
        }
        [first, ..] if first & 0xfe00 == 0xfc00 => Place::Private,
        [first, ..] if first & 0xffc0 == 0xfe80 || first & 0xff00 == 0xff00 => Place::Special,
        _ => Place::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_place() {
        for (place_expected, addresses) in [
            (Place::Public, &["1.1.1.1", "172.32.0.1", "2606:4700::1", "::ffff:8.8.8.8"][..]),
            (
                Place::Private,
                &[
                    "127.0.0.1",
                    "127.9.9.9",
                    "10.0.0.1",
                    "172.16.0.1",
                    "192.168.1.1",
                    "100.64.0.1",
                    "::1",
                    "fd00::1",
                    "::ffff:127.0.0.1",
                    "64:ff9b::7f00:1",
                    "2002:7f00:1::",
                ],
            ),
            (
                Place::Special,
                &["169.254.169.254", "0.0.0.0", "0.1.2.3", "::", "fe80::1", "ff02::1"],
            ),
            (
                Place::Special,
                &["224.0.0.1", "255.255.255.255", "::ffff:169.254.169.254", "::7f00:1"],
            ),
        ] {
            for address in addresses {
                assert_eq!(place(address.parse().unwrap()), place_expected, "{address}");
            }
        }
    }

    #[test]
    fn only_any_reaches_metadata_of_clouds() {
        let metadata = "169.254.169.254".parse().unwrap();
        assert!(!Reach::Public.allows(metadata));
        assert!(!Reach::Internal.allows(metadata));
        assert!(Reach::Any.allows(metadata));
    }
}
