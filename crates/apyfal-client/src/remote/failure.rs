//! Why a request failed, and whether it is worth another try.

use std::error::Error as StdError;
use std::path::Path;
use std::time::{Duration, Instant};

use apyfal_api::ErrorBody;
use apyfal_api::v2::{PROTOCOL, VERSION};
use apyfal_core::{Error, ErrorKind, root_cause};
use http::{HeaderMap, StatusCode, header, response};

use super::address::Address;
use super::contact::Contact;

/// The first pause before a request is sent again, after one try without any.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A request that was lost so often may be the reason itself.
const LOSSES: u32 = 3;
/// The longest one where a host is waited for that is only made.
const EAGER_PAUSE: Duration = Duration::from_millis(200);
/// How long a host that never answered before is given.
const FIRST_CONTACT: Duration = Duration::from_secs(2);

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It would fail again.
    Final(Error),
    /// The host takes no more for now; when it may, where the host said so.
    Later(Error, Option<Duration>),
    /// The host was not reached, and knows nothing of the request; since when that is so.
    Unreached(Error, Instant),
    /// The connection broke off. What became of the request is not known.
    Lost(Error),
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Final(error)
            | Self::Later(error, _)
            | Self::Unreached(error, _)
            | Self::Lost(error) => error,
        }
    }

    /// The same with another error.
    pub(super) fn map(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::Final(error) => Self::Final(change(error)),
            Self::Later(error, when) => Self::Later(change(error), when),
            Self::Unreached(error, since) => Self::Unreached(change(error), since),
            Self::Lost(error) => Self::Lost(change(error)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// How long a call goes on trying.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// Whether the host answered before.
    is_known: bool,
    since: Option<Instant>,
    tries: u32,
    /// How often the host lost the request.
    losses: u32,
    longest_pause: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration, is_known: bool) -> Self {
        Self { limit, is_known, since: None, tries: 0, losses: 0, longest_pause: LONGEST_PAUSE }
    }

    /// The same for a host that comes up, which has nobody else to turn away: it is asked often.
    pub(super) fn eager(self) -> Self {
        Self { longest_pause: EAGER_PAUSE, ..self }
    }

    /// The host is there again.
    pub(super) fn renew(&mut self) {
        (self.since, self.tries, self.is_known) = (None, 0, true);
    }

    /// The host lost the request after it had it for so long, which is no time that it was waited for.
    pub(super) fn lost_after(&mut self, time: Duration) {
        self.losses += 1;
        // It may be the request that ends the host, each time.
        if self.losses < LOSSES {
            self.since = self.since.and_then(|since| since.checked_add(time));
        }
    }

    /// Waits before the next try, unless there is to be none.
    pub(super) async fn wait(&mut self, failure: Failure) -> Result<(), Error> {
        let now = Instant::now();
        let (error, asked, since) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Later(error, asked) => {
                self.is_known = true;
                (error, asked, now)
            }
            // Others may have waited for it before.
            Failure::Unreached(error, since) => (error, None, since),
            Failure::Lost(error) => (error, None, now),
        };
        let limit = if self.is_known { self.limit } else { FIRST_CONTACT.min(self.limit) };
        let since = *self.since.insert(self.since.map_or(since, |earlier| earlier.min(since)));
        let pause = match (asked, self.tries) {
            (Some(asked), _) => asked,
            (None, 0) => Duration::ZERO,
            (None, tries) => {
                (PAUSE * 2_u32.saturating_pow(tries - 1).min(64)).min(self.longest_pause)
            }
        };
        if since.elapsed().saturating_add(pause) > limit {
            return Err(error);
        }
        self.tries += 1;
        // Clients that were turned away together do not come back together, and none too early.
        tokio::time::sleep(pause.mul_f64(1.0 + 0.5 * fastrand::f64())).await;
        Ok(())
    }
}

