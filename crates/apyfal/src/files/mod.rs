//! One accelerator over many files, several at a time. What was done is written down beside the results,
//! and not done again.

mod asked;
mod chunks;
mod found;
mod journal;
mod outputs;
mod pattern;
mod sources;
mod work;

use std::path::Path;
use std::sync::Arc;

use apyfal_core::{
    AcceleratorInfo, Cancel, Error, ErrorKind, JobParameters, Need, Progress, Result,
};
use apyfal_storage::Storage;
use parking_lot::Mutex;

use crate::Accelerator;
use crate::bounded::Bounded;
use chunks::Chunks;
use found::Found;
use outputs::{End, Root};
use work::Work;

pub use asked::Asked;
pub use journal::Journal;
pub use outputs::{Item, Items};
pub use work::Outcome;

/// Which files are mapped, and where their results go.
#[derive(Debug)]
pub struct Plan {
    /// The sources with the places of their results.
    pub items: Items,
    /// What else was found, and why it cannot be mapped.
    pub failed: Vec<(String, Error)>,
    root: Root,
    /// The destination, as it was written.
    dst: String,
}

impl Plan {
    /// Finds the sources that a text means (a directory, a pattern, the folder of a store, or `@` and a
    /// list), and a place for each result below `dst`. The names of results end as is usual for the
    /// accelerator, or with `suffix`.
    ///
    /// # Errors
    /// A text means nothing, or results would be in each other's way.
    pub async fn of(
        src: &str,
        dst: &str,
        suffix: Option<String>,
        info: &AcceleratorInfo,
        storage: &Storage,
    ) -> Result<Self> {
        let root = Root::parse(dst)?;
        if info.dst == Need::None && root.folder().is_none() {
            return Err(Error::new(ErrorKind::Usage, "reports are written to a directory only")
                .operation(format!("write to '{dst}'")));
        }
        let Found { sources, failed } = sources::find(src, storage, root.folder()).await?;
        let end = suffix.map_or_else(|| End::of(info), End::Add);
        let items = Items::new(sources, root.clone(), end)?;
        Ok(Self { items, failed, root, dst: dst.to_owned() })
    }

    /// Opens the journal of what is done: beside the results, or below the home directory where those
    /// are in a store.
    ///
    /// # Errors
    /// Another map writes to the same destination, there is no home directory, or the journal cannot
    /// be written.
    pub fn journal(&self, home: Option<&Path>) -> Result<Journal> {
        let path = match (&self.root, home) {
            (Root::Folder(folder), _) => folder.join(journal::NAME),
            (Root::Store(_), Some(home)) => journal::far_away(home, &self.dst),
            (Root::Store(_), None) => {
                return Err(Error::new(ErrorKind::Configuration, "there is no home directory")
                    .operation("find a place for what is done"));
            }
        };
        Journal::open(path)
    }
}

/// How files are mapped.
#[derive(Debug)]
pub struct FileMapOptions {
    /// What has been done by now, as [`Plan::journal`] found it.
    pub journal: Journal,
    /// What is asked for; what was done otherwise is done again.
    pub asked: Asked,
    /// The parameters of each job, as [`Accelerator::check`] gave them.
    pub parameters: JobParameters,
    /// Whether what is done is done again.
    pub again: bool,
    /// Ends all of it.
    pub cancel: Cancel,
}

/// A file, where it can be told, and what became of it.
type Ended = (Option<Item>, Result<Outcome>);

/// A map under way.
///
/// Only so many files are worked on as can be of use. Dropping it ends what runs.
#[derive(Debug)]
pub struct FileMap {
    work: Arc<Work>,
    tasks: Bounded<Chunks, Vec<Ended>>,
    /// Of those that ended, what is still to be told.
    ended: std::vec::IntoIter<Ended>,
    /// How far those are that run.
    live: Arc<Mutex<Vec<Arc<Progress>>>>,
}

impl FileMap {
    /// A map of these files by an accelerator that was started.
    ///
    /// # Errors
    /// No host tells what the accelerator is.
    pub async fn new(
        accelerator: &Accelerator,
        items: Items,
        options: FileMapOptions,
    ) -> Result<Self> {
        let FileMapOptions { journal, asked, parameters, again, cancel } = options;
        let (info, accelerator) = (accelerator.info().await?.clone(), accelerator.clone());
        let (folders, threads) = (Mutex::default(), accelerator.width_on(false));
        let (quick, writes) = (accelerator.quick() as u64, info.dst != Need::None);
        let chunks = Chunks::new(items, quick, writes, threads);
        let work = Work { accelerator, info, parameters, cancel, journal, asked, again, folders };
        let (tasks, ended) = (Bounded::new(chunks), Vec::new().into_iter());
        Ok(Self { work: Arc::new(work), tasks, ended, live: Arc::default() })
    }

    /// The next file that ended and what became of it; none after the last. Of a file whose task ended
    /// early, or which cannot be told any more, there is only the error.
    ///
    /// It may be given up and called again.
    pub async fn next(&mut self) -> Option<(Option<Item>, Result<Outcome>)> {
        if let Some(ended) = self.ended.next() {
            return Some(ended);
        }
        let Self { work, tasks, live, .. } = self;
        if work.cancel.is_cancelled() {
            tasks.begin_no_more();
        }
        let is_on_files = |chunk: &Vec<Result<Item>>| {
            chunk.iter().flatten().next().is_some_and(|item| work.is_on_files(item))
        };
        let width = |chunk: &Vec<Result<Item>>| work.accelerator.width_on(is_on_files(chunk));
        tasks.fill(width, |chunk| {
            let (work, live) = (work.clone(), live.clone());
            async move { work.run_all(chunk, &live).await }
        });
        match tasks.next().await? {
            Ok(ended) => {
                self.ended = ended.into_iter();
                self.ended.next()
            }
            Err(error) => {
                let why = "the task of a file ended early";
                Some((None, Err(Error::new(ErrorKind::Internal, why).source(error))))
            }
        }
    }

    /// How far those are that run.
    pub fn live(&self) -> Vec<Arc<Progress>> {
        self.live.lock().clone()
    }

    /// Ends what runs, and begins no more.
    pub async fn end(mut self) {
        self.tasks.end().await;
    }
}

/// The URL of a file, whatever characters its path has.
pub fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                url.push((*byte).into());
            }
            _ => url += &format!("%{byte:02X}"),
        }
    }
    url
}
