//! A session on disk: its record, a copy of its source, the engine's state and a lock.
//!
//! ```text
//! ROOT/session-XXXXXX/
//!   session.json   accelerator and parameters; written last, so what has it is complete
//!   source/NAME    the copy of what start was given
//!   state/         the engine's own, where it asked for it; state-ENGINE/ of others that helped
//!   lock           shared by running jobs, exclusive for the one who ends the session; jobs leave
//!                  it alone where no other process has a part in ROOT. Held by the process that
//!                  made the session until it has its record
//!   …              temporary files of running jobs
//! ```
//! What has no record and is held by nobody was left behind, and is swept away. ROOT itself is locked
//! by who sweeps, and shared by those who make a session until they hold its lock.
//!
//! A session that ends with this process has neither record nor lock, and mostly no directory either.

mod record;
mod state;
mod sweep;

use std::fs::{self, File, Permissions};
use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use apyfal_core::{Directory, Error, ErrorKind, Input, JobContext, Result, Scratch, Source};
use apyfal_machine::lock::{Lock, Mode, try_lock};
use apyfal_machine::private;
use parking_lot::{Mutex, MutexGuard};

pub(crate) use record::Record;

use crate::root::Root;

const PREFIX: &str = "session-";
const RECORD: &str = "session.json";
const LOCK: &str = "lock";
const SOURCE: &str = "source";
/// What follows the prefix of a new id.
const NEW_ID: usize = 6;
/// What follows the prefix of an id is no longer than this.
const MAX_ID: usize = 64;
/// How long one who waits for a lock waits before the next try.
const PAUSE: Duration = Duration::from_millis(10);

/// The lock of a session, shared by its jobs in this process: they take it together, for a file of
/// the session need not be opened for each of them.
#[derive(Debug, Default)]
struct SharedLock {
    /// Opened by the first job. None where no other process has a part in the sessions: locking it
    /// would take a good part of the time that a small job does.
    file: Option<File>,
    /// How many hold it. The file is locked while there are any.
    jobs: usize,
    /// Whether the session was ended by this process.
    ended: bool,
}

/// Keeps a session from being ended.
#[derive(Debug)]
pub(crate) struct JobLock<'a>(&'a SessionDir);

/// The directory of a session. One that never got its record is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SessionDir {
    id: String,
    root: Arc<Root>,
    /// Of a session that ends with this process, once somebody needed it.
    path: OnceLock<PathBuf>,
    lock: Mutex<SharedLock>,
    /// Keeps one without a record from being swept away.
    held: Mutex<Option<Lock>>,
    is_half_made: AtomicBool,
}

impl Drop for SessionDir {
    fn drop(&mut self) {
        if let Some(path) = self.path.get()
            && *self.is_half_made.get_mut()
        {
            // What has no record means nothing; removing it is only tidying up.
            let _ = fs::remove_dir_all(path);
        }
    }
}

