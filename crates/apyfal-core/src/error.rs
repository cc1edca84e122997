//! The one error type.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// What every fallible call of Apyfal returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of what the caller can do about it.
///
/// Exactly three tables map a kind onward: to an exit code (`apyfal-cli`), to an HTTP status
/// (the agent) and to a Python exception (the bindings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself is wrong: an unknown parameter, an ill-typed value, a missing argument.
    Usage,
    /// A configuration file or variable is wrong.
    Configuration,
    /// Credentials are missing or refused.
    Authentication,
    /// The caller may not do this: a path outside the authorized directories, a file mode.
    Security,
    /// A named accelerator, session or job does not exist.
    NotFound,
    /// The input data is corrupt or of a form that the accelerator does not take.
    InvalidData,
    /// The request contradicts the present state: a transaction is open, a name is in use.
    Conflict,
    /// The caller cancelled the job.
    Cancelled,
    /// A time limit ran out.
    Timeout,
    /// The accelerator failed: a program exited with an error, hardware is missing or faulty.
    Engine,
    /// Something that should be reachable is not, for now.
    Unavailable,
    /// All slots are taken and no more jobs may wait.
    Busy,
    /// What a storage URL names does not exist.
    StorageNotFound,
    /// A storage refused the credentials or has none.
    StorageAuthentication,
    /// A storage URL or mount is not usable as it is written.
    StorageConfiguration,
    /// A storage has no room left.
    StorageFull,
    /// Reading from or writing to a storage failed.
    Storage,
    /// A defect of Apyfal itself.
    Internal,
}

impl ErrorKind {
    /// Every kind, for tables that must cover all of them.
    pub const ALL: [ErrorKind; 18] = [
        Self::Usage,
        Self::Configuration,
        Self::Authentication,
        Self::Security,
        Self::NotFound,
        Self::InvalidData,
        Self::Conflict,
        Self::Cancelled,
        Self::Timeout,
        Self::Engine,
        Self::Unavailable,
        Self::Busy,
        Self::StorageNotFound,
        Self::StorageAuthentication,
        Self::StorageConfiguration,
        Self::StorageFull,
        Self::Storage,
        Self::Internal,
    ];

    /// The kind as a stable word: `not-found`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::Security => "security",
            Self::NotFound => "not-found",
            Self::InvalidData => "invalid-data",
            Self::Conflict => "conflict",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Engine => "engine",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::StorageNotFound => "storage-not-found",
            Self::StorageAuthentication => "storage-authentication",
            Self::StorageConfiguration => "storage-configuration",
            Self::StorageFull => "storage-full",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }

    /// The kind that [`as_str`](Self::as_str) gives this word for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error: what failed, on what, why, and what to do.
