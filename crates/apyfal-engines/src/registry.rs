//! The accelerators of this machine, and the engines that they have.

use std::sync::Arc;

use apyfal_core::{AcceleratorInfo, Engine, Error, ErrorKind, Result, nearest, shorten};

use crate::built_in;

/// An accelerator of this machine, with the engines that can run it.
#[derive(Clone, Debug)]
pub struct Registered {
    info: AcceleratorInfo,
    best: Arc<dyn Engine>,
    others: Vec<Arc<dyn Engine>>,
}

impl Registered {
    /// An accelerator with one engine.
    fn new(engine: Arc<dyn Engine>) -> Self {
        let info = AcceleratorInfo {
            engines: vec![engine.info().clone()],
            ..engine.accelerator().clone()
        };
        Self { info, best: engine, others: Vec::new() }
    }

    /// What it is, with what can run it.
    pub fn info(&self) -> &AcceleratorInfo {
        &self.info
    }

    /// The engine that runs it where nobody asks for another one.
    pub fn best(&self) -> &Arc<dyn Engine> {
        &self.best
    }

    /// All its engines, the best first.
    pub fn engines(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        std::iter::once(&self.best).chain(&self.others)
    }

    /// Puts an engine before those that it has.
    fn lead(&mut self, engine: Arc<dyn Engine>) {
        self.info.engines.insert(0, engine.info().clone());
        self.others.insert(0, std::mem::replace(&mut self.best, engine));
    }
}

/// The accelerators that can be used here: the built-in ones and those of the configuration.
#[derive(Clone, Debug)]
pub struct Registry {
    accelerators: Vec<Arc<Registered>>,
    /// Names of accelerators that were declared wrongly, and how.
    broken: Vec<(String, Arc<Error>)>,
}

impl Registry {
    /// Takes a list of engines, each of which is an accelerator. Of two with the same name the later
    /// one is used.
    pub fn new(engines: Vec<Arc<dyn Engine>>) -> Self {
        let accelerators = engines.into_iter().map(|engine| Arc::new(Registered::new(engine)));
        Self { accelerators: accelerators.collect(), broken: Vec::new() }
    }

    /// Adds an accelerator with this engine, which is used instead of an earlier one with the same
    /// name.
    pub fn add(&mut self, engine: Arc<dyn Engine>) {
        self.accelerators.push(Arc::new(Registered::new(engine)));
    }

    /// Adds an engine to the accelerator of its name, which has one already: it goes before those.
    ///
    /// # Errors
    /// There is no such accelerator; or it takes something else, and so is not the same.
    pub fn add_engine(&mut self, engine: Arc<dyn Engine>) -> Result<()> {
        let (ours, name) = (engine.accelerator(), engine.info().name.as_ref());
        let adding = || format!("add the engine '{name}' to {}", ours.name);
        let mut found = self.accelerators.iter_mut().rev();
        let found = found.find(|found| found.info.name.eq_ignore_ascii_case(&ours.name));
        let Some(found) = found else {
            return Err(
                Error::new(ErrorKind::NotFound, "there is no such accelerator").operation(adding())
            );
        };
        let why = match &found.info {
            theirs if theirs.engine(name).is_ok() => "it has one of this name",
            theirs if theirs.params != ours.params => "its parameters are not the same",
            theirs
                if (theirs.start_src, theirs.src, theirs.dst, theirs.rerun_safe)
                    != (ours.start_src, ours.src, ours.dst, ours.rerun_safe) =>
            {
                "what it reads and writes is not the same"
            }
            _ => {
                Arc::make_mut(found).lead(engine);
                return Ok(());
            }
        };
        Err(Error::new(ErrorKind::Conflict, why).operation(adding()))
    }

    /// Adds an accelerator that cannot be used, and why.
    pub fn add_broken(&mut self, name: impl Into<String>, error: Error) {
        self.broken.push((name.into(), Arc::new(error)));
    }

    /// The accelerators that cannot be used, and why.
    pub fn broken(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.broken.iter().map(|(name, error)| (name.as_str(), error.as_ref()))
    }

    /// All accelerators.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Registered>> {
        self.accelerators.iter()
    }

    /// An accelerator, by its name, else by an alias: no alias takes away a name.
    ///
    /// # Errors
    /// There is none, and the error names the nearest; or it cannot be used.
    pub fn find(&self, name: &str) -> Result<Arc<Registered>> {
        if let Some((_, error)) =
            self.broken().find(|(broken, _)| broken.eq_ignore_ascii_case(name))
        {
            return Err(error.duplicate());
        }
        let find = |is_meant: &dyn Fn(&AcceleratorInfo) -> bool| {
            self.accelerators.iter().rev().find(|found| is_meant(&found.info))
        };
        let found = find(&|info| info.name.eq_ignore_ascii_case(name))
            .or_else(|| find(&|info| info.is_named(name)));
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let why = format!("there is no accelerator '{}'", shorten(name));
        let error = Error::new(ErrorKind::NotFound, why);
        let names = self.accelerators.iter().flat_map(|found| {
            let AcceleratorInfo { name, aliases, .. } = &found.info;
            std::iter::once(name.as_ref()).chain(aliases.iter().map(AsRef::as_ref))
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

    use super::*;
    use crate::exec::{Declaration, Exec};

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
