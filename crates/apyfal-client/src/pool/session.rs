//! A session of a pool: one on each host that it could be started on.

use std::collections::HashMap;
use std::sync::Arc;

use apyfal_core::{Error, ErrorKind, Result};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::transaction::Transaction;

/// The sessions of a pool that are open, each by a short name that means something in this process
/// alone.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    sessions: HashMap<String, Arc<PoolSession>>,
    /// How many were opened.
    count: u64,
}

/// What each host calls its part of a session.
#[derive(Debug)]
pub(super) struct PoolSession {
    /// In the order of the hosts; none where it was not started.
    ids: Vec<Option<String>>,
    /// The host of its transactions: the first one that it was started on. None where that is no more
    /// among the hosts.
    first: Option<usize>,
    pub(super) transaction: Transaction,
}

impl Sessions {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock()
    }

    /// Keeps a session; what it is called from now on.
    pub(super) fn add(&self, session: PoolSession) -> String {
        let mut open = self.open();
        open.count += 1;
        let name = format!("pool-{}", open.count);
        open.sessions.insert(name.clone(), Arc::new(session));
        name
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<PoolSession>> {
        self.open().sessions.get(name).cloned()
    }

    pub(super) fn remove(&self, name: &str) -> Option<Arc<PoolSession>> {
        self.open().sessions.remove(name)
    }
}

impl PoolSession {
    /// A session that was just started on those hosts that have an id.
    pub(super) fn started(ids: Vec<Option<String>>) -> Self {
        Self { first: first_of(&ids), ids, transaction: Transaction::none() }
    }

    /// Its id on a host.
    pub(super) fn on(&self, host: usize) -> Option<&str> {
        self.ids.get(host)?.as_deref()
    }

    /// The host of its transactions.
    ///
    /// # Errors
    /// It is not among the hosts.
    pub(super) fn first(&self) -> Result<usize> {
        self.first.ok_or_else(|| {
            let why = "the host that its transaction is on is not among the hosts";
            Error::new(ErrorKind::Conflict, why)
                .hint("name that host as well, or start the accelerator again")
        })
    }

    /// As it is remembered for another process: pairs of a host's place and the session's id there, as
    /// JSON; the host of its transactions first.
    pub(super) fn to_text<'a>(&self, places: impl Iterator<Item = &'a str>) -> String {
        let started = places.zip(&self.ids).enumerate();
        let mut started: Vec<_> =
            started.filter_map(|(host, (place, id))| Some((host, place, id.as_deref()?))).collect();
        started.sort_by_key(|(host, ..)| Some(*host) != self.first);
        let pairs = started.into_iter().map(|(_, place, id)| Value::from_iter([place, id]));
        Value::from_iter(pairs).to_string()
    }

    /// What was remembered, for the hosts at these places. Hosts may have changed places, and new ones
    /// have no part of it.
    ///
    /// # Errors
    /// It is no such text.
    pub(super) fn read<'a>(text: &str, places: impl Iterator<Item = &'a str>) -> Result<Self> {
        let (ids, first) = match text.starts_with('[') {
            true => by_place(text, places)?,
            false => in_order(text, places),
        };
        Ok(Self { ids, first, transaction: Transaction::unknown() })
    }
}

/// The ids of a session by host, and the host of its transactions.
type Read = (Vec<Option<String>>, Option<usize>);

fn by_place<'a>(text: &str, places: impl Iterator<Item = &'a str>) -> Result<Read> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Conflict, format!("it is damaged: {error}"))
            .operation("take up the session of a pool")
            .hint("start the accelerator again")
    })?;
    let first = pairs.first().cloned();
    // A host that is named twice has two.
    let mut ids: HashMap<_, Vec<_>> = HashMap::new();
    for (place, id) in pairs.into_iter().rev() {
        ids.entry(place).or_default().push(id);
    }
    let found: Vec<_> =
        places.map(|place| Some((place.to_owned(), ids.get_mut(place)?.pop()?))).collect();
    let first = found.iter().position(|found| first.is_some() && *found == first);
    Ok((found.into_iter().map(|found| found.map(|(_, id)| id)).collect(), first))
}

