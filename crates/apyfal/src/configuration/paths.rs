//! Where the relative paths of a configuration file lead.

use std::path::Path;

use apyfal_core::Configuration;
use apyfal_core::config::Placed;
use apyfal_core::config::schema::Files;

/// Has the relative paths of a configuration file lead to what lies beside it, else to what lies in
/// the working directory, where the original looked.
pub(super) fn place(configuration: &mut Configuration, file: &Path) {
    let directory = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => return,
    };
    // A pipe, such as a shell makes of `<(…)`, lies beside nothing.
    if is_here(directory) || !file.is_file() {
        return;
    }
    configuration.place_paths(&mut |path, files| placed(directory, path, files));
}

/// What a relative path means.
fn placed(directory: &Path, path: &str, files: Files) -> Placed {
    let beside = directory.join(path);
    if beside.exists() {
        return Placed { path: Some(beside.to_string_lossy().into_owned()), warning: None };
    }
    if Path::new(path).exists() {
        let warning = format!(
            "'{path}' is not beside this file, where it is looked for first, but in the working \
             directory: that one is used"
        );
        return Placed { path: None, warning: Some(warning) };
    }
    // What is not there yet, such as a directory, is made beside it; so is the error of what is missing.
    let path = (files != Files::PathOrText).then(|| beside.to_string_lossy().into_owned());
    Placed { path, warning: None }
}

fn is_here(directory: &Path) -> bool {
    match (directory.canonicalize(), Path::new(".").canonicalize()) {
        (Ok(directory), Ok(here)) => directory == here,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_goes_before_what_is_here() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.conf");
        // This package's own directory is the working directory of its tests.
        std::fs::write(folder.path().join("beside"), "").unwrap();
        std::fs::write(
            &file,
            "[host]\nssl_cert_crt = beside\ntoken_file = Cargo.toml\ninit_script = nowhere\n\
             [security]\npackage_keys = RWQnowhere\n  beside\n",
        )
        .unwrap();
        let text = std::fs::read(&file).unwrap();
        let mut configuration = Configuration::parse(&text, "a.conf").unwrap();
        place(&mut configuration, &file);
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let host = configuration.section("host");
        assert_eq!(host.get("ssl_cert_crt").unwrap(), Some(path("beside")));
        assert_eq!(host.get("token_file").unwrap().as_deref(), Some("Cargo.toml"));
        assert_eq!(host.get("init_script").unwrap(), Some(path("nowhere")));
        let keys = configuration.section("security").get_list("package_keys").unwrap();
        assert_eq!(keys, ["RWQnowhere".to_owned(), path("beside")]);
        let warnings: Vec<_> = configuration.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("a.conf, line 3: 'Cargo.toml' is not beside"),
            "{warnings:?}"
        );
        // Where the file is here, nothing is to be placed.
        let mut here = Configuration::parse(&text, "a.conf").unwrap();
        place(&mut here, Path::new("a.conf"));
        assert_eq!(here.section("host").get("ssl_cert_crt").unwrap().as_deref(), Some("beside"));
    }
}
