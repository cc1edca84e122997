//! `accelerator.conf`: what it says, wherever it was written.

/// The content of `accelerator.conf`.
#[derive(Clone, Debug, Default)]
pub struct Configuration {}
