//! REST v1.0 as its contract has it: a real `apyfal serve`, and requests written byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod connections;
mod cycle;
mod failures;
mod form;
mod forms;
mod host_files;
mod original;
mod page;
mod paths;
mod proxy;
mod restart;
mod secrets;
mod sharing;
mod sizes;
