//! Whether a host can be used, as its last answer or the lack of one shows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use apyfal_core::Error;
use parking_lot::{Mutex, MutexGuard};

/// Where nothing was tried for so long, a host that does not answer counts as away from now on only.
const STALE: Duration = Duration::from_secs(60);

/// What is known of a host, shared by all who use it.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Whether it ever answered.
    is_known: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

/// Why a host cannot be used.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It does not answer, which may change.
    Away { since: Instant, last: Instant, why: Error },
    /// It is not what it was taken for: another certificate, token, version or protocol.
    Wrong(Error),
}

impl Trouble {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Away { why, .. } | Self::Wrong(why) => why,
        }
    }

    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Away { since, last, why } => {
                Self::Away { since: *since, last: *last, why: why.duplicate() }
            }
            Self::Wrong(why) => Self::Wrong(why.duplicate()),
        }
    }
}

impl Contact {
    pub(super) fn new(is_known: bool) -> Self {
        Self { is_known: is_known.into(), trouble: Mutex::default() }
    }

    /// Whether the host ever answered, or is known to exist.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Why it cannot be used at present, as far as that is known.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.lock().as_ref().map(Trouble::duplicate)
    }

    /// It answered as it should.
    pub(super) fn answers(&self) {
        self.is_known.store(true, Ordering::Relaxed);
        *self.lock() = None;
    }

    /// It does not answer, and has not since then at the latest; since when that is so by now.
    pub(super) fn away(&self, since: Instant, why: &Error) -> Instant {
        let (mut trouble, now) = (self.lock(), Instant::now());
        let since = match &*trouble {
            Some(Trouble::Away { since: earlier, last, .. }) if now - *last < STALE => {
                since.min(*earlier)
            }
            _ => since,
        };
        *trouble = Some(Trouble::Away { since, last: now, why: why.duplicate() });
        since
    }

    /// It answered as no host of ours does.
    pub(super) fn wrong(&self, why: &Error) {
        *self.lock() = Some(Trouble::Wrong(why.duplicate()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock()
    }
}

#[cfg(test)]
mod tests {
    use apyfal_core::ErrorKind;

    use super::*;

    #[test]
    fn who_is_away_is_so_since_the_first_try() {
        let contact = Contact::new(false);
        let error = Error::new(ErrorKind::Unavailable, "refused");
        let begin = Instant::now();
        assert!(contact.trouble().is_none() && !contact.is_known());
        assert_eq!(contact.away(begin, &error), begin);
        assert_eq!(contact.away(begin + Duration::from_secs(1), &error), begin);
        assert!(matches!(contact.trouble(), Some(Trouble::Away { since, .. }) if since == begin));
        contact.answers();
        assert!(contact.trouble().is_none() && contact.is_known());
        let later = begin + Duration::from_secs(2);
        assert_eq!(contact.away(later, &error), later);
        contact.wrong(&error);
        assert!(matches!(contact.trouble(), Some(Trouble::Wrong(_))));
    }
}
