//! What Apyfal must not forget is in SQLite files, and this is the room for all of them.
//!
//! A [`Schema`] says what a database is of and how each version of its tables came to be;
//! [`Schema::open`] makes a [`Database`] of a file: private, this process's own, looked through for
//! damage and brought up to date. What SQLite complains about is a [`Failure`], which is told in the
//! words of Apyfal.

mod database;
mod failure;

pub use database::{Database, Schema, open_for_reading};
pub use failure::Failure;
