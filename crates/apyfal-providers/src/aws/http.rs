//! The HTTP client for the services of AWS.

use std::path::Path;
use std::time::Duration;

use apyfal_aws::Settings;
use apyfal_core::{Environment, Error, ErrorKind, Result};
use apyfal_net::Proxies;
use apyfal_tls::{Certificates, Trust, client_config};
use reqwest::redirect::Policy;
use reqwest::{Client, Proxy};

use super::settings::client::ClientOptions;

const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take in all, where the request does not say otherwise.
const ANSWER: Duration = Duration::from_secs(30);

/// A client that trusts whom the settings say, by the proxies of the environment, and waits as long as
/// the options say.
///
/// # Errors
/// There are no certificates to check servers by, or what should be a proxy is none.
pub(crate) fn client(
    settings: &Settings,
    environment: &Environment,
    options: &ClientOptions,
) -> Result<Client> {
    let answer = options.read_timeout.unwrap_or(ANSWER);
    let trust = match settings.ca_bundle() {
        Some(file) => Trust::Certificates(Certificates::load(Path::new(file))?),
        None => Trust::System,
    };
    let tls = client_config(&trust, &[b"http/1.1"]).map_err(|error| {
        let error = error.without_hints().hint("install the package 'ca-certificates'");
        error.hint("or name a file of certificates: AWS_CA_BUNDLE")
    })?;
    let proxies = Proxies::of(environment);
    proxies.check()?;
    let proxy = Proxy::custom(move |url| proxies.of_url(url).ok().flatten().cloned());
    Client::builder()
        .no_proxy()
        .proxy(proxy)
        .tls_backend_preconfigured((*tls).clone())
        .user_agent(concat!("apyfal/", env!("CARGO_PKG_VERSION")))
        // A signature is good for one server.
        .redirect(Policy::none())
        .connect_timeout(options.connect_timeout.unwrap_or(CONNECT))
        .timeout(answer)
        // However long a request may take, a server that is gone takes no more of it.
        .tcp_user_timeout(answer)
        .build()
        .map_err(|error| {
            let why = error.to_string();
            Error::new(ErrorKind::Internal, why).operation("set up the HTTP client").source(error)
        })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use apyfal_tls::{Identity, server_config};
    use rustls::{ServerConnection, Stream};

    use super::*;
    use crate::aws::api::Params;
    use crate::aws::testing::{api_of, environment};

    /// A server of HTTPS that answers every request with an empty element; its URL.
    fn server(identity: &Identity) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let config = server_config(identity, &[b"http/1.1"]).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(std::io::Result::ok) {
                let mut connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = Stream::new(&mut connection, &mut stream);
                // A client that does not trust it is gone by now.
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<R/>");
            }
        });
        url
    }

    #[tokio::test]
    async fn servers_are_those_that_somebody_vouches_for() {
        let identity = Identity::generate().unwrap();
        let url = server(&identity);
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("bundle.pem");
        std::fs::write(&bundle, identity.certificate_pem()).unwrap();

        let known = environment(&url, &[("AWS_CA_BUNDLE", bundle.to_str().unwrap())]);
        api_of(&known).ec2("DescribeRegions", &Params::new()).await.unwrap();

        let error = api_of(&environment(&url, &[])).ec2("DescribeRegions", &Params::new()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{error}");
        assert!(error.to_string().contains("no authority") && !error.is_retryable(), "{error}");
        assert!(error.hints()[0].contains("AWS_CA_BUNDLE"), "{error:?}");

        let settings = Settings::read(&environment(&url, &[("AWS_CA_BUNDLE", "/none")])).unwrap();
        let none = client(&settings, &Environment::default(), &ClientOptions::default());
        assert!(none.unwrap_err().to_string().contains("/none"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_before_anybody_is_called() {
        let environment = environment("http://a", &[("https_proxy", "ftp://p")]);
        let settings = Settings::read(&environment).unwrap();
        let error = client(&settings, &environment, &ClientOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("https_proxy"), "{error}");
    }
}
