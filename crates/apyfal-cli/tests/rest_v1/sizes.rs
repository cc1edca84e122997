//! Data of all sizes.

use std::io::Read;

use serde_json::Value;

use crate::client::{Client, app, none, process_parameters, start_parameters, text};
use crate::common::http::Connection;
use crate::common::server::Server;
use crate::form::Form;

/// What the server may need, whatever the size of the data.
const MEMORY: u64 = 128 << 20;
const LARGE: u64 = 300 << 20;
const PIECE: usize = 1 << 20;

/// A piece of data that differs from the others.
fn piece(index: u64) -> Vec<u8> {
    let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut piece = Vec::with_capacity(PIECE);
    while piece.len() < PIECE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.extend_from_slice(&state.to_le_bytes());
    }
    piece
}

/// Sends a form whose data is large, which is the part at this place of the form.
fn send_large(connection: &mut Connection, path: &str, form: &Form) -> Value {
    const MARK: &[u8] = b"THE DATA";
    let body = form.body();
    let place = body.windows(MARK.len()).position(|window| window == MARK).unwrap();
    let (before, after) = (&body[..place], &body[place + MARK.len()..]);
    let length = (before.len() + after.len()) as u64 + LARGE;
    let head = connection.head("POST", path);
    let kind = form.kind();
    let head = format!("{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    connection.write(head.as_bytes());
    connection.write(before);
    for index in 0..LARGE / PIECE as u64 {
        connection.write(&piece(index));
    }
    connection.write(after);
    connection.answer().well()
}

/// Fetches a result, which must be the data.
fn check_large(client: &mut Client, told: &Value) {
    let path = client.path_of(text(told, "datafileresult"));
    let head = client.connection.head("GET", &path);
    client.connection.write(format!("{head}\r\n").as_bytes());
    let answer = client.connection.answer_head();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some(&*LARGE.to_string())));
    let mut read = vec![0; PIECE];
    for index in 0..LARGE / PIECE as u64 {
        client.connection.reader().read_exact(&mut read).unwrap();
        assert!(read == piece(index), "piece {index}");
    }
}

#[test]
fn no_byte_and_one_byte() {
    let server = Server::start();
    for accelerator in ["null", "one"] {
        let mut client = Client::of(&server, accelerator);
        let url = text(&client.start(none(), None), "url").to_owned();
        for data in [&b""[..], b"\0", b"\r", b"\n", b"\r\n", b"-", b"--"] {
            assert_eq!(client.process(&url, none(), data).1, data, "{accelerator}");
        }
    }
}

#[test]
fn large_data_needs_no_more_memory_than_small() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let form = Form::new()
        .parameters(&process_parameters(none()))
        .text("configuration", &url)
        .data(b"THE DATA");
    // The second time the data comes before the host knows what it is for.
    for order in [[0, 1, 2], [2, 0, 1]] {
        let form = form.clone().ordered(&order);
        let sent = send_large(&mut client.connection, "/v1.0/process/", &form);
        let told = client.ended(&sent);
        assert_eq!(app(&told)["profiling"]["total-bytes-read"], LARGE, "{told}");
        check_large(&mut client, &told);
        client.delete(&told);
    }
    let memory = server.peak_memory();
    assert!(memory < MEMORY, "{memory} bytes");
}

#[test]
fn large_data_of_a_start_is_not_held_in_memory() {
    let server = Server::start();
    let mut client = Client::of(&server, "null");
    // It takes none, which it says without having read it all into memory.
    let form = Form::new().parameters(&start_parameters(none())).data(b"THE DATA");
    let started = send_large(&mut client.connection, "/v1.0/configuration/", &form);
    assert_ne!(app(&started)["status"], 0, "{started}");
    let memory = server.peak_memory();
    assert!(memory < MEMORY, "{memory} bytes");
}
