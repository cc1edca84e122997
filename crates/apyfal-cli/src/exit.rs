//! What the exit status says: one code per kind of error.

use std::io;

use apyfal::{Error, ErrorKind};
use apyfal_core::causes;

/// The call itself was wrong.
pub(crate) const USAGE: u8 = 2;

/// A host's lease ran out: its machine should end too.
pub(crate) const LEASE_ENDED: u8 = 95;

/// The reader of standard output went away: what a shell shows for a program ended by SIGPIPE.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// The exit code of a kind of error. `docs/reference/exit-codes.md` shows this table to users.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => USAGE,
        ErrorKind::Configuration => 3,
        ErrorKind::Authentication => 4,
        ErrorKind::Security => 5,
        ErrorKind::NotFound => 6,
        ErrorKind::InvalidData => 7,
        ErrorKind::Conflict => 8,
        ErrorKind::Timeout => 9,
        ErrorKind::Engine => 10,
        ErrorKind::Unavailable => 11,
        ErrorKind::Busy => 12,
        ErrorKind::Quota => 13,
        ErrorKind::Capacity => 14,
        ErrorKind::StorageNotFound => 20,
        ErrorKind::StorageAuthentication => 21,
        ErrorKind::StorageConfiguration => 22,
        ErrorKind::StorageFull => 23,
        ErrorKind::Storage => 24,
        // As a shell shows a program ended by SIGINT.
        ErrorKind::Cancelled => 130,
        ErrorKind::Internal => 70,
        // A kind that is newer than this table.
        _ => 1,
    }
}

/// Whether an error came from writing to a pipe that nobody reads.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    let first = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    first.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|kind| code(*kind)).collect();
        assert!(codes.iter().all(|code| *code > 1 && *code != BROKEN_PIPE));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn a_closed_pipe_is_recognised() {
        assert!(is_broken_pipe(&Error::from(io::Error::from(io::ErrorKind::BrokenPipe))));
        assert!(!is_broken_pipe(&Error::new(ErrorKind::Usage, "broken pipe")));
    }
}
