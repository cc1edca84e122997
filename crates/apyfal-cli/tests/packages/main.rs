//! Accelerators of one's own as packages: packed, installed, upgraded, served.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod install;
mod page;
mod served;
mod trouble;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::Home;

/// Packs the accelerator `shown`, whose program is this shell script. Returns the package's name.
fn packed(home: &Home, version: &str, script: &str, more: &str) -> String {
    let folder = project(home, version, script, more);
    let name = format!("shown-{version}.apyfal");
    home.ok(&["pack", &folder.to_string_lossy(), "--quiet"]);
    std::fs::remove_dir_all(folder).unwrap();
    name
}

/// The directory of the accelerator `shown`.
fn project(home: &Home, version: &str, script: &str, more: &str) -> PathBuf {
    let folder = home.path(&format!("project-{version}"));
    std::fs::create_dir(&folder).unwrap();
    let manifest = format!("name = 'shown'\nversion = '{version}'\ncommand = ['./run']\n{more}\n");
    std::fs::write(folder.join("accelerator.toml"), manifest).unwrap();
    std::fs::write(folder.join("run"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.join("run"), executable).unwrap();
    std::fs::write(folder.join("expected"), "1.0.0").unwrap();
    folder
}

/// A package whose program shows its version.
fn version(home: &Home, version: &str) -> String {
    packed(home, version, &format!("printf {version}"), "")
}

/// What the installed program shows.
fn shown(home: &Home) -> String {
    home.ok(&["run", "shown", "--quiet", "--dst", "shown.txt"]);
    String::from_utf8(home.read("shown.txt")).unwrap()
}

/// What is in the directory of packages, hidden files too, but for the lock.
fn left(home: &Home) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(home.path(".apyfal/packages")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != ".lock").collect()
}
