//! Hosts on AWS: machines of EC2.

#![allow(dead_code)]

mod api;
mod call;
mod element;
mod failure;
mod http;
mod members;
mod merge;
mod quota;
mod settings;
#[cfg(test)]
mod testing;

pub use settings::AwsSettings;
