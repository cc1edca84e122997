//! Disk space for what waits: results on their way to slow clients, and those that are kept.
//!
//! ```text
//! ROOT/results/job-NUMBER[.ID]   the result of a kept job
//! ```
//! Everything else in it has no name, and so is gone with the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_machine::private;

/// What is left of the disk to the journal and to all else on it: a twentieth, and not more than this
/// many bytes.
const RESERVE: u64 = 256 << 20;

/// What the result of a job is called. No two jobs have a number, while one may have the id of another
/// that is forgotten.
pub(crate) fn result_name(id: &str, number: u64) -> String {
    let name = format!("job-{number}");
    if id == name { name } else { format!("{name}.{id}") }
}

/// A directory with a limit on the bytes in it, and on those that it leaves on its disk.
#[derive(Debug)]
pub(crate) struct Scratch {
    root: PathBuf,
    quota: u64,
    /// What is left of the disk to others.
    reserve: u64,
    used: AtomicU64,
}

impl Scratch {
    /// Opens or makes the directory. `quota` is in bytes.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub(crate) fn open(root: &Path, quota: u64) -> Result<Arc<Self>> {
        let results = root.join("results");
        let open = || -> io::Result<u64> {
            private::make_directory(&results)?;
            fs::read_dir(&results)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
        };
        let used = open().map_err(|error| {
            Error::from(error).operation(format!("use the directory '{}'", root.display()))
        })?;
        // Where the system does not tell, writing will.
        let disk = rustix::fs::statvfs(root);
        let size = disk.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let reserve = (size / 20).min(RESERVE);
        Ok(Arc::new(Self { root: root.to_owned(), quota, reserve, used: AtomicU64::new(used) }))
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    pub(crate) fn quota(&self) -> u64 {
        self.quota
    }

    /// A file without a name.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn file(self: &Arc<Self>) -> io::Result<ScratchFile> {
        self.check_disk(0).map_err(Error::into_io)?;
        let file = tempfile::tempfile_in(&self.root)?;
        Ok(ScratchFile { file, charge: Charge::new(self) })
    }

    /// Begins the result of a kept job.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn keep(self: &Arc<Self>, id: &str, number: u64) -> Result<KeptWriter> {
        let path = self.result_path(&result_name(id, number));
        self.check_room()?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|error| {
            Error::from(error).operation(format!("keep the result of job '{id}'"))
        })?;
        Ok(KeptWriter { file, path: Some(path), charge: Charge::new(self) })
    }

    /// Opens a kept result; its length comes with it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn kept(&self, id: &str, number: u64) -> Result<(File, u64)> {
        let open = || -> io::Result<_> {
            let file = File::open(self.result_path(&result_name(id, number)))?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        open().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("job '{id}' has no result here"))
                    .hint("it was fetched and deleted, or it waited for longer than result_ttl")
            }
            _ => error.into(),
        })
    }

    /// Removes a kept result, where there is one.
    pub(crate) fn remove(&self, id: &str, number: u64) {
        self.remove_named(&result_name(id, number));
    }

    /// Removes the kept result of this name, where there is one.
    pub(crate) fn remove_named(&self, name: &str) {
        let path = self.result_path(name);
        if let Ok(metadata) = fs::metadata(&path)
            && fs::remove_file(&path).is_ok()
        {
            self.release(metadata.len());
        }
    }

    /// Takes up a result as hosts of before called it: by its id alone.
    pub(crate) fn take_up(&self, id: &str, number: u64) {
        let (before, path) = (self.result_path(id), self.result_path(&result_name(id, number)));
        if before != path && before.exists() {
            // Where that fails it is not found, as if it were deleted.
            let _ = fs::rename(before, path);
        }
    }

    /// The names of all kept results.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn results(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join("results"))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn result_path(&self, name: &str) -> PathBuf {
        self.root.join("results").join(name)
    }

    /// Refuses work whose result or data would be on the disk, where that is as good as full.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn check_room(&self) -> Result<()> {
        self.check_disk(0).map_err(|error| error.operation("take work that needs the disk"))
    }

    /// Whether the disk has room for so many bytes beside what is left to others.
    fn check_disk(&self, bytes: u64) -> Result<()> {
        let Ok(disk) = rustix::fs::statvfs(&self.root) else { return Ok(()) };
        let left = disk.f_bavail.saturating_mul(disk.f_frsize);
        if self.reserve == 0 || left >= self.reserve.saturating_add(bytes) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::StorageFull, "the disk of the host is full")
            .context("left", format_args!("{left} bytes"))
            .context("reserve", format_args!("{} bytes", self.reserve))
            .hint(format!("make room on the disk of '{}'", self.root.display()))
            .hint("or fetch and delete results that are kept"))
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        self.check_disk(bytes).map_err(Error::into_io)?;
        let used = self.used.fetch_add(bytes, Ordering::Relaxed);
        if used.saturating_add(bytes) > self.quota {
            self.release(bytes);
            return Err(Error::new(ErrorKind::StorageFull, "the host's scratch space is full")
                .context("quota", format_args!("{} bytes", self.quota))
                .hint("fetch and delete results that are kept, or raise scratch_quota of the host")
                .into_io());
        }
        Ok(())
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What a file takes of the quota, given back when it is dropped.
#[derive(Debug)]
struct Charge {
    scratch: Arc<Scratch>,
    bytes: u64,
}

