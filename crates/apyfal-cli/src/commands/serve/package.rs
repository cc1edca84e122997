//! The accelerator of a host that is a package.

use apyfal::package::{Digest, Outcome};
use apyfal::{Configuration, Error, ErrorKind, Location, Result};

use crate::commands::{Context, install};

/// Whether the name of an accelerator is that of a package: a path or a URL.
pub(super) fn is_package(name: &str) -> bool {
    name.contains('/') || name.ends_with(".apyfal")
}

/// Whether a package cannot be had for now, which says nothing against the one that is installed.
fn is_gone(error: &Error) -> bool {
    use ErrorKind::{Storage, StorageAuthentication, StorageNotFound, Unavailable};
    matches!(error.kind(), Unavailable | Storage | StorageNotFound | StorageAuthentication)
}

/// Installs a package, unless it is. Returns its name.
pub(super) async fn installed(
    url: &str,
    sha256: Option<Digest>,
    configuration: &Configuration,
    context: &Context<'_>,
) -> Result<String> {
    let mut options = install::options(context, configuration)?;
    options.sha256 = sha256;
    let store = install::store(context)?;
    let is_signed = !options.keys.is_empty();
    let found = match install::install(url, options, &store, configuration, context).await {
        Ok(Outcome::Installed(found) | Outcome::Unchanged(found)) => found,
        // A host that starts again does not depend on where its package once came from.
        Err(error) if is_gone(&error) && !is_signed && sha256.is_none() => {
            let source = Location::parse(url)?.to_string();
            let mut known = store.list()?.into_iter().filter_map(|(_, found)| found.ok());
            let Some(found) = known.find(|found| found.record.source == source) else {
                return Err(error);
            };
            context.printer.warning(format!("{error}; the installed one serves"));
            found
        }
        Err(error) => return Err(error),
    };
    context.printer.note(&format!("accelerator: {} {}", found.record.name, found.record.version));
    Ok(found.record.name.clone())
}
