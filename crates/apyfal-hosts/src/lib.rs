//! Machines that are hosts, and how a machine becomes one.

mod machine;
pub mod user_data;

pub use machine::Machine;
