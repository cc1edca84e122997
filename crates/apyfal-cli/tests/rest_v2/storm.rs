//! Many clients at once, of all sizes, while the agent is killed and started again: not one wrong
//! byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};

use super::*;
use crate::common::server::PATIENCE;
use crate::common::wire::{self, Ask};

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
        if let Some(received) = ask(&present, session, id.as_deref(), &sent) {
            assert!(received == sent, "client {client} got other bytes in round {round}");
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "client {client} is never answered");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The result, or nothing where the answer was cut off or not a result.
fn ask(address: &str, session: &str, id: Option<&str>, data: &[u8]) -> Option<Vec<u8>> {
    let request = id.map(|id| format!("apyfal-request: {{\"id\": \"{id}\"}}\r\n"));
    let headers = request.unwrap_or_default();
    let path = format!("/v2/sessions/{session}/jobs");
    let ask = Ask { headers: &headers, body: data, ..Ask::new("POST", &path) };
    let answer = wire::ask(address, &ask).ok()?;
    if answer.status != 200 {
        // Only what comes from a crash may come: a job that was cut off by it.
        assert!([503, 409].contains(&answer.status), "{}", text(&answer));
        return None;
    }
    Some(answer.body)
}
