//! Provisional.
#![allow(missing_docs, missing_debug_implementations, clippy::unused_async)]
use apyfal_core::{Cancel, Input, Output, Progress, Result};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Location(String);
impl Location {
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(text.to_owned()))
    }
    pub fn is_local(&self) -> bool {
        true
    }
}
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
#[derive(Clone, Debug, Default)]
pub struct Storage;
#[derive(Debug)]
pub struct Destination(Option<Output>, Option<tempfile::NamedTempFile>, String);
impl Storage {
    pub fn new() -> Self {
        Self
    }
    pub async fn open_input(&self, l: &Location) -> Result<Input> {
        if l.0 == "-" {
            return Ok(Input::stream(std::io::stdin()));
        }
        Ok(Input::file(std::fs::File::open(&l.0)?, &l.0)?)
    }
    pub async fn create_output(&self, l: &Location) -> Result<Destination> {
        if l.0 == "-" {
            return Ok(Destination(Some(Output::stream(std::io::stdout())), None, l.0.clone()));
        }
        let p = std::path::Path::new(&l.0)
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(std::path::Path::new("."));
        let t = tempfile::NamedTempFile::new_in(p)?;
        Ok(Destination(Some(Output::file(t.reopen()?, t.path())), Some(t), l.0.clone()))
    }
    pub async fn copy(
        &self,
        _s: &Location,
        _d: &Location,
        _c: &Cancel,
        _p: &Arc<Progress>,
    ) -> Result<u64> {
        Ok(0)
    }
}
impl Destination {
    pub fn take_output(&mut self) -> Result<Output> {
        self.0.take().ok_or_else(apyfal_core::Error::cancelled)
    }
    pub async fn commit(self) -> Result<()> {
        if let Some(t) = self.1 {
            t.persist(self.2).map_err(|e| e.error)?;
        }
        Ok(())
    }
}
