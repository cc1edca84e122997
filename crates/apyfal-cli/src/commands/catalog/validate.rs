//! `apyfal catalog validate`: say what is wrong with a catalog before others find out.

use std::path::{Path, PathBuf};

use apyfal::Result;
use apyfal_catalog::Catalog;
use apyfal_catalog::server::check_files;
use clap::Args;

use crate::commands::Context;

/// Check a catalog file, and that the files beside it are what it says.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The catalog file.
    #[arg(default_value = "catalog.toml")]
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, context: &Context<'_>) -> Result<()> {
    let path = &arguments.file;
    let catalog = Catalog::load(path)?;
    check_files(&catalog, path.parent().unwrap_or(Path::new("")))?;
    let hosts = catalog.accelerators.values().map(|entry| entry.hosts.len()).sum::<usize>();
    context.printer.note(&format!(
        "{}: {} accelerators on {hosts} types of host, {} files",
        path.display(),
        catalog.accelerators.len(),
        catalog.artifacts().count()
    ));
    Ok(())
}