impl Charge {
    fn new(scratch: &Arc<Scratch>) -> Self {
        Self { scratch: scratch.clone(), bytes: 0 }
    }

    /// Writes all of `buffer`, charging it first.
    fn write(&mut self, mut file: &File, buffer: &[u8]) -> io::Result<()> {
        self.scratch.take(buffer.len() as u64)?;
        self.bytes += buffer.len() as u64;
        file.write_all(buffer)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.scratch.release(self.bytes);
    }
}

/// A file without a name, which takes its space until it is dropped.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    file: File,
    charge: Charge,
}

impl ScratchFile {
    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Write for ScratchFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.charge.write(&self.file, buffer)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A result that is being kept. Dropped before [`finish`](Self::finish) it is removed.
#[derive(Debug)]
pub(crate) struct KeptWriter {
    file: File,
    /// None once it is finished.
    path: Option<PathBuf>,
    charge: Charge,
}

impl KeptWriter {
    /// Keeps what was written and gives its length. With `durable` it is on disk then.
    ///
    /// # Errors
    /// The system could not write it.
    pub(crate) fn finish(mut self, durable: bool) -> Result<u64> {
        if durable {
            self.file.sync_data()?;
        }
        self.path = None;
        // From here on the file itself, by its length, stands for what it takes.
        Ok(std::mem::take(&mut self.charge.bytes))
    }
}

impl Write for KeptWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.charge.write(&self.file, buffer)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for KeptWriter {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Where this fails it goes with what has outlived result_ttl.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_counts_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), 10).unwrap();
        let mut file = scratch.file().unwrap();
        file.write_all(b"123456").unwrap();
        let mut kept = scratch.keep("a", 1).unwrap();
        let error = Error::from(kept.write_all(b"12345").unwrap_err());
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        drop(file);
        kept.write_all(b"12345").unwrap();
        assert_eq!(kept.finish(false).unwrap(), 5);
        assert_eq!(scratch.used(), 5);

        let again = Scratch::open(root.path(), 10).unwrap();
        assert_eq!((again.used(), again.results().unwrap()), (5, vec!["job-1.a".to_owned()]));
        assert_eq!(again.kept("a", 1).unwrap().1, 5);
        again.remove("a", 1);
        again.remove("a", 1);
        assert_eq!(again.used(), 0);
        assert_eq!(again.kept("a", 1).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_result_is_that_of_a_job_and_not_of_an_id() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), 100).unwrap();
        let keep = |id: &str, number, text: &[u8]| {
            let mut kept = scratch.keep(id, number).unwrap();
            kept.write_all(text).unwrap();
            kept.finish(false).unwrap()
        };
        keep("mine", 1, b"first");
        keep("mine", 2, b"second one");
        keep("job-3", 3, b"third");
        assert_eq!(scratch.kept("mine", 1).unwrap().1, 5);
        scratch.remove("mine", 1);
        assert_eq!(scratch.kept("mine", 2).unwrap().1, 10);
        assert_eq!(scratch.kept("mine", 1).unwrap_err().kind(), ErrorKind::NotFound);
        // Those of a host of before.
        fs::write(root.path().join("results/other"), "before").unwrap();
        scratch.take_up("other", 4);
        scratch.take_up("job-3", 3);
        assert_eq!(scratch.kept("other", 4).unwrap().1, 6);
        assert_eq!(scratch.kept("job-3", 3).unwrap().1, 5);
    }

    #[test]
    fn the_disk_is_never_filled() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), u64::MAX).unwrap();
        assert!(scratch.reserve > 0 && scratch.reserve <= RESERVE);
        let mut file = scratch.file().unwrap();
        file.write_all(b"123456").unwrap();
        // As if others had taken all but this.
        let mut full = Scratch::open(root.path(), u64::MAX).unwrap();
        Arc::get_mut(&mut full).unwrap().reserve = u64::MAX;
        for refused in [
            full.check_room().unwrap_err(),
            full.keep("a", 1).unwrap_err(),
            full.file().unwrap_err().into(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");
            assert!(refused.to_string().contains("the disk of the host is full"), "{refused}");
        }
        assert_eq!((full.used(), full.results().unwrap().len()), (0, 0));
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path(), 10).unwrap();
        scratch.keep("a", 1).unwrap().write_all(b"123").unwrap();
        assert_eq!((scratch.used(), scratch.results().unwrap().len()), (0, 0));
    }
}
