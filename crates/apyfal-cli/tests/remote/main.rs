//! The command line with hosts: real ones, of their own processes and homes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod hanging;
mod known;
mod map;
mod named;
mod page;
mod paired;
mod pool;
mod proxies;
mod run;
mod trouble;

use common::Home;
use common::server::Server;

/// Runs a command that must succeed, on a host.
fn ok_at(home: &Home, server: &Server, words: &[&str]) -> String {
    home.ok(&[words, &["--host_ip", server.address()]].concat())
}

/// How many sessions are open on a host.
fn sessions(server: &Server) -> u64 {
    server.get("/v2/sessions").json()["count"].as_u64().unwrap()
}

/// How many jobs wait or run on a host.
fn live(server: &Server) -> u64 {
    server.get("/status").json()["live"].as_u64().unwrap()
}
