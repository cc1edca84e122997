//! The accelerated functions: one file each behind [`Engine`], listed here and nowhere else.

use std::sync::Arc;

use apyfal_core::{Engine, EngineInfo, Error, ErrorKind, Result, nearest, shorten};

mod copy;
pub mod exec;
mod gunzip;
mod gzip;
mod gzip_format;
mod hyperfire;
mod jpegenc;
mod null;
pub mod ordered;
mod sha3;
mod targz;
mod trng;

/// The built-in engines, in the order in which they are shown.
pub fn built_in() -> Vec<Arc<dyn Engine>> {
    vec![
        Arc::new(gzip::Gzip::new()),
        Arc::new(gunzip::Gunzip::new()),
        Arc::new(targz::TarGz::new()),
        Arc::new(sha3::Sha3::new()),
        Arc::new(jpegenc::JpegEnc::new()),
        Arc::new(trng::Trng::new()),
        Arc::new(hyperfire::Hyperfire::new()),
        Arc::new(null::Null::new()),
    ]
}

/// The engines that can be used here: the built-in ones and those of the configuration.
#[derive(Clone, Debug)]
pub struct Registry {
    engines: Vec<Arc<dyn Engine>>,
    /// Names of accelerators that were declared wrongly, and how.
    broken: Vec<(String, Arc<Error>)>,
}

impl Registry {
    /// Takes a list of engines. Of two with the same name the later one is used.
    pub fn new(engines: Vec<Arc<dyn Engine>>) -> Self {
        Self { engines, broken: Vec::new() }
    }

    /// Adds an engine, which goes before an earlier one with the same name.
    pub fn add(&mut self, engine: Arc<dyn Engine>) {
        self.engines.push(engine);
    }

    /// Adds an accelerator that cannot be used, and why.
    pub fn add_broken(&mut self, name: impl Into<String>, error: Error) {
        self.broken.push((name.into(), Arc::new(error)));
    }

    /// The accelerators that cannot be used, and why.
    pub fn broken(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.broken.iter().map(|(name, error)| (name.as_str(), error.as_ref()))
    }

    /// All engines.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.engines.iter()
    }

    /// The engine of an accelerator, by its name, else by an alias: no alias takes away a name.
    ///
    /// # Errors
    /// There is none, and the error names the nearest; or it cannot be used.
    pub fn find(&self, name: &str) -> Result<Arc<dyn Engine>> {
        if let Some((_, error)) =
            self.broken().find(|(broken, _)| broken.eq_ignore_ascii_case(name))
        {
            return Err(error.duplicate());
        }
        let find = |is_meant: &dyn Fn(&EngineInfo) -> bool| {
            self.engines.iter().rev().find(|engine| is_meant(engine.info()))
        };
        let found = find(&|info| info.name.eq_ignore_ascii_case(name))
            .or_else(|| find(&|info| info.is_named(name)));
        if let Some(engine) = found {
            return Ok(engine.clone());
        }
        let why = format!("there is no accelerator '{}'", shorten(name));
        let error = Error::new(ErrorKind::NotFound, why);
        let names = self.engines.iter().flat_map(|engine| {
            let info = engine.info();
            std::iter::once(info.name.as_ref()).chain(info.aliases.iter().map(AsRef::as_ref))
        });
        Err(match nearest(name, names) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint("'apyfal accelerators' lists those that exist"),
        })
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(built_in())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::exec::{Declaration, Exec};
    use super::*;

    #[test]
    fn names_go_before_aliases() {
        let mut registry = Registry::default();
        for (name, alias) in [("one", "gzip"), ("two", "one"), ("three", "mine")] {
            let section = json!({ "command": ["cat"], "aliases": [alias] });
            let section = section.as_object().unwrap();
            let declaration = Declaration::new(name, section).unwrap();
            registry.add(Arc::new(Exec::new(declaration, std::env::temp_dir())));
        }
        for (asked, found) in [("GZIP", "gzip"), ("one", "one"), ("mine", "three")] {
            assert_eq!(registry.find(asked).unwrap().info().name, found);
        }
    }
}
