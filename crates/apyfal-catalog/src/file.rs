//! `catalog.toml`, read with errors that name the line and the key.
//!
//! ```toml
//! [agent.x86_64]
//! url = "apyfal-x86_64"
//! sha256 = "…"
//!
//! [accelerator.my_accelerator]
//! package = { url = "my_accelerator-1.0.0.apyfal", sha256 = "…" }
//!
//! [accelerator.my_accelerator.AWS.eu-west-1]
//! image = "ami-…"                       # or { ssm = "…" }, or { name = "…", owner = "…" }
//! images.other = { ssm = "…" }          # others that serve as well, to be chosen by name
//! instancetype = "f2.6xlarge"
//! fpgaimage = "agfi-…"
//! anything_else = "goes to the host's accelerator when it starts"
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use apyfal_core::{Error, ErrorKind, Result, nearest};
use apyfal_machine::regular;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Accelerator, Artifact, Catalog, Image, Requirements};

const CATALOG: [&str; 2] = ["accelerator", "agent"];
const ARTIFACT: [&str; 2] = ["sha256", "url"];
const IMAGE: [&str; 3] = ["name", "owner", "ssm"];
const PACKAGE: &str = "package";

/// A catalog file is refused beyond this many bytes.
const LIMIT: u64 = 64 << 20;

impl Catalog {
    /// Reads a catalog file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or the file cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = regular::read_text(path, LIMIT).map_err(|error| {
            Error::new(ErrorKind::Configuration, Error::from(error).message())
                .operation(format!("read the catalog '{name}'"))
        })?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a catalog file. `name` is what the file is called in errors.
    ///
    /// # Errors
    /// It is no TOML, or a key is unknown, missing or ill-typed; the error has its line.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let file = File { text };
        file.catalog().map_err(|error| error.operation(format!("read the catalog '{name}'")))
    }
}

struct File<'a> {
    text: &'a str,
}

/// A key and its value, with the names of the tables that it is in.
struct Entry<'a> {
    path: String,
    key: &'a str,
    value: &'a Spanned<DeValue<'a>>,
    /// Where the key is.
    at: Range<usize>,
}

