//! Objects in stores, through OpenDAL.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Input, Output, Progress, Result};
use bytes::Bytes;
use futures::{StreamExt, stream};
use opendal::{Buffer, Writer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bridge::{BlockReceiver, Failure, StreamReader, block_channel};
use crate::bucket::Bucket;
use crate::error::CHANGED;
use crate::location::ObjectLocation;
use crate::version::Version;

/// The size of the parts in which objects are read, and of the first ones that are written.
pub(crate) const PART: usize = 8 << 20;
/// How many parts are on their way at once.
pub(crate) const PARALLEL: usize = 4;
/// The size of the parts that a store copies by itself: one answers within a few seconds.
const COPY_PART: usize = 256 << 20;
/// After so many parts their size doubles, so that the 10,000 that S3 allows hold 8 TiB although
/// the length is not known when the first is sent.
const PARTS_PER_SIZE: usize = 1_000;
/// How often a request is sent again, with pauses from 0.2 s that double each time.
pub(crate) const RETRIES: usize = 4;
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long the last request of what was given up may take, and then as long again its removal.
const CLEAN_UP: Duration = Duration::from_secs(1);

/// What the store tells of an object.
pub(crate) async fn metadata(
    bucket: &Bucket,
    location: &ObjectLocation,
) -> Result<opendal::Metadata> {
    let found = bucket.operator().stat(&location.key).await;
    found.map_err(|error| bucket.error(error, "read", location))
}

/// What changes with the content of an object, where the store tells.
pub(crate) fn version(metadata: &opendal::Metadata) -> Option<String> {
    let etag = metadata.etag().map(|etag| etag.trim_matches('"').to_owned());
    etag.or_else(|| metadata.last_modified().map(|time| time.to_string()))
}

/// Opens an object: parts are fetched in parallel and read in order.
pub(crate) async fn open(bucket: &Bucket, location: &ObjectLocation) -> Result<Input> {
    let version = Version::from(&metadata(bucket, location).await?);
    let len = version.len;
    if len == 0 {
        return Ok(Input::bytes([]));
    }
    let object = Arc::new((bucket.clone(), location.clone(), version));
    let parts = stream::iter((0..len).step_by(PART))
        .map(move |start| {
            let object = object.clone();
            async move {
                let (bucket, location, version) = &*object;
                part(bucket, location, version, start..len.min(start + PART as u64)).await
            }
        })
        .buffered(PARALLEL);
    Ok(Input::stream(StreamReader::new(parts)).with_len(len))
}

/// A part of one version of an object: that is asked for, and since not every store looks at
/// conditions, what the answer tells of itself is compared too.
async fn part(
    bucket: &Bucket,
    location: &ObjectLocation,
    version: &Version,
    range: Range<u64>,
) -> Result<Buffer> {
    let failed = |error| bucket.error(error, "read", location);
    let mut reader = bucket.operator().reader_with(&location.key).chunk(PART);
    if let Some(tag) = version.strong_tag() {
        reader = reader.if_match(tag);
    }
    let reader = reader.await.map_err(failed)?;
    let data = reader.read(range).await.map_err(failed)?;
    let found = reader.metadata().map(|metadata| Version::from(metadata).or(version));
    match found.is_none_or(|found| found.is(version)) {
        true => Ok(data),
        false => Err(Error::new(ErrorKind::Storage, CHANGED)
            .operation(format!("read '{location}'"))
            .hint("begin again when nobody writes to it")),
    }
}

impl Version {
    /// What is not told of this one is taken to be as in another.
    fn or(self, other: &Self) -> Self {
        Self {
            etag: self.etag.or_else(|| other.etag.clone()),
            modified: self.modified.or_else(|| other.modified.clone()),
            ..self
        }
    }
}

impl From<&opendal::Metadata> for Version {
    fn from(metadata: &opendal::Metadata) -> Self {
        Self {
            etag: metadata.etag().map(str::to_owned),
            modified: metadata.last_modified().map(|time| time.to_string()),
            len: metadata.content_length(),
        }
    }
}

/// An object that is being written. It appears when it is committed; dropped, it never does.
///
/// Parts of it stay in the store where that does not answer in time to remove them; the bucket's
/// lifecycle rules clear them.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Whether to commit; dropped, the object is given up.
    commit: watch::Sender<bool>,
    task: JoinHandle<bool>,
    failure: Failure,
    operation: String,
}

