//! The journal: what the host's daemon must not forget.
//!
//! A SQLite database with sessions, jobs, reports and usage. One thread writes, in groups: it takes
//! everything that waits, writes it in one transaction, and answers. So a hundred callers that each
//! want to be synced to disk share one sync.
//!
//! # What a crash can lose
//!
//! | handed over with | after `kill -9` | after a power failure |
//! | --- | --- | --- |
//! | [`Durability::Disk`] | nothing that was answered | nothing that was answered |
//! | [`Durability::Process`] | nothing that was answered | the newest, back to the last sync |
//! | [`Durability::Group`] | what came in the last 100 ms | the same, and as above |
//!
//! # Plain jobs
//!
//! A job that is recorded once, as it ended, with [`Durability::Group`] is a plain one. At most ten
//! groups a second take plain jobs. Each counts all of them as usage, and has rows for the first 256
//! of them (512, where some failed): above 2560 plain jobs a second not each is in the lists. The
//! newest 10,000 rows are remembered. Handing one over costs less than a microsecond and never
//! waits; with [`Journal::record_plain`] a job that gets no row needs no record either.
//!
//! # When it cannot write
//!
//! Where the disk is full or fails, whoever waits gets the error, and nothing of the group is in the
//! database. Usage, plain rows and changes that nobody waits for are tried again with each later
//! group until that works. On a full disk some room that was kept for it goes to what ends or frees
//! something, and nothing else is written until there is room again (`reserve.rs`).

mod age;
mod ids;
mod queue;
mod readers;
mod record;
mod recovery;
mod reserve;
mod rows;
mod schema;
mod sent;
mod statements;
#[cfg(test)]
mod tests;
mod usage;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Owner, Result, unix_time};
use tokio::sync::{Mutex, Semaphore, oneshot};

use age::{Age, Moment};
use ids::Ids;
use queue::{Completion, Entry, Queue, Work};
use readers::Readers;
use recovery::Opened;
use reserve::Reserve;
use schema::SCHEMA;
use writer::Writer;

pub use record::{
    Durability, JobChange, JobFilter, JobRecord, Listed, Page, Protocol, Recovered, SessionFilter,
    SessionRecord, TokenRecord,
};
pub use usage::{Resolution, Usage, UsagePoint};

/// How many entries may wait to be written; beyond that handing over waits too.
const PLACES: usize = 4096;

/// What is remembered of what has ended and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many plain jobs, the newest.
    pub plain_rows: u64,
    /// How many other jobs, and how many sessions, of those that ended: the newest.
    pub ended_rows: u64,
    /// For how long those.
    pub ended: Duration,
}

impl Default for Retention {
    /// 10,000 plain jobs, and 20,000 others for 30 days.
    fn default() -> Self {
        let ended = Duration::from_secs(30 * 24 * 3600);
        Self { plain_rows: 10_000, ended_rows: 20_000, ended }
    }
}

/// An open journal. Clones are the same one.
///
/// Reading sees everything that was answered; what was handed over with [`Durability::Group`] shows
/// once its group is written, or after [`flush`](Self::flush).
///
/// All methods fail with [`ErrorKind::Unavailable`] once it is closed.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    ids: Arc<Ids>,
    places: Arc<Semaphore>,
    readers: Arc<Readers>,
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Drop for Inner {
    /// Writes what waits, for at most as long as one group takes.
    fn drop(&mut self) {
        self.readers.clear();
        self.queue.close();
        if let Some(thread) = self.thread.get_mut().take() {
            // Who wants to know whether that went well calls `close`.
            let _ = thread.join();
        }
    }
}

