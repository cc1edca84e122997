//! The life of a server's connections: accepted, encrypted, bounded, and ended in order.

mod busy_body;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use busy_body::BusyBody;

use crate::places::{Occupant, Places};
use crate::workers::Workers;
use crate::{Owner, Watched};

/// How long a client may take for a handshake, for its first request and for the head of a later
/// one. The last also bounds how long a connection may be idle.
const HANDSHAKE: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(75);
/// After so long without an answer of its system a client is gone.
const GONE: Duration = Duration::from_secs(20);
/// How long a client may take nothing of what is sent.
const UNTAKEN: Duration = Duration::from_secs(3600);
/// How long connections may take to end once they are told to.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long to wait before the next try to accept, where that is not possible, and how long until
/// that is told again.
const PAUSE: Duration = Duration::from_millis(100);
const TOLD: Duration = Duration::from_secs(60);
/// How much of a request may wait for us, per connection.
const HTTP1_BUFFER: usize = 128 << 10;
const HTTP2_STREAM_WINDOW: u32 = 512 << 10;
const HTTP2_WINDOW: u32 = 1 << 20;
const HEADERS: usize = 100;
const HEADERS_BYTES: u32 = 64 << 10;
const STREAMS: u32 = 256;

/// How a connection came in.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address of this end.
    pub local: SocketAddr,
    /// The address of the client.
    pub remote: SocketAddr,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// Whose program the client is, where the service wants to know.
    pub owner: Owner,
    place: Arc<Occupant>,
}

impl Connection {
    /// A number that no other connection of the server has.
    pub fn number(&self) -> u64 {
        self.place.number
    }

    /// Says that its client may use the service. Strangers make room first.
    pub fn welcome(&self) {
        self.place.know();
    }

    /// Breaks it off.
    pub fn end(&self) {
        self.place.end();
    }
}

/// What answers the requests that come in at one address.
pub trait Service: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers a request.
    fn answer(
        self,
        connection: Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Whether it is to be asked whose program is at the other end of each connection.
    fn asks_for_owner(&self) -> bool {
        false
    }

    /// Told of a new connection. What it returns is dropped when the connection ended.
    fn connected(&self) -> impl Send {}

    /// Told that no connection could be accepted just now.
    fn cannot_accept(&self, _error: &std::io::Error) {}
}

/// Listens on an address.
///
/// # Errors
/// It is taken, not of this machine, or needs privileges.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let kind = error.kind();
        let bound = Error::from(error).operation(format!("listen on {address}"));
        match kind {
            std::io::ErrorKind::AddrInUse => Error::new(ErrorKind::Conflict, bound.message())
                .operation(format!("listen on {address}"))
                .hint("another program listens there; choose another address with --listen"),
            std::io::ErrorKind::PermissionDenied => {
                bound.hint("ports below 1024 need privileges; choose a higher one with --listen")
            }
            _ => bound,
        }
    })
}

/// The listeners of a server, each of which takes connections.
#[derive(Debug)]
pub struct Accepting {
    tasks: Vec<JoinHandle<()>>,
    graceful: Arc<GracefulShutdown>,
    places: Arc<Places>,
    workers: Arc<Workers>,
    untaken: Duration,
}

impl Accepting {
    /// Takes up to so many connections at a time, and no more than half of the files that this
    /// process may have open. Further clients take the place of those who do nothing.
    pub fn new(connections: usize) -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let half = usize::try_from(files / 2).unwrap_or(usize::MAX);
        Self {
            tasks: Vec::new(),
            graceful: Arc::new(GracefulShutdown::new()),
            places: Arc::new(Places::new(connections.min(half))),
            workers: Arc::default(),
            untaken: UNTAKEN,
        }
    }

    /// The same for clients that may take nothing of what is sent for so long; an hour if this is not
    /// called.
    #[must_use]
    pub fn taken_within(self, limit: Duration) -> Self {
        Self { untaken: limit, ..self }
    }

    /// The same with so many threads that serve, each of them the connections that were handed to it. Who
    /// accepts serves by itself if this is not called.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn on_threads(self, count: usize) -> Result<Self> {
        let workers = Workers::start(count);
        let workers = workers.map_err(|error| {
            Error::from(error).operation(format!("start {count} threads that serve connections"))
        })?;
        Ok(Self { workers: Arc::new(workers), ..self })
    }

    /// Takes connections of this listener from now on.
    pub fn add(
        &mut self,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        service: impl Service,
    ) {
        let acceptor = Acceptor {
            terms: Terms { service, tls: tls.map(TlsAcceptor::from), untaken: self.untaken },
            places: self.places.clone(),
            workers: self.workers.clone(),
            graceful: self.graceful.clone(),
        };
        self.tasks.push(tokio::spawn(acceptor.run(listener)));
    }

    /// Takes no more connections and lets those that there are end: idle ones at once, the others
    /// within moments.
    pub async fn end(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        for task in self.tasks {
            let _ = task.await;
        }
        if let Some(graceful) = Arc::into_inner(self.graceful) {
            let _ = tokio::time::timeout(LAST_WORDS, graceful.shutdown()).await;
        }
        if let Some(workers) = Arc::into_inner(self.workers) {
            workers.end().await;
        }
    }
}

