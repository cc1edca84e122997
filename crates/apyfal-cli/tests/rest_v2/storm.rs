//! Many clients at once, of all sizes, while the agent is killed and started again: not one wrong
//! byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};

use super::*;
use crate::common::server::PATIENCE;

const CLIENTS: usize = 64;
const JOBS: usize = 6;
const KILLS: usize = 4;

#[test]
fn nothing_is_mixed_up_when_the_agent_dies() {
    let server = Server::start();
    let session = session(&server, "null");
    let address = RwLock::new(server.address().to_owned());
    let server = Mutex::new(Some(server));
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (session, address, done) = (&session, &address, &done);
            scope.spawn(move || {
                for round in 0..JOBS {
                    one_job(client, round, session, address);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for kill in 1..=KILLS {
            let mark = kill * CLIENTS * JOBS / (KILLS + 1);
            common::server::until("the jobs go on", || done.load(Ordering::Relaxed) >= mark);
            let mut present = server.lock().unwrap();
            let restarted = present.take().unwrap().killed_and_started();
            *address.write().unwrap() = restarted.address().to_owned();
            *present = Some(restarted);
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), CLIENTS * JOBS);
}

/// Sends a job again and again until it is answered whole.
fn one_job(client: usize, round: usize, session: &str, address: &RwLock<String>) {
    let length = [0, 1, 1000, 70_000, 300_000, 1_500_000][(client + round) % 6] + client;
    let sent: Vec<u8> = (0..length).map(|index| (index * 31 + client * 7 + round) as u8).collect();
    // Every third client wants its jobs recorded: those are answered even if they ran before.
    let id = client.is_multiple_of(3).then(|| format!("client-{client}-{round}"));
    let begin = std::time::Instant::now();
    loop {
        let present = address.read().unwrap().clone();
        // Else it was cut off, or the host is not there for now.
        if let Ok(Some(received)) = ask(&present, session, id.as_deref(), &sent) {
            assert!(received == sent, "client {client} got other bytes in round {round}");
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "client {client} is never answered");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The result, or nothing where the answer was cut off or not a result.
fn ask(address: &str, session: &str, id: Option<&str>, data: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = id.map(|id| format!("apyfal-request: {{\"id\": \"{id}\"}}\r\n"));
    write!(
        stream,
        "POST /v2/sessions/{session}/jobs HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         {}Content-Length: {}\r\n\r\n",
        request.unwrap_or_default(),
        data.len()
    )?;
    stream.write_all(data)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        // Only what comes from a crash may come: a job that was cut off by it.
        let expected =
            ["http/1.1 503", "http/1.1 409"].iter().any(|status| head.starts_with(status));
        assert!(expected, "{}", String::from_utf8_lossy(&answer));
        return Ok(None);
    }
    let body = &answer[end + 4..];
    if head.contains("transfer-encoding: chunked") {
        return Ok(unchunked(body));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let whole = length.and_then(|length| length.trim().parse().ok()) == Some(body.len());
    Ok(whole.then(|| body.to_vec()))
}

/// A chunked body, or nothing where its end is missing.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?, 16).ok()?;
        body = &body[line + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}
