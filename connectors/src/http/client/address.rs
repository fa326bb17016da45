//! Which addresses may be connected to: a name in a flow, or a redirect, must not open what stands behind our firewall.
//!
//! Names are resolved here and nowhere else, every address is looked at, and the connection goes to one that was.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::{error, fmt};

use aqueduct_model::Error;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::settings::ClientConfig;

/// True for addresses of the public Internet: not those of the registries of special addresses (RFC 6890 and its
/// successors at IANA), which private networks, this machine and the metadata services of clouds use.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    );
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Global unicast is 2000::/3; what lies outside is local, mapped (::ffff:0:0/96), multicast, or translated (64:ff9b::).
    if parts[0] & 0xe000 != 0x2000 {
        return false;
    }
    // Teredo and other protocol assignments (2001::/23), documentation, and 6to4, which carries an IPv4 address.
    !matches!((parts[0], parts[1]), (0x2001, 0..=0x01ff | 0x0db8) | (0x2002, _) | (0x3fff, 0..=0x0fff))
}

/// Says which addresses may be connected to, and resolves names to those alone.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allow_private: bool,
    allow_hosts: Arc<[String]>,
}

/// Why a host is not connected to.
#[derive(Debug)]
pub(super) struct NotPublic {
    host: String,
}

impl NotPublic {
    pub(super) fn to_error(&self) -> Error {
        let host = &self.host;
        Error::config(self.to_string()).with_setting("client.allow_hosts").with_hint(format!(
            "if this service is meant, write `client: {{ allow_hosts: [\"{host}\"] }}`, or `allow_private: true` for all"
        ))
    }
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has an address that is not of the public Internet", self.host)
    }
}

impl error::Error for NotPublic {}

impl Guard {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self { allow_private: config.allow_private, allow_hosts: config.allow_hosts.clone().into() }
    }

    /// Checks a host that is an address itself: those are never resolved.
    ///
    /// # Errors
    /// When it is not allowed.
    pub(super) fn check(&self, url: &Url) -> Result<(), NotPublic> {
        let host = bare(url.host_str().unwrap_or_default());
        match host.parse() {
            Ok(address) => self.check_all(host, &[address]),
            Err(_) => Ok(()),
        }
    }

    /// All of a host's addresses have to be public: which one is connected to is not known before.
    fn check_all(&self, host: &str, addresses: &[IpAddr]) -> Result<(), NotPublic> {
        let is_named = self.allow_hosts.iter().any(|allowed| bare(allowed).eq_ignore_ascii_case(host));
        if self.allow_private || is_named || addresses.iter().all(|address| is_public(*address)) {
            return Ok(());
        }
        Err(NotPublic { host: host.to_owned() })
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            // The port is the caller's to set.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            guard.check_all(host, &found.iter().map(SocketAddr::ip).collect::<Vec<_>>())?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// An address without the brackets that it has in a URL.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use aqueduct_model::ErrorKind;

    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let private = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.8.8.8 169.254.169.254 172.16.0.1 172.31.255.255 \
                       192.0.0.170 192.0.2.1 192.168.1.1 198.18.0.1 203.0.113.9 224.0.0.1 240.0.0.1 255.255.255.255 \
                       :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 64:ff9b::7f00:1 fc00::1 fd00:ec2::254 fe80::1 \
                       ff02::1 2001::1 2001:db8::1 2002:7f00:1:: 100::1 5f00::1";
        for text in private.split_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn hosts_are_allowed_by_name_or_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let is_allowed = |url: &str, config: &ClientConfig| {
            let (guard, url) = (Guard::new(config), Url::parse(url).unwrap());
            let host = url.host_str().unwrap();
            // As the client goes: what is no name is never resolved.
            let resolves = bare(host).parse::<IpAddr>().is_ok()
                || runtime.block_on(guard.resolve(host.parse().unwrap())).is_ok_and(|mut found| found.next().is_some());
            guard.check(&url).is_ok() && resolves
        };
        // Browsers read all of these as 127.0.0.1, and so do we.
        let spellings =
            ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/"];
        let others = ["http://localhost/", "http://127.0.0.1./", "http://[::ffff:127.0.0.1]/"];
        for url in spellings.into_iter().chain(others) {
            assert!(!is_allowed(url, &ClientConfig::default()), "{url}");
            assert!(is_allowed(url, &ClientConfig { allow_private: true, ..ClientConfig::default() }), "{url}");
        }
        let named = ClientConfig { allow_hosts: vec!["LocalHost".into(), "::1".into()], ..ClientConfig::default() };
        assert!(is_allowed("http://localhost:9/", &named) && is_allowed("http://[::1]:9/", &named));
        assert!(!is_allowed("http://127.0.0.1/", &named));
        let refused = NotPublic { host: "localhost".into() }.to_error();
        assert_eq!((refused.kind(), refused.setting()), (ErrorKind::Config, Some("client.allow_hosts")));
    }
}
