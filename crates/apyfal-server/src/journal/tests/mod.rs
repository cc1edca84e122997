//! Writing and reading.

mod opening;

use std::path::{Path, PathBuf};
use std::time::Duration;

use apyfal_api::WireError;
use apyfal_api::v2::{JobState, Progress, Report};
use apyfal_core::{ErrorKind, Owner, Profiling, unix_time};
use serde_json::json;
use tempfile::TempDir;

use super::queue::Work;
use super::*;

/// When everything here happens: a full hour, long ago.
const START: f64 = 1_699_999_200.0;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    (folder, path)
}

fn open(path: &Path) -> Journal {
    Journal::open(path).unwrap().0
}

fn session(journal: &Journal) -> SessionRecord {
    let number = journal.next_number().unwrap();
    SessionRecord {
        id: format!("session-{number}"),
        number,
        accelerator: "gzip".into(),
        owner: Owner::Token("anna".into()),
        protocol: Protocol::V2,
        parameters: json!({"app": {"specific": {"level": 6}}}),
        source: Some("words.txt".into()),
        created: START,
        report: Some(report()),
        ended: None,
        used: false,
    }
}

fn job(journal: &Journal, state: JobState) -> JobRecord {
    let number = journal.next_number().unwrap();
    JobRecord {
        id: format!("job-{number}"),
        number,
        session: "session-1".into(),
        accelerator: "gzip".into(),
        owner: Owner::User(1000),
        state,
        protocol: Protocol::V2,
        request: json!({"parameters": {"app": {"specific": {"level": 6}}}}),
        fingerprint: Some("f00d".into()),
        digest: Some("d1e5".into()),
        created: START,
        started: (state != JobState::Waiting).then_some(START + 1.0),
        ended: state.is_final().then_some(START + 3.5),
        progress: Progress { total: Some(100), read: 100, written: 40 },
        result: None,
        report: None,
        error: None,
        kept: false,
    }
}

fn report() -> Report {
    Report {
        id: "session-1".into(),
        accelerator: "gzip".into(),
        engine: "cpu".into(),
        profiling: Profiling::new(Duration::from_millis(250), 1000, 100),
        ..Report::default()
    }
}

fn failure() -> WireError {
    WireError::from(&Error::new(ErrorKind::Engine, "it broke").hint("mend it"))
}

const ALL: Page = Page { offset: 0, limit: u64::MAX };

async fn ids_of(journal: &Journal, filter: JobFilter, page: Page) -> (u64, Vec<u64>) {
    let listed = journal.jobs(filter, page).await.unwrap();
    (listed.count, listed.items.iter().map(|job| job.number).collect())
}

#[tokio::test]
async fn sessions_read_back_as_they_were_written() {
    let (_folder, path) = place();
    let journal = open(&path);
    let mut written = session(&journal);
    journal.record_session(written.clone()).await.unwrap();
    assert_eq!(journal.session(&written.id).await.unwrap().unwrap(), written);
    assert_eq!(journal.session_by_number(written.number).await.unwrap().unwrap(), written);
    journal.use_session(&written.id, true).await.unwrap();
    written.used = true;
    assert_eq!(journal.session(&written.id).await.unwrap().unwrap(), written);
    journal.end_session(&written.id, START + 9.0).await.unwrap();
    journal.end_session(&written.id, START + 10.0).await.unwrap();
    (written.used, written.ended) = (false, Some(START + 9.0));
    assert_eq!(journal.session(&written.id).await.unwrap().unwrap(), written);
    assert_eq!(journal.session("other").await.unwrap(), None);
    let error = journal.end_session("other", START).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        format!("cannot write the journal '{}': there is no session 'other'", path.display())
    );
}

