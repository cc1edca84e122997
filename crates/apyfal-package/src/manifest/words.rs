//! Words of the manifest that name files of the package.
//!
//! There is one rule: a word of `command` or `worker`, an `executable` or a variable of `env` that
//! begins with `./` is a file of the package, and becomes its absolute path once that is installed.
//! Any other word stays as it is, so a program without a slash is looked for on the search path.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use apyfal_core::{Cancel, Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::Manifest;
use super::table::Table;
use crate::Digest;

const LISTS: [&str; 2] = ["command", "worker"];

/// Makes lists of commands that are texts, and refuses paths that are not within the package.
pub(super) fn split(table: Table<'_>, section: &mut Map<String, Value>) -> Result<()> {
    for key in LISTS {
        if let Some(Value::String(text)) = section.get(key) {
            let Some(words) = shlex::split(text) else {
                let value = Value::from(text.as_str());
                return Err(table.wrong(key, &value, "text whose quotes are closed"));
            };
            section.insert(key.to_owned(), words.into());
        }
    }
    for (key, word) in named(section) {
        if !is_within(&word) {
            let message = format!("'./{word}' is not a file of the package");
            return Err(table.error(&key, message).hint(
                "a word that begins with './' is the path of a file in the package, without '..'",
            ));
        }
    }
    Ok(())
}

/// The section with the paths of its files below `root`.
pub(super) fn resolve(section: &Map<String, Value>, root: &Path) -> Result<Map<String, Value>> {
    let folder = root.to_str().filter(|text| !text.contains(['{', '}'])).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "its path has braces, or is not UTF-8 text")
            .operation(format!("use packages in '{}'", root.display()))
    })?;
    let resolved = |word: &mut Value| {
        if let Some(path) = word.as_str().and_then(|text| text.strip_prefix("./")) {
            *word = format!("{folder}/{path}").into();
        }
    };
    let mut section = section.clone();
    for (key, value) in &mut section {
        match value {
            Value::Array(words) if LISTS.contains(&key.as_str()) => {
                words.iter_mut().for_each(resolved);
            }
            Value::Object(variables) if key == "env" => {
                variables.values_mut().for_each(resolved);
            }
            Value::String(_) if key == "executable" => resolved(value),
            _ => {}
        }
    }
    Ok(section)
}

/// Checks the files that the manifest names. `has` tells whether one is part of the package.
pub(super) fn check(manifest: &Manifest, folder: &Path, has: impl Fn(&str) -> bool) -> Result<()> {
    let must_be = |key: &str, name: &str| {
        if has(name) {
            return Ok(());
        }
        Err(match folder.join(name).exists() {
            true => manifest
                .lines
                .error(key, format!("'{name}' is left out of the package"))
                .hint("name it in 'files', or take it out of .gitignore"),
            false => manifest.lines.error(key, format!("there is no file '{name}'")),
        })
    };
    let program = ["command.1", "worker.1", "executable"];
    for (key, name) in named(&manifest.section) {
        // What has a placeholder is known with the job only.
        if name.contains('{') {
            continue;
        }
        must_be(&key, &name)?;
        let mode = std::fs::metadata(folder.join(&name)).map(|found| found.permissions().mode());
        if program.contains(&key.as_str()) && mode.is_ok_and(|mode| mode & 0o111 == 0) {
            return Err(manifest
                .lines
                .error(&key, format!("'{name}' is not executable"))
                .hint(format!("make it so: chmod +x {name}")));
        }
    }
    for (index, image) in manifest.images.iter().enumerate() {
        let Some(name) = &image.file else { continue };
        let path = format!("image.{}", index + 1);
        must_be(&format!("{path}.file"), name)?;
        let mut file = File::open(folder.join(name))?;
        let (length, told) = (file.metadata()?.len(), image.size);
        if let Some(told) = told.filter(|told| *told != length) {
            let message = format!("'{name}' has {length} bytes, not {told}");
            return Err(manifest.lines.error(&format!("{path}.size"), message));
        }
        if let Some(told) = image.sha256
            && Digest::of(&mut file, &Cancel::default())? != told
        {
            let message = format!("'{name}' has another SHA-256");
            return Err(manifest
                .lines
                .error(&format!("{path}.sha256"), message)
                .hint("is it the image that was meant? then write its own: sha256sum"));
        }
    }
    let test = manifest.test.iter();
    let files = test.flat_map(|test| {
        [
            ("test.src", &test.src),
            ("test.start_src", &test.start_src),
            ("test.expect", &test.expect),
        ]
    });
    for (key, name) in files {
        if let Some(name) = name {
            must_be(key, name)?;
        }
    }
    Ok(())
}

/// Where files are named and which, without their `./`.
fn named(section: &Map<String, Value>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut look = |key: String, word: &Value| {
        if let Some(path) = word.as_str().and_then(|text| text.strip_prefix("./")) {
            found.push((key, path.to_owned()));
        }
    };
    for key in LISTS {
        for (index, word) in
            section.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            look(format!("{key}.{}", index + 1), word);
        }
    }
    if let Some(word) = section.get("executable") {
        look("executable".to_owned(), word);
    }
    for (name, value) in section.get("env").and_then(Value::as_object).into_iter().flatten() {
        look(format!("env.{name}"), value);
    }
    found
}

/// Whether a path leads to something in the directory that it is relative to.
pub(super) fn is_within(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
