use http_body_util::Full;
use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[derive(Clone)]
struct Hello;

impl Service for Hello {
    type Body = Full<Bytes>;

    async fn answer(self, _: Connection, _: Request<Incoming>) -> Response<Self::Body> {
        Response::new(Full::new(Bytes::from_static(b"hello")))
    }
}

/// The client's end of a connection that is served. Since there is no network, its time is that of
/// the test.
async fn connected(graceful: &GracefulShutdown) -> DuplexStream {
    let (client, server) = tokio::io::duplex(HTTP1_BUFFER);
    let seat = Arc::new(Places::new(1)).take([127, 0, 0, 1].into()).await;
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let (is_encrypted, owner, place) = (false, Owner::NotAsked, seat.place.clone());
    let connection = Connection { local: address, remote: address, is_encrypted, owner, place };
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let _seat = seat;
        let terms = Terms { service: Hello, tls: None, untaken: UNTAKEN };
        terms.http(server, connection, watcher).await;
    });
    client
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_nothing_makes_room_for_others() {
    let graceful = GracefulShutdown::new();
    for begun in [&REQUEST[..0], &REQUEST[..20]] {
        let mut client = connected(&graceful).await;
        let begin = tokio::time::Instant::now();
        client.write_all(begun).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
        assert_eq!(begin.elapsed().as_secs(), FIRST.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_asked_may_be_idle_for_longer() {
    let graceful = GracefulShutdown::new();
    let mut client = connected(&graceful).await;
    for _ in 0..3 {
        client.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 256];
        let count = client.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{count}");
        tokio::time::sleep(HEAD - FIRST).await;
    }
}
