//! One file of a map.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apyfal_core::{
    AcceleratorInfo, Cancel, Error, ErrorKind, JobParameters, Need, Output, Progress, Report,
    Result, Sink,
};
use apyfal_storage::Location;
use parking_lot::Mutex;
use serde_json::Value;

use super::asked::Asked;
use super::journal::{Journal, Made, Stamp};
use super::outputs::Item;
use crate::{Accelerator, Call};

/// What all files share.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) accelerator: Accelerator,
    pub(crate) info: AcceleratorInfo,
    pub(crate) parameters: JobParameters,
    pub(crate) cancel: Cancel,
    pub(crate) journal: Journal,
    pub(crate) asked: Asked,
    /// Whether what is done is done again.
    pub(crate) again: bool,
    /// The directory of results that was made last.
    pub(crate) folder: Mutex<PathBuf>,
}

/// What became of a file that did not fail.
#[derive(Debug)]
pub enum Outcome {
    /// It was done before.
    Skipped,
    /// Its job ended well.
    Done(Box<Report>),
}

impl Work {
    /// The job of a file.
    pub(crate) fn call(&self, item: &Item, progress: &Arc<Progress>) -> Call {
        let mut call = Call::new()
            .src(&item.source.url)
            .checked(self.parameters.clone())
            .cancel(self.cancel.clone())
            .progress(progress.clone());
        if self.info.dst != Need::None {
            call = call.dst(&item.url);
        }
        call
    }

    /// Whether the data of a file's job is in files of this machine.
    pub(crate) fn is_on_files(&self, item: &Item) -> bool {
        let is_file = |location: &Location| matches!(location, Location::File(_));
        is_file(&item.source.location) && (self.info.dst == Need::None || is_file(&item.location))
    }

    /// Does what is to be done for a file.
    ///
    /// # Errors
    /// Its job failed, or its result cannot be written.
    pub(crate) async fn run(&self, item: &Item, progress: &Arc<Progress>) -> Result<Outcome> {
        self.cancel.or_cancelled(self.prepared(item, progress)).await
    }

    async fn prepared(&self, item: &Item, progress: &Arc<Progress>) -> Result<Outcome> {
        let storage = self.accelerator.storage();
        // Seen before it is read: what changes meanwhile is done again next time.
        let from = match &item.source.stamp {
            Some(stamp) => stamp.clone(),
            None => Stamp::of(&item.source.location, storage).await?,
        };
        let source = item.source.location.to_string();
        if let Some(made) = self.journal.made(&item.name).filter(|_| !self.again)
            && made.source == source
            && let Some(output) = self.output(item).await?
        {
            let work = self.asked.now.clone();
            let now = Made { source: source.clone(), from: from.clone(), work, output };
            let can_tell = now.from.tells() && now.output.tells();
            if can_tell && *made == now {
                return Ok(Outcome::Skipped);
            }
            if can_tell && *made == self.before(&now, item) {
                // From now on all of it is known.
                self.journal.record(&item.name, &now)?;
                return Ok(Outcome::Skipped);
            }
        }
        if let Location::File(path) = &item.location
            && let Some(folder) = path.parent()
        {
            self.make_folder(folder)?;
        }
        let report = self.accelerator.process(self.call(item, progress)).await?;
        if self.info.dst == Need::None {
            self.write_report(item, &report).await?;
        }
        let output = self.output(item).await?.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "it went away meanwhile")
                .operation(format!("find '{}'", item.location))
        })?;
        let made = Made { source, from, work: self.asked.now.clone(), output };
        self.journal.record(&item.name, &made)?;
        Ok(Outcome::Done(Box::new(report)))
    }

    /// Makes a directory for results, unless it is that of the result before, as of most.
    fn make_folder(&self, folder: &Path) -> Result<()> {
        if *self.folder.lock() == folder {
            return Ok(());
        }
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::from(error).operation(format!("make the directory '{}'", folder.display()))
        })?;
        folder.clone_into(&mut self.folder.lock());
        Ok(())
    }

    /// What earlier versions would have remembered of a result.
    fn before(&self, made: &Made, item: &Item) -> Made {
        Made {
            source: made.source.clone(),
            from: made.from.before(&item.source.location),
            work: self.asked.before.clone(),
            output: made.output.before(&item.location),
        }
    }

    /// The result as it is now, where there is one.
    async fn output(&self, item: &Item) -> Result<Option<Stamp>> {
        match Stamp::of(&item.location, self.accelerator.storage()).await {
            Ok(stamp) => Ok(Some(stamp)),
            Err(error) if error.kind() == ErrorKind::StorageNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes what a job told that has no other result.
    async fn write_report(&self, item: &Item, report: &Report) -> Result<()> {
        let doing = || format!("write '{}'", item.location);
        let only_files = || {
            let why = "reports are written to a directory only";
            Error::new(ErrorKind::Usage, why).operation(doing())
        };
        if !matches!(item.location, Location::File(_)) {
            return Err(only_files());
        }
        let storage = self.accelerator.storage();
        let mut destination = storage.create_output(&item.location).await?;
        let sink = destination.take_output().map(Output::into_sink);
        let Some(Sink::File { mut file, .. }) = sink else { return Err(only_files()) };
        let text = format!("{:#}\n", Value::Object(report.specific.clone()));
        file.write_all(text.as_bytes()).map_err(|error| Error::from(error).operation(doing()))?;
        destination.commit(&self.cancel).await.map(drop)
    }
}
