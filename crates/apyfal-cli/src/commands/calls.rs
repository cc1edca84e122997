//! The calls of an accelerator that a command was told to make.

use apyfal::{Accelerator, AcceleratorInfo, Call, Result, full_parameters};
use serde_json::{Map, Value};

use crate::commands::Context;

/// What a command was given for a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Parameters one by one.
    pub(crate) keywords: Map<String, Value>,
    /// Full parameters: JSON, or where that is.
    pub(crate) full: Option<Value>,
    /// The engine that is asked for.
    pub(crate) engine: Option<String>,
    pub(crate) src: Option<String>,
    pub(crate) dst: Option<String>,
}

impl Given {
    /// The call, which ends with the command.
    pub(crate) fn call(self, context: &Context<'_>) -> Call {
        let Self { keywords, full, engine, src, dst } = self;
        let mut call = Call::new().set_all(keywords).cancel(context.cancel.clone());
        if let Some(full) = full {
            call = call.parameters(full);
        }
        if let Some(engine) = engine {
            call = call.engine(engine);
        }
        if let Some(src) = src {
            call = call.src(src);
        }
        if let Some(dst) = dst {
            call = call.dst(dst);
        }
        call
    }

    /// What is for `start`, and what is for the jobs after it, which run on the engine of their
    /// start. Full parameters may be of either: they are read once, start takes all of them, and the
    /// jobs find those of start unchanged.
    ///
    /// # Errors
    /// The full parameters cannot be read.
    pub(crate) async fn by_stage(
        self,
        info: &AcceleratorInfo,
        accelerator: &Accelerator,
        context: &Context<'_>,
    ) -> Result<(Self, Self)> {
        let full = match self.full {
            Some(full) => {
                let reading = full_parameters(full, accelerator.storage());
                Some(context.cancel.or_cancelled(reading).await?)
            }
            None => None,
        };
        let (start, process) =
            self.keywords.into_iter().partition(|(key, _)| info.is_of_start(key));
        let engine = self.engine;
        let start = Self { keywords: start, full: full.clone(), engine, ..Self::default() };
        Ok((start, Self { keywords: process, full, ..Self::default() }))
    }
}
