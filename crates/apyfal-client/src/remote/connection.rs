//! Connections to a host, kept for the next request.
//!
//! A connection has no task of its own: whoever uses it drives it, so that a short job costs no
//! change of threads, and what is dropped is closed at once.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Result};
use bytes::BytesMut;
use http::{HeaderMap, Method, Request, StatusCode, header, response};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, MutexGuard};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::body::SendBody;
use super::contact::Contact;
use super::failure::{Failure, lost, refusal, unreached};

/// How long it may take to get through to a host, and as long again to agree on how to talk.
const CONNECT: Duration = Duration::from_secs(10);
/// After so long without an answer of its system a host is gone.
const GONE: Duration = Duration::from_secs(15);
/// Hosts close a connection that is idle for longer.
const IDLE: Duration = Duration::from_secs(60);
/// Answers that are taken in as a whole may have so many bytes.
const WHOLE: usize = 64 << 20;

/// The way to a host.
pub(super) struct Connections {
    pub(super) address: Address,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What every request says.
    headers: HeaderMap,
    idle: Mutex<Vec<(Connection, Instant)>>,
    /// How many of these there may be.
    kept: usize,
    pub(super) contact: Contact,
    /// What else to say as long as the host never answered.
    advice: Option<String>,
}

/// A connection that is in use.
struct Connection {
    sender: SendRequest<SendBody>,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    has_ended: bool,
}

impl Connection {
    /// Does some work over this connection.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let Self { driver, has_ended, .. } = self;
        poll_fn(|context| {
            if !*has_ended {
                *has_ended = driver.as_mut().poll(context).is_ready();
            }
            work.as_mut().poll(context)
        })
        .await
    }

    /// Whether another request may be sent.
    async fn is_open(&mut self) -> bool {
        let Self { sender, driver, has_ended } = self;
        let mut ready = pin!(sender.ready());
        let is_ready = poll_fn(|context| {
            if !*has_ended {
                *has_ended = driver.as_mut().poll(context).is_ready();
            }
            ready.as_mut().poll(context)
        })
        .await;
        is_ready.is_ok() && !self.has_ended
    }
}

/// What a request asks for.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: SendBody,
    /// The connection to use, where that was opened before.
    connection: Option<Connection>,
}

impl Ask {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self { method, path, headers: HeaderMap::new(), body: SendBody::empty(), connection: None }
    }
}

impl Connections {
    pub(super) fn new(
        address: Address,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        headers: HeaderMap,
        is_known: bool,
        advice: Option<String>,
        kept: usize,
    ) -> Self {
        let contact = Contact::new(is_known);
        Self { address, tls, headers, idle: Mutex::default(), kept, contact, advice }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock()
    }

    /// Opens a connection for a request that can be sent only once: one that was idle may have been
    /// closed meanwhile.
    pub(super) async fn open_for(&self, ask: &mut Ask) -> Result<(), Failure> {
        ask.connection = Some(self.open().await?);
        Ok(())
    }

    /// An open connection.
    async fn connection(&self) -> Result<Connection, Failure> {
        loop {
            let Some((mut connection, since)) = self.idle().pop() else { break };
            if since.elapsed() < IDLE && connection.is_open().await {
                return Ok(connection);
            }
        }
        self.open().await
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let tried = Instant::now();
        // It is large and seldom needed, while every request would have room for it.
        Box::pin(self.connect()).await.map_err(|error| {
            let failure = unreached(&self.address, &self.contact, tried, &error);
            match self.advice.as_deref().filter(|_| !self.contact.is_known()) {
                Some(advice) => failure.map(|error| error.hint(advice)),
                None => failure,
            }
        })
    }

    async fn connect(&self) -> std::io::Result<Connection> {
        let Address { host, port, .. } = &self.address;
        let stream = apyfal_net::connect(host, *port, CONNECT).await?;
        let stream = apyfal_net::Watched::new(stream, GONE);
        let shaken = async {
            match &self.tls {
                None => handshake(stream).await,
                Some((connector, name)) => {
                    handshake(connector.connect(name.clone(), stream).await?).await
                }
            }
        };
        let shaken = tokio::time::timeout(CONNECT, shaken).await;
        shaken.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    /// Sends a request; the head of the answer.
    pub(super) async fn send(&self, ask: Ask) -> Result<PendingResponse<'_>, Failure> {
        let mut request = Request::new(ask.body);
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask
            .path
            .parse()
            .map_err(|_| Error::new(ErrorKind::Internal, format!("'{}' is no path", ask.path)))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.extend(ask.headers);
        let is_sent = request.body().is_sent();
        let mut connection = match ask.connection {
            Some(connection) => connection,
            None => self.connection().await?,
        };
        let sending = connection.sender.send_request(request);
        let answer = connection.drive(sending).await;
        let answer = answer.map_err(|error| lost(&self.address, &self.contact, &error));
        let (head, body) = answer?.into_parts();
        Ok(PendingResponse { head, body, connection, is_sent, connections: self })
    }