impl SessionDir {
    /// Makes a new, empty one under `root`.
    pub(crate) fn create(root: &Arc<Root>) -> Result<Self> {
        let Root::Kept { path: place, .. } = &**root else {
            // Nobody else makes sessions there.
            let id =
                std::iter::repeat_with(fastrand::alphanumeric).take(NEW_ID).collect::<String>();
            return Ok(Self::new(format!("{PREFIX}{id}"), root, OnceLock::new(), None));
        };
        let make = || -> std::io::Result<(PathBuf, Option<Lock>)> {
            private::make_directory(place)?;
            let root_lock = File::open(place)?;
            // Where that cannot be locked, nobody can sweep either.
            let _ = root_lock.lock_shared();
            let path = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(place)?
                .keep();
            let held = create_private(&path.join(LOCK))?;
            Ok((path, Lock::try_on(held, Mode::Shared).ok().flatten()))
        };
        let (path, held) = make().map_err(|error| {
            Error::from(error).operation(format!("make a session in '{}'", place.display()))
        })?;
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::new(id, root, path.into(), held))
    }

    /// One that has no record yet.
    fn new(id: String, root: &Arc<Root>, path: OnceLock<PathBuf>, held: Option<Lock>) -> Self {
        let (lock, is_half_made) = (Mutex::default(), AtomicBool::new(true));
        Self { id, root: root.clone(), path, lock, held: Mutex::new(held), is_half_made }
    }

    /// Finds one that another process, or an earlier one, has made.
    pub(crate) fn find(root: &Arc<Root>, id: &str) -> Result<Self> {
        let Root::Kept { path: place, .. } = &**root else { return Err(gone(id)) };
        let unique = id.strip_prefix(PREFIX).unwrap_or_default();
        let is_id = (1..=MAX_ID).contains(&unique.len())
            && unique.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // What is no id does not get as far as the disk.
        let path = place.join(if is_id { id } else { PREFIX });
        if !is_id || !path.join(RECORD).is_file() {
            return Err(gone(id));
        }
        let found = Self::new(id.to_owned(), root, path.into(), None);
        found.is_half_made.store(false, Ordering::Relaxed);
        Ok(found)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is in memory alone so far, so that ending it does nothing to the disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.path.get().is_none()
    }

    /// Where jobs make temporary files, which go with the session at the latest.
    pub(crate) fn scratch(self: &Arc<Self>) -> Scratch {
        Scratch::new(self.clone())
    }

    /// Copies what `start` was given, so that the session can be opened again without it.
    pub(crate) fn keep_source(&self, src: Input, ctx: &JobContext) -> Result<()> {
        let name = src.name().filter(|name| !matches!(*name, "" | "." | ".."));
        let name = name.unwrap_or("source").replace('/', "_");
        if let Source::Directory(path) = src.source() {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("'{}' is a directory", path.display()),
            )
            .operation("keep the source of the session")
            .hint("give start a file"));
        }
        let folder = self.path()?.join(SOURCE);
        fs::create_dir(&folder)?;
        let mut file = create_private(&folder.join(name))?;
        std::io::copy(&mut ctx.reader(src)?, &mut ctx.scratch_writer(&mut file))?;
        Ok(())
    }

    /// The copy of the source, where there is one.
    pub(crate) fn source(&self) -> Result<Option<Input>> {
        let Some(path) = self.path.get() else { return Ok(None) };
        let folder = path.join(SOURCE);
        let entry = match fs::read_dir(&folder) {
            Ok(mut entries) => entries.next(),
            Err(error) if error.kind() == IoErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match entry {
            None => Ok(None),
            Some(entry) => {
                let path = entry?.path();
                Ok(Some(Input::file(File::open(&path)?, path)?))
            }
        }
    }

    /// Returns once the disk has the record, the source and their names.
    pub(crate) fn sync(&self) -> Result<()> {
        let (session, root) = (self.path()?, self.root.path()?);
        let sync = |path: &Path| File::open(path)?.sync_all();
        let all = || -> std::io::Result<()> {
            sync(&session.join(RECORD))?;
            let source = session.join(SOURCE);
            if source.is_dir() {
                for entry in fs::read_dir(&source)? {
                    sync(&entry?.path())?;
                }
                sync(&source)?;
            }
            sync(session)?;
            sync(root)
        };
        all().map_err(|error| Error::from(error).operation("store the session"))
    }

    /// Holds the session open for a job; waits while another process ends it.
    pub(crate) fn lock_for_job(&self, ctx: &JobContext) -> Result<JobLock<'_>> {
        loop {
            if let Some(lock) = self.try_lock_for_job()? {
                return Ok(lock);
            }
            ctx.check()?;
            std::thread::sleep(PAUSE);
        }
    }

    /// The same, but nothing while another process ends the session.
    pub(crate) fn try_lock_for_job(&self) -> Result<Option<JobLock<'_>>> {
        let mut guard = self.shared_lock();
        let lock = &mut *guard;
        if lock.ended {
            return Err(gone(&self.id));
        }
        if lock.jobs == 0 && self.root.is_shared() {
            let file = match &mut lock.file {
                Some(file) => file,
                none => none.insert(self.open_lock()?),
            };
            if !try_lock(file, Mode::Shared)? {
                return Ok(None);
            }
            // It may have been ended since: then the file is nowhere any more.
            if file.metadata()?.nlink() == 0 {
                lock.file = None;
                return Err(gone(&self.id));
            }
        }
        lock.jobs += 1;
        Ok(Some(JobLock(self)))
    }

    fn shared_lock(&self) -> MutexGuard<'_, SharedLock> {
        self.lock.lock()
    }

    /// Ends the session: waits until no job of it runs in any process, does `stop`, and removes it
    /// from disk whether or not that went well.
    pub(crate) fn end<T>(&self, stop: impl FnOnce() -> Result<T>, ctx: &JobContext) -> Result<T> {
        let lock = match &*self.root {
            Root::Kept { .. } => Some(self.open_lock()?),
            Root::ForNow(_) => None,
        };
        let may_end = || lock.as_ref().map_or(Ok(true), |lock| try_lock(lock, Mode::Exclusive));
        self.let_go();
        // Waiting for a lock could not be cancelled.
        while !(may_end()? && self.close()) {
            ctx.check()?;
            // A job that has lent its slot needs one to end.
            ctx.lend_turn();
            std::thread::sleep(PAUSE);
        }
        ctx.take_turn_back()?;
        let stopped = stop();
        let Some(path) = self.path.get() else { return stopped };
        // First what makes it a session, then what its jobs look at.
        for name in [RECORD, LOCK] {
            let _ = fs::remove_file(path.join(name));
        }
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != IoErrorKind::NotFound => Err(error.into()),
            _ => stopped,
        }
    }

    /// Gives back what kept it from being swept away.
    fn let_go(&self) {
        *self.held.lock() = None;
    }

    /// Takes no more jobs of this process; false where one runs.
    pub(crate) fn close(&self) -> bool {
        let mut lock = self.shared_lock();
        lock.ended |= lock.jobs == 0;
        lock.ended
    }

    fn open_lock(&self) -> Result<File> {
        File::open(self.path()?.join(LOCK)).map_err(|error| match error.kind() {
            IoErrorKind::NotFound => gone(&self.id),
            _ => error.into(),
        })
    }
}

