//! Connections: accepted, encrypted, bounded, and ended in order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Result};
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::access::Peer;
use crate::host::Host;
use crate::routes::Routes;

/// How long a client may take for a handshake, and for the head of a request. The second also
/// bounds how long a connection may be idle.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(75);
/// After so long without an answer of its system a client is gone.
const GONE: Duration = Duration::from_secs(20);
/// How much of a request may wait for us, per connection.
const HTTP1_BUFFER: usize = 128 << 10;
const HTTP2_STREAM_WINDOW: u32 = 512 << 10;
const HTTP2_WINDOW: u32 = 1 << 20;
const HEADERS: usize = 100;
const HEADERS_BYTES: u32 = 64 << 10;
const STREAMS: u32 = 256;

/// Takes connections of one address, until it is dropped.
pub(crate) struct Acceptor {
    pub(crate) host: Arc<Host>,
    pub(crate) routes: Routes,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) needs_token: bool,
    pub(crate) places: Arc<Semaphore>,
}

impl Acceptor {
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        graceful: Arc<GracefulShutdown>,
    ) {
        loop {
            // A full host does not accept: the system lets some more clients wait.
            let Ok(place) = self.places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (acceptor, watcher) = (self.clone(), graceful.watcher());
                    tokio::spawn(async move { acceptor.connection(stream, place, watcher).await });
                }
                Err(error) => {
                    // Mostly this process has too many files open; others will be closed.
                    self.host.logs.host(&format!("cannot accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, place: OwnedSemaphorePermit, watcher: Watcher) {
        let _place = place;
        let Ok(local) = stream.local_addr() else { return };
        notice_the_gone(&stream);
        let count = &self.host.metrics.connections;
        count.fetch_add(1, Ordering::Relaxed);
        let peer = Peer { local, needs_token: self.needs_token, is_encrypted: self.tls.is_some() };
        match &self.tls {
            None => self.http(stream, peer, watcher).await,
            Some(tls) => {
                if let Ok(Some(stream)) =
                    tokio::time::timeout(HANDSHAKE, handshake(tls, stream)).await
                {
                    self.http(stream, peer, watcher).await;
                }
            }
        }
        count.fetch_sub(1, Ordering::Relaxed);
    }

    async fn http<S>(&self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
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
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let routes = self.routes.clone();
            async move { Ok::<_, Infallible>(routes.serve(peer, request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        // A client that breaks off is no event worth telling.
        let _ = watcher.watch(connection).await;
    }
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

/// A client whose system is gone is noticed, so that what it holds becomes free.
fn notice_the_gone(stream: &TcpStream) {
    // Where the system knows one of these not, it works without.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, GONE / 2);
    let _ = sockopt::set_tcp_keepintvl(stream, GONE / 4);
    let _ = sockopt::set_tcp_keepcnt(stream, 2);
    let _ = sockopt::set_tcp_user_timeout(stream, GONE.as_millis() as u32);
}

/// Listens on an address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
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