#[tokio::test]
async fn jobs_read_back_as_they_were_written_and_changed() {
    let (_folder, path) = place();
    let journal = open(&path);
    let mut written = job(&journal, JobState::Waiting);
    journal.record_job(written.clone(), Durability::Disk).await.unwrap();
    assert_eq!(journal.job(&written.id).await.unwrap().unwrap(), written);
    let progress = Progress { total: None, read: 7, written: 3 };
    let change = JobChange {
        state: Some(JobState::Done),
        started: Some(START + 1.0),
        ended: Some(START + 2.0),
        progress: Some(progress),
        result: Some(40),
        report: Some(report()),
        error: Some(failure()),
        kept: Some(true),
        digest: Some("d1e6".into()),
    };
    journal.update_job(written.number, change, Durability::Process).await.unwrap();
    written = JobRecord {
        state: JobState::Done,
        started: Some(START + 1.0),
        ended: Some(START + 2.0),
        // A total that was known stays known.
        progress: Progress { total: Some(100), ..progress },
        result: Some(40),
        report: Some(report()),
        error: Some(failure()),
        kept: true,
        digest: Some("d1e6".into()),
        ..written
    };
    assert_eq!(journal.job_by_number(written.number).await.unwrap().unwrap(), written);
    let change = JobChange { kept: Some(false), ..JobChange::default() };
    journal.update_job(written.number, change, Durability::Process).await.unwrap();
    (written.kept, written.result) = (false, None);
    assert_eq!(journal.job(&written.id).await.unwrap().unwrap(), written);
    journal.forget_job(written.number, Durability::Process).await.unwrap();
    assert_eq!(journal.job(&written.id).await.unwrap(), None);
    for error in [
        journal.forget_job(written.number, Durability::Process).await.unwrap_err(),
        journal
            .update_job(written.number, JobChange::default(), Durability::Disk)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn secrets_are_not_written() {
    let (folder, path) = place();
    let journal = open(&path);
    let mut session = session(&journal);
    session.parameters = json!({"env": {"client_secret": "hunter2", "client_id": "me"}});
    let mut job = job(&journal, JobState::Done);
    job.request = json!({"parameters": {"list": [{"token": "hunter2"}]}});
    journal.record_session(session).await.unwrap();
    journal.record_job(job.clone(), Durability::Group).await.unwrap();
    journal.flush().await.unwrap();
    let read = journal.job(&job.id).await.unwrap().unwrap();
    assert_eq!(read.request, json!({"parameters": {"list": [{"token": "***"}]}}));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
    }
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let (_folder, path) = place();
    let journal = open(&path);
    for number in 1..=10 {
        let mut job =
            job(&journal, if number % 2 == 0 { JobState::Done } else { JobState::Failed });
        job.protocol = if number <= 5 { Protocol::V1 } else { Protocol::V2 };
        job.session = format!("session-{}", number % 3);
        job.kept = number == 4;
        journal.record_job(job, Durability::Process).await.unwrap();
    }
    let all = JobFilter::default;
    assert_eq!(ids_of(&journal, all(), ALL).await, (10, (1..=10).rev().collect()));
    let page = Page { offset: 2, limit: 3 };
    assert_eq!(ids_of(&journal, all(), page).await, (10, vec![8, 7, 6]));
    let page = Page { offset: 20, limit: 3 };
    assert_eq!(ids_of(&journal, all(), page).await, (10, vec![]));
    let state = Some(JobState::Done);
    assert_eq!(
        ids_of(&journal, JobFilter { state, ..all() }, ALL).await,
        (5, vec![10, 8, 6, 4, 2])
    );
    let protocol = Some(Protocol::V1);
    let filter = JobFilter { protocol, session: Some("session-1".into()), ..all() };
    assert_eq!(ids_of(&journal, filter, ALL).await, (2, vec![4, 1]));
    assert_eq!(ids_of(&journal, JobFilter { kept: Some(true), ..all() }, ALL).await, (1, vec![4]));
    assert_eq!(ids_of(&journal, JobFilter { kept: Some(false), ..all() }, ALL).await.0, 9);

    for number in 11..=13 {
        let mut session = session(&journal);
        session.protocol = if number == 13 { Protocol::V1 } else { Protocol::V2 };
        session.ended = (number == 11).then_some(START);
        journal.record_session(session).await.unwrap();
    }
    let count = async |open, protocol| {
        let listed = journal
            .sessions(SessionFilter { open, protocol, accelerator: None }, ALL)
            .await
            .unwrap();
        (listed.count, listed.items.iter().map(|session| session.number).collect::<Vec<_>>())
    };
    assert_eq!(count(None, None).await, (3, vec![13, 12, 11]));
    assert_eq!(count(Some(true), None).await, (2, vec![13, 12]));
    assert_eq!(count(Some(false), None).await, (1, vec![11]));
    assert_eq!(count(Some(true), Some(Protocol::V1)).await, (1, vec![13]));
}

#[test]
fn numbers_are_given_once_to_many_threads() {
    let (_folder, path) = place();
    let journal = open(&path);
    let take = || {
        let numbers: Vec<_> = (0..10_000).map(|_| journal.next_number().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
        numbers
    };
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(take));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (1..=40_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_wrong_entry_does_not_stop_the_others_of_its_group() {
    let (_folder, path) = place();
    let journal = open(&path);
    let first = job(&journal, JobState::Running);
    journal.record_job(first.clone(), Durability::Disk).await.unwrap();
    let mut same_number = job(&journal, JobState::Running);
    same_number.number = first.number;
    let other = job(&journal, JobState::Running);
    let (same, same_number, other) = tokio::join!(
        journal.record_job(first.clone(), Durability::Process),
        journal.record_job(same_number, Durability::Disk),
        journal.record_job(other.clone(), Durability::Disk),
    );
    assert_eq!(same.unwrap_err().kind(), ErrorKind::Conflict);
    let error = same_number.unwrap_err();
    assert_eq!(error.message(), "its id or number is recorded already");
    other.unwrap();
    assert!(journal.failure().is_none());
    assert_eq!(ids_of(&journal, JobFilter::default(), ALL).await, (2, vec![3, 1]));
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_all_the_same() {
    let (_folder, path) = place();
    let journal = open(&path);
    let running = job(&journal, JobState::Running);
    let plain = job(&journal, JobState::Done);
    journal.record_job(running.clone(), Durability::Group).await.unwrap();
    let change = JobChange { state: Some(JobState::Failed), ..JobChange::default() };
    journal.update_job(running.number, change, Durability::Group).await.unwrap();
    journal.record_job(plain.clone(), Durability::Group).await.unwrap();
    for _ in 0..1000 {
        let changed = journal.job(&running.id).await.unwrap();
        let written = journal.job(&plain.id).await.unwrap();
        if let (Some(changed), Some(written)) = (changed, written) {
            assert_eq!((changed.state, written), (JobState::Failed, plain));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was never written");
}

#[tokio::test]
async fn every_plain_job_counts_and_the_newest_are_remembered() {
    let (_folder, path) = place();
    let journal = open(&path);
    for _ in 0..5000 {
        let mut job = job(&journal, JobState::Done);
        // As if they had come within an hour and a half.
        job.ended = Some(START + job.number as f64);
        job.started = job.ended.map(|ended| ended - 0.5);
        journal.record_job(job, Durability::Group).await.unwrap();
    }
    journal.flush().await.unwrap();
    let (count, numbers) = ids_of(&journal, JobFilter::default(), ALL).await;
    assert!(count >= queue::PLAIN_ROWS_PER_GROUP as u64);
    assert_eq!(numbers.last(), Some(&1));
    let hours = journal.history(START, Resolution::Hour).await.unwrap();
    let jobs: Vec<_> = hours.iter().map(|point| (point.start, point.usage.jobs)).collect();
    assert_eq!(jobs, [(START as u64, 3599), (START as u64 + 3600, 1401)]);
    let usage = hours[1].usage;
    assert_eq!((usage.bytes_read, usage.bytes_written, usage.failed), (140_100, 56_040, 0));
    assert!((usage.busy - 700.5).abs() < 1e-6, "{usage:?}");
    let fine = journal.history(0.0, Resolution::Fine).await.unwrap();
    assert_eq!(fine.last().unwrap().start, START as u64 + 5000);
    assert_eq!(fine.first().unwrap().start, START as u64 + 1400, "an hour is remembered");
    assert!(fine[1..fine.len() - 1].iter().all(|point| point.usage.jobs == 10));
    let recent = journal.history(START + 4995.0, Resolution::Fine).await.unwrap();
    assert_eq!(recent.len(), 2);
}

#[test]
fn rows_of_plain_jobs_are_few_and_rather_of_those_that_failed() {
    let (_folder, path) = place();
    let journal = open(&path);
    let queue = Queue::default();
    let made = std::cell::Cell::new(0);
    let push = |state| {
        let usage = Usage { failed: (state == JobState::Failed).into(), ..Usage::default() };
        let make = || {
            made.set(made.get() + 1);
            job(&journal, state)
        };
        queue.push_plain("gzip", &Owner::Anyone, START, &Usage { jobs: 1, ..usage }, make).unwrap();
    };
    let limit = queue::PLAIN_ROWS_PER_GROUP;
    (0..1000).for_each(|_| push(JobState::Done));
    assert_eq!(made.get(), limit);
    (0..1000).for_each(|_| push(JobState::Failed));
    assert_eq!(made.get(), 2 * limit);
    let mut group = queue.next_group();
    assert_eq!(group.plain.rows.len(), 2 * limit);
    assert_eq!(group.plain.tally.points()[0].usage.jobs, 2000);
    // What could not be written is joined with what came meanwhile.
    push(JobState::Done);
    queue.give_back(Vec::new(), std::mem::take(&mut group.plain));
    let group = queue.next_group();
    assert_eq!(group.plain.rows.len(), 2 * limit);
    assert_eq!(group.plain.tally.points()[0].usage.jobs, 2001);
}

#[tokio::test]
async fn pruning_keeps_the_newest_and_what_is_kept() {
    let (_folder, path) = place();
    let journal = open(&path);
    let mut old = session(&journal);
    old.id = "old".into();
    old.ended = Some(START);
    let mut with_job = session(&journal);
    with_job.ended = Some(START);
    let now = unix_time().as_secs_f64();
    journal.record_session(old.clone()).await.unwrap();
    journal.record_session(with_job.clone()).await.unwrap();
    journal.record_session(session(&journal)).await.unwrap();
    let mut kept = job(&journal, JobState::Done);
    (kept.kept, kept.ended) = (true, Some(now - 100.0));
    kept.session.clone_from(&with_job.id);
    let mut done = job(&journal, JobState::Done);
    done.ended = Some(now - 100.0);
    let mut recent = job(&journal, JobState::Done);
    recent.ended = Some(now);
    let running = job(&journal, JobState::Running);
    for job in [&kept, &done, &recent, &running] {
        journal.record_job(job.clone(), Durability::Process).await.unwrap();
    }
    for _ in 0..10 {
        let mut plain = job(&journal, JobState::Done);
        plain.ended = Some(now);
        journal.record_job(plain, Durability::Group).await.unwrap();
    }
    journal.flush().await.unwrap();
    // These ended a while ago; what the clock of the day said then does not count.
    let (old_ones, jobs) = ([old.number, with_job.number], [kept.number, done.number]);
    let other = rusqlite::Connection::open(&path).unwrap();
    for (table, numbers) in [("session", old_ones), ("job", jobs)] {
        let [one, other_one] = numbers;
        let aged =
            format!("UPDATE {table} SET age = age - 100 WHERE number IN ({one}, {other_one})");
        other.execute_batch(&aged).unwrap();
    }
    let expired = journal.kept(Duration::ZERO).await.unwrap();
    assert_eq!(expired, [kept.clone()]);
    assert_eq!(journal.kept(Duration::from_secs(3600)).await.unwrap(), []);
    let expired = journal.kept(Duration::from_secs(50)).await.unwrap();
    assert_eq!(expired, [kept.clone()]);
    let retention = Retention { plain_rows: 4, ended_rows: 100, ended: Duration::from_secs(50) };
    journal.prune(retention).await.unwrap();
    let left = [17, 16, 15, 14, running.number, recent.number, kept.number];
    assert_eq!(ids_of(&journal, JobFilter::default(), ALL).await, (7, left.to_vec()));
    let sessions = journal.sessions(SessionFilter::default(), ALL).await.unwrap();
    let left: Vec<_> = sessions.items.iter().map(|session| session.number).collect();
    assert_eq!(left, [3, with_job.number]);
}

#[tokio::test]
async fn what_is_too_much_goes_and_the_disk_has_its_room_again() {
    let (_folder, path) = place();
    let journal = open(&path);
    let mut numbers = Vec::new();
    for at in 0..300 {
        let mut ended = job(&journal, JobState::Failed);
        (ended.kept, ended.ended) = (at == 0, Some(1.0));
        ended.request = json!("x".repeat(3000));
        numbers.push(ended.number);
        journal.record_job(ended, Durability::Process).await.unwrap();
    }
    let other = rusqlite::Connection::open(&path).unwrap();
    let pages = || -> i64 { other.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap() };
    let before = pages();
    let retention = Retention { ended_rows: 10, ..Retention::default() };
    journal.prune(retention).await.unwrap();
    let there: i64 = other.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(there, 11);
    // The newest, and that whose result is kept.
    let mut left: Vec<_> = numbers[290..].iter().rev().copied().collect();
    left.push(numbers[0]);
    assert_eq!(ids_of(&journal, JobFilter::default(), ALL).await, (11, left));
    assert!(pages() < before / 4, "{} of {before}", pages());
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_answered() {
    let (_folder, path) = place();
    let journal = open(&path);
    let running = job(&journal, JobState::Running);
    journal.record_job(running.clone(), Durability::Disk).await.unwrap();
    journal.write(Work::Limit(1), Durability::Process).await.unwrap();
    let mut recorded = vec![running.number];
    let error = loop {
        let mut job = job(&journal, JobState::Waiting);
        job.request = json!("x".repeat(3000));
        let number = job.number;
        match journal.record_job(job, Durability::Disk).await {
            Ok(()) => recorded.push(number),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().ends_with("no space left on its disk"), "{error}");
    recorded.reverse();
    assert_eq!(ids_of(&journal, JobFilter::default(), ALL).await.1, recorded);

    // What nobody waits for is held until there is room.
    let mut plain = job(&journal, JobState::Done);
    for _ in 0..4 {
        plain = job(&journal, JobState::Done);
        plain.request = json!("x".repeat(3000));
        journal.record_job(plain.clone(), Durability::Group).await.unwrap();
    }
    let change = JobChange { state: Some(JobState::Done), ..JobChange::default() };
    journal.update_job(running.number, change, Durability::Group).await.unwrap();
    assert!(journal.flush().await.is_err());
    assert_eq!(journal.failure().unwrap().kind(), ErrorKind::StorageFull);
    journal.write(Work::Limit(1 << 20), Durability::Process).await.unwrap();
    journal.flush().await.unwrap();
    assert!(journal.failure().is_none());
    assert_eq!(journal.job(&plain.id).await.unwrap().unwrap(), plain);
    assert_eq!(journal.job(&running.id).await.unwrap().unwrap().state, JobState::Done);
    let usage = journal.history(0.0, Resolution::Hour).await.unwrap();
    assert_eq!(usage.iter().map(|point| point.usage.jobs).sum::<u64>(), 5);
    let next = job(&journal, JobState::Waiting);
    journal.record_job(next, Durability::Disk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_write_at_once() {
    let (_folder, path) = place();
    let journal = open(&path);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for round in 0..20 {
                    let durability = match (task + round) % 3 {
                        0 => Durability::Disk,
                        1 => Durability::Process,
                        _ => Durability::Group,
                    };
                    let job = job(&journal, JobState::Running);
                    ids.push(job.id.clone());
                    journal.record_job(job.clone(), durability).await.unwrap();
                    let state = Some(JobState::Done);
                    let change = JobChange { state, ..JobChange::default() };
                    journal.update_job(job.number, change, durability).await.unwrap();
                    if durability != Durability::Group {
                        let read = journal.job(&job.id).await.unwrap().unwrap();
                        assert_eq!(read.state, JobState::Done);
                    }
                }
                ids
            })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.extend(task.await.unwrap());
    }
    journal.flush().await.unwrap();
    for id in &ids {
        assert_eq!(journal.job(id).await.unwrap().unwrap().state, JobState::Done);
    }
    assert_eq!(ids_of(&journal, JobFilter::default(), ALL).await.0, 64 * 20);
    let usage = journal.history(0.0, Resolution::Hour).await.unwrap();
    assert_eq!(usage.iter().map(|point| point.usage.jobs).sum::<u64>(), 64 * 20);
}
