//! What the writing thread tells the database.

use apyfal_api::v2::JobState;
use apyfal_core::{Error, ErrorKind, mask};
use apyfal_database::Failure;
use rusqlite::{Connection, OptionalExtension, PrepFlags, Statement, params};
use serde::Serialize;
use serde_json::Value;

use super::age::Age;
use super::queue::{Plain, Work};
use super::rows::{self, JOB_COLUMNS, protocol_number, signed};
use super::usage::{Resolution, Tally};
use super::{JobChange, JobRecord, Retention, SessionRecord, TokenRecord};

/// How long fine steps of usage are remembered, in seconds.
const FINE_KEPT: u64 = 3600;
/// Surplus plain rows are removed once there are about so many.
const PLAIN_SURPLUS: u64 = 1000;
/// How many pages are given back to the disk at once.
const FREED: u32 = 4096;

/// Prepared statements, and what they have to know of earlier ones.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    age: Age,
    insert_session: Statement<'c>,
    use_session: Statement<'c>,
    end_session: Statement<'c>,
    insert_job: Statement<'c>,
    job_state: Statement<'c>,
    change_job: Statement<'c>,
    forget_job: Statement<'c>,
    add_token: Statement<'c>,
    remove_token: Statement<'c>,
    reserve: Statement<'c>,
    add_usage: Statement<'c>,
    drop_fine: Statement<'c>,
    drop_plain: Statement<'c>,
    drop_jobs: Statement<'c>,
    drop_surplus: Statement<'c>,
    drop_sessions: Statement<'c>,
    plain_kept: u64,
    plain_since_drop: u64,
    last_fine: u64,
}

impl<'c> Statements<'c> {
    /// Prepares all for a journal that keeps `plain_kept` plain rows.
    pub(super) fn new(
        connection: &'c Connection,
        plain_kept: u64,
        age: Age,
    ) -> rusqlite::Result<Self> {
        let all = (1..=22).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
        // They stay: without the flag they take up the memory that SQLite has at hand for what a
        // statement needs while it runs, and each value of a job would be allocated.
        let prepare =
            |sql: &str| connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_PERSISTENT);
        Ok(Self {
            connection,
            age,
            insert_session: prepare(
                "INSERT INTO session (number, id, accelerator, protocol, used, created, ended, \
                 source, parameters, report, owner, age) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?,
            use_session: prepare("UPDATE session SET used = ?2 WHERE id = ?1")?,
            end_session: prepare(
                "UPDATE session SET ended = coalesce(ended, ?2), age = coalesce(age, ?3), used = 0 \
                 WHERE id = ?1",
            )?,
            insert_job: prepare(&format!(
                "INSERT INTO job ({JOB_COLUMNS}, plain, age) VALUES ({all})"
            ))?,
            job_state: prepare("SELECT state FROM job WHERE number = ?1")?,
            change_job: prepare(&format!(
                "UPDATE job SET state = coalesce(?2, state), started = coalesce(?3, started), \
                 ended = coalesce(?4, ended), bytes_total = coalesce(?5, bytes_total), \
                 bytes_read = coalesce(?6, bytes_read), \
                 bytes_written = coalesce(?7, bytes_written), \
                 result = CASE WHEN ?8 IS 0 THEN NULL ELSE coalesce(?9, result) END, \
                 kept = coalesce(?8, kept), report = coalesce(?10, report), \
                 error = coalesce(?11, error), digest = coalesce(?12, digest), \
                 age = coalesce(?13, age) WHERE number = ?1 RETURNING {JOB_COLUMNS}"
            ))?,
            forget_job: prepare("DELETE FROM job WHERE number = ?1")?,
            add_token: prepare(
                "INSERT INTO token VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE \
                 SET hash = excluded.hash, created = excluded.created",
            )?,
            remove_token: prepare("DELETE FROM token WHERE name = ?1")?,
            reserve: prepare("UPDATE counter SET value = ?1 WHERE name = 'number'")?,
            add_usage: prepare(
                "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE \
                 SET jobs = jobs + excluded.jobs, failed = failed + excluded.failed, \
                 bytes_read = bytes_read + excluded.bytes_read, \
                 bytes_written = bytes_written + excluded.bytes_written, \
                 busy = busy + excluded.busy",
            )?,
            drop_fine: prepare("DELETE FROM usage WHERE seconds = ?1 AND start < ?2")?,
            drop_plain: prepare(
                "DELETE FROM job WHERE plain AND number <= \
                 (SELECT number FROM job WHERE plain ORDER BY number DESC LIMIT 1 OFFSET ?1)",
            )?,
            drop_jobs: prepare("DELETE FROM job WHERE age < ?1 AND NOT kept")?,
            drop_surplus: prepare(
                "DELETE FROM job WHERE ended IS NOT NULL AND NOT kept AND NOT plain AND number <= \
                 (SELECT number FROM job WHERE ended IS NOT NULL AND NOT kept AND NOT plain \
                  ORDER BY number DESC LIMIT 1 OFFSET ?1)",
            )?,
            drop_sessions: prepare(
                "DELETE FROM session WHERE ended IS NOT NULL AND (age < ?1 OR number <= \
                 (SELECT number FROM session WHERE ended IS NOT NULL \
                  ORDER BY number DESC LIMIT 1 OFFSET ?2)) \
                 AND NOT EXISTS (SELECT 1 FROM job WHERE job.session = session.id)",
            )?,
            plain_kept,
            // What an earlier process left is looked at with the first ones.
            plain_since_drop: PLAIN_SURPLUS,
            last_fine: 0,
        })
    }

