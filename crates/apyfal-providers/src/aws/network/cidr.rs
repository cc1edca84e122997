//! Networks as users write them.

use std::net::IpAddr;

use apyfal_core::{Error, ErrorKind, Result};
use ipnet::IpNet;

/// Reads networks (`10.0.0.0/8`, `2001:db8::/32`) and single addresses, each once.
///
/// # Errors
/// One is neither.
pub(super) fn parse_all(texts: &[String]) -> Result<Vec<IpNet>> {
    let mut networks = texts.iter().map(|text| parse(text)).collect::<Result<Vec<_>>>()?;
    networks.sort_unstable();
    networks.dedup();
    Ok(networks)
}

fn parse(text: &str) -> Result<IpNet> {
    let text = text.trim();
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>(),
    };
    // As AWS does, without what is behind the prefix: 10.1.2.3/8 is 10.0.0.0/8.
    network.map(|network| network.trunc()).map_err(|_| {
        Error::new(ErrorKind::Configuration, format!("'{text}' of allowed_cidr is no network"))
            .hint("a network is written like 203.0.113.0/24 or 2001:db8::/32, one address without the '/'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read() {
        let read = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            parse_all(&texts).map(|read| read.iter().map(IpNet::to_string).collect::<Vec<_>>())
        };
        assert_eq!(read(&["10.1.2.3/8", " 10.0.0.0/8"]).unwrap(), ["10.0.0.0/8"]);
        assert_eq!(read(&["2001:DB8::1", "1.2.3.4"]).unwrap(), ["1.2.3.4/32", "2001:db8::1/128"]);
        assert_eq!(read(&["0.0.0.0/0"]).unwrap(), ["0.0.0.0/0"], "whoever writes it means it");
        for wrong in ["", "1.2.3.4/33", "1.2.3", "all", "1.2.3.4/", "::/129", "1.2.3.4/24/8"] {
            let error = read(&["10.0.0.0/8", wrong]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
            assert!(error.message().starts_with(&format!("'{wrong}' of allowed_cidr")), "{error}");
        }
    }
}
