//! REST v2 from outside: a real `apyfal serve`, and requests written byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod bounds;
mod crowd;
mod full_disk;
mod ids;
mod jobs;
mod kept;
mod owners;
mod page;
mod restart;
mod sessions;
mod slow;
mod storm;

use common::http::{Answer, Connection};
use common::server::Server;
use serde_json::{Value, json};

/// Opens a session of an accelerator; returns its id.
fn session(server: &Server, accelerator: &str) -> String {
    let request = json!({"accelerator": accelerator}).to_string();
    let answer = server.connect().post("/v2/sessions", "application/json", request.as_bytes());
    assert_eq!(answer.status, 201, "{}", text(&answer));
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Sends a job: its data as the body, its request in a header.
fn job(connection: &mut Connection, session: &str, request: &Value, data: &[u8]) -> Answer {
    send_job(connection, session, request, data.len());
    connection.try_write(data);
    connection.answer()
}

/// Sends a job without its data.
fn send_job(connection: &mut Connection, session: &str, request: &Value, length: usize) {
    let head = connection.head("POST", &format!("/v2/sessions/{session}/jobs"));
    let head = format!("{head}apyfal-request: {request}\r\nContent-Length: {length}\r\n\r\n");
    connection.write(head.as_bytes());
}

/// Some data that compresses neither well nor badly.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * index / 7 % 251) as u8).collect()
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The kind of error of an answer that is one.
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", text(answer));
    answer.json()["error"]["kind"].as_str().unwrap().to_owned()
}

/// The report in the headers of an answer.
fn report(answer: &Answer) -> Value {
    serde_json::from_str(answer.header("apyfal-report").expect("a report")).unwrap()
}
