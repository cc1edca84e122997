//! Hosts on AWS: machines of EC2.

#![allow(dead_code)]

mod api;
mod bucket;
mod call;
#[cfg(test)]
mod cloud;
mod element;
mod failure;
mod host_tags;
mod http;
mod images;
mod instances;
mod keys;
mod members;
mod merge;
mod network;
mod quota;
mod request;
mod rights;
mod settings;
mod spot;
mod tags;
#[cfg(test)]
mod testing;

pub use settings::AwsSettings;