impl Journal {
    /// Opens the journal at `path`, and makes it where there is none. Jobs that waited or ran when
    /// it was last used are interrupted now. Blocks for a moment.
    ///
    /// # Errors
    /// Another agent uses it, it is damaged, it is of a newer version or not a journal, or it cannot
    /// be written. It is never replaced.
    pub fn open(path: &Path) -> Result<(Self, Recovered)> {
        let opening =
            |error: Error| error.operation(format!("open the journal '{}'", path.display()));
        let plain_rows = Retention::default().plain_rows;
        let open = || {
            let mut database = SCHEMA.open(path)?;
            let connection = database.connection_mut();
            let opened = recovery::recover(connection, unix_time().as_secs_f64(), plain_rows)
                .map_err(|failure| opening(failure.on(path)))?;
            // So that less is lost with the file of the write-ahead log. It may wait for room.
            let _ = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()));
            Ok((database, opened))
        };
        let mut reserve = Reserve::of(path);
        let (database, opened) =
            open().or_else(|error: Error| match reserve.is_for(&error) && reserve.spend() {
                true => open(),
                false => Err(error),
            })?;
        if !reserve.is_spent() {
            reserve.take();
        }
        let Opened { recovered, next, limit, age } = opened;
        let queue = Arc::new(Queue::default());
        let ids = Arc::new(Ids::new(next, limit));
        let writer = Writer {
            database,
            path: path.to_owned(),
            queue: queue.clone(),
            ids: ids.clone(),
            plain_rows,
            age,
            reserve,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| opening(error.into()))?;
        let inner = Inner {
            queue,
            ids,
            places: Arc::new(Semaphore::new(PLACES)),
            readers: Arc::new(Readers::new(path.to_owned())),
            thread: Mutex::new(Some(thread)),
        };
        Ok((Self { inner: Arc::new(inner) }, recovered))
    }

    /// A number that was never given before, higher than all that were. Cheap; only where numbers
    /// are used up faster than the disk lets them be reserved does it block, for a sync.
    ///
    /// # Errors
    /// The numbers that were reserved are used up and no more can be.
    pub fn next_number(&self) -> Result<u64> {
        let Inner { queue, ids, .. } = &*self.inner;
        ids.next(|limit| {
            let ids = ids.clone();
            queue.push(Entry {
                work: Work::Reserve(limit),
                durability: Durability::Disk,
                answer: Some(Box::new(move |outcome| ids.reserved(limit, outcome))),
                place: None,
            })
        })
    }

    /// Records a session, on disk when this returns.
    ///
    /// # Errors
    /// Its id or number is recorded already, or writing failed.
    pub async fn record_session(&self, mut session: SessionRecord) -> Result<()> {
        session.parameters = sent::recordable(session.parameters);
        self.write(Work::Session(Box::new(session)), Durability::Disk).await
    }

    /// Notes whether REST v1.0 shows a session as the one in use.
    ///
    /// # Errors
    /// There is no such session, or writing failed.
    pub async fn use_session(&self, id: &str, used: bool) -> Result<()> {
        self.write(Work::UseSession { id: id.to_owned(), used }, Durability::Process).await
    }

    /// Notes when a session ended, on disk when this returns. The first time counts.
    ///
    /// # Errors
    /// There is no such session, or writing failed.
    pub async fn end_session(&self, id: &str, ended: f64) -> Result<()> {
        self.write(Work::EndSession { id: id.to_owned(), ended }, Durability::Disk).await
    }

    /// Records a job. One that has ended counts as usage.
    ///
    /// # Errors
    /// Its id or number is recorded already, or writing failed; with [`Durability::Group`] nobody
    /// learns of either.
    pub async fn record_job(&self, mut job: JobRecord, durability: Durability) -> Result<()> {
        job.request = sent::recordable(job.request);
        if durability == Durability::Group && job.state.is_final() {
            let (accelerator, owner) = (job.accelerator.clone(), job.owner.clone());
            let ended = usage::end_of(&job);
            return self.record_plain(&accelerator, &owner, ended, Usage::of(&job), || job);
        }
        self.write(Work::Job(Box::new(job)), durability).await
    }

    /// Records a plain job that ended at this time, in seconds since 1970. `make` is called where
    /// it gets a row.
    ///
    /// # Errors
    /// The journal is closed.
    pub fn record_plain(
        &self,
        accelerator: &str,
        owner: &Owner,
        ended: f64,
        usage: Usage,
        make: impl FnOnce() -> JobRecord,
    ) -> Result<()> {
        self.inner.queue.push_plain(accelerator, owner, ended, &usage, make)
    }

    /// Records what is new of a job. When it ends it counts as usage.
    ///
    /// # Errors
    /// There is no such job, or writing failed; with [`Durability::Group`] nobody learns of either.
    pub async fn update_job(
        &self,
        number: u64,
        change: JobChange,
        durability: Durability,
    ) -> Result<()> {
        let work = Work::ChangeJob { number, change: Box::new(change) };
        self.write(work, durability).await
    }

    /// Forgets a job. Its number and what it added to the usage stay.
    ///
    /// # Errors
    /// There is no such job, or writing failed; with [`Durability::Group`] nobody learns of either.
    pub async fn forget_job(&self, number: u64, durability: Durability) -> Result<()> {
        self.write(Work::ForgetJob { number }, durability).await
    }

    /// Records a token, instead of one of the same name; on disk when this returns.
    ///
    /// # Errors
    /// Writing failed.
    pub async fn add_token(&self, token: TokenRecord) -> Result<()> {
        self.write(Work::AddToken(token), Durability::Disk).await
    }

    /// Forgets a token, on disk when this returns.
    ///
    /// # Errors
    /// There is none of this name, or writing failed.
    pub async fn remove_token(&self, name: &str) -> Result<()> {
        self.write(Work::RemoveToken(name.to_owned()), Durability::Disk).await
    }

    /// Forgets what has ended, is not kept, and is older than `retention` says; an ended session
    /// stays for as long as a job of it.
    ///
    /// # Errors
    /// Writing failed.
    pub async fn prune(&self, retention: Retention) -> Result<()> {
        self.write(Work::Prune(retention), Durability::Process).await
    }

    /// Returns once everything that was handed over is written, as with [`Durability::Process`].
    ///
    /// # Errors
    /// Writing failed.
    pub async fn flush(&self) -> Result<()> {
        self.write(Work::Flush, Durability::Process).await
    }

    /// Takes nothing more, and returns once everything is synced to disk and the file is free for
    /// another agent.
    ///
    /// # Errors
    /// Writing failed; what was answered before is not lost by that.
    pub async fn close(&self) -> Result<()> {
        // Held to the end, so that a second caller returns no sooner than the first.
        let mut thread = self.inner.thread.lock().await;
        self.inner.readers.clear();
        self.inner.queue.close();
        let Some(thread) = thread.take() else {
            return Ok(());
        };
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        ended.ok().and_then(|joined| joined.ok()).unwrap_or_else(|| Err(gone()))
    }

    /// Why the last group could not be written; `None` where it could.
    pub fn failure(&self) -> Option<Error> {
        self.inner.queue.failure()
    }

    /// The session with this id.
    ///
    /// # Errors
    /// Reading failed, as for all below.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRecord>> {
        let id = id.to_owned();
        self.read(move |connection| readers::session(connection, "id", &id)).await
    }

    /// The session with this number.
    pub async fn session_by_number(&self, number: u64) -> Result<Option<SessionRecord>> {
        let number = rows::signed(number);
        self.read(move |connection| readers::session(connection, "number", &number)).await
    }

    /// Sessions, the newest first.
    pub async fn sessions(
        &self,
        filter: SessionFilter,
        page: Page,
    ) -> Result<Listed<SessionRecord>> {
        self.read(move |connection| readers::sessions(connection, &filter, page)).await
    }

    /// The job with this id.
    pub async fn job(&self, id: &str) -> Result<Option<JobRecord>> {
        let id = id.to_owned();
        self.read(move |connection| readers::job(connection, "id", &id)).await
    }

    /// The job with this number.
    pub async fn job_by_number(&self, number: u64) -> Result<Option<JobRecord>> {
        let number = rows::signed(number);
        self.read(move |connection| readers::job(connection, "number", &number)).await
    }

    /// Jobs, the newest first.
    pub async fn jobs(&self, filter: JobFilter, page: Page) -> Result<Listed<JobRecord>> {
        self.read(move |connection| readers::jobs(connection, filter, page)).await
    }

    /// Jobs with a kept result that ended at least so long ago, the oldest first. Time counts as it
    /// passes, and not as the clock of the day is set.
    pub async fn kept(&self, ended: Duration) -> Result<Vec<JobRecord>> {
        self.read(move |connection| readers::kept(connection, ended)).await
    }

    /// The tokens, by name.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.read(readers::tokens).await
    }

    /// How many results are kept for an owner, with those under way, and their bytes.
    pub async fn kept_of(&self, owner: &Owner) -> Result<(u64, u64)> {
        let owner = owner.name();
        self.read(move |connection| readers::kept_of(connection, owner)).await
    }

    /// How old the journal is, in seconds.
    pub async fn age(&self) -> Result<f64> {
        self.read(|connection| Age::read(connection, &Moment::now())).await
    }

    /// What was done since this time, the oldest first.
    pub async fn history(&self, since: f64, resolution: Resolution) -> Result<Vec<UsagePoint>> {
        self.read(move |connection| readers::history(connection, since, resolution)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.inner.queue.is_closed() {
            return Err(closed());
        }
        self.inner.readers.read(read).await
    }

    async fn write(&self, work: Work, durability: Durability) -> Result<()> {
        let place = self.inner.places.clone().acquire_owned().await.map_err(|_| closed())?;
        let (sender, receiver) = oneshot::channel();
        let waits = durability != Durability::Group;
        let answer = waits.then(|| -> Completion {
            // Whoever gave up waiting does not need to know.
            Box::new(move |outcome| drop(sender.send(outcome)))
        });
        self.inner.queue.push(Entry { work, durability, answer, place: Some(place) })?;
        if waits { receiver.await.unwrap_or_else(|_| Err(gone())) } else { Ok(()) }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the journal is closed")
}

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "the thread of the journal ended")
}