impl Directory for SessionDir {
    fn path(&self) -> Result<&Path> {
        if let Some(path) = self.path.get() {
            return Ok(path);
        }
        let path = self.root.path()?.join(&self.id);
        state::make_directory(&path)?;
        Ok(self.path.get_or_init(|| path))
    }

    fn check_room(&self, bytes: u64) -> Result<()> {
        self.root.check_room(bytes)
    }
}

impl Drop for JobLock<'_> {
    fn drop(&mut self) {
        let mut guard = self.0.shared_lock();
        let lock = &mut *guard;
        lock.jobs -= 1;
        let ended = lock.file.as_ref().filter(|_| lock.jobs == 0);
        if ended.is_some_and(|file| file.unlock().is_err()) {
            // Closing it gives the lock back too.
            lock.file = None;
        }
    }
}

fn create_private(path: &Path) -> std::io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn gone(id: &str) -> Error {
    let shown = id.get(..id.floor_char_boundary(PREFIX.len() + MAX_ID)).unwrap_or_default();
    let dots = if shown.len() < id.len() { "…" } else { "" };
    Error::new(ErrorKind::NotFound, format!("there is no session '{shown}{dots}'"))
        .hint("start the accelerator again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_an_id_or_names_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        // What would be found by an id that leads elsewhere.
        fs::create_dir_all(path.join("session-a")).unwrap();
        for place in [folder.path(), &path, &path.join("session-a")] {
            fs::write(place.join(RECORD), "{}").unwrap();
        }
        let root = Root::Kept { path, is_shared: true, room: Default::default() };
        let root = std::panic::AssertUnwindSafe(Arc::new(root));
        bolero::check!().with_iterations(2_000).with_max_len(128).for_each(|bytes: &[u8]| {
            let Ok(id) = std::str::from_utf8(bytes) else { return };
            match SessionDir::find(&root, id) {
                Ok(found) => assert_eq!(found.id(), "session-a"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound);
                    assert!(error.to_string().len() < 200, "{error}");
                }
            }
        });
    }
}
