//! What went wrong.

use std::fmt;

/// What went wrong, in terms of what the caller can do about it.
///
/// Three tables map a kind onward: to an exit code (`exit.rs` of `apyfal-cli`), to an HTTP status
/// (`error.rs` of `apyfal-api`), and to an exception of Python (`exceptions.py`). Whether the same call
/// may succeed later is no kind: [`Error::is_retryable`](crate::Error::is_retryable) says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself is wrong: an unknown parameter, an ill-typed value, a missing argument.
    Usage,
    /// A configuration file or variable is wrong.
    Configuration,
    /// Credentials are missing or refused.
    Authentication,
    /// The caller may not do this: a path outside the authorized directories, a file mode, what an
    /// account is not permitted.
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
    /// A limit of the account is reached: it is the same everywhere until somebody raises it.
    Quota,
    /// A provider has none left of what was asked for: elsewhere, or another type, it may have.
    Capacity,
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
    /// A defect of Apyfal itself. It stays the last one.
    Internal,
}

/// `ALL` has each kind, in the order of the enum, whose last one is `Internal`.
const _: () = {
    let mut place = 0;
    while place < ErrorKind::ALL.len() {
        assert!(ErrorKind::ALL[place] as usize == place);
        place += 1;
    }
    assert!(ErrorKind::Internal as usize + 1 == ErrorKind::ALL.len());
};

impl ErrorKind {
    /// Every kind, for tables that must cover all of them.
    pub const ALL: [ErrorKind; 20] = [
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
        Self::Quota,
        Self::Capacity,
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
            Self::Quota => "quota",
            Self::Capacity => "capacity",
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

#[cfg(test)]
mod tests {
    use super::*;

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
