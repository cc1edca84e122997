//! Devices over stand-ins for their tools: what is loaded where, who has it, and what is left by
//! those who came to a bad end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod behaviour;
mod engine;
mod helper;
mod processes;
mod stand;
