//! `accelerator.conf`: what it says, wherever it was written.
pub mod ini;
pub mod interpolate;
pub mod literal;
pub use literal::{Literal, read_value};

/// The content of `accelerator.conf`.
#[derive(Clone, Debug, Default)]
pub struct Configuration {}
