//! How long a job took, and beside what.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Times and amounts of one job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profiling {
    /// Seconds from the job's start to its end.
    #[serde(rename = "wall-clock-time")]
    pub seconds: f64,
    /// Seconds that a device worked on it, where there is one.
    #[serde(rename = "fpga-elapsed-time", skip_serializing_if = "Option::is_none")]
    pub device_seconds: Option<f64>,
    /// Bytes read.
    #[serde(rename = "total-bytes-read")]
    pub bytes_read: u64,
    /// Bytes written.
    #[serde(rename = "total-bytes-written")]
    pub bytes_written: u64,
    /// Bytes read per second.
    #[serde(rename = "input-bandwidth")]
    pub input_bandwidth: f64,
}

impl Profiling {
    /// Profiling of a job that took `elapsed`.
    pub fn new(elapsed: Duration, bytes_read: u64, bytes_written: u64) -> Self {
        let seconds = elapsed.as_secs_f64();
        Self {
            seconds,
            device_seconds: None,
            bytes_read,
            bytes_written,
            input_bandwidth: if seconds > 0.0 { bytes_read as f64 / seconds } else { 0.0 },
        }
    }
}

/// The same job done by plain single-threaded software.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Seconds that the software took.
    #[serde(rename = "cpu-elapsed-time")]
    pub seconds: f64,
    /// Bytes that the software read per second.
    #[serde(rename = "input-bandwidth")]
    pub input_bandwidth: f64,
    /// How many times faster the accelerator was.
    #[serde(rename = "accelerator-factor")]
    pub factor: f64,
}
