//! Machines that are hosts, and how a machine becomes one: made by a provider, or by hand.

mod first_contact;
mod host_name;
mod ledger;
mod lifecycle;
mod machine;
mod ssh;
pub mod user_data;

pub use first_contact::FirstContact;
pub use host_name::host_name;
pub use ledger::{HostRecord, HostState, Ledger, StopMode, Usage, ledger_of};
pub use lifecycle::{Forget, Lifecycle, Limits, Phase, Ready, Wanted, Watch};
pub use machine::Machine;
pub use ssh::Ssh;
