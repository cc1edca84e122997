//! Errors of the system, and what lies beneath an error.

use std::error::Error as StdError;
use std::io;

use super::{Error, ErrorKind};

impl Error {
    /// Classes an I/O error that came from the caller's data path.
    ///
    /// An [`Error`] that travelled inside the I/O error (as a reader or writer must do) comes back
    /// out as it went in.
    pub fn from_io(error: io::Error) -> Self {
        use io::ErrorKind as Io;
        if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            if let Some(Ok(inner)) = error.into_inner().map(|inner| inner.downcast::<Error>()) {
                return *inner;
            }
            return Error::new(ErrorKind::Internal, "an error was lost on its way");
        }
        if is_exhausted(&error) {
            return exhausted(&error).source(error);
        }
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::StorageNotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Security,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::StorageFull,
            Io::InvalidData | Io::UnexpectedEof => ErrorKind::InvalidData,
            Io::TimedOut => ErrorKind::Timeout,
            _ => ErrorKind::Storage,
        };
        match error.kind() {
            Io::FileTooLarge => too_large(kind).source(error),
            _ => Error::new(kind, plain_io_message(&error)).source(error),
        }
    }

    /// The error of a write, which names the place where the system refused it, if that is known.
    pub fn of_write(error: io::Error, place: Option<&str>) -> Self {
        let is_systems = error.raw_os_error().is_some();
        let error = Self::from_io(error);
        match place {
            Some(place) if is_systems => error.operation(format!("write to {place}")),
            _ => error,
        }
    }

    /// Wraps this error so that it can pass through a `Read` or `Write`.
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::from_io(error)
    }
}

/// Whether the system has no more of what is given back when others are done: files that may be open.
fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const LIMITS: [Errno; 2] = [Errno::MFILE, Errno::NFILE];
    let number = causes(error)
        .find_map(|cause| cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error));
    LIMITS.iter().any(|limit| number == Some(limit.raw_os_error()))
}

fn exhausted(error: &io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, root_cause(error))
        .hint("try again once others are done")
        .hint("or raise the limit: 'ulimit -n' of a shell, LimitNOFILE of a service")
        .retryable()
}

/// A file that may not become as large as it would.
fn too_large(kind: ErrorKind) -> Error {
    use rustix::process::{Resource, getrlimit};
    match getrlimit(Resource::Fsize).current {
        Some(limit) => Error::new(kind, "files of this process may not become so large")
            .context("limit in bytes", limit)
            .hint("raise the limit: 'ulimit -f' of a shell, LimitFSIZE of a service"),
        None => Error::new(kind, "its file system takes no file so large"),
    }
}

/// The text of an I/O error in our style: lower case, without the system's number.
fn plain_io_message(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if chars.as_str().starts_with(|c: char| c.is_lowercase() || c == ' ') => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// An error and what lies beneath it, from above; what an I/O error only wraps is beneath it too.
pub fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        // What an I/O error holds is not its source: that is the source of what it holds.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        }
    })
}

/// What lies beneath an error of several layers, in our style.
pub fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let deepest = causes(error).last().unwrap_or(error);
    match deepest.downcast_ref::<io::Error>() {
        Some(error) => plain_io_message(error),
        None => deepest.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    use super::*;

    #[test]
    fn too_many_open_files_may_pass() {
        let error = |number| io::Error::from_raw_os_error(number);
        // A wrapper keeps the number to itself.
        let wrapped = io::Error::other(error(24));
        for io in [error(24), error(23), wrapped] {
            let error = Error::from(io);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.is_retryable() && error.message().contains("too many open files"));
        }
        assert_eq!(Error::from(error(5)).kind(), ErrorKind::Storage);
    }

    #[test]
    fn an_error_survives_the_way_through_io() {
        let error = Error::new(ErrorKind::InvalidData, "bad magic").hint("is it gzip?");
        let back = Error::from(error.into_io());
        assert_eq!(back.kind(), ErrorKind::InvalidData);
        assert_eq!(back.hints(), ["is it gzip?"]);
    }

    #[test]
    fn io_messages_lose_number_and_capital() {
        let error = Error::from(io::Error::from_raw_os_error(28));
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(error.to_string(), "no space left on device");
    }

    #[test]
    fn what_an_io_error_holds_lies_beneath_it() {
        let refused = Error::new(ErrorKind::Security, "not here").into_io();
        let wrapped = Error::new(ErrorKind::Storage, "x").source(io::Error::other(refused));
        assert_eq!(causes(&wrapped).count(), 4);
        assert!(causes(&wrapped).last().is_some_and(|last| last.is::<Error>()));
        assert_eq!(root_cause(&wrapped), "not here");
    }

    #[test]
    fn the_cause_beneath_is_the_systems_own_word() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(
            root_cause(&Error::new(ErrorKind::Storage, "x").source(refused)),
            "connection refused"
        );
        // What the resolver says has no kind of its own.
        let unknown = "no.such.host.invalid:1".to_socket_addrs().unwrap_err();
        assert!(root_cause(&unknown).starts_with("failed to lookup address"), "{unknown}");
    }
}