///
/// ```
/// use apyfal_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Usage, "'fat' is not a level")
///     .operation("read parameter 'level'")
///     .hint("use 'fast', 'default', 'best' or 1 to 9");
/// assert_eq!(error.to_string(), "cannot read parameter 'level': 'fat' is not a level");
/// assert_eq!(error.hints(), ["use 'fast', 'default', 'best' or 1 to 9"]);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<String>,
    message: String,
    context: Vec<(Cow<'static, str>, String)>,
    hints: Vec<String>,
    retryable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error. `message` says why, in lower case and without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            message: bounded(message),
            context: Vec::new(),
            hints: Vec::new(),
            retryable: false,
            source: None,
        }))
    }

    /// The error for a job whose caller gave up.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// The error for a source that ended before the length that it had when it was opened.
    pub fn cut_off(came: u64, len: u64) -> Self {
        let message = format!("it ended after {came} of {len} bytes: it was cut off meanwhile");
        Self::new(ErrorKind::InvalidData, message).hint("begin again when it is complete")
    }

    /// What was being done, as it would follow "cannot": `compress 'a.txt'`. The first one set stays.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation.get_or_insert_with(|| bounded(operation));
        self
    }

    /// A fact that helps to find the cause: `("line", "3")`.
    #[must_use]
    pub fn context(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.0.context.push((key.into(), bounded(value.to_string())));
        self
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(bounded(hint));
        self
    }

    /// Marks a failure that may not happen again on the next try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// The error underneath.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error once more, without the one underneath.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let Inner { kind, operation, message, context, hints, retryable, source: _ } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            operation: operation.clone(),
            message: message.clone(),
            context: context.clone(),
            hints: hints.clone(),
            retryable: *retryable,
            source: None,
        }))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done, as it would follow "cannot".
    pub fn doing(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// Why it failed, without what was being done.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts added by [`Error::context`], in the order in which they were added.
    pub fn facts(&self) -> &[(Cow<'static, str>, String)] {
        &self.0.context
    }

    /// The advice added by [`Error::hint`].
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Whether the same call may succeed when it is made again.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether the caller cancelled the job.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Classes an I/O error that came from the caller's data path.
    ///
    /// An [`Error`] that travelled inside the I/O error (as a reader or writer must do) comes back
    /// out as it went in.
    pub fn from_io(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
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
    pub fn of_write(error: std::io::Error, place: Option<&str>) -> Self {
        let is_systems = error.raw_os_error().is_some();
        let error = Self::from_io(error);
        match place {
            Some(place) if is_systems => error.operation(format!("write to {place}")),
            _ => error,
        }
    }

    /// Wraps this error so that it can pass through a `Read` or `Write`.
    pub fn into_io(self) -> std::io::Error {
        std::io::Error::other(self)
    }
}

/// The longest text of an error, in bytes: more than the tail that is kept of what a program said.
const LONGEST: usize = 20 << 10;

/// A text of an error, which is logged, recorded and sent on whatever somebody made part of it.
fn bounded(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Whether the system has no more of what is given back when others are done: files that may be open.
fn is_exhausted(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    const LIMITS: [Errno; 2] = [Errno::MFILE, Errno::NFILE];
    let mut beneath: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = beneath {
        beneath = match error.downcast_ref::<std::io::Error>() {
            Some(error) => match error.raw_os_error() {
                Some(number) => return LIMITS.iter().any(|limit| limit.raw_os_error() == number),
                None => error.get_ref().map(|error| error as _),
            },
            None => error.source(),
        };
    }
    false
}

fn exhausted(error: &std::io::Error) -> Error {
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
fn plain_io_message(error: &std::io::Error) -> String {
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

/// What lies beneath an error of several layers, in our style.
pub fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<std::io::Error>() {
        Some(error) => plain_io_message(error),
        None => deepest.to_string(),
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::from_io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.0.operation {
            write!(f, "cannot {operation}: ")?;
        }
        f.write_str(&self.0.message)?;
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{key} {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message)
            .field("context", &self.0.context)
            .field("hints", &self.0.hints)
            .field("retryable", &self.0.retryable)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    use super::*;

    #[test]
    fn too_many_open_files_may_pass() {
        let error = |number| std::io::Error::from_raw_os_error(number);
        // A wrapper keeps the number to itself.
        let wrapped = std::io::Error::other(error(24));
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
        let error = Error::from(std::io::Error::from_raw_os_error(28));
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(error.to_string(), "no space left on device");
    }

    #[test]
    fn the_cause_beneath_is_the_systems_own_word() {
        let refused = std::io::Error::from_raw_os_error(111);
        assert_eq!(
            root_cause(&Error::new(ErrorKind::Storage, "x").source(refused)),
            "connection refused"
        );
        // What the resolver says has no kind of its own.
        let unknown = "no.such.host.invalid:1".to_socket_addrs().unwrap_err();
        assert!(root_cause(&unknown).starts_with("failed to lookup address"), "{unknown}");
    }

    #[test]
    fn no_text_of_an_error_is_longer_than_its_bound() {
        let long = "é".repeat(1 << 20);
        let error = Error::new(ErrorKind::Usage, &*long)
            .operation(&*long)
            .context("name", &long)
            .hint(&*long);
        assert!(error.to_string().len() < 4 * LONGEST && error.message().ends_with('…'));
        assert!(error.hints()[0].len() <= LONGEST + "…".len());
        let whole = "x".repeat(LONGEST);
        assert_eq!(Error::new(ErrorKind::Usage, &*whole).message(), whole);
    }

    #[test]
    fn facts_stand_behind_the_message() {
        let error = Error::new(ErrorKind::Configuration, "no value")
            .context("line", 3)
            .context("key", "region")
            .operation("read 'accelerator.conf'");
        assert_eq!(
            error.to_string(),
            "cannot read 'accelerator.conf': no value (line 3, key region)"
        );
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let mut words: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_word(kind.as_str()), Some(kind));
        }
    }
}