/// The refusal that a host answered with.
pub(super) fn refusal(
    address: &Address,
    contact: &Contact,
    head: &response::Parts,
    body: &[u8],
) -> Failure {
    let response::Parts { status, headers, .. } = head;
    let wrong = |error: Error| {
        contact.wrong(&error);
        Failure::Final(error)
    };
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
        if let Some(failure) = of_a_proxy(address, contact, *status) {
            return failure;
        }
        return wrong(stranger(address, *status, body));
    };
    let error = Error::from(error);
    if let Some(other) = other_version(headers) {
        let hint = format!("it speaks version {other} of REST v2, and this is version {VERSION}");
        return wrong(error.hint(hint));
    }
    if error.kind() == ErrorKind::Authentication && *status == StatusCode::UNAUTHORIZED {
        return wrong(error.of_host(address));
    }
    contact.answers();
    let after = headers.get(header::RETRY_AFTER);
    let after = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
    match error.kind() {
        ErrorKind::Busy => Failure::Later(error, after.map(Duration::from_secs)),
        ErrorKind::Unavailable if error.is_retryable() => Failure::Later(error, None),
        _ => Failure::Final(error),
    }
}

/// The version of the protocol that a host speaks, where it is another one.
fn other_version(headers: &HeaderMap) -> Option<&str> {
    let version = headers.get(PROTOCOL)?.to_str().ok()?.trim();
    (version != VERSION.to_string()).then_some(version)
}

/// What stands before a host, and says that it could not have an answer of it.
fn of_a_proxy(address: &Address, contact: &Contact, status: StatusCode) -> Option<Failure> {
    let error = Error::new(ErrorKind::Unavailable, format!("what is before it says {status}"))
        .operation(format!("use the host '{address}'"));
    let error = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            error.hint("it takes no data of this length: let it (client_max_body_size 0 of nginx)")
        }
        StatusCode::GATEWAY_TIMEOUT => {
            error.hint("it did not wait for the job: let it (proxy_read_timeout of nginx)")
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            // The host may be restarting, and may have had the request.
            let error = error.retryable();
            contact.away(Instant::now(), &error);
            return Some(Failure::Lost(error));
        }
        _ => return None,
    };
    Some(Failure::Final(error))
}

/// An answer that no host of ours gives.
fn stranger(address: &Address, status: StatusCode, body: &[u8]) -> Error {
    let using = format!("use the host '{address}'");
    if body.starts_with(b"this host speaks https") {
        return Error::new(ErrorKind::Configuration, "it speaks https, not http")
            .operation(using)
            .hint(format!("write https://{}", address.place()))
            .hint("and give the fingerprint and the token that 'apyfal serve' printed there");
    }
    Error::new(ErrorKind::Unavailable, format!("it does not speak REST v2: it answered {status}"))
        .operation(using)
        .hint("is it a host of Apyfal, and is the port right?")
        .hint("hosts of the original speak REST v1.0 only: install Apyfal 2 there and run 'apyfal serve'")
}

/// The host could not be reached, which was tried from then on.
pub(super) fn unreached(
    address: &Address,
    contact: &Contact,
    tried: Instant,
    error: &(dyn StdError + 'static),
) -> Failure {
    let wrong = |error: Error| {
        contact.wrong(&error);
        Failure::Final(error)
    };
    if let Some(mismatch) = apyfal_tls::mismatch_from(error) {
        return wrong(mismatch.of_host(address));
    }
    let reaching =
        |kind, why: String| Error::new(kind, why).operation(format!("reach '{address}'"));
    if let Some(error) = held_by(error) {
        let error: &rustls::Error = error;
        let error = reaching(ErrorKind::Unavailable, format!("no TLS with it: {error}"));
        return wrong(error.hint(format!("if it speaks http, write http://{}", address.place())));
    }
    // What the resolver says of it is that there is no such name.
    if let Some(zone) = address.zone()
        && zone.parse::<u32>().is_err()
        && !Path::new("/sys/class/net").join(zone).exists()
    {
        let why = format!("this machine has no network interface '{zone}'");
        return wrong(reaching(ErrorKind::Unavailable, why));
    }
    let why = match held_by::<apyfal_net::NoneAnswers>(error) {
        Some(all) => all.to_string(),
        None => root_cause(error),
    };
    let error = reaching(ErrorKind::Unavailable, why)
        .hint("is 'apyfal serve' running there, and are address and port right?")
        .hint("a firewall in between must let the port through")
        .retryable();
    let since = contact.away(tried, &error);
    Failure::Unreached(error, since)
}

/// The host takes connections, and does not answer; it was asked then.
pub(super) fn silent(address: &Address, contact: &Contact, asked: Instant) -> Failure {
    let why = format!("it has not answered for {} s", asked.elapsed().as_secs());
    let error = Error::new(ErrorKind::Unavailable, why)
        .operation(format!("use the host '{address}'"))
        .hint("it may be stopped or overloaded, or something else listens there")
        .retryable();
    let since = contact.away(asked, &error);
    Failure::Unreached(error, since)
}

/// What an I/O error holds, where it is of this kind: a failure of TLS itself, for example.
fn held_by<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let io = error.downcast_ref::<std::io::Error>()?;
    io.get_ref()?.downcast_ref()
}

