//! From where this machine connects to others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result, root_cause};
use apyfal_tls::{Trust, client_config};
use ipnet::IpNet;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, StatusCode};

/// How long who tells addresses may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same over IPv6, which a machine may seem to have without it leading anywhere.
const PATIENCE_V6: Duration = Duration::from_secs(1);

/// The public addresses of this machine, as the service at `url` sees them: those of IPv4 and of IPv6, as
/// far as it has them.
///
/// No proxy is asked: hosts are connected to without one too.
///
/// # Errors
/// Nobody tells either.
pub(super) async fn public(url: &str) -> Result<Vec<IpNet>> {
    let unknown = |error: Error| {
        error.operation(format!("learn the public address of this machine from '{url}'")).hint(
            "name the network that hosts are to be reached from: allowed_cidr = 203.0.113.7/32",
        )
    };
    let tls = (*client_config(&Trust::System, &[b"http/1.1"]).map_err(unknown)?).clone();
    let client = |family: IpAddr, patience| {
        ClientBuilder::new()
            .no_proxy()
            .tls_backend_preconfigured(tls.clone())
            .redirect(Policy::none())
            .timeout(patience)
            // Makes it take addresses of this family alone.
            .local_address(family)
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, root_cause(&error)))
    };
    let v4 = client(Ipv4Addr::UNSPECIFIED.into(), PATIENCE).map_err(unknown)?;
    let v6 = client(Ipv6Addr::UNSPECIFIED.into(), PATIENCE_V6).map_err(unknown)?;
    let (v4, v6) = tokio::join!(ask(&v4, url, IpAddr::is_ipv4), ask(&v6, url, IpAddr::is_ipv6));
    match (v4, v6) {
        (Err(error), Err(_)) => Err(unknown(error)),
        (v4, v6) => Ok(v4.into_iter().chain(v6).collect()),
    }
}

async fn ask(client: &Client, url: &str, is_of_family: fn(&IpAddr) -> bool) -> Result<IpNet> {
    let unavailable = |why: String| Error::new(ErrorKind::Unavailable, why).retryable();
    let answer = client.get(url).send().await;
    let mut answer = answer.map_err(|error| unavailable(root_cause(&error.without_url())))?;
    if answer.status() != StatusCode::OK {
        return Err(unavailable(format!("it answered {}", answer.status())));
    }
    let said = answer.chunk().await.map_err(|error| unavailable(root_cause(&error)))?;
    let said = said.unwrap_or_default();
    let address = std::str::from_utf8(&said).ok().and_then(|said| said.trim().parse().ok());
    match address {
        Some(address) if is_of_family(&address) && !address.is_unspecified() => Ok(address.into()),
        _ => Err(unavailable("it answered something else than an address".to_owned())),
    }
}

/// The address of this machine by which it connects to a network that it is a part of, or is led to.
///
/// # Errors
/// There is no way there.
pub(super) fn private(block: IpNet) -> Result<Vec<IpNet>> {
    // Nothing is sent: the system only decides which way it would go.
    let way = || {
        let any: IpAddr = match block {
            IpNet::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpNet::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((block.addr(), 443))?;
        Ok(vec![IpNet::from(socket.local_addr()?.ip())])
    };
    way().map_err(|error: std::io::Error| {
        Error::from(error)
            .operation(format!("find the way of this machine to the network {block}"))
            .hint("name the network that hosts are to be reached from: allowed_cidr = 10.0.0.0/8")
    })
}

#[cfg(test)]
mod tests {
    use apyfal_testkit::{Answer, Body, FaultServer};

    use super::*;

    async fn told(answer: Answer) -> Result<Vec<IpNet>> {
        let server = FaultServer::start(move |_| answer.clone()).unwrap();
        public(&server.url()).await
    }

    #[tokio::test]
    async fn it_is_what_the_service_sees() {
        let told_is = told(Answer::new(200, "203.0.113.7\n")).await.unwrap();
        assert_eq!(told_is, ["203.0.113.7/32".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_machine_may_have_ipv6_alone() {
        // Where the tests run there may be none at all.
        let Ok(listener) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            std::io::Read::read(&mut client, &mut request).unwrap();
            let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\n2001:db8::1\n";
            std::io::Write::write_all(&mut client, answer).unwrap();
        });
        assert_eq!(public(&url).await.unwrap(), ["2001:db8::1/128".parse().unwrap()]);
        service.join().unwrap();
    }

    #[tokio::test]
    async fn nobody_is_let_in_where_nobody_tells() {
        let answers = [
            Answer::new(500, "203.0.113.7"),
            Answer::new(302, "203.0.113.7").header("Location", "http://127.0.0.1:1/"),
            Answer::new(200, "<html>log in first</html>"),
            Answer::new(200, "0.0.0.0"),
            Answer::new(200, "2001:db8::1"),
            Answer::new(200, ""),
            Answer::new(200, "203.0.113.7").body(Body::Nothing),
        ];
        for answer in answers {
            let shown = format!("{answer:?}");
            let error = told(answer).await.expect_err(&shown);
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().starts_with("cannot learn the public address of this"));
            assert!(error.hints()[0].contains("allowed_cidr"));
        }
    }

    #[test]
    fn the_way_to_a_network_begins_at_an_address() {
        let local = private("127.0.0.0/8".parse().unwrap()).unwrap();
        assert_eq!(local, ["127.0.0.1/32".parse().unwrap()]);
    }
}
