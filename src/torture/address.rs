//! Where a server's address names host and port.

use std::ops::Range;

/// The schemes of servers that are reached by TCP, with their usual ports.
const SCHEMES: [(&str, u16); 4] = [("mysql", 3306), ("mariadb", 3306), ("postgres", 5432), ("postgresql", 5432)];

/// A server's address in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `host:port`, ready to connect to.
    pub(super) server: String,
    /// Which bytes of the URL name it.
    range: Range<usize>,
}

impl Place {
    /// The server that a URL leads to; `None` for other schemes, sockets, and lists of hosts.
    pub(super) fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (_, usual) = SCHEMES.iter().find(|(name, _)| *name == scheme)?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.is_empty() || host.contains(',') {
            return None;
        }
        let end = scheme.len() + "://".len() + authority.len();
        let behind_bracket = host.rfind(']').map_or(host, |at| &host[at..]);
        let server = if behind_bracket.contains(':') { host.to_owned() } else { format!("{host}:{usual}") };
        Some(Self { server, range: end - host.len()..end })
    }

    /// The URL with another server in it.
    pub(super) fn replaced(&self, url: &str, port: u16) -> String {
        format!("{}127.0.0.1:{port}{}", &url[..self.range.start], &url[self.range.end..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_and_replaced() {
        for (url, server, replaced) in [
            ("mysql://u:p@db.example:3307/shop", "db.example:3307", "mysql://u:p@127.0.0.1:9/shop"),
            ("postgres://u:p%40@h/x?sslmode=require", "h:5432", "postgres://u:p%40@127.0.0.1:9/x?sslmode=require"),
            ("postgresql://[::1]:5/x", "[::1]:5", "postgresql://127.0.0.1:9/x"),
            ("mariadb://[::1]", "[::1]:3306", "mariadb://127.0.0.1:9"),
        ] {
            let place = Place::of(url).unwrap();
            assert_eq!((place.server.as_str(), place.replaced(url, 9).as_str()), (server, replaced));
        }
        for url in ["postgres:///x?host=/run", "postgres://a,b/x", "https://h/x", "shop.db"] {
            assert_eq!(Place::of(url), None, "{url}");
        }
    }
}
