//! Runs jobs on this machine: sessions, their state on disk, and the slots that jobs share.
//!
//! [`Agent`] is the [`Client`](apyfal_core::Client) of the machine that it runs on. It keeps every
//! session in a directory of its own, so that another process may open the session again.

mod agent;
mod batch;
mod comparison;
mod deadline;
mod job;
mod session;
mod slots;

pub use agent::{Agent, AgentOptions};
pub use slots::{AcceleratorLoad, Load};