impl Upload {
    /// Begins an object.
    pub(crate) async fn create(
        bucket: &Bucket,
        location: &ObjectLocation,
    ) -> Result<(Self, Output)> {
        let writer = bucket
            .operator()
            .writer_with(&location.key)
            .concurrent(PARALLEL)
            .await
            .map_err(|error| bucket.error(error, "write", location))?;
        let (output, mut blocks) = block_channel();
        let failure = blocks.failure();
        let (commit, decision) = watch::channel(false);
        let (bucket, location) = (bucket.clone(), location.clone());
        let operation = format!("write '{location}'");
        let reason = failure.clone();
        let task = tokio::spawn(async move {
            let mut parts = Parts { writer, waiting: VecDeque::new(), size: 0, sent: 0 };
            let upload = parts.upload(&mut blocks, decision.clone());
            match soon_after(given_up(decision), upload).await {
                Some(Ok(true)) => return true,
                Some(Err(error)) => reason.set(bucket.error(error, "write", &location)),
                Some(Ok(false)) | None => {}
            }
            drop(blocks);
            // Nothing more can be done where this fails.
            let _ = tokio::time::timeout(CLEAN_UP, parts.writer.abort()).await;
            false
        });
        Ok((Self { commit, task, failure, operation }, Output::stream(output)))
    }

    /// Makes the object appear, after all that was written has arrived.
    pub(crate) async fn commit(mut self, cancel: &Cancel) -> Result<()> {
        // A task that failed no longer listens, and has left its reason.
        let _ = self.commit.send(true);
        let finished = tokio::select! {
            finished = &mut self.task => finished,
            () = cancel.cancelled() => {
                drop(self.commit);
                return match self.task.await {
                    // It was too late to give up.
                    Ok(true) => Ok(()),
                    _ => Err(Error::cancelled()),
                };
            }
        };
        match finished {
            Ok(true) => Ok(()),
            _ => Err(self.failure.take(&self.operation)),
        }
    }

    /// Removes what was sent, and returns when that is done or takes too long.
    pub(crate) async fn abort(self) {
        drop(self.commit);
        let _ = self.task.await;
    }
}

/// Ready once nobody can commit any more.
async fn given_up(mut decision: watch::Receiver<bool>) {
    while decision.changed().await.is_ok() {}
}

/// The result of `work`, unless it takes [`CLEAN_UP`] longer than it is wanted: only a request that
/// is answered tells what has to be removed.
async fn soon_after<T>(
    unwanted: impl Future<Output = ()>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        result = work => Some(result),
        () = async { unwanted.await; tokio::time::sleep(CLEAN_UP).await } => None,
    }
}

struct Parts {
    writer: Writer,
    waiting: VecDeque<Bytes>,
    size: usize,
    sent: usize,
}

impl Parts {
    /// Sends all blocks and finishes the object. False if the owner gave up.
    async fn upload(
        &mut self,
        blocks: &mut BlockReceiver,
        mut decision: watch::Receiver<bool>,
    ) -> opendal::Result<bool> {
        loop {
            let block = tokio::select! {
                biased;
                () = given_up(decision.clone()) => return Ok(false),
                block = blocks.next() => block,
            };
            let Some(block) = block else { break };
            self.size += block.len();
            self.waiting.push_back(block);
            if self.size >= PART << (self.sent / PARTS_PER_SIZE) {
                self.send().await?;
                self.sent += 1;
            }
        }
        if decision.wait_for(|commit| *commit).await.is_err() {
            return Ok(false);
        }
        self.send().await?;
        self.writer.close().await?;
        Ok(true)
    }

    async fn send(&mut self) -> opendal::Result<()> {
        self.size = 0;
        let part: Buffer = std::mem::take(&mut self.waiting).into();
        if part.is_empty() { Ok(()) } else { self.writer.write(part).await }
    }
}

/// Copies within one bucket, without the data passing through here.
pub(crate) async fn copy(
    bucket: &Bucket,
    from: &ObjectLocation,
    to: &ObjectLocation,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<()> {
    let failed = |error| bucket.error(error, "copy", from);
    let len = cancel.or_cancelled(metadata(bucket, from)).await?.content_length();
    progress.set_total(len);
    let mut copier = bucket
        .operator()
        .copier_with(&from.key, &to.key)
        .chunk(COPY_PART)
        .concurrent(PARALLEL)
        .await
        .map_err(failed)?;
    let mut done = 0;
    loop {
        let step = match cancel.check() {
            Ok(()) => match soon_after(cancel.cancelled(), copier.next()).await {
                Some(step) => step.map_err(failed),
                None => Err(Error::cancelled()),
            },
            Err(cancelled) => Err(cancelled),
        };
        let count = match step {
            // Not every store tells how much one step did, but all is done after the last.
            Ok(None) => len - done,
            Ok(Some(count)) => (count as u64).min(len - done),
            Err(error) => {
                let _ = tokio::time::timeout(CLEAN_UP, copier.abort()).await;
                return Err(error);
            }
        };
        done += count;
        progress.add_read(count);
        progress.add_written(count);
        if matches!(step, Ok(None)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of S3: 10,000 parts of at most 5 GiB.
    #[test]
    fn parts_grow_in_time_for_the_largest_objects() {
        let sizes = (0..10_000).map(|part| (PART as u64) << (part / PARTS_PER_SIZE));
        assert!(sizes.clone().max() <= Some(5 << 30));
        assert!(sizes.sum::<u64>() > 5 << 40);
    }
}
