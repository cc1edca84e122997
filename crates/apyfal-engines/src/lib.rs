//! The accelerated functions: one file each behind [`Engine`], listed here and nowhere else.

use std::sync::Arc;

use apyfal_core::Engine;

mod copy;
mod cpu;
pub mod exec;
mod gunzip;
mod gzip;
mod gzip_format;
mod gzip_level;
mod hyperfire;
mod jpegenc;
mod null;
pub mod ordered;
mod registry;
mod sha3;
mod targz;
mod trng;

pub use registry::{Registered, Registry};

/// The built-in engines, in the order in which they are shown.
pub fn built_in() -> Vec<Arc<dyn Engine>> {
    vec![
        Arc::new(gzip::engine()),
        Arc::new(gunzip::engine()),
        Arc::new(targz::engine()),
        Arc::new(sha3::engine()),
        Arc::new(jpegenc::engine()),
        Arc::new(trng::engine()),
        Arc::new(hyperfire::engine()),
        Arc::new(null::engine()),
    ]
}
