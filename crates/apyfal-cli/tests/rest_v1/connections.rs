//! What happens on the connection: many requests, bodies in chunks, clients that vanish.

use std::io::Read;

use crate::client::{Client, app, none, process_parameters, start_parameters, text};
use crate::common::http::Connection;
use crate::common::server::{Server, until};
use crate::common::words;
use crate::form::Form;

#[test]
fn a_connection_serves_many_requests() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    for turn in 0..200 {
        let data = words(turn * 7, turn as u64);
        assert!(client.process(&url, none(), &data).1 == data);
    }
    // Several at once are answered in their order.
    let mut connection = server.connect();
    let path = client.path_of(&url);
    let requests = format!("{}\r\n", connection.head("GET", &path)).repeat(3);
    connection.write(requests.as_bytes());
    for _ in 0..3 {
        assert_eq!(connection.answer().well()["url"], *url);
    }
}

#[test]
fn a_client_may_wait_to_be_asked_for_its_data() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let form = Form::new().parameters(&process_parameters(none())).text("configuration", &url);
    let form = form.data(b"data");
    let body = form.body();
    let connection = &mut client.connection;
    let head = connection.head("POST", "/v1.0/process/");
    connection.write(
        format!(
            "{head}Content-Type: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            form.kind(),
            body.len()
        )
        .as_bytes(),
    );
    assert_eq!(connection.answer_head().status, 100);
    connection.write(&body);
    let sent = connection.answer().well();
    let told = client.ended(&sent);
    assert_eq!(client.result(&told), b"data");
}

#[test]
fn bodies_come_in_chunks_and_in_pieces() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let data = words(5000, 3);
    let form = Form::new().parameters(&process_parameters(none())).text("configuration", &url);
    let form = form.data(&data);
    let body = form.body();
    for chunk in [1, 7, 4096] {
        let connection = &mut client.connection;
        let head = connection.head("POST", "/v1.0/process/");
        let mut request =
            format!("{head}Content-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", form.kind())
                .into_bytes();
        for piece in body.chunks(chunk) {
            request.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            request.extend_from_slice(piece);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        connection.write(&request);
        let sent = connection.answer().well();
        let told = client.ended(&sent);
        assert!(client.result(&told) == data, "chunks of {chunk}");
    }
    let connection = &mut client.connection;
    let head = connection.head("POST", "/v1.0/process/");
    let head =
        format!("{head}Content-Type: {}\r\nContent-Length: {}\r\n\r\n", form.kind(), body.len());
    for byte in [head.as_bytes(), &body].concat() {
        connection.write(&[byte]);
    }
    let sent = connection.answer().well();
    let told = client.ended(&sent);
    assert!(client.result(&told) == data);
}

#[test]
fn nothing_is_ever_compressed_on_the_way() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let sent = client.submit(&url, none(), Some(&vec![b'a'; 100_000]));
    let told = client.ended(&sent);
    let result = client.path_of(text(&told, "datafileresult"));
    for path in ["/", "/v1.0/schema/", "/v1.0/configuration/", "/v1.0/process/", &result] {
        let more = "Accept-Encoding: gzip, deflate, br, zstd\r\n";
        let answer = client.connection.bare("GET", path, more);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{path}");
    }
}

