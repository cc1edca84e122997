//! Hosts on AWS: machines of EC2.

#![allow(dead_code)]

mod api;
mod call;
#[cfg(test)]
mod cloud;
mod element;
mod failure;
mod host_tags;
mod http;
mod instances;
mod images;
mod members;
mod merge;
mod network;
mod quota;
mod request;
mod settings;
mod spot;
mod tags;
#[cfg(test)]
mod testing;

pub use settings::AwsSettings;
