//! Inputs whose length is known: all of it comes, or an error.

use std::borrow::Cow;
use std::io::{self, Read};

use crate::{Error, ErrorKind, Input, Result, Source};

impl Input {
    /// The bytes from the start up to the length that the input had when it was opened.
    ///
    /// What a file got meanwhile does not count. An input that ends before its length was cut off
    /// while it was read, which is an error and no end.
    ///
    /// # Errors
    /// It is a directory.
    pub fn into_reader(self) -> Result<Box<dyn Read + Send>> {
        let (len, name) = (self.len(), self.name().map(str::to_owned));
        let (inner, what): (Box<dyn Read + Send>, Cow<'static, str>) = match self.into_source() {
            Source::Stream(reader) => {
                (reader, name.map_or("the source".into(), |name| format!("'{name}'").into()))
            }
            Source::File { file, path } => {
                let what = format!("'{}'", path.display()).into();
                match len {
                    Some(len) => (Box::new(file.take(len)), what),
                    None => (Box::new(file), what),
                }
            }
            Source::Directory(path) => {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    format!("'{}' is a directory", path.display()),
                )
                .operation(format!("read {}", name.as_deref().unwrap_or("the input")))
                .hint("give a file, or use targz, which takes directories"));
            }
        };
        Ok(match len {
            Some(len) => Box::new(Whole { inner, what, came: 0, len }),
            None => inner,
        })
    }
}

struct Whole {
    inner: Box<dyn Read + Send>,
    what: Cow<'static, str>,
    came: u64,
    len: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.came += count as u64;
        if count == 0 && !buffer.is_empty() && self.came < self.len {
            let cut_off = Error::cut_off(self.came, self.len);
            return Err(cut_off.operation(format!("read {}", self.what)).into_io());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(input: Input) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        input.into_reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_ends_before_its_length_was_cut_off() {
        let error = read(Input::stream(&b"12345"[..]).with_len(6).with_name("five")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let text = error.to_string();
        assert!(text.starts_with("cannot read 'five': it ended after 5 of 6 bytes"), "{text}");
        for input in [Input::stream(&b"12345"[..]), Input::stream(&b"12345"[..]).with_len(5)] {
            assert_eq!(read(input).unwrap(), b"12345");
        }
        // Asked for nothing, nobody has reached an end.
        let mut reader = Input::stream(&b"12345"[..]).with_len(6).into_reader().unwrap();
        assert_eq!(reader.read(&mut []).unwrap(), 0);
    }

    #[test]
    fn a_file_is_what_it_was_when_it_was_opened() {
        let path = std::env::temp_dir().join(format!("apyfal-whole-{}", std::process::id()));
        std::fs::write(&path, "12345").unwrap();
        let open = || Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
        let (grows, shrinks) = (open(), open());
        std::fs::File::options().append(true).open(&path).unwrap().write_all(b"67").unwrap();
        assert_eq!(read(grows).unwrap(), b"12345");
        std::fs::File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
        let error = read(shrinks).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(error.to_string().contains("it ended after 3 of 5 bytes"), "{error}");
    }
}
