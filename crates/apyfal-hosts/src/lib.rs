//! Machines that are hosts, and how a machine becomes one.

mod first_contact;
mod machine;
pub mod user_data;

pub use first_contact::FirstContact;
pub use machine::Machine;
