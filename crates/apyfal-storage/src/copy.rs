//! Copies between any two locations.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use apyfal_core::{
    Cancel, Error, ErrorKind, Input, JobContext, Output, Progress, Result, Sink, Source,
};
use rustix::fs::{copy_file_range, ioctl_ficlone};

use crate::location::{Location, ObjectLocation};
use crate::{Destination, Placed, Storage, local, object};

/// How much is copied between two looks at the switch.
const STEP: usize = 8 << 20;
const BUFFER: usize = 1 << 20;

impl Storage {
    /// Copies one location to another: by the store itself where both are in one bucket, by the
    /// file system where both are files, else by reading and writing at the same time.
    ///
    /// # Errors
    /// Reading or writing fails, both are the same, the source is a directory, or the copy was
    /// cancelled. The destination is then as it was before. An object store that does not answer may
    /// be left with parts.
    pub async fn copy(
        &self,
        src: &Location,
        dst: &Location,
        cancel: &Cancel,
        progress: &Arc<Progress>,
    ) -> Result<Placed> {
        let operation = format!("copy '{src}' to '{dst}'");
        self.copy_inner(src, dst, cancel, progress)
            .await
            .map_err(|error| error.operation(operation))
    }

    async fn copy_inner(
        &self,
        src: &Location,
        dst: &Location,
        cancel: &Cancel,
        progress: &Arc<Progress>,
    ) -> Result<Placed> {
        cancel.check()?;
        if let (Location::Object(from), Location::Object(to)) = (src, dst) {
            if from == to {
                return Err(same());
            }
            if from.scheme == to.scheme && from.container == to.container {
                self.copy_in_store(from, to, cancel, progress).await?;
                return Ok(Placed::Whole);
            }
        }
        let input = cancel.or_cancelled(self.open_input(src)).await?;
        match input.source() {
            Source::Directory(path) => return Err(local::is_a_directory("copy", path)),
            Source::File { file, .. } if is_same(file, dst) => return Err(same()),
            _ => {}
        }
        let mut destination = cancel.or_cancelled(self.create_output(dst)).await?;
        let copied = transfer(input, &mut destination, cancel, progress).await;
        destination.settle(copied, cancel).await.map(|((), placed)| placed)
    }

    async fn copy_in_store(
        &self,
        from: &ObjectLocation,
        to: &ObjectLocation,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<()> {
        let bucket = cancel.or_cancelled(self.bucket(from)).await?;
        object::copy(&bucket, from, to, cancel, progress).await
    }
}

async fn transfer(
    input: Input,
    destination: &mut Destination,
    cancel: &Cancel,
    progress: &Arc<Progress>,
) -> Result<()> {
    let Some(output) = destination.take_output() else { return Ok(()) };
    let context = JobContext::new(cancel.clone(), progress.clone(), "", NonZeroUsize::MIN);
    let work = tokio::task::spawn_blocking(move || copy_blocking(input, output, &context));
    work.await.unwrap_or_else(|_| Err(panicked()))
}

fn copy_blocking(input: Input, output: Output, context: &JobContext) -> Result<()> {
    output.check_apart_from(&input)?;
    if let (Source::File { file: from, .. }, Sink::File { file: to, .. }) =
        (input.source(), output.sink())
    {
        let len = input.len().unwrap_or(0);
        context.progress().set_total(len);
        if copy_by_system(from, to, len, context)
            .map_err(|error| Error::of_write(error, output.place()))?
        {
            return Ok(());
        }
    }
    let mut reader = context.reader(input)?;
    let mut writer = context.writer(output);
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.fill(&mut buffer)? {
            0 => break,
            count => writer.write_all(&buffer[..count])?,
        }
    }
    Ok(writer.flush()?)
}

/// Copies between two files by sharing their blocks, or else in the kernel. False if the file
/// systems can do neither; nothing was copied then.
fn copy_by_system(from: &File, to: &File, len: u64, context: &JobContext) -> std::io::Result<bool> {
    let count = |bytes| {
        context.progress().add_read(bytes);
        context.progress().add_written(bytes);
    };
    if ioctl_ficlone(to, from).is_ok() {
        let cloned = to.metadata()?.len();
        if cloned < len {
            return Err(Error::cut_off(cloned, len).into_io());
        }
        // What it got since it was opened does not count.
        to.set_len(len)?;
        count(len);
        return Ok(true);
    }
    let (mut read, mut written) = (0, 0);
    loop {
        context.check().map_err(Error::into_io)?;
        let step = usize::try_from(len - read).unwrap_or(STEP).min(STEP);
        if step == 0 {
            return Ok(true);
        }
        match copy_file_range(from, Some(&mut read), to, Some(&mut written), step) {
            // Not every file system that claims to copy does.
            Ok(0) if read == 0 => return Ok(false),
            Ok(0) => return Err(Error::cut_off(read, len).into_io()),
            Ok(bytes) => count(bytes as u64),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) if read == 0 => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an open file is what a location names, under whatever name.
fn is_same(file: &File, dst: &Location) -> bool {
    let (Location::File(path) | Location::Host(path)) = dst else { return false };
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let existing = std::fs::metadata(Path::new(path)).map(identity).ok();
    existing.is_some() && file.metadata().map(identity).ok() == existing
}

fn same() -> Error {
    Error::new(ErrorKind::Usage, "source and destination are the same")
}

fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "the copy panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In memory, where the kernel copies and clones nothing, and on the disk.
    #[test]
    fn a_file_that_became_shorter_is_not_copied_and_growth_does_not_count() {
        for place in [Path::new("/dev/shm"), Path::new(env!("CARGO_MANIFEST_DIR"))] {
            for (now, is_whole) in [(0, false), (1, false), (99_999, false), (100_007, true)] {
                let folder = tempfile::tempdir_in(place).unwrap();
                let (from, to) = (folder.path().join("from"), folder.path().join("to"));
                let data = vec![7; 100_000];
                std::fs::write(&from, &data).unwrap();
                let input = Input::file(File::open(&from).unwrap(), &from).unwrap();
                File::options().write(true).open(&from).unwrap().set_len(now).unwrap();
                let output = Output::file(File::create(&to).unwrap(), &to);
                let context = JobContext::new(
                    Cancel::default(),
                    Arc::<Progress>::default(),
                    "",
                    NonZeroUsize::MIN,
                );
                let copied = copy_blocking(input, output, &context);
                match is_whole {
                    true => {
                        copied.unwrap();
                        assert!(std::fs::read(&to).unwrap() == data, "{}", place.display());
                        assert_eq!(context.progress().written(), data.len() as u64);
                    }
                    false => {
                        let error = copied.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::InvalidData, "{now}: {error}");
                    }
                }
            }
        }
    }
}
