//! The ends of a job for a second try, where the first one failed before anything of it was seen.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Input, Output, Sink, Source};

/// A stream can be read again as long as no more than so many bytes of it were read.
const KEPT: usize = 1 << 20;

impl Input {
    /// The input for a first try, and what a second one needs to have it from its start.
    ///
    /// # Errors
    /// The system has no more open files.
    pub fn with_spare(self) -> io::Result<(Self, SpareInput)> {
        let Self { name, len, source, in_memory, file } = self;
        let (source, spare) = match source {
            Source::Stream(reader) => {
                let read = Some(Vec::new());
                let shared = Arc::new(Mutex::new(ReadStream { reader, read }));
                let first = Source::Stream(Box::new(ReadHandle(shared.clone())));
                (first, SpareSource::Stream(shared))
            }
            Source::File { file, path } => {
                let spare =
                    SpareSource::File(Source::File { file: file.try_clone()?, path: path.clone() });
                (Source::File { file, path }, spare)
            }
            Source::Directory(path) => {
                (Source::Directory(path.clone()), SpareSource::File(Source::Directory(path)))
            }
        };
        let nothing = Source::Stream(Box::new(io::empty()));
        let again = Self { name: name.clone(), len, source: nothing, in_memory, file };
        Ok((Self { name, len, source, in_memory, file }, SpareInput { again, source: spare }))
    }
}

/// What is left of an input for a second try.
#[derive(Debug)]
pub struct SpareInput {
    /// All but the source.
    again: Input,
    source: SpareSource,
}

enum SpareSource {
    Stream(Arc<Mutex<ReadStream>>),
    File(Source),
}

impl SpareInput {
    /// The input from its start. None where too much of a stream was read, or somebody still reads
    /// it.
    pub fn take(self) -> Option<Input> {
        let source = match self.source {
            SpareSource::File(source) => {
                if let Source::File { file, .. } = &source {
                    // The first try had the same place in it.
                    (&*file).rewind().ok()?;
                }
                source
            }
            SpareSource::Stream(shared) => {
                let shared = Arc::into_inner(shared)?;
                let ReadStream { reader, read } = shared.into_inner();
                Source::Stream(Box::new(Cursor::new(read?).chain(reader)))
            }
        };
        Some(Input { source, ..self.again })
    }
}

struct ReadStream {
    reader: Box<dyn Read + Send>,
    /// What was read; none once that is too much.
    read: Option<Vec<u8>>,
}

struct ReadHandle(Arc<Mutex<ReadStream>>);

impl Read for ReadHandle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut guard = self.0.lock();
        let stream = &mut *guard;
        let count = stream.reader.read(buffer)?;
        match &mut stream.read {
            Some(read) if read.len() + count <= KEPT => read.extend_from_slice(&buffer[..count]),
            read => *read = None,
        }
        Ok(count)
    }
}

impl Output {
    /// The output for a first try, and what a second one needs to have it as it was.
    ///
    /// # Errors
    /// The system has no more open files.
    pub fn with_spare(self) -> io::Result<(Self, SpareOutput)> {
        let Self { name, sink, in_memory, if_any, is_new, file, place } = self;
        let (first, second) = match sink {
            Sink::Stream(writer) => {
                let shared = Arc::new(Mutex::new(WrittenStream { writer, is_written: false }));
                (Sink::Stream(Box::new(WriteHandle(shared.clone()))), SpareSink::Stream(shared))
            }
            Sink::File { file, path } => {
                let second = SpareSink::File(file.try_clone()?, path.clone());
                (Sink::File { file, path }, second)
            }
        };
        let again = Self {
            name: name.clone(),
            sink: Sink::Stream(Box::new(io::sink())),
            in_memory,
            if_any,
            is_new,
            file,
            place: place.clone(),
        };
        let output = Self { name, sink: first, in_memory, if_any, is_new, file, place };
        Ok((output, SpareOutput { again, sink: second }))
    }
}

/// What is left of an output for a second try.
#[derive(Debug)]
pub struct SpareOutput {
    /// All but the sink.
    again: Output,
    sink: SpareSink,
}