/// Sends the first part of a process to the accelerator, and says how much is missing.
fn begin_upload(server: &Server, path: &str, url: &str) -> Connection {
    let form = Form::new().parameters(&process_parameters(none())).text("configuration", url);
    let body = form.data(&words(100_000, 1)).body();
    let mut connection = server.connect();
    let head = connection.head("POST", path);
    let length = 50 << 20;
    let kind = Form::new().kind();
    connection.write(
        format!("{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
    );
    connection.write(&body[..body.len() - 100]);
    connection
}

#[test]
fn a_client_that_vanishes_while_it_sends_leaves_its_slot_to_others() {
    let server = Server::with(&["--accelerator", "one"]);
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    for _ in 0..3 {
        drop(begin_upload(&server, "/v1.0/process/", &url));
        assert_eq!(client.process(&url, none(), b"next").1, b"next");
    }
    let all_ended = |client: &mut Client| {
        let list = client.get("process/").well();
        list["results"].as_array().unwrap().iter().all(|item| item["processed"] == true)
    };
    until("no process is left running", || all_ended(&mut client));
    // Where the data comes first, nothing has begun yet, and the same holds for a start.
    let body = Form::new().data(&words(100_000, 1)).body();
    for path in ["/v1.0/process/", "/v1.0/configuration/"] {
        let mut connection = server.connect();
        let head = connection.head("POST", path);
        let kind = Form::new().kind();
        let head = format!("{head}Content-Type: {kind}\r\nContent-Length: 99999999\r\n\r\n");
        connection.write(head.as_bytes());
        connection.write(&body[..body.len() - 100]);
        drop(connection);
    }
    assert_eq!(client.process(&url, none(), b"last").1, b"last");
}

#[test]
fn a_client_that_vanishes_while_it_waits_or_fetches_harms_nobody() {
    let server = Server::with(&["--accelerator", "one"]);
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let data = words(8 << 20, 5);
    let sent = client.submit(&url, none(), Some(&data));
    let told = client.ended(&sent);
    let path = client.path_of(text(&told, "datafileresult"));
    for _ in 0..3 {
        let mut connection = server.connect();
        let head = connection.head("GET", &path);
        connection.write(format!("{head}\r\n").as_bytes());
        assert_eq!(connection.answer_head().status, 200);
        connection.reader().read_exact(&mut [0; 100]).unwrap();
    }
    assert!(client.result(&told) == data);
    let mut napping = Client::of(&server, "nap");
    let nap = text(&napping.start(none(), None), "url").to_owned();
    let sent = napping.submit(&nap, none(), Some(b"x"));
    let path = napping.path(&format!("process/{}", sent["id"]));
    let head = napping.connection.head("GET", &path);
    napping.connection.write(format!("{head}\r\n").as_bytes());
    drop(napping);
    let mut client = Client::of(&server, "nap");
    let told = client.ended(&sent);
    assert_eq!((app(&told)["status"].as_i64(), client.result(&told)), (Some(0), b"x".to_vec()));
}

#[test]
fn a_request_that_is_no_http_is_refused_and_the_host_goes_on() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(2 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(5000));
    for request in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long, &many] {
        let mut connection = server.connect();
        connection.try_write(request.as_bytes());
        let mut answer = Vec::new();
        // It may be cut off without a word; an answer has to be an error.
        let _ = connection.reader().read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(client.process(&url, none(), b"data").1, b"data");
}

#[test]
fn a_start_may_come_in_chunks_too() {
    let server = Server::start();
    let form = Form::new().parameters(&start_parameters(none()));
    let body = form.body();
    let mut connection = server.connect();
    let head = connection.head("POST", "/v1.0/configuration/");
    let head = format!("{head}Content-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", form.kind());
    connection.write(head.as_bytes());
    connection.write(format!("{:X};a=b\r\n", body.len()).as_bytes());
    connection.write(&body);
    connection.write(b"\r\n0\r\nTrailer: x\r\n\r\n");
    assert_eq!(app(&connection.answer().well())["status"], 0);
}

#[test]
fn a_form_that_drips_is_ended() {
    let server = Server::configured("[serve]\nclient_timeout = 1s\n", &["--accelerator", "null"]);
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let whole = Form::new().parameters(&process_parameters(none())).text("configuration", &url);
    let whole = whole.data(&words(200_000, 1)).body();
    let unknown = Form::new().text("unknown", "x").data(&words(1000, 1)).body();
    // In the parameters, before all that is needed is known, in the data, and where nobody wants it.
    for begin in [&whole[..10], &whole[..200], &whole[..100_000], &unknown[..900]] {
        let mut drip = server.connect();
        let kind = Form::new().kind();
        let head = drip.head("POST", "/v1.0/process/");
        let head = format!("{head}Content-Type: {kind}\r\nContent-Length: 99999999\r\n\r\n");
        drip.write(head.as_bytes());
        drip.write(begin);
        let mut is_told = begin == &unknown[..900];
        until("it is ended", || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            if !is_told && drip.has_come() {
                drip.answer().refused(408);
                is_told = true;
            }
            !drip.try_write(b"x")
        });
        assert!(is_told);
    }
    assert_eq!(client.process(&url, none(), b"next").1, b"next");
}
