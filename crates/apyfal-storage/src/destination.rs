//! Where a result goes, until it is complete.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use apyfal_core::{Cancel, Output, Result};

use crate::local::{Local, io_error};
use crate::object::Upload;

/// A destination under way. What is written to its [`Output`] appears when it is committed; dropped,
/// it leaves nothing. Pipes, devices and standard output alone take nothing back.
#[derive(Debug)]
#[must_use = "what is not committed is thrown away"]
pub struct Destination {
    output: Option<Output>,
    place: Target,
}

#[derive(Debug)]
enum Target {
    Local(Local),
    Object(Upload),
}

/// How a result came to where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// At once, in place of what was there.
    Whole,
    /// Into the file that was there, which could not be replaced.
    CopiedInto {
        /// The file.
        path: PathBuf,
        /// Why it could not be replaced.
        why: String,
    },
}

impl Placed {
    /// What a report says about it, if anything.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::CopiedInto { .. } => Some(self.to_string()),
        }
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the result is in its place"),
            Self::CopiedInto { path, why } => {
                let path = path.display();
                write!(f, "the result was copied into '{path}', which cannot be replaced: {why}")
            }
        }
    }
}

impl Destination {
    pub(crate) fn local((local, output): (Local, Output)) -> Self {
        Self { output: Some(output), place: Target::Local(local) }
    }

    pub(crate) fn object((upload, output): (Upload, Output)) -> Self {
        Self { output: Some(output), place: Target::Object(upload) }
    }

    /// What is written to. It is there once.
    pub fn take_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    /// Makes the result appear. To be called after the output was dropped; an object whose output
    /// is still open is finished when that is dropped.
    ///
    /// # Errors
    /// What was written could not be stored or this was cancelled, and nothing of it is there.
    pub async fn commit(self, cancel: &Cancel) -> Result<Placed> {
        drop(self.output);
        match self.place {
            Target::Local(Local::File(file)) => file.commit(),
            Target::Local(Local::Pipe(pipe)) => {
                while !pipe.try_open().map_err(|error| io_error("write", pipe.path(), error))? {
                    cancel.check()?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(Placed::Whole)
            }
            Target::Local(Local::Standard) => Ok(Placed::Whole),
            Target::Object(upload) => Box::pin(upload.commit(cancel)).await.map(|()| Placed::Whole),
        }
    }

    /// Commits where the work that wrote it went well, else aborts; gives the work's result on.
    ///
    /// # Errors
    /// That of the work, or as [`commit`](Self::commit).
    pub async fn settle<T>(self, worked: Result<T>, cancel: &Cancel) -> Result<(T, Placed)> {
        match worked {
            Ok(value) => self.commit(cancel).await.map(|placed| (value, placed)),
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    /// Throws away what was written and waits until that is done, for two seconds at most: parts
    /// stay in an object store that does not answer by then. Dropping does the same without
    /// waiting, which leaves parts too if the process ends at once.
    pub async fn abort(self) {
        drop(self.output);
        if let Target::Object(upload) = self.place {
            Box::pin(upload.abort()).await;
        }
    }
}
