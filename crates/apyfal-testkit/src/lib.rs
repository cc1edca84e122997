//! Behaviour suites for the tests of Apyfal, starters of real servers, and a server that misbehaves
//! on purpose.
//!
//! Every server listens on the loopback interface alone, on a port of its own, and ends with the
//! test that started it, even where that is killed.

// Everything here is for tests, where a panic is how a failure shows.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod addresses;
mod cargo;
mod client_suite;
mod cloud;
mod engines;
mod faults;
mod moto;
mod nginx;
mod open_files;
mod provider_suite;
mod python;
mod signals;
mod thread;
mod trailers;
mod until;

pub use addresses::{Unheard, connect_from, own_loopback};
pub use cargo::by_a_user;
pub use client_suite::{Kept, client_suite};
pub use cloud::{Call, Cloud, CloudInstance, Fault, Kill, Rule};
pub use engines::{engines_suite, twins};
pub use faults::{Answer, Body, FaultServer, Request};
pub use moto::Moto;
pub use nginx::Nginx;
pub use open_files::times_open;
pub use provider_suite::provider_suite;
pub use python::python;
pub use signals::default_signals;
pub use thread::Thread;
pub use trailers::TrailerDropper;
pub use until::{eventually, until, until_some};

use std::io::Error;

/// An error that says which program failed and how to get it.
fn missing(program: &str, advice: &str, error: impl std::fmt::Display) -> Error {
    Error::other(format!("cannot run {program}: {error}; {advice}"))
}
