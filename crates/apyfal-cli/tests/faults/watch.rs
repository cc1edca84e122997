//! What befalls the hosts of a pool from some moment on.

use apyfal::ErrorKind;

use super::host::Host;
use super::model::{Cause, Moment};

/// Hosts, and how they were when something began.
pub(crate) struct Watch<'a> {
    hosts: Vec<(&'a Host, Moment)>,
    /// Whether they are reached over their links.
    is_linked: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn begin(hosts: impl IntoIterator<Item = &'a Host>, is_linked: bool) -> Self {
        let hosts = hosts.into_iter().map(|host| (host, host.troubles.now())).collect();
        Self { hosts, is_linked }
    }

    /// Whether it is a reason for a failure: what became of all of them, where one would do.
    pub(crate) fn excuses(&self, kind: ErrorKind, needs_all: bool) -> bool {
        let (causes, needs_all) = match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout => (self.keeping_away(), needs_all),
            ErrorKind::StorageFull | ErrorKind::Engine => (&[Cause::Full][..], false),
            _ => return false,
        };
        let mut had = self.hosts.iter().map(|(host, began)| host.troubles.since(began, causes));
        if needs_all { had.all(|had| had) } else { had.any(|had| had) }
    }

    /// The hosts that nothing kept from being told something.
    pub(crate) fn within_reach(&self) -> impl Iterator<Item = &'a Host> {
        let causes = self.keeping_away();
        let is_there = |(host, began): &&(&'a Host, Moment)| !host.troubles.since(began, causes);
        self.hosts.iter().filter(is_there).map(|(host, _)| *host)
    }

    fn keeping_away(&self) -> &'static [Cause] {
        if self.is_linked { &[Cause::Away, Cause::Link] } else { &[Cause::Away] }
    }
}
