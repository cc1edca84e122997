//! Runs jobs on this machine: sessions, their state on disk, and the slots that jobs share.
//!
//! [`Agent`] is the [`Client`](apyfal_core::Client) of the machine that it runs on. It keeps each
//! session in a directory of its own, so that another process may open it again, unless sessions end with
//! their process anyway.

mod agent;
mod batch;
mod comparison;
mod deadline;
mod job;
mod root;
mod session;
mod slots;
mod temporary;

pub use agent::{Agent, AgentOptions};
pub use root::{Room, Root};
pub use slots::{AcceleratorLoad, Load};
pub use temporary::Temporary;
