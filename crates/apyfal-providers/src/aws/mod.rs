//! Hosts on AWS: machines of EC2.

#![allow(dead_code)]

mod api;
mod element;
mod members;
mod merge;
mod settings;

pub use settings::AwsSettings;