/// The connection broke off.
pub(super) fn lost(address: &Address, contact: &Contact, error: &hyper::Error) -> Failure {
    if error.is_parse() {
        let error = Error::new(ErrorKind::Unavailable, "it does not speak HTTP")
            .operation(format!("use the host '{address}'"))
            .hint("is it a host of Apyfal, and is the port right?");
        contact.wrong(&error);
        return Failure::Final(error);
    }
    Failure::Lost(
        Error::new(
            ErrorKind::Unavailable,
            format!("the connection to '{address}' was lost: {}", root_cause(error)),
        )
        .hint("the host ended, or the network in between failed")
        .retryable(),
    )
}

#[cfg(test)]
mod tests {
    use apyfal_api::v2;
    use http::HeaderValue;

    use super::*;

    fn lost() -> Failure {
        Failure::Lost(Error::new(ErrorKind::Unavailable, "the connection was lost"))
    }

    #[tokio::test]
    async fn a_host_that_works_is_not_waited_for() {
        let limit = Duration::from_secs(60);
        // It failed two minutes ago, and then the host had it nearly all the time.
        let had = Duration::from_secs(115);
        let failed_before = |losses| {
            let since = Instant::now().checked_sub(Duration::from_secs(120));
            Patience { since, losses, ..Patience::new(limit, true) }
        };
        assert!(failed_before(0).wait(lost()).await.is_err());
        let mut patience = failed_before(0);
        patience.lost_after(had);
        patience.wait(lost()).await.unwrap();
        let mut patience = failed_before(LOSSES - 1);
        patience.lost_after(had);
        assert!(patience.wait(lost()).await.is_err(), "it is lost again and again");
    }

    #[tokio::test]
    async fn a_host_may_ask_for_any_pause() {
        // A sum of the two does not fit, once it was waited for a second.
        let since = Instant::now().checked_sub(Duration::from_secs(2));
        let mut patience = Patience { since, ..Patience::new(Duration::from_secs(60), true) };
        let error = Error::new(ErrorKind::Busy, "too many wait");
        let asked = Failure::Later(error, Some(Duration::from_secs(u64::MAX)));
        assert_eq!(patience.wait(asked).await.unwrap_err().kind(), ErrorKind::Busy);
    }

    #[test]
    fn any_answer_is_a_refusal_that_can_be_told() {
        let address = Address::parse("host.example", |_| false).unwrap();
        bolero::check!().with_iterations(2_000).with_max_len(512).for_each(|bytes: &[u8]| {
            let Some(([status, cut], rest)) = bytes.split_first_chunk() else { return };
            let (told, body) = rest.split_at(rest.len().min(usize::from(*cut)));
            let mut response = http::Response::new(());
            *response.status_mut() = match StatusCode::from_u16(400 + u16::from(*status)) {
                Ok(status) => status,
                Err(_) => return,
            };
            if let Ok(value) = HeaderValue::from_bytes(told) {
                for name in [header::RETRY_AFTER.as_str(), PROTOCOL, v2::REPORT] {
                    response.headers_mut().insert(
                        http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                        value.clone(),
                    );
                }
            }
            let head = response.into_parts().0;
            let _ = super::super::job::from_header::<v2::Report>(&head.headers, v2::REPORT);
            let failure = refusal(&address, &Contact::new(true), &head, body);
            let error = failure.into_error();
            assert!(
                !error.message().is_empty() || serde_json::from_slice::<ErrorBody>(body).is_ok()
            );
        });
    }
}
