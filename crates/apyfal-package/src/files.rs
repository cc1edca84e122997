//! The files of a directory that belong to its package.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use apyfal_core::{Error, ErrorKind, Result};
use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

use crate::Manifest;

/// Directories that are never meant: those of version control, and what Python leaves behind.
const LEFT_OUT: [&str; 5] = [".git", ".hg", ".svn", ".bzr", "__pycache__"];
/// Ends of names in the directory itself that are never meant: packages that were made there.
const MADE: [&str; 2] = [".apyfal", ".apyfal.minisig"];

/// One file.
#[derive(Debug, PartialEq)]
pub(crate) struct Member {
    /// Its path in the package, with `/` in between.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    File { is_executable: bool },
    Link(String),
}

/// The files that belong to the package of a directory: the manifest first, then all in the order
/// of their names. Nothing outside of the directory counts, so that everybody finds the same.
pub(crate) fn list(folder: &Path, manifest: &Manifest) -> Result<Vec<Member>> {
    let mut members = vec![member(folder, &folder.join(Manifest::FILE))?];
    for entry in walk(folder, manifest)? {
        let entry = entry.map_err(|error| {
            let message = error.to_string();
            let error = error
                .into_io_error()
                .map_or_else(|| Error::new(ErrorKind::Storage, message), Error::from);
            error.operation(format!("look through '{}'", folder.display()))
        })?;
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        if !is_folder && entry.path() != members[0].path {
            members.push(member(folder, entry.path())?);
        }
    }
    members[1..].sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn walk(folder: &Path, manifest: &Manifest) -> Result<ignore::Walk> {
    let wrong = |error: ignore::Error| {
        Error::new(ErrorKind::Configuration, error.to_string())
            .operation("read 'files' of the manifest")
    };
    let mut patterns = OverrideBuilder::new(folder);
    for pattern in &manifest.files {
        // A path with a leading './' is meant as one without.
        patterns.add(pattern.strip_prefix("./").unwrap_or(pattern)).map_err(wrong)?;
    }
    let patterns = patterns.build().map_err(wrong)?;
    Ok(WalkBuilder::new(folder)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .overrides(patterns)
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            match entry.depth() {
                0 => true,
                _ if is_folder => !LEFT_OUT.contains(&name.as_ref()),
                1 => !is_made(&name),
                _ => true,
            }
        })
        .build())
}

/// Whether a file in the directory itself is a package that was made there, or is under way.
fn is_made(name: &str) -> bool {
    MADE.iter().any(|end| name.ends_with(end))
        || name.starts_with(".apyfal-") && name.ends_with(".part")
}

fn member(folder: &Path, path: &Path) -> Result<Member> {
    let packing = || format!("pack '{}'", path.display());
    let wrong = |why: &str| Error::new(ErrorKind::InvalidData, why).operation(packing());
    let inner = path.strip_prefix(folder).unwrap_or(path);
    let name = inner.to_str().ok_or_else(|| wrong("its name is not UTF-8 text"))?.to_owned();
    let found: Metadata =
        fs::symlink_metadata(path).map_err(|error| Error::from(error).operation(packing()))?;
    let kind = found.file_type();
    let kind = if kind.is_file() {
        Kind::File { is_executable: found.permissions().mode() & 0o100 != 0 }
    } else if kind.is_symlink() {
        let target =
            fs::read_link(path).map_err(|error| Error::from(error).operation(packing()))?;
        let target = target.to_str().ok_or_else(|| wrong("its target is not UTF-8 text"))?;
        if !leads_inside(&name, target) {
            return Err(wrong(&format!("it is a link out of the package, to '{target}'"))
                .hint("put what it leads to into the directory, or leave the link out"));
        }
        Kind::Link(target.to_owned())
    } else {
        let what = if kind.is_socket() { "a socket" } else { "a pipe or a device" };
        return Err(wrong(&format!("it is {what}, not a file")).hint("leave it out: 'files'"));
    };
    Ok(Member { name, path: path.to_owned(), kind })
}

/// Whether a link of this name leads to something inside. Its target may go up first and then down
/// only: a `..` after a name may start from another place than the names say.
pub(crate) fn leads_inside(name: &str, target: &str) -> bool {
    let depth = Path::new(name).components().count().saturating_sub(1);
    let (mut up, mut goes_down) = (0, false);
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir if !goes_down => up += 1,
            Component::Normal(_) => goes_down = true,
            Component::CurDir => {}
            _ => return false,
        }
    }
    up <= depth && !target.is_empty()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn manifest(files: &str) -> Manifest {
        let text = format!("name = 'a'\nversion = '1.0.0'\ncommand = ['cat']\nfiles = {files}\n");
        Manifest::parse(&text).unwrap()
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in files.iter().chain(&[Manifest::FILE]) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, files: &str) -> Vec<String> {
        let members = list(folder.path(), &manifest(files)).unwrap();
        members.into_iter().map(|member| member.name).collect()
    }

    #[test]
    fn all_files_belong_but_what_is_ignored() {
        let folder = folder(&[
            "b",
            "a/z",
            "a.txt",
            ".hidden",
            ".git/config",
            "x.apyfal",
            "a/y.apyfal",
            "out/made",
            "__pycache__/a.pyc",
            "sub/.git",
        ]);
        fs::write(folder.path().join(".gitignore"), "/out\n").unwrap();
        let expected = [
            "accelerator.toml",
            ".gitignore",
            ".hidden",
            "a.txt",
            "a/y.apyfal",
            "a/z",
            "b",
            "sub/.git",
        ];
        assert_eq!(names(&folder, "[]"), expected);
    }

    #[test]
    fn patterns_choose_and_go_before_gitignore() {
        let folder = folder(&["b", "a/z", "tool", "other"]);
        fs::write(folder.path().join(".gitignore"), "tool\n").unwrap();
        assert_eq!(names(&folder, "['./tool', 'a/**']"), ["accelerator.toml", "a/z", "tool"]);
    }

    #[test]
    fn links_lead_inside() {
        for (name, target) in
            [("a", "b"), ("a/b", "../c"), ("a/b", "./c/d"), ("a/b/c", "../../d"), ("a", "b/c")]
        {
            assert!(leads_inside(name, target), "{name} -> {target}");
        }
        for (name, target) in [
            ("a", ".."),
            ("a", "/etc"),
            ("a", "../x"),
            ("a/b", "../../c"),
            ("a", "b/../c"),
            ("a", ""),
        ] {
            assert!(!leads_inside(name, target), "{name} -> {target}");
        }
        let folder = folder(&["b"]);
        symlink("b", folder.path().join("good")).unwrap();
        assert_eq!(names(&folder, "[]"), ["accelerator.toml", "b", "good"]);
        symlink("../b", folder.path().join("bad")).unwrap();
        let error = list(folder.path(), &manifest("[]")).unwrap_err();
        assert!(error.to_string().contains("a link out of the package"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = folder(&[]);
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        let error = list(folder.path(), &manifest("[]")).unwrap_err();
        assert!(error.to_string().contains("it is a socket"), "{error}");
    }
}
