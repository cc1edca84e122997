//! Several clients on one host.

use serde_json::json;

use crate::client::{Client, app, none, text};
use crate::common::server::Server;
use crate::common::words;

#[test]
fn clients_at_the_same_time_do_not_mix() {
    let server = Server::with(&["--accelerator", "told"]);
    std::thread::scope(|scope| {
        for number in 0..2 {
            let server = &server;
            scope.spawn(move || {
                let word = format!("client-{number}:");
                let mut client = Client::new(server);
                let started = client.start(json!({"word": word}), None);
                let url = text(&started, "url");
                std::thread::scope(|scope| {
                    for thread in 0..8 {
                        let word = &word;
                        scope.spawn(move || {
                            let mut client = Client::new(server);
                            for turn in 0..5_u64 {
                                let data =
                                    words(10_000 * turn as usize, number * 100 + thread + turn);
                                let result = client.process(url, none(), &data).1;
                                assert!(result == [word.as_bytes(), &data].concat());
                            }
                        });
                    }
                });
            });
        }
    });
}

#[test]
fn a_stop_harms_nobody() {
    let server = Server::with(&["--accelerator", "nap"]);
    let mut first = Client::new(&server);
    let url = text(&first.start(none(), None), "url").to_owned();
    let sent = first.submit(&url, none(), Some(b"x"));
    let mut second = Client::new(&server);
    let own = text(&second.start(none(), None), "url").to_owned();
    for _ in 0..2 {
        assert_eq!(second.get("stop/").well()["app"]["status"], 0);
    }
    let told = first.ended(&sent);
    assert_eq!(app(&told)["status"], 0, "{told}");
    assert_eq!(first.result(&told), b"x");
    for url in [&url, &own] {
        assert_eq!(first.process(url, none(), b"y").1, b"y");
    }
}

#[test]
fn a_deleted_process_leaves_those_of_others() {
    let server = Server::start();
    let mut client = Client::new(&server);
    let url = text(&client.start(none(), None), "url").to_owned();
    let sent: Vec<_> = (0..3).map(|index| client.submit(&url, none(), Some(&[index]))).collect();
    let told = client.ended(&sent[1]);
    client.delete(&told);
    for index in [0, 2] {
        let told = client.ended(&sent[index]);
        assert_eq!(client.result(&told), [index as u8]);
    }
}
