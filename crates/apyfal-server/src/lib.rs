//! The agent as a daemon: jobs for anyone who reaches it, over REST v2 and REST v1.0.
//!
//! [`Server::bind`] opens what the host remembers and listens; [`Server::serve`] serves until it is
//! told to end, and then lets the running jobs end.

mod access;
mod answer;
mod body;
mod coding;
mod data;
mod digest;
mod draining;
mod file_body;
mod first_contact;
mod history;
mod host;
mod jobs;
pub mod journal;
mod lease;
mod live;
mod logs;
mod metrics;
mod multipart;
mod overview;
mod parameters;
mod recent;
mod routes;
mod scratch;
mod sending;
mod server;
mod sessions;
mod settings;
mod spool;
mod stored;
mod taken;
mod throughput;
mod uptime;
mod uses;

pub use access::LocalUsers;
pub use apyfal_api::v2::LogLine;
pub use first_contact::FirstContact;
pub use lease::{Lease, LeaseLimits};
pub use server::{Ending, Server};
pub use settings::{Limits, Listen, Settings};