    /// Writes one entry, and adds the job that ended with it, if one did, to `tally`.
    pub(super) fn apply(&mut self, work: &Work, tally: &mut Tally) -> Result<(), Failure> {
        match work {
            Work::Session(session) => self.insert_session(session)?,
            Work::UseSession { id, used } => {
                found(self.use_session.execute(params![id, used])?, "session", id)?;
            }
            Work::EndSession { id, ended } => {
                let ended = self.end_session.execute(params![id, ended, self.age.now()])?;
                found(ended, "session", id)?;
            }
            Work::Job(job) => {
                self.insert_job(job, false)?;
                if job.state.is_final() {
                    tally.add_job(job);
                }
            }
            Work::ChangeJob { number, change } => self.change_job(*number, change, tally)?,
            Work::ForgetJob { number } => {
                let forgotten = self.forget_job.execute([signed(*number)])?;
                found(forgotten, "job", &number.to_string())?;
            }
            Work::AddToken(TokenRecord { name, hash, created }) => {
                self.add_token.execute(params![name, hash.to_string(), created])?;
            }
            Work::RemoveToken(name) => {
                found(self.remove_token.execute([name])?, "token", name)?;
            }
            Work::Reserve(limit) => self.reserve(*limit)?,
            Work::Prune(retention) => self.prune(*retention)?,
            Work::Flush => {}
            #[cfg(test)]
            Work::Limit(pages) => {
                self.connection.pragma_update(None, "max_page_count", pages)?;
            }
        }
        Ok(())
    }

    /// Writes the newest plain jobs.
    pub(super) fn apply_plain(&mut self, plain: &Plain) -> Result<(), Failure> {
        for job in &plain.rows {
            match self.insert_job(job, true) {
                // Nobody could be told of a job that is wrong by itself.
                Ok(()) | Err(Failure::Entry(_)) => self.plain_since_drop += 1,
                Err(failure) => return Err(failure),
            }
        }
        if self.plain_since_drop > PLAIN_SURPLUS {
            self.drop_plain.execute([signed(self.plain_kept)])?;
            self.plain_since_drop = 0;
        }
        Ok(())
    }

    /// Adds usage to what is written already.
    pub(super) fn apply_usage(&mut self, tally: &Tally) -> Result<(), Failure> {
        for point in tally.points() {
            let usage = &point.usage;
            for resolution in [Resolution::Fine, Resolution::Hour] {
                let seconds = resolution.seconds();
                self.add_usage.execute(params![
                    signed(seconds),
                    signed(point.start / seconds * seconds),
                    point.accelerator,
                    point.owner.name().unwrap_or_default(),
                    signed(usage.jobs),
                    signed(usage.failed),
                    signed(usage.bytes_read),
                    signed(usage.bytes_written),
                    usage.busy,
                ])?;
            }
            if point.start > self.last_fine {
                self.last_fine = point.start;
                let first = point.start.saturating_sub(FINE_KEPT);
                self.drop_fine.execute([signed(Resolution::Fine.seconds()), signed(first)])?;
            }
        }
        Ok(())
    }

