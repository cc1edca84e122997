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