/// What earlier versions remembered: ids with commas in between, in the order of the hosts.
fn in_order<'a>(text: &str, places: impl Iterator<Item = &'a str>) -> Read {
    let ids = text.split(',').map(|id| Some(id.to_owned()).filter(|id| !id.is_empty()));
    let ids: Vec<_> = ids.chain(std::iter::repeat(None)).zip(places).map(|(id, _)| id).collect();
    let first = first_of(&ids);
    (ids, first)
}

fn first_of(ids: &[Option<String>]) -> Option<usize> {
    ids.iter().position(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(session: &PoolSession) -> Vec<&str> {
        session.ids.iter().map(|id| id.as_deref().unwrap_or("-")).collect()
    }

    #[test]
    fn a_session_is_found_again_wherever_its_hosts_are() {
        let started = PoolSession::started(vec![Some("s,1".into()), None, Some("\"".into())]);
        assert_eq!((started.on(0), started.on(1), started.on(7)), (Some("s,1"), None, None));
        let text = started.to_text(["a:1", "b:1", "a:1"].into_iter());
        for (places, found) in [
            (&["a:1", "b:1", "a:1"][..], &["s,1", "-", "\""][..]),
            (&["new:1", "a:1", "a:1", "a:1"], &["-", "s,1", "\"", "-"]),
            (&["b:1"], &["-"]),
        ] {
            let read = PoolSession::read(&text, places.iter().copied()).unwrap();
            assert_eq!(ids(&read), found, "{text}");
        }
        let error = PoolSession::read("[[\"a:1\"]]", std::iter::empty()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_transaction_follows_its_host() {
        let started = PoolSession::started(vec![None, Some("1".into()), Some("2".into())]);
        assert_eq!(started.first().unwrap(), 1);
        let text = started.to_text(["a:1", "b:1", "c:1"].into_iter());
        let read = |text: &str, places: [&'static str; 3]| {
            let read = PoolSession::read(text, places.into_iter()).unwrap();
            (read.first().map_err(|error| error.kind()), read.to_text(places.into_iter()))
        };
        let turned = ["c:1", "a:1", "b:1"];
        let (first, again) = read(&text, turned);
        assert_eq!(first, Ok(2));
        assert_eq!(read(&again, turned).0, Ok(2), "it is remembered once more: {again}");
        assert_eq!(read(&again, ["b:1", "c:1", "a:1"]).0, Ok(0));
        assert_eq!(read(&text, ["a:1", "c:1", "d:1"]).0, Err(ErrorKind::Conflict));
    }

    #[test]
    fn what_was_remembered_with_commas_is_read() {
        let places = || ["a:1", "b:1", "c:1"].into_iter();
        for (text, found) in [
            ("session-1,,session-3", ["session-1", "-", "session-3"]),
            ("session-1", ["session-1", "-", "-"]),
            ("s-1,s-2,s-3,s-4", ["s-1", "s-2", "s-3"]),
        ] {
            let read = PoolSession::read(text, places()).unwrap();
            assert_eq!(ids(&read), found);
        }
    }

    #[test]
    fn a_thousand_hosts_have_one() {
        let places: Vec<_> = (0..1000).map(|host| format!("host{host}.example:8000")).collect();
        let ids: Vec<_> = (0..1000).map(|host| Some(format!("session-{host}"))).collect();
        let sessions = Sessions::default();
        let name = sessions.add(PoolSession::started(ids));
        assert!(name.len() < 32, "jobs carry it");
        let text = sessions.get(&name).unwrap().to_text(places.iter().map(String::as_str));
        let backwards = places.iter().rev().map(String::as_str);
        let read = PoolSession::read(&text, backwards).unwrap();
        assert_eq!((read.on(0), read.on(999)), (Some("session-999"), Some("session-0")));
        assert!(sessions.remove(&name).is_some() && sessions.get(&name).is_none());
    }
}
