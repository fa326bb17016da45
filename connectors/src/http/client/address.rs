//! Which addresses may be connected to: a name in a flow, or a redirect, must not open what stands behind our firewall.
//!
//! Names are resolved here and nowhere else, every address is looked at, and the connection goes to one that was.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aqueduct_model::{Error, ErrorKind, Result};
use url::{Host, Url};

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

/// The addresses of a URL's host, all of them checked.
///
/// # Errors
/// `Config` when one of them is not allowed; `Unavailable` when the name has none.
pub(super) async fn checked(url: &Url, config: &ClientConfig) -> Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or(443);
    let host = url.host().ok_or_else(|| Error::bug("an address without a host was not refused"))?;
    let found: Vec<SocketAddr> = match host {
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6(address) => vec![(address, port).into()],
        Host::Domain(name) => tokio::net::lookup_host((name, port))
            .await
            .map_err(|error| Error::new(ErrorKind::Unavailable, format!("cannot resolve {name}")).with_source(error))?
            .collect(),
    };
    let name = url.host_str().unwrap_or_default();
    if found.is_empty() {
        return Err(Error::new(ErrorKind::Unavailable, format!("{name} has no address")));
    }
    let is_named = config.allow_hosts.iter().any(|allowed| {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        allowed.eq_ignore_ascii_case(name) || allowed.eq_ignore_ascii_case(bare)
    });
    if !config.allow_private && !is_named && found.iter().any(|address| !is_public(address.ip())) {
        return Err(Error::config(format!("{name} has an address that is not of the public Internet"))
            .with_setting("client.allow_hosts")
            .with_hint(format!(
                "if this service is meant, write `client: {{ allow_hosts: [\"{name}\"] }}`, or `allow_private: true` for all"
            )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
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
        let found = |url: &str, config: &ClientConfig| {
            runtime
                .block_on(checked(&Url::parse(url).unwrap(), config))
                .map_err(|error| error.setting().map(str::to_owned))
        };
        let refused = Err(Some("client.allow_hosts".to_owned()));
        // Browsers read all of these as 127.0.0.1, and so do we.
        let spellings =
            ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/"];
        for url in spellings.into_iter().chain(["http://localhost/", "http://[::ffff:127.0.0.1]/"]) {
            assert_eq!(found(url, &ClientConfig::default()), refused, "{url}");
            assert!(found(url, &ClientConfig { allow_private: true, ..ClientConfig::default() }).is_ok(), "{url}");
        }
        let named = ClientConfig { allow_hosts: vec!["LocalHost".into(), "::1".into()], ..ClientConfig::default() };
        assert!(found("http://localhost:9/", &named).is_ok() && found("http://[::1]:9/", &named).is_ok());
        assert_eq!(found("http://127.0.0.1/", &named), refused);
    }
}
