//! A new accelerator to begin with: a program that works, its manifest, and its test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use apyfal_core::{Error, ErrorKind, Result};

use crate::Manifest;
use crate::manifest::is_name;

const TEXT: &str = "The quick brown fox jumps over the lazy dog.\n";

/// What the program is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Python, which needs no building.
    #[default]
    Python,
    /// C, with a Makefile.
    C,
}

impl Language {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 2] = [("python", Self::Python), ("c", Self::C)];

    /// The files beside the test: their names and contents, with `@NAME@` in both.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Python => &[
                (Manifest::FILE, include_str!("../templates/python/accelerator.toml")),
                ("@NAME@.py", include_str!("../templates/python/program.py")),
                ("README.md", include_str!("../templates/python/README.md")),
            ],
            Self::C => &[
                (Manifest::FILE, include_str!("../templates/c/accelerator.toml")),
                ("@NAME@.c", include_str!("../templates/c/program.c")),
                ("Makefile", include_str!("../templates/c/Makefile")),
                (".gitignore", include_str!("../templates/c/gitignore")),
                ("README.md", include_str!("../templates/c/README.md")),
            ],
        }
    }
}

/// Makes the project of an accelerator in a directory, which must not exist or be empty.
///
/// # Errors
/// The name is none of an accelerator, or there is something in the directory already.
pub fn create(name: &str, language: Language, folder: &Path) -> Result<()> {
    let making = || format!("make the accelerator '{name}'");
    if !is_name(name) {
        return Err(Error::new(ErrorKind::Usage, "it cannot be called so")
            .operation(making())
            .hint("up to 64 letters, digits, '_' and '-', a letter or digit first"));
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::new(ErrorKind::Conflict, "there is something in it already")
            .operation(format!("make an accelerator in '{}'", folder.display()))
            .hint("name another directory, or empty this one"));
    }
    write(name, language, folder).map_err(|error| Error::from(error).operation(making()))
}

fn write(name: &str, language: Language, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("test"))?;
    let put = |path: &str, content: &str| {
        File::create_new(folder.join(path))?.write_all(content.as_bytes())
    };
    for (path, content) in language.files() {
        let content = content.replace("@ARCH@", std::env::consts::ARCH);
        put(&path.replace("@NAME@", name), &content.replace("@NAME@", name))?;
    }
    put("test/in.txt", TEXT)?;
    put("test/upper.txt", &TEXT.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_project_has_a_good_manifest() {
        for (_, language) in Language::ALL {
            let folder = tempfile::tempdir().unwrap();
            let project = folder.path().join("loud");
            create("loud", language, &project).unwrap();
            let manifest = Manifest::load(&project).unwrap();
            assert_eq!(manifest.name, "loud");
            let error = create("loud", language, &project).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
        }
        let error = create("a b", Language::C, Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
