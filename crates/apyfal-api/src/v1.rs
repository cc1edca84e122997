//! REST v1.0, which the original's clients speak.

/// Where its paths begin; each is served below `/<accelerator>` too.
pub const ROOT: &str = "/v1.0";
