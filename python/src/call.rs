//! What one call is given.

use std::sync::Arc;

use apyfal::{Accelerator, Call, Cancel, Progress, Report, Result, full_parameters};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value, json};

use crate::ends::with_ends;
use crate::errors::Raised;
use crate::values::{to_json, to_map};

/// What a caller says of a call: source, destination, a full set of parameters, and single ones.
pub(crate) type Said<'py> = (
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Bound<'py, PyDict>,
);

/// A source and a destination.
pub(crate) type Pair<'py> = (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// A call, its switch, how far it is, and what a caller's object raised in it.
pub(crate) struct Given {
    pub(crate) call: Call,
    pub(crate) cancel: Cancel,
    pub(crate) progress: Arc<Progress>,
    pub(crate) raised: Raised,
}

impl Given {
    pub(crate) fn new(
        (src, dst, parameters, specific): &Said<'_>,
        cancel: Cancel,
    ) -> PyResult<Self> {
        let (progress, raised) = (Arc::<Progress>::default(), Raised::default());
        let mut call = Call::new()
            .cancel(cancel.clone())
            .progress(progress.clone())
            .set_all(to_map(specific)?);
        if let Some(given) = parameters {
            call = call.parameters(to_json(given, "parameters")?);
        }
        let call = with_ends(call, src.as_ref(), dst.as_ref(), &raised)?;
        Ok(Self { call, cancel, progress, raised })
    }
}

/// How far a call is: bytes read, bytes to read where that is known, bytes written.
pub(crate) fn amounts(progress: &Progress) -> (u64, Option<u64>, u64) {
    (progress.read(), progress.total(), progress.written())
}

/// A start, and single values of the environment that go over those of its parameters.
pub(crate) struct Starting {
    pub(crate) given: Given,
    full: Option<Value>,
    env: Map<String, Value>,
}

impl Starting {
    pub(crate) fn new(
        (src, dst, parameters, specific): Said<'_>,
        env: Option<&Bound<'_, PyDict>>,
        reload: Option<bool>,
        reset: Option<bool>,
        cancel: Cancel,
    ) -> PyResult<Self> {
        let full = parameters.map(|given| to_json(&given, "parameters")).transpose()?;
        let env = env.map(to_map).transpose()?.unwrap_or_default();
        let mut given = Given::new(&(src, dst, None, specific), cancel)?;
        if let Some(reload) = reload {
            given.call = given.call.reload(reload);
        }
        if let Some(reset) = reset {
            given.call = given.call.reset(reset);
        }
        Ok(Self { given, full, env })
    }

    pub(crate) async fn run(self, accelerator: &Accelerator) -> Result<Report> {
        let Self { given: Given { call, .. }, full, env } = self;
        let full = match (full, env.is_empty()) {
            (full, true) => full,
            (None, false) => Some(json!({ "env": env })),
            (Some(given), false) => {
                let mut full = full_parameters(given, accelerator.storage()).await?;
                if let Some(root) = full.as_object_mut() {
                    match root.entry("env").or_insert_with(|| json!({})) {
                        Value::Object(given) => given.extend(env),
                        other => *other = Value::Object(env),
                    }
                }
                Some(full)
            }
        };
        let call = match full {
            Some(full) => call.parameters(full),
            None => call,
        };
        accelerator.start(call).await
    }
}