    /// Sends a request; the body of the answer, which must not be a refusal.
    pub(super) async fn whole(&self, ask: Ask) -> Result<(StatusCode, Bytes), Failure> {
        let mut answer = self.send(ask).await?.accepted().await?;
        let body = answer.whole().await?;
        let status = answer.head.status;
        answer.finish();
        Ok((status, body))
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("address", &self.address).finish_non_exhaustive()
    }
}

/// An answer under way.
pub(super) struct PendingResponse<'a> {
    pub(super) head: response::Parts,
    body: Incoming,
    connection: Connection,
    /// Whether all of the request was sent.
    is_sent: Arc<AtomicBool>,
    connections: &'a Connections,
}

impl PendingResponse<'_> {
    /// Itself, unless it is a refusal.
    pub(super) async fn accepted(mut self) -> Result<Self, Failure> {
        let status = self.head.status;
        let Connections { address, contact, .. } = self.connections;
        if status.is_success() {
            contact.answers();
            return Ok(self);
        }
        let body = self.whole().await?;
        let failure = refusal(address, contact, &self.head, &body);
        self.finish();
        Err(failure)
    }

    /// The next part of the body, or none at its end.
    pub(super) async fn frame(&mut self) -> Result<Option<Frame<Bytes>>, Failure> {
        let Self { body, connection, connections, .. } = self;
        let frame = poll_fn(|context: &mut Context<'_>| -> Poll<_> {
            Pin::new(&mut *body).poll_frame(context)
        });
        let frame = connection.drive(frame).await.transpose();
        frame.map_err(|error| lost(&connections.address, &connections.contact, &error))
    }

    /// Waits for something else while the connection goes on.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.connection.drive(work).await
    }

    /// All of the body, which is short.
    pub(super) async fn whole(&mut self) -> Result<Bytes, Failure> {
        let mut whole = Whole::default();
        while let Some(frame) = self.frame().await? {
            let Ok(piece) = frame.into_data() else { continue };
            if !whole.add(piece) {
                return Err(Error::new(ErrorKind::Unavailable, "its answer is too long")
                    .operation(format!("use the host '{}'", self.connections.address))
                    .into());
            }
        }
        Ok(whole.0.freeze())
    }

    /// Keeps the connection for the next request. To be called at the end of the body.
    pub(super) fn finish(self) {
        if !self.is_sent.load(Ordering::Relaxed) || self.connection.has_ended {
            return;
        }
        let mut idle = self.connections.idle();
        if idle.len() < self.connections.kept {
            idle.push((self.connection, Instant::now()));
        }
    }
}

/// An answer that is taken in as a whole.
#[derive(Default)]
struct Whole(BytesMut);

impl Whole {
    /// Adds a piece, unless there would be too much.
    fn add(&mut self, piece: Bytes) -> bool {
        if self.0.is_empty() {
            // Most have one piece, which need not be copied.
            self.0 = piece.into();
        } else {
            self.0.extend_from_slice(&piece);
        }
        self.0.len() <= WHOLE
    }
}

async fn handshake<S>(stream: S) -> std::io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, driver) = shaken.map_err(std::io::Error::other)?;
    Ok(Connection { sender, driver: Box::pin(driver), has_ended: false })
}

/// The headers of every request.
pub(super) fn common_headers(
    address: &Address,
    token: Option<&apyfal_core::Secret>,
) -> Result<HeaderMap> {
    use apyfal_api::v2;
    use http::HeaderValue;
    let mut headers = HeaderMap::new();
    let wrong = |what: &str| {
        Error::new(ErrorKind::Usage, format!("{what} has characters that cannot be sent"))
            .operation(format!("use the host '{address}'"))
    };
    let host = HeaderValue::try_from(address.authority()).map_err(|_| wrong("its address"))?;
    headers.insert(header::HOST, host);
    // For the neighbour alone, who must not pass it on.
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("apyfal/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(v2::PROTOCOL, HeaderValue::from(v2::VERSION));
    if let Some(token) = token {
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose().trim()));
        let mut bearer = bearer.map_err(|_| wrong("the token"))?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pieces_are_not_copied_again_and_again() {
        let mut whole = Whole::default();
        let (mut moves, mut place) = (0, whole.0.as_ptr());
        for number in 0..100_000_u32 {
            assert!(whole.add(Bytes::copy_from_slice(&number.to_be_bytes())));
            moves += usize::from(whole.0.as_ptr() != place);
            place = whole.0.as_ptr();
        }
        assert!(moves < 50, "it was moved {moves} times");
        let expected: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        assert!(whole.0.freeze() == expected);
    }

    #[test]
    fn too_long_an_answer_is_refused() {
        let mut whole = Whole::default();
        let piece = Bytes::from(vec![0; WHOLE / 2]);
        assert!(whole.add(piece.clone()) && whole.add(piece.clone()) && !whole.add(piece));
    }
}
