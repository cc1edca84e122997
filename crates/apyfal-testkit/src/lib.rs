//! Starters of real servers and behaviour suites for tests.

// Everything here is for tests, where a panic is how a failure shows.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod client_suite;

pub use client_suite::{Kept, client_suite};
