//! How old the journal is, by which it is told how long ago something ended.
//!
//! The clock of the day may jump: it is set, or wrong until the network is there. So age counts the
//! time of the system, which does not, and goes on from where it was when the system was not started
//! anew. After a start of the system age goes on by the time since then, or by what the clock of the
//! day says where that is less: what is kept is rather kept for too long.

use apyfal_core::unix_time;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{signed, unsigned};
use crate::uptime;

/// After how many seconds it is written down again, for a start of the system.
const STEP: f64 = 600.0;

/// A moment on all clocks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    /// The start of the system.
    boot: String,
    /// Milliseconds since that.
    up: u64,
    /// Seconds since 1970, as the clock of the day has it.
    day: f64,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { boot: uptime::boot(), up: uptime::milliseconds(), day: unix_time().as_secs_f64() }
    }

    /// How many seconds passed since an earlier one, at least.
    fn since(&self, earlier: &Self) -> f64 {
        if !self.boot.is_empty() && self.boot == earlier.boot {
            return self.up.saturating_sub(earlier.up) as f64 / 1000.0;
        }
        (self.day - earlier.day).min(self.up as f64 / 1000.0).max(0.0)
    }
}

/// The age of the journal.
#[derive(Clone, Debug)]
pub(super) struct Age {
    /// How old it was, in seconds, and when.
    age: f64,
    at: Moment,
    /// The age that is written down.
    written: f64,
}

impl Age {
    /// Reads how old the journal is now. What ended before hosts wrote that down, ended now.
    pub(super) fn open(connection: &Connection, now: Moment) -> rusqlite::Result<Self> {
        let age = Self::read(connection, &now)?;
        for table in ["job", "session"] {
            connection.execute(
                &format!("UPDATE {table} SET age = ?1 WHERE ended IS NOT NULL AND age IS NULL"),
                [age],
            )?;
        }
        let opened = Self { age, at: now, written: age };
        opened.write(connection)?;
        Ok(opened)
    }

    /// How old it is at a moment, by what is written down.
    pub(super) fn read(connection: &Connection, now: &Moment) -> rusqlite::Result<f64> {
        let written = connection.query_row("SELECT age, boot, up, day FROM clock", [], |row| {
            let at = Moment { boot: row.get(1)?, up: unsigned(row, 2)?, day: row.get(3)? };
            Ok(row.get::<_, f64>(0)? + now.since(&at))
        });
        Ok(written.optional()?.unwrap_or(0.0))
    }

    /// How old it is now, in seconds.
    pub(super) fn now(&self) -> f64 {
        self.age + uptime::milliseconds().saturating_sub(self.at.up) as f64 / 1000.0
    }

    /// Writes it down now and then.
    pub(super) fn keep(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let now = self.now();
        if now - self.written < STEP {
            return Ok(());
        }
        (self.age, self.at, self.written) = (now, Moment::now(), now);
        self.write(connection)
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Moment { boot, up, day } = &self.at;
        connection.execute("DELETE FROM clock", [])?;
        let values = params![self.age, boot, signed(*up), day];
        connection.execute("INSERT INTO clock VALUES (?1, ?2, ?3, ?4)", values).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_that_passed_counts() {
        let at = |boot: &str, up: u64, day: f64| Moment { boot: boot.into(), up: up * 1000, day };
        let day = 86400.0;
        let before = at("a", 1000, 1e9);
        for (now, passed) in [
            // While the system runs the clock of the day does not count, wherever it jumps.
            (at("a", 1060, 1e9 + 60.0), 60.0),
            (at("a", 1060, 1e9 + 3650.0 * day), 60.0),
            (at("a", 1060, 1e9 - 3650.0 * day), 60.0),
            // After a start of it both do, and the smaller one counts.
            (at("b", 30, 1e9 + 60.0), 30.0),
            (at("b", 30, 1e9 + 3650.0 * day), 30.0),
            (at("b", 90_000, 1e9 + 60.0), 60.0),
            (at("b", 90_000, 1e9 - day), 0.0),
            // Where the system does not tell when it was started, it may be another start.
            (at("", 30, 1e9 + day), 30.0),
        ] {
            assert_eq!(now.since(&before), passed, "{now:?}");
        }
        assert_eq!(at("", 2000, 1e9 + 60.0).since(&at("", 1000, 1e9)), 60.0);
    }
}