/// Takes the connections of one listener.
struct Acceptor<S> {
    terms: Terms<S>,
    places: Arc<Places>,
    workers: Arc<Workers>,
    graceful: Arc<GracefulShutdown>,
}

impl<S: Service> Acceptor<S> {
    async fn run(self, listener: TcpListener) {
        let mut told: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    // While nobody makes room, the system lets some more clients wait.
                    let seat = self.places.take(remote.ip()).await;
                    let place = seat.place.clone();
                    let watcher = self.graceful.watcher();
                    let served = self.terms.clone().serve(stream, remote, place.clone(), watcher);
                    let task = self.workers.spawn(async move {
                        let _seat = seat;
                        served.await;
                    });
                    self.places.served_by(&place, task.abort_handle());
                }
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= TOLD) {
                        told = Some(Instant::now());
                        self.terms.service.cannot_accept(&error);
                    }
                    // Whoever does nothing has a file that others need.
                    if is_of_files(&error) {
                        self.places.make_room();
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Whether there are too many files open, in this process or in all.
fn is_of_files(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// How the connections of one listener are served.
#[derive(Clone)]
struct Terms<S> {
    service: S,
    tls: Option<TlsAcceptor>,
    untaken: Duration,
}

impl<S: Service> Terms<S> {
    async fn serve(
        self,
        stream: TcpStream,
        remote: SocketAddr,
        place: Arc<Occupant>,
        watcher: Watcher,
    ) {
        // It was accepted in another runtime than it is served in.
        let Ok(stream) = stream.into_std().and_then(TcpStream::from_std) else { return };
        let Ok(local) = stream.local_addr() else { return };
        let _counted = self.service.connected();
        // Before anything is read: a client may close its end as soon as it has sent all.
        let owner = match self.service.asks_for_owner() {
            true => Owner::of(local, remote),
            false => Owner::NotAsked,
        };
        let is_encrypted = self.tls.is_some();
        let connection = Connection { local, remote, is_encrypted, owner, place };
        match &self.tls {
            None => self.http(watched(stream, self.untaken), connection, watcher).await,
            Some(tls) => {
                let shaken =
                    tokio::time::timeout(HANDSHAKE, handshake(tls, stream, self.untaken)).await;
                if let Ok(Some(stream)) = shaken {
                    self.http(stream, connection, watcher).await;
                }
            }
        }
    }

    async fn http<T>(&self, stream: T, connection: Connection, watcher: Watcher)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(HEADERS)
            .max_buf_size(HTTP1_BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_WINDOW)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADERS_BYTES);
        let has_asked = AtomicBool::new(false);
        let answer = hyper::service::service_fn(|request: Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            let (service, connection) = (self.service.clone(), connection.clone());
            async move {
                let Some(busy) = connection.place.begin() else {
                    // What is begun now would be broken off.
                    return std::future::pending().await;
                };
                let mut answer = service.answer(connection, request).await;
                not_for_others(answer.headers_mut());
                Ok::<_, Infallible>(answer.map(|body| BusyBody { body, _busy: busy }))
            }
        });
        let served = builder.serve_connection(TokioIo::new(stream), answer);
        // Who connects and asks for nothing keeps others out.
        let nothing = async {
            tokio::time::sleep(FIRST).await;
            if has_asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        // A client that breaks off is no event worth telling.
        tokio::select! {
            _ = watcher.watch(served) => {}
            () = nothing => {}
        }
    }
}

/// Keeps browsers from handing an answer to the pages of others, and from taking it for something
/// that it does not say it is.
fn not_for_others(headers: &mut HeaderMap) {
    const POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn watched(stream: TcpStream, untaken: Duration) -> Watched {
    Watched::new(stream, GONE).taken_within(untaken)
}

/// Encrypts a connection; none where the client does not.
async fn handshake(
    tls: &TlsAcceptor,
    mut stream: TcpStream,
    untaken: Duration,
) -> Option<tokio_rustls::server::TlsStream<Watched>> {
    let mut first = [0];
    // What a handshake begins with. A client that does not encrypt is told so in its own terms.
    const RECORD: u8 = 0x16;
    if stream.peek(&mut first).await.is_ok_and(|count| count == 1 && first[0] != RECORD) {
        let text = "this host speaks https, not http\n";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Connection: close\r\n\r\n{text}",
            text.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return None;
    }
    tls.accept(watched(stream, untaken)).await.ok()
}

#[cfg(test)]
mod tests;
