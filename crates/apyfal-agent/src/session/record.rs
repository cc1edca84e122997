//! What is written down of a session.

use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;

use apyfal_core::{Directory, Error, ErrorKind, JobParameters, Result, is_secret_key};
use serde_json::{Map, Value, json};

use super::{RECORD, SessionDir};

/// What is remembered of a session.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) accelerator: String,
    /// The engine whose state it has, where its accelerator had several. Versions before knew one.
    pub(crate) engine: Option<String>,
    pub(crate) parameters: JobParameters,
}

impl SessionDir {
    /// Writes the record, which makes the session complete. One that ends with this process needs none.
    pub(crate) fn write_record(&self, record: &Record) -> Result<()> {
        if self.root.is_for_now() {
            return Ok(());
        }
        let path = self.path()?;
        let mut parameters = record.parameters.clone();
        parameters.env.retain(|key, _| !is_secret_key(key));
        let mut text = json!({
            "version": 1,
            "accelerator": record.accelerator,
            "parameters": parameters.to_start_json(),
        });
        if let Some(engine) = &record.engine {
            text["engine"] = engine.as_str().into();
        }
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(path)?;
            file.write_all(text.to_string().as_bytes())?;
            file.persist(path.join(RECORD)).map_err(|error| error.error).map(drop)
        };
        write().map_err(|error| {
            Error::from(error).operation(format!("write the session in '{}'", path.display()))
        })?;
        self.is_half_made.store(false, Ordering::Relaxed);
        self.let_go();
        Ok(())
    }

    /// Reads the record back.
    pub(crate) fn read_record(&self) -> Result<Record> {
        let path = self.path()?.join(RECORD);
        let damaged = |why: String| {
            Error::new(ErrorKind::Conflict, why)
                .operation(format!("read the session in '{}'", path.display()))
                .hint("start the accelerator again")
        };
        let text = fs::read(&path).map_err(|error| damaged(error.to_string()))?;
        let value: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if value.get("version") != Some(&json!(1)) {
            return Err(damaged("it was written by another version of apyfal".to_owned()));
        }
        let accelerator = value.get("accelerator").and_then(Value::as_str);
        Ok(Record {
            engine: value.get("engine").and_then(Value::as_str).map(str::to_owned),
            accelerator: accelerator.ok_or_else(|| damaged("no accelerator".into()))?.to_owned(),
            parameters: JobParameters::from_json(value.get("parameters").unwrap_or(&Value::Null))?,
        })
    }
}
