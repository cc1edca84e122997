//! All tests, with what they need installed first.

use std::path::Path;

use crate::run::{self, Result};
use crate::setup;

/// Runs every test of the workspace, the examples in the documentation included.
pub(crate) fn all(target: &Path) -> Result {
    setup::programs()?;
    setup::debian(target)?;
    let python = setup::python(target)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(python).chain(std::env::split_paths(&path)))?;
    run::shown(
        run::cargo()
            .args(["test", "--workspace", "--locked", "--no-fail-fast"])
            .env("PATH", path)
            // Tests that need what others build find it.
            .env("APYFAL_TEST_ALL", "1"),
    )
}
