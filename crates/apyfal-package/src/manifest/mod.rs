//! What `accelerator.toml` says of an accelerator.

mod image;
mod requires;
mod table;
mod test;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_engines::exec::Declaration;
use apyfal_machine::regular;
use semver::Version;
use serde_json::{Map, Value};

use crate::Digest;
pub use image::{Device, Image};
pub use requires::{MachineFacts, Requires};
use table::{Lines, Table};
pub use test::Test;

/// Keys of the document beside those that go to the declaration.
const OWN: [&str; 8] =
    ["name", "version", "architectures", "files", "units", "requires", "image", "test"];
/// Keys that are those of a section `[accelerator.NAME]` of the configuration. `lock_directory` is
/// not among them: it is the machine's.
const DECLARED: [&str; 11] = [
    "summary",
    "description",
    "aliases",
    "command",
    "executable",
    "worker",
    "parameters",
    "env",
    "slots",
    "rerun_safe",
    "sudo",
];
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];
/// What a name is.
const NAME: &str = "up to 64 letters, digits, '_' and '-', a letter or digit first";
/// A manifest is refused beyond this many bytes.
const LIMIT: u64 = 1 << 20;

/// How a program is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Once per job.
    Command,
    /// Once, and it stays alive.
    Worker,
    /// By the convention of the original.
    Executable,
}

/// A checked manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The accelerator's name.
    pub name: String,
    /// The package's version.
    pub version: Version,
    /// What it runs on; empty for any machine.
    pub architectures: Vec<String>,
    /// What it needs of the machine.
    pub requires: Requires,
    /// Images of devices.
    pub images: Vec<Image>,
    /// The job that shows whether it works.
    pub test: Option<Test>,
    /// Patterns of the files that belong to it; empty for all.
    pub files: Vec<String>,
    /// What the declaration is made of.
    section: Map<String, Value>,
    lines: Lines,
}

impl Manifest {
    /// The keys that it may have.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        OWN.into_iter().chain(DECLARED)
    }

    /// The name of its file.
    pub const FILE: &'static str = "accelerator.toml";

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] has the line and the key.
    pub fn parse(text: &str) -> Result<Self> {
        read(text).map_err(|error| error.operation(format!("read '{}'", Self::FILE)))
    }

    /// Reads that of a directory.
    ///
    /// # Errors
    /// There is none, or as [`parse`](Self::parse).
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let reading = || format!("read '{}'", path.display());
        let text = regular::read_text(&path, LIMIT).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return Error::new(ErrorKind::Configuration, "there is no such file")
                    .operation(reading())
                    .hint("make a new accelerator: apyfal init NAME");
            }
            Error::new(ErrorKind::Configuration, Error::from(error).message()).operation(reading())
        })?;
        read(&text).map_err(|error| error.operation(reading()))
    }

    /// The declaration of the accelerator whose files are in `root`, an absolute path.
    ///
    /// # Errors
    /// The path cannot stand in a declaration.
    pub fn declaration(&self, root: &Path) -> Result<Declaration> {
        let section = words::resolve(&self.section, root)?;
        let declaration = Declaration::new(&self.name, &section)?;
        // By its path each version would be a program of its own, and the device is one.
        Ok(declaration.exclusive_as(format!("package {}", self.name)))
    }

    /// Checks that the files which it names are in `folder`, and are what it says of them.
    ///
    /// # Errors
    /// A file is missing, or not as it must be.
    pub fn check_files(&self, folder: &Path, has: impl Fn(&str) -> bool) -> Result<()> {
        words::check(self, folder, has)
            .map_err(|error| error.operation(format!("read '{}'", Self::FILE)))
    }

    /// Checks that it can run on a machine.
    ///
    /// # Errors
    /// The architecture is another, or a device or programs are missing; the error names them.
    pub fn check_machine(&self, machine: &MachineFacts) -> Result<()> {
        requires::check(self, machine)
    }

    /// The error where it cannot do without a device, and none is here.
    pub fn lacks_device(&self) -> Error {
        let kinds: BTreeSet<_> = self.images.iter().map(|image| image.device.name()).collect();
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(" or ");
        let why = format!("it needs a device that this machine lacks: {kinds}");
        Error::new(ErrorKind::Engine, why).hint("'apyfal devices' lists those that are here")
    }

    /// How its program is called.
    pub fn program(&self) -> Program {
        match () {
            () if self.section.contains_key("worker") => Program::Worker,
            () if self.section.contains_key("executable") => Program::Executable,
            () => Program::Command,
        }
    }

    /// Whether its program runs through `sudo`.
    pub fn is_sudo(&self) -> bool {
        self.section.get("sudo").and_then(Value::as_bool).unwrap_or(false)
    }
}

