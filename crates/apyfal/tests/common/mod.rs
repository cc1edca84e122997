//! Hosts for the tests, in their own process.

#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use apyfal::{Configuration, Storage};
use apyfal_core::Secret;
use apyfal_server::{Limits, Listen, Server, Settings};
use apyfal_tls::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Accelerators of the hosts, beside the built-in ones.
const CONFIGURATION: &str = r#"
[accelerator.once]
command = ["cat"]
rerun_safe = False

[accelerator.one]
command = ["cat"]
slots = 1
rerun_safe = True

[accelerator.one_once]
command = ["cat"]
slots = 1
rerun_safe = False

[accelerator.fail]
command = ["sh", "-c", "cat > /dev/null; echo broken device >&2; exit 3"]
rerun_safe = True
"#;

/// A host that serves until it is dropped or ended.
pub struct Host {
    pub address: SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Host {
    /// A host that everybody on this machine may use, on a free port.
    pub async fn start(data_dir: &Path) -> Self {
        Self::start_at(data_dir, ([127, 0, 0, 1], 0).into(), None).await
    }

    /// One at an address, that may ask for a token and prove itself.
    pub async fn start_at(
        data_dir: &Path,
        address: SocketAddr,
        paired: Option<(Secret, Identity)>,
    ) -> Self {
        let is_paired = paired.is_some();
        let (token, identity) = paired.unzip();
        let configuration = Configuration::parse(CONFIGURATION.as_bytes(), "a test").unwrap();
        let mut registry =
            apyfal::configuration::registry(&configuration, &[], &apyfal::Devices::none(), None)
                .unwrap();
        let [worse, better] = apyfal_testkit::twins();
        registry.add(worse);
        registry.add_engine(better).unwrap();
        let settings = Settings {
            listen: vec![Listen { address, tls: is_paired, token: is_paired }],
            data_dir: data_dir.to_owned(),
            registry,
            storage: Storage::new(),
            default_accelerator: None,
            token,
            identity,
            rest_v1: false,
            names: Vec::new(),
            local_users: Default::default(),
            threads: None,
            limits: Limits::default(),
            lease: Default::default(),
        };
        let server = Server::bind(settings, |_| {}).await.unwrap();
        let address = server.addresses().unwrap()[0];
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(async move {
            server.serve(async { drop(ended.await) }).await.unwrap();
        });
        Self { address, end, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it in order, and waits for that.
    pub async fn end(self) {
        drop(self.end);
        self.serving.await.unwrap();
    }
}

/// A way to a host that breaks.
pub struct Proxy {
    pub address: SocketAddr,
    /// After how many bytes of answers connections break; below zero they do not.
    left: Arc<AtomicI64>,
}

impl Proxy {
    pub async fn to(host: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicI64::new(-1));
        let budget = left.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let budget = budget.clone();
                tokio::spawn(async move {
                    let host = TcpStream::connect(host).await.unwrap();
                    Self::forward(client, host, &budget).await;
                });
            }
        });
        Self { address, left }
    }

    /// Breaks a connection once after so many bytes of answers.
    pub fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    pub fn has_cut(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    async fn forward(client: TcpStream, host: TcpStream, left: &AtomicI64) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_host, mut to_host) = host.into_split();
        let up = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_client, &mut to_host).await;
        });
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = from_host.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                break;
            }
            let before = left.load(Ordering::SeqCst);
            if before >= 0 {
                left.store(before - count as i64, Ordering::SeqCst);
                if before < count as i64 {
                    let _ = to_client.write_all(&buffer[..before as usize]).await;
                    break;
                }
            }
            if to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        up.abort();
    }
}

/// Something at a free port that answers requests with these texts, one after the other, each on a
/// connection of its own.
pub async fn answers(texts: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for text in texts {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(client.read_u8().await.unwrap());
            }
            client.write_all(text.as_bytes()).await.unwrap();
        }
    });
    address
}

/// An answer of HTTP.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Bytes that do not repeat soon.
pub fn data(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(len);
    data
}
