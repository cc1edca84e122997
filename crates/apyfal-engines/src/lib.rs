//! The accelerated functions: one file each behind [`Engine`], listed here and nowhere else.

use std::sync::Arc;

use apyfal_core::{Engine, Error, ErrorKind, Result, nearest};

mod copy;
pub mod exec;
mod file_lock;
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
}

impl Registry {
    /// Takes a list of engines. Of two with the same name the later one is used.
    pub fn new(engines: Vec<Arc<dyn Engine>>) -> Self {
        Self { engines }
    }

    /// All engines.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.engines.iter()
    }

    /// The engine of an accelerator, by its name or an alias.
    ///
    /// # Errors
    /// There is none; the error names the nearest.
    pub fn find(&self, name: &str) -> Result<Arc<dyn Engine>> {
        if let Some(engine) = self.engines.iter().rev().find(|engine| engine.info().is_named(name))
        {
            return Ok(engine.clone());
        }
        let error = Error::new(ErrorKind::NotFound, format!("there is no accelerator '{name}'"));
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
