//! Serves the agent of Apyfal over the network.

pub mod journal;