impl File<'_> {
    fn catalog(&self) -> Result<Catalog> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let message = error.message().lines().next().unwrap_or("it is no TOML").to_owned();
            self.wrong(error.span().unwrap_or_default(), message)
        })?;
        let mut catalog = Catalog::default();
        for entry in entries("", table.get_ref()) {
            match entry.key {
                "agent" => {
                    for entry in self.table(&entry)? {
                        let agent = self.artifact(&entry)?;
                        catalog.agents.insert(entry.key.to_owned(), agent);
                    }
                }
                "accelerator" => {
                    for entry in self.table(&entry)? {
                        let accelerator = self.accelerator(&entry)?;
                        catalog.accelerators.insert(entry.key.to_owned(), accelerator);
                    }
                }
                _ => return Err(self.unknown(&entry, &CATALOG)),
            }
        }
        Ok(catalog)
    }

    fn accelerator(&self, entry: &Entry<'_>) -> Result<Accelerator> {
        let mut accelerator = Accelerator::default();
        for entry in self.table(entry)? {
            if entry.key == PACKAGE {
                accelerator.package = Some(self.artifact(&entry)?);
                continue;
            }
            if !entry.value.get_ref().is_table() {
                let error = self.unknown(&entry, &[PACKAGE]);
                return Err(
                    error.hint("tables in it are host types: [accelerator.NAME.AWS.REGION]")
                );
            }
            let mut regions = BTreeMap::new();
            for region in self.table(&entry)? {
                if !region.value.get_ref().is_table() {
                    let error =
                        self.wrong(region.at.clone(), format!("'{}' is in no region", region.path));
                    return Err(error.hint(format!(
                        "write it below [{}.REGION], or [{}.\"*\"] where it is the same in all",
                        entry.path, entry.path
                    )));
                }
                regions.insert(region.key.to_owned(), self.requirements(&region)?);
            }
            accelerator.hosts.insert(entry.key.to_owned(), regions);
        }
        Ok(accelerator)
    }

    fn requirements(&self, entry: &Entry<'_>) -> Result<Requirements> {
        let mut requirements = Requirements::default();
        for entry in self.table(entry)? {
            match entry.key {
                "image" => requirements.image = Some(self.image(&entry)?),
                "images" => {
                    for entry in self.table(&entry)? {
                        requirements.images.insert(entry.key.to_owned(), self.image(&entry)?);
                    }
                }
                "instancetype" => requirements.instancetype = Some(self.word(&entry)?),
                "fpgaimage" => requirements.fpgaimage = Some(self.word(&entry)?),
                key => {
                    let value = self.json(&entry.path, entry.value)?;
                    requirements.environment.insert(key.to_owned(), value);
                }
            }
        }
        Ok(requirements)
    }

    fn image(&self, entry: &Entry<'_>) -> Result<Image> {
        if !entry.value.get_ref().is_table() {
            return self.word(entry).map(Image::Id);
        }
        let mut found = BTreeMap::new();
        for entry in self.table(entry)? {
            if !IMAGE.contains(&entry.key) {
                return Err(self.unknown(&entry, &IMAGE));
            }
            found.insert(entry.key, self.word(&entry)?);
        }
        match (found.remove("ssm"), found.remove("name"), found.remove("owner")) {
            (Some(ssm), None, None) => Ok(Image::Parameter { ssm }),
            (None, Some(name), Some(owner)) => Ok(Image::Name { name, owner }),
            (None, Some(_), None) => Err(self
                .wrong(entry.at.clone(), format!("'{}' has a name and no owner", entry.path))
                .hint("name the account too: anybody can give an image that name")),
            _ => Err(self
                .wrong(entry.at.clone(), format!("'{}' names no image", entry.path))
                .hint("give an id, { ssm = \"…\" }, or { name = \"…\", owner = \"…\" }")),
        }
    }

    fn artifact(&self, entry: &Entry<'_>) -> Result<Artifact> {
        let (mut url, mut sha256) = (None, None);
        for entry in self.table(entry)? {
            match entry.key {
                "url" => url = Some(self.word(&entry)?),
                "sha256" => {
                    let digest = self.word(&entry)?.to_ascii_lowercase();
                    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                        let why = format!("'{}' is not 64 hexadecimal digits", entry.path);
                        return Err(self.wrong(entry.at.clone(), why));
                    }
                    sha256 = Some(digest);
                }
                _ => return Err(self.unknown(&entry, &ARTIFACT)),
            }
        }
        match (url, sha256) {
            (Some(url), Some(sha256)) => Ok(Artifact { url, sha256 }),
            _ => Err(self
                .wrong(entry.at.clone(), format!("'{}' needs both url and sha256", entry.path))
                .hint("'apyfal pack' and sha256sum tell the digest")),
        }
    }

    fn table<'a>(&self, entry: &Entry<'a>) -> Result<Vec<Entry<'a>>> {
        match entry.value.get_ref().as_table() {
            Some(table) => Ok(entries(&entry.path, table)),
            None => Err(self.mistyped(entry, "a table")),
        }
    }

    /// Text that is not empty.
    fn word(&self, entry: &Entry<'_>) -> Result<String> {
        match entry.value.get_ref().as_str() {
            Some("") => Err(self.wrong(entry.at.clone(), format!("'{}' is empty", entry.path))),
            Some(text) => Ok(text.to_owned()),
            None => Err(self.mistyped(entry, "text")),
        }
    }

    fn json(&self, path: &str, value: &Spanned<DeValue<'_>>) -> Result<Value> {
        let unusable = || self.wrong(value.span(), format!("'{path}' is out of range"));
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| unusable())?.into()
            }
            DeValue::Float(number) => {
                let number: f64 = number.as_str().parse().map_err(|_| unusable())?;
                serde_json::Number::from_f64(number).ok_or_else(unusable)?.into()
            }
            DeValue::Datetime(date) => Value::String(date.to_string()),
            DeValue::Array(values) => {
                values.iter().map(|value| self.json(path, value)).collect::<Result<_>>()?
            }
            DeValue::Table(table) => {
                let mut map = Map::new();
                for entry in entries(path, table) {
                    map.insert(entry.key.to_owned(), self.json(&entry.path, entry.value)?);
                }
                Value::Object(map)
            }
        })
    }

    fn mistyped(&self, entry: &Entry<'_>, wanted: &str) -> Error {
        let is = entry.value.get_ref().type_str();
        let article = if is.starts_with(['a', 'i']) { "an" } else { "a" };
        self.wrong(
            entry.at.clone(),
            format!("'{}' must be {wanted}, not {article} {is}", entry.path),
        )
    }

    fn unknown(&self, entry: &Entry<'_>, known: &[&str]) -> Error {
        let error = self.wrong(entry.at.clone(), format!("'{}' is not known", entry.path));
        match nearest(entry.key, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint(format!("known there: {}", known.join(", "))),
        }
    }

    fn wrong(&self, at: Range<usize>, why: impl Into<String>) -> Error {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        Error::new(ErrorKind::Configuration, format!("line {line}: {}", why.into()))
    }
}