    /// Notes that the numbers from `limit` on were never given away.
    pub(super) fn reserve(&mut self, limit: u64) -> rusqlite::Result<()> {
        self.reserve.execute([signed(limit)]).map(drop)
    }

    fn insert_session(&mut self, session: &SessionRecord) -> Result<(), Failure> {
        self.insert_session.execute(params![
            signed(session.number),
            session.id,
            session.accelerator,
            protocol_number(session.protocol),
            session.used,
            session.created,
            session.ended,
            session.source,
            masked(&session.parameters)?,
            json(session.report.as_ref())?,
            session.owner.name(),
            session.ended.map(|_| self.age.now()),
        ])?;
        Ok(())
    }

    fn insert_job(&mut self, job: &JobRecord, plain: bool) -> Result<(), Failure> {
        self.insert_job.execute(params![
            signed(job.number),
            job.id,
            job.state.as_str(),
            protocol_number(job.protocol),
            job.kept,
            job.session,
            job.accelerator,
            job.created,
            job.started,
            job.ended,
            job.progress.total.map(signed),
            signed(job.progress.read),
            signed(job.progress.written),
            job.result.map(signed),
            job.fingerprint,
            masked(&job.request)?,
            json(job.report.as_ref())?,
            json(job.error.as_ref())?,
            job.digest,
            job.owner.name(),
            plain,
            job.ended.map(|_| self.age.now()),
        ])?;
        Ok(())
    }

    /// Changes a job, and adds it to `tally` where it ends with that.
    pub(super) fn change_job(
        &mut self,
        number: u64,
        change: &JobChange,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let key = signed(number);
        let before: Option<String> =
            self.job_state.query_row([key], |row| row.get(0)).optional()?;
        let Some(before) = before else {
            return Err(missing("job", &number.to_string()));
        };
        let job = self.change_job.query_row(
            params![
                key,
                change.state.map(JobState::as_str),
                change.started,
                change.ended,
                change.progress.and_then(|progress| progress.total).map(signed),
                change.progress.map(|progress| signed(progress.read)),
                change.progress.map(|progress| signed(progress.written)),
                change.kept,
                change.result.map(signed),
                json(change.report.as_ref())?,
                json(change.error.as_ref())?,
                change.digest,
                change.ended.map(|_| self.age.now()),
            ],
            rows::job,
        )?;
        let was_final = JobState::from_word(&before).is_some_and(JobState::is_final);
        if job.state.is_final() && !was_final {
            tally.add_job(&job);
        }
        Ok(())
    }

    fn prune(&mut self, retention: Retention) -> Result<(), Failure> {
        let Retention { plain_rows, ended_rows, ended } = retention;
        let ended_before = self.age.now() - ended.as_secs_f64();
        self.age.keep(self.connection)?;
        self.plain_kept = plain_rows;
        self.plain_since_drop = 0;
        self.drop_plain.execute([signed(plain_rows)])?;
        self.drop_jobs.execute([ended_before])?;
        self.drop_surplus.execute([signed(ended_rows)])?;
        self.drop_sessions.execute(params![ended_before, signed(ended_rows)])?;
        // What they took is the disk's again, a page for each step; in files of before it is used anew.
        let mut freeing =
            self.connection.prepare(&format!("PRAGMA incremental_vacuum({FREED})"))?;
        let mut pages = freeing.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }
}

fn found(changed: usize, what: &str, id: &str) -> Result<(), Failure> {
    if changed == 0 { Err(missing(what, id)) } else { Ok(()) }
}

fn missing(what: &str, id: &str) -> Failure {
    Failure::Entry(Error::new(ErrorKind::NotFound, format!("there is no {what} '{id}'")))
}

fn json<T: Serialize>(value: Option<&T>) -> Result<Option<String>, Failure> {
    let text = value.map(serde_json::to_string).transpose();
    text.map_err(|error| Failure::Entry(Error::new(ErrorKind::Internal, error.to_string())))
}

fn masked(value: &Value) -> Result<Option<String>, Failure> {
    let mut value = value.clone();
    mask(&mut value);
    json(Some(&value))
}
