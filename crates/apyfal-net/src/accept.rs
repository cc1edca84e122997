//! The life of a server's connections: accepted, encrypted, bounded, and ended in order.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::notice_the_gone;

/// How long a client may take for a handshake, and for the head of a request. The second also
/// bounds how long a connection may be idle.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(75);
/// After so long without an answer of its system a client is gone.
const GONE: Duration = Duration::from_secs(20);
/// How long connections may take to end once they are told to.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How much of a request may wait for us, per connection.
const HTTP1_BUFFER: usize = 128 << 10;
const HTTP2_STREAM_WINDOW: u32 = 512 << 10;
const HTTP2_WINDOW: u32 = 1 << 20;
const HEADERS: usize = 100;
const HEADERS_BYTES: u32 = 64 << 10;
const STREAMS: u32 = 256;

/// How a connection came in.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The address of this end.
    pub local: SocketAddr,
    /// The address of the client.
    pub remote: SocketAddr,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
}

/// What answers the requests that come in at one address.
pub trait Service: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static;

    /// Answers a request.
    fn answer(
        self,
        connection: Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

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
    places: Arc<Semaphore>,
}

impl Accepting {
    /// Takes up to so many connections at a time. Further clients wait.
    pub fn new(connections: usize) -> Self {
        Self {
            tasks: Vec::new(),
            graceful: Arc::new(GracefulShutdown::new()),
            places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes connections of this listener from now on.
    pub fn add(
        &mut self,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        service: impl Service,
    ) {
        let acceptor = Acceptor {
            service,
            tls: tls.map(TlsAcceptor::from),
            places: self.places.clone(),
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
    }
}

/// Takes the connections of one listener.
struct Acceptor<S> {
    service: S,
    tls: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
    graceful: Arc<GracefulShutdown>,
}

impl<S: Service> Acceptor<S> {
    async fn run(self, listener: TcpListener) {
        loop {
            // A full server does not accept: the system lets some more clients wait.
            let Ok(place) = self.places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, remote)) => {
                    let watcher = self.graceful.watcher();
                    let (service, tls) = (self.service.clone(), self.tls.clone());
                    tokio::spawn(connection(service, tls, stream, remote, place, watcher));
                }
                Err(error) => {
                    // Mostly this process has too many files open; others will be closed.
                    self.service.cannot_accept(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection<S: Service>(
    service: S,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    remote: SocketAddr,
    _place: OwnedSemaphorePermit,
    watcher: Watcher,
) {
    let Ok(local) = stream.local_addr() else { return };
    notice_the_gone(&stream, GONE);
    let _counted = service.connected();
    let connection = Connection { local, remote, is_encrypted: tls.is_some() };
    match tls {
        None => http(service.clone(), stream, connection, watcher).await,
        Some(tls) => {
            let shaken = tokio::time::timeout(HANDSHAKE, handshake(&tls, stream)).await;
            if let Ok(Some(stream)) = shaken {
                http(service.clone(), stream, connection, watcher).await;
            }
        }
    }
}

async fn http<S: Service, T>(service: S, stream: T, connection: Connection, watcher: Watcher)
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
        .max_header_list_size(HEADERS_BYTES)
        .keep_alive_interval(GONE / 2)
        .keep_alive_timeout(GONE / 2);
    let answer = hyper::service::service_fn(|request: Request<Incoming>| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(connection, request).await) }
    });
    let served = builder.serve_connection(TokioIo::new(stream), answer);
    // A client that breaks off is no event worth telling.
    let _ = watcher.watch(served).await;
}

/// Encrypts a connection; none where the client does not.
async fn handshake(
    tls: &TlsAcceptor,
    mut stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    // What a handshake begins with. A client that does not encrypt is told so in its own terms.
    const RECORD: u8 = 0x16;
    if stream.peek(&mut first).await.is_ok_and(|count| count == 1 && first[0] != RECORD) {
        let text = "this host speaks https, not http\n";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{text}",
            text.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return None;
    }
    tls.accept(stream).await.ok()
}
