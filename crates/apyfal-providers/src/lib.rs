//! Who makes machines for hosts, and ends them.
//!
//! A [`Provider`] does what it is told, once: it neither waits for a machine nor tries again what was
//! refused. When to ask it for what is the host lifecycle's to know, and nobody else's.
//!
//! [`Aws`] makes hosts out of machines of EC2, [`Sim`] out of processes of this machine.

mod aws;
mod provider;
mod sim;
mod spec;

pub use aws::Aws;
pub use aws::AwsSettings;
pub use provider::{
    HostFilter, Instance, InstanceDetails, InstanceId, InstanceState, Provider, ProviderInfo,
};
pub use sim::Sim;
pub use spec::{
    AgentNeeds, Artifact, AtShutdown, Boot, HostSpec, LONGEST_USER_DATA, Login, Prepared, Request,
    Script, Token,
};