enum SpareSink {
    Stream(Arc<Mutex<WrittenStream>>),
    File(File, PathBuf),
}

impl SpareOutput {
    /// The output with nothing in it. None where something went into a stream, or somebody still
    /// has it.
    pub fn take(self) -> Option<Output> {
        let sink = match self.sink {
            // Nobody has seen what is in a file that is not committed.
            SpareSink::File(mut file, path) => {
                file.set_len(0).and_then(|()| file.rewind()).ok()?;
                Sink::File { file, path }
            }
            SpareSink::Stream(shared) => {
                let shared = Arc::into_inner(shared)?;
                let stream = shared.into_inner();
                if stream.is_written {
                    return None;
                }
                Sink::Stream(stream.writer)
            }
        };
        Some(Output { sink, ..self.again })
    }
}

struct WrittenStream {
    writer: Box<dyn Write + Send>,
    is_written: bool,
}

struct WriteHandle(Arc<Mutex<WrittenStream>>);

impl Write for WriteHandle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut guard = self.0.lock();
        let stream = &mut *guard;
        let count = stream.writer.write(bytes)?;
        stream.is_written |= count > 0;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().writer.flush()
    }
}

impl std::fmt::Debug for SpareSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::File(source) => source.fmt(f),
        }
    }
}

impl std::fmt::Debug for SpareSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream"),
            Self::File(_, path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: Input) -> Vec<u8> {
        let mut bytes = Vec::new();
        match input.into_source() {
            Source::Stream(mut reader) => reader.read_to_end(&mut bytes).unwrap(),
            Source::File { mut file, .. } => file.read_to_end(&mut bytes).unwrap(),
            Source::Directory(_) => 0,
        };
        bytes
    }

    #[test]
    fn a_stream_is_read_from_its_start_again() {
        let (first, spare) = Input::bytes(*b"abcdef").with_name("it").with_spare().unwrap();
        let Source::Stream(mut reader) = first.into_source() else { panic!() };
        reader.read_exact(&mut [0; 4]).unwrap();
        drop(reader);
        let again = spare.take().unwrap();
        assert!(again.is_in_memory());
        assert_eq!((again.name(), again.len()), (Some("it"), Some(6)));
        assert_eq!(all(again), b"abcdef");
    }

    #[test]
    fn a_stream_of_which_too_much_was_read_is_not() {
        let long = vec![b'x'; KEPT + 1];
        let (first, spare) = Input::bytes(long).with_spare().unwrap();
        assert_eq!(all(first).len(), KEPT + 1);
        assert!(spare.take().is_none());
    }

    #[test]
    fn a_file_is_read_from_its_start_again() {
        let path = std::env::temp_dir().join(format!("apyfal-spare-{}", std::process::id()));
        std::fs::write(&path, "abc").unwrap();
        let input = Input::file(File::open(&path).unwrap(), &path).unwrap();
        let (first, spare) = input.with_spare().unwrap();
        assert_eq!(all(first), b"abc");
        assert_eq!(all(spare.take().unwrap()), b"abc");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_went_into_a_stream_is_seen_and_into_a_file_is_not() {
        let written = |bytes: &[u8]| {
            let (first, spare) = Output::stream(Vec::new()).with_spare().unwrap();
            let Sink::Stream(mut writer) = first.into_sink() else { panic!() };
            writer.write_all(bytes).and_then(|()| writer.flush()).unwrap();
            drop(writer);
            spare.take().is_some()
        };
        assert!(written(b"") && !written(b"x"));

        let path = std::env::temp_dir().join(format!("apyfal-spare-out-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let (first, spare) = Output::file(file.unwrap(), &path).with_spare().unwrap();
        let Sink::File { mut file, .. } = first.into_sink() else { panic!() };
        file.write_all(b"half of it").unwrap();
        let Sink::File { mut file, .. } = spare.take().unwrap().into_sink() else { panic!() };
        file.write_all(b"all").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"all");
        std::fs::remove_file(&path).unwrap();
    }
}
