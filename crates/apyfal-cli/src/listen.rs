//! Addresses to listen on, as people write them.

use std::net::SocketAddr;

use apyfal::{Error, ErrorKind, Result};

/// `address:port`, or one of both.
pub(crate) fn address(text: &str) -> Result<SocketAddr> {
    let (ip, port) = ([127, 0, 0, 1].into(), 8000);
    let bare = text.strip_prefix(':').unwrap_or(text);
    let text = text.replace("localhost", "127.0.0.1");
    text.parse::<SocketAddr>()
        .ok()
        .or_else(|| Some(SocketAddr::new(ip, bare.parse().ok()?)))
        .or_else(|| Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, port)))
        .ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("'{text}' is no address to listen on"))
                .hint("give an address, a port or both, such as 127.0.0.1:8000 or 0.0.0.0:8000")
        })
}

/// What a client calls an address.
pub(crate) fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{address}", if tls { "https" } else { "http" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_short() {
        for (text, meant) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("0.0.0.0", "0.0.0.0:8000"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:8000"),
            ("localhost:81", "127.0.0.1:81"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), meant, "{text}");
        }
        assert!(address("example.org:80").is_err() && address("70000").is_err());
    }
}
