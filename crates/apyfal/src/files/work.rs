//! One file of a map.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use apyfal_core::{
    AcceleratorInfo, Cancel, Error, ErrorKind, JobParameters, Need, Output, Progress, Report,
    Result, Sink,
};
use apyfal_storage::Location;
use parking_lot::Mutex;
use serde_json::Value;

use super::asked::Asked;
use super::journal::{Journal, Lines, Made, Stamp};
use super::outputs::Item;
use crate::{Accelerator, Call};

/// So many directories of results are remembered, in which several threads may be at once.
const FOLDERS: usize = 64;

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
    /// Directories of results that are there.
    pub(crate) folders: Mutex<HashSet<PathBuf>>,
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
        let call = match &item.source.location {
            Location::File(path) => Call::new().src_file(path),
            _ => Call::new().src(&item.source.url),
        };
        let call = call
            .checked(self.parameters.clone())
            .cancel(self.cancel.clone())
            .progress(progress.clone());
        match &item.location {
            _ if self.info.dst == Need::None => call,
            Location::File(path) => call.dst_file(path),
            _ => call.dst(&item.url),
        }
    }

    /// Whether the data of a file's job is in files of this machine.
    pub(crate) fn is_on_files(&self, item: &Item) -> bool {
        let is_file = |location: &Location| matches!(location, Location::File(_));
        is_file(&item.source.location) && (self.info.dst == Need::None || is_file(&item.location))
    }

    /// Does what is to be done for some files, one after the other, and writes down what was done. Who runs is `live`
    /// meanwhile.
    pub(crate) async fn run_all(
        &self,
        items: Vec<Result<Item>>,
        live: &Mutex<Vec<Arc<Progress>>>,
    ) -> Vec<(Option<Item>, Result<Outcome>)> {
        let (mut all, mut lines) = (Vec::with_capacity(items.len()), self.journal.lines());
        // Which of them the lines are of.
        let mut unwritten = 0;
        for item in items {
            let item = match item {
                Ok(item) => item,
                Err(error) => {
                    all.push((None, Err(error)));
                    continue;
                }
            };
            let progress = Arc::new(Progress::default());
            live.lock().push(progress.clone());
            let ran = {
                let mut running = pin!(self.run(&item, &progress));
                match futures::poll!(&mut running) {
                    Poll::Ready(ran) => ran,
                    Poll::Pending => {
                        // What is done is not forgotten by who is killed while this one waits, such as for others.
                        write(&mut lines, &mut all[unwritten..]);
                        unwritten = all.len();
                        running.await
                    }
                }
            };
            live.lock().retain(|one| !Arc::ptr_eq(one, &progress));
            let outcome = ran.map(|(outcome, made)| {
                made.iter().for_each(|made| lines.record(&item.name, made));
                outcome
            });
            all.push((Some(item), outcome));
        }
        write(&mut lines, &mut all[unwritten..]);
        all
    }

    /// Does what is to be done for a file. What the journal is to remember of it comes too.
    ///
    /// # Errors
    /// Its job failed, or its result cannot be written.
    async fn run(&self, item: &Item, progress: &Arc<Progress>) -> Result<(Outcome, Option<Made>)> {
        self.cancel.or_cancelled(self.prepared(item, progress)).await
    }

    async fn prepared(
        &self,
        item: &Item,
        progress: &Arc<Progress>,
    ) -> Result<(Outcome, Option<Made>)> {
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
                return Ok((Outcome::Skipped, None));
            }
            if can_tell && *made == self.before(&now, item) {
                // From now on all of it is known.
                return Ok((Outcome::Skipped, Some(now)));
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
        Ok((Outcome::Done(Box::new(report)), Some(made)))
    }

    /// Makes a directory for results, unless it was that of one before.
    fn make_folder(&self, folder: &Path) -> Result<()> {
        if self.folders.lock().contains(folder) {
            return Ok(());
        }
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::from(error).operation(format!("make the directory '{}'", folder.display()))
        })?;
        let mut folders = self.folders.lock();
        if folders.len() == FOLDERS {
            folders.clear();
        }
        folders.insert(folder.to_owned());
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

/// Writes lines, without which the files that they are of do not count as done.
fn write(lines: &mut Lines<'_>, of: &mut [(Option<Item>, Result<Outcome>)]) {
    let Err(error) = lines.write() else { return };
    for (_, outcome) in of {
        if matches!(outcome, Ok(Outcome::Done(_))) {
            *outcome = Err(error.duplicate());
        }
    }
}
