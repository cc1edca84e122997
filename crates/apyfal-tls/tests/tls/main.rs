//! Hosts and clients that meet over real connections.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod authorities;
mod files;
mod handshakes;
mod openssl;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use apyfal_core::Error;
use apyfal_tls::{Trust, client_config, mismatch_from};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
    StreamOwned,
};
use rustls_pki_types::ServerName;

/// What a client saw of a connection on which it was answered.
#[derive(Debug)]
struct Met {
    version: ProtocolVersion,
    alpn: Option<Vec<u8>>,
    kind: HandshakeKind,
}

/// Lets a client of this configuration send "ping" to a server, which answers "pong".
fn meet(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<Met> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = server.clone();
    let serving = thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let (stream, _) = listener.accept()?;
        let connection = ServerConnection::new(server).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let mut heard = [0; 4];
        stream.read_exact(&mut heard)?;
        stream.write_all(b"pong")?;
        stream.conn.send_close_notify();
        stream.flush()?;
        Ok(heard.to_vec())
    });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(client.clone(), name).map_err(std::io::Error::other)?;
    let talk = || -> std::io::Result<Met> {
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
        stream.write_all(b"ping")?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard)?;
        assert_eq!(heard, b"pong");
        Ok(Met {
            version: stream.conn.protocol_version().unwrap(),
            alpn: stream.conn.alpn_protocol().map(<[u8]>::to_vec),
            kind: stream.conn.handshake_kind().unwrap(),
        })
    };
    let met = talk();
    let heard = serving.join().unwrap();
    match &met {
        Ok(_) => assert_eq!(heard.unwrap(), b"ping"),
        Err(_) => assert!(heard.is_err(), "a host that is refused must hear nothing"),
    }
    met
}

fn trusting(trust: &Trust) -> Arc<ClientConfig> {
    client_config(trust, &[]).unwrap()
}

/// The reason why a client refuses a server.
fn refusal(server: &Arc<ServerConfig>, trust: &Trust, name: &str) -> Error {
    let error = meet(server, &trusting(trust), name).expect_err("it was trusted");
    let refused = mismatch_from(&error).unwrap_or_else(|| panic!("another error: {error:?}"));
    assert_eq!(refused.kind(), apyfal_core::ErrorKind::Security, "{refused}");
    assert!(!refused.hints().is_empty(), "{refused:?}");
    refused
}