fn entries<'a>(path: &str, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let entry = |(key, value): (&'a Spanned<std::borrow::Cow<'a, str>>, _)| Entry {
        path: match path {
            "" => key.get_ref().to_string(),
            path => format!("{path}.{}", key.get_ref()),
        },
        key: key.get_ref(),
        value,
        at: key.span(),
    };
    table.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_says_all_that_it_can() {
        let text = r#"
            [agent.x86_64]
            url = "agent"
            sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            [accelerator.mine]
            package = { url = "mine.apyfal", sha256 = "1111111111111111111111111111111111111111111111111111111111111111" }
            [accelerator.mine.AWS.eu-west-1]
            image = { name = "x-*", owner = "42" }
            instancetype = "f2.6xlarge"
            fpgaimage = "agfi-1"
            ports = [1, 2.5, true, { a = "b" }]
            [accelerator.mine.AWS."*"]
            image = { ssm = "/aws/x" }
        "#;
        let catalog = Catalog::parse(text, "c").unwrap();
        assert_eq!(catalog.agents["x86_64"].sha256, "a".repeat(64));
        let regions = &catalog.accelerators["mine"].hosts["AWS"];
        let image = regions["*"].image.as_ref().unwrap();
        assert_eq!(image.as_id().unwrap(), "resolve:ssm:/aws/x");
        let there = &regions["eu-west-1"];
        assert_eq!(there.image.as_ref().unwrap().as_id(), None);
        assert_eq!(there.environment["ports"], serde_json::json!([1, 2.5, true, {"a": "b"}]));
        let again: Catalog =
            serde_json::from_str(&serde_json::to_string(&catalog).unwrap()).unwrap();
        assert_eq!(again, catalog, "as JSON it is the same");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, why) in [
            (
                "[accelerator.a.AWS.r]\nimage = 5",
                "line 2: 'accelerator.a.AWS.r.image' must be text, not an integer",
            ),
            (
                "[accelerator.a.AWS]\nimage = 'x'",
                "line 2: 'accelerator.a.AWS.image' is in no region",
            ),
            ("[accelerator.a]\n\npackge = 1", "line 3: 'accelerator.a.packge' is not known"),
            ("[accelerator.a]\npackage = {url='u'}", "line 2: 'accelerator.a.package' needs both"),
            (
                "[accelerator.a]\npackage = {url='u', sha256='0'}",
                "line 2: 'accelerator.a.package.sha256' is not 64",
            ),
            (
                "[accelerator.a.AWS.r]\nimage = {name='u'}",
                "line 2: 'accelerator.a.AWS.r.image' has a name and no owner",
            ),
            ("[accelerator.a.AWS.r]\nimage = {}", "names no image"),
            (
                "[accelerator.a.AWS.r]\ninstancetype = ''",
                "line 2: 'accelerator.a.AWS.r.instancetype' is empty",
            ),
            ("[acelerator.a]", "line 1: 'acelerator' is not known"),
            ("accelerator = 1", "must be a table"),
            ("[accelerator.a\nx=1", "line 1: "),
            ("a = 1\na = 2", "line 2: duplicate key"),
            ("[accelerator.a.AWS.r]\nx = 99999999999999999999", "out of range"),
        ] {
            let error = Catalog::parse(text, "catalog.toml").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let said = error.to_string();
            assert!(said.starts_with("cannot read the catalog 'catalog.toml': "), "{said}");
            assert!(said.contains(why), "{text}: {said}");
        }
        assert!(Catalog::parse("", "empty").unwrap().accelerators.is_empty());
    }

    #[test]
    fn any_text_is_a_catalog_or_refused() {
        bolero::check!().with_iterations(2_000).with_max_len(1024).for_each(|bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            match Catalog::parse(text, "any text") {
                Ok(catalog) => drop(Catalog::from_original(&catalog.to_original())),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Configuration, "{error}"),
            }
            // What a server answers.
            if let Ok(answer) = serde_json::from_str(text) {
                let read = Catalog::from_original(&answer);
                let again = Catalog::from_original(&read.to_original());
                assert_eq!(again.to_original(), read.to_original());
            }
        });
    }
}