fn read(text: &str) -> Result<Manifest> {
    let (map, lines) = table::read(text)?;
    let table = Table::new(&map, &lines, "");
    table.refuse_unknown(&[&OWN[..], &DECLARED[..]].concat())?;
    let name = table.needed("name")?;
    if !is_name(&name) {
        return Err(table.wrong("name", &name.into(), NAME));
    }
    let version = table.needed("version")?;
    let Some(version) = Version::parse(&version).ok().filter(|_| version.len() <= 64) else {
        return Err(table.wrong("version", &version.into(), "three numbers, such as 1.0.0"));
    };
    let architectures = table.texts("architectures")?;
    if let Some(unknown) = architectures.iter().find(|name| !ARCHITECTURES.contains(&name.as_str()))
    {
        let right = format!("a list of {}", ARCHITECTURES.join(", "));
        return Err(table.wrong("architectures", &unknown.as_str().into(), &right));
    }
    let requires = match table.table("requires")? {
        Some(map) => requires::read(Table::new(map, &lines, "requires"))?,
        None => Requires::default(),
    };
    let test = match table.table("test")? {
        Some(map) => Some(test::read(Table::new(map, &lines, "test"))?),
        None => None,
    };
    let images = read_images(table)?;
    if requires.device && images.is_empty() {
        let why = "it cannot need a device that it has no image for";
        return Err(lines.error("requires.device", why).hint("add one: [[image]]"));
    }
    let section = read_section(table)?;
    let files = table.texts("files")?;
    let declaration = Declaration::new(&name, &section).map_err(|error| placed(error, &lines))?;
    if let Some(alias) = declaration.accelerator().aliases.iter().find(|alias| !is_name(alias)) {
        return Err(table.wrong("aliases", &alias.as_ref().into(), &format!("names: {NAME}")));
    }
    Ok(Manifest { name, version, architectures, requires, images, test, files, section, lines })
}

fn read_images(table: Table<'_>) -> Result<Vec<Image>> {
    let right = "a list of tables: [[image]]";
    let items = match table.map.get("image") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(table.wrong("image", other, right)),
    };
    let image = |(index, item): (usize, &Value)| match item {
        Value::Object(map) => image::read(map, table.lines, index + 1),
        other => Err(table.wrong("image", other, right)),
    };
    items.iter().enumerate().map(image).collect()
}

/// What the declaration is made of. A device with several units takes as many jobs at once.
fn read_section(table: Table<'_>) -> Result<Map<String, Value>> {
    let mut section = Map::new();
    for key in DECLARED {
        if let Some(value) = table.map.get(key) {
            section.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(units) = table.number("units", 1, 1024)? {
        section.entry("slots").or_insert(units.into());
    }
    words::split(table, &mut section)?;
    Ok(section)
}

/// An error of the declaration, with the line of the key that it speaks of.
fn placed(error: Error, lines: &Lines) -> Error {
    let quoted = |key: &&&str| error.message().contains(&format!("'{key}'"));
    let key = match (&error.details().parameter, DECLARED.iter().find(quoted)) {
        (Some(parameter), _) => format!("parameters.{parameter}"),
        (None, Some(key)) => (*key).to_owned(),
        (None, None) => String::new(),
    };
    lines.place(error.without_operation().without_facts(), &key)
}

/// The name of a file of the package, which may begin with `./`.
fn file_name(table: Table<'_>, key: &str) -> Result<Option<String>> {
    let Some(name) = table.text(key)? else { return Ok(None) };
    let plain = name.strip_prefix("./").unwrap_or(&name);
    if !words::is_within(plain) {
        return Err(table.wrong(key, &name.into(), "the path of a file in the package"));
    }
    Ok(Some(plain.to_owned()))
}

fn read_digest(table: Table<'_>) -> Result<Option<Digest>> {
    let Some(text) = table.text("sha256")? else { return Ok(None) };
    let digest = text.parse::<Digest>();
    digest
        .map(Some)
        .map_err(|_| table.wrong("sha256", &text.into(), "64 digits from 0 to 9 and a to f"))
}

/// Whether a text can name an accelerator, and its directory.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
