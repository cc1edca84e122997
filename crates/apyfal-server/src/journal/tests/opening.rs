//! Opening and closing.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn refuses_a_second_agent() {
    let (_folder, path) = place();
    let journal = open(&path);
    let error = Journal::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("another agent uses it"), "{error}");
    journal.close().await.unwrap();
    // A handle is left, but it is closed.
    open(&path);
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let (_folder, path) = place();
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot open the journal '{}': its schema has version 7, and this apyfal knows up to 4",
            path.display()
        )
    );
    let error = Journal::open(path.parent().unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("it is not a file"), "{error}");
    let other = path.with_file_name("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE cat (name)").unwrap();
    let error = Journal::open(&other).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}

/// Where a journal is as a host of before left it.
fn left(by: &str) -> (TempDir, PathBuf) {
    let (folder, path) = place();
    Connection::open(&path).unwrap().execute_batch(by).unwrap();
    (folder, path)
}

#[tokio::test]
async fn a_journal_of_before_is_taken_over() {
    // Jobs had no digest.
    let (_folder, path) = left(include_str!("version_1.sql"));
    let (journal, recovered) = Journal::open(&path).unwrap();
    assert_eq!(recovered.interrupted[0].id, "other");
    let mine = journal.job("mine").await.unwrap().unwrap();
    // Its time begins anew.
    assert_eq!(journal.kept(Duration::from_secs(3600)).await.unwrap(), []);
    assert_eq!((mine.number, mine.result, mine.digest), (7, Some(3), None));
    let change = JobChange { digest: Some("d1e5".into()), ..JobChange::default() };
    journal.update_job(7, change, Durability::Disk).await.unwrap();
    journal.close().await.unwrap();
    let journal = open(&path);
    assert_eq!(journal.job("mine").await.unwrap().unwrap().digest.as_deref(), Some("d1e5"));
    assert_eq!(journal.next_number().unwrap(), 1000);
}

#[tokio::test]
async fn what_a_host_left_behind_is_there_for_the_next_one() {
    let (_folder, path) = left(include_str!("version_3.sql"));
    let (journal, recovered) = Journal::open(&path).unwrap();
    assert_eq!(journal.next_number().unwrap(), 7);
    let [session] = &recovered.sessions[..] else { panic!("{recovered:?}") };
    let is = (&*session.id, session.number, session.protocol, session.used, session.created);
    assert_eq!(is, ("session-1", 1, Protocol::V2, false, START));
    assert_eq!(session.parameters, json!({"app": {"specific": {"level": 6}}}));
    assert_eq!((session.source.as_deref(), &session.report), (Some("words.txt"), &Some(report())));
    let ended = journal.session("session-2").await.unwrap().unwrap();
    assert_eq!((ended.ended, ended.used), (Some(START), true));
    assert_eq!(recovered.interrupted.iter().map(|job| job.number).collect::<Vec<_>>(), [4]);
    let [done] = &journal.kept(Duration::ZERO).await.unwrap()[..] else { panic!("none is kept") };
    let is = (&*done.id, done.state, done.result, done.digest.as_deref(), done.ended);
    assert_eq!(is, ("job-3", JobState::Done, Some(40), Some("d1e5"), Some(START + 3.5)));
    assert_eq!((&done.report, done.progress.written), (&Some(report()), 40));
    let failed = journal.job("job-5").await.unwrap().unwrap();
    assert_eq!(
        (failed.state, failed.error.unwrap().message.as_str()),
        (JobState::Failed, "cancelled")
    );
    assert_eq!(ids_of(&journal, JobFilter::default(), ALL).await, (4, vec![6, 5, 4, 3]));
    let usage = journal.history(START, Resolution::Hour).await.unwrap().remove(0).usage;
    assert_eq!((usage.jobs, usage.failed, usage.bytes_read, usage.busy), (3, 1, 300, 7.5));
}

/// Such a file cannot give room back to the disk.
#[tokio::test]
async fn what_is_freed_in_a_journal_of_before_is_used_anew() {
    let (_folder, path) = left(include_str!("version_3.sql"));
    let journal = open(&path);
    let other = Connection::open(&path).unwrap();
    let pages =
        |what: &str| other.pragma_query_value(None, what, |row| row.get::<_, i64>(0)).unwrap();
    let fill = async || {
        for _ in 0..100 {
            let mut ended = job(&journal, JobState::Failed);
            ended.request = json!("x".repeat(3000));
            journal.record_job(ended, Durability::Process).await.unwrap();
        }
    };
    fill().await;
    let full = pages("page_count");
    for _ in 0..3 {
        let retention = Retention { ended_rows: 10, ..Retention::default() };
        journal.prune(retention).await.unwrap();
        assert!(pages("page_count") >= full);
        assert!(pages("freelist_count") > full / 2);
        let (count, left) = ids_of(&journal, JobFilter::default(), ALL).await;
        // The newest, a plain one, and that whose result is kept.
        assert_eq!((count, left.len()), (12, 12));
        fill().await;
        // Ten more are there than were at first.
        assert!(pages("page_count") < full + 30, "{} of {full}", pages("page_count"));
    }
}

#[tokio::test]
async fn a_clock_that_jumps_makes_nothing_older() {
    let (_folder, path) = place();
    let journal = open(&path);
    // As the clock of the day had it when it ended: long ago, and in a time to come.
    for ended in [START, 4e9] {
        let job = JobRecord { kept: true, ended: Some(ended), ..job(&journal, JobState::Done) };
        journal.record_job(job, Durability::Disk).await.unwrap();
    }
    let hour = Duration::from_secs(3600);
    assert_eq!(journal.kept(Duration::ZERO).await.unwrap().len(), 2);
    assert_eq!(journal.kept(hour).await.unwrap(), []);
    journal.close().await.unwrap();
    let aged = |change: &str| {
        Connection::open(&path).unwrap().execute_batch(change).unwrap();
    };
    // It jumps while no agent is there.
    aged("UPDATE clock SET day = day - 1e9");
    let journal = open(&path);
    assert_eq!(journal.kept(hour).await.unwrap(), []);
    journal.close().await.unwrap();
    // And so does the time that passed count which no agent saw.
    aged("UPDATE clock SET age = age + 3700");
    let journal = open(&path);
    assert_eq!(journal.kept(hour).await.unwrap().len(), 2);
    journal.prune(Retention { plain_rows: 0, ended: hour, ..Retention::default() }).await.unwrap();
    assert_eq!(journal.kept(hour).await.unwrap().len(), 2, "what is kept stays");
}

#[tokio::test]
async fn refuses_a_damaged_file_and_leaves_it_alone() {
    let (_folder, path) = place();
    let journal = open(&path);
    for _ in 0..100 {
        let job = job(&journal, JobState::Done);
        journal.record_job(job, Durability::Process).await.unwrap();
    }
    journal.close().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let in_the_middle = whole.len() / 2;
    let mut torn = whole.clone();
    torn[in_the_middle..].fill(0xa5);
    let cut = whole[..in_the_middle].to_vec();
    for damaged in [b"not a database".repeat(1000), torn, cut] {
        std::fs::write(&path, &damaged).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.message().starts_with("it is damaged: "), "{error}");
        assert!(error.hints()[0].contains("away"), "{error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
    }
    std::fs::write(&path, whole).unwrap();
    assert_eq!(ids_of(&open(&path), JobFilter::default(), ALL).await.0, 100);
}

#[tokio::test]
async fn what_is_missing_of_it_is_damage() {
    for change in [
        "DROP TABLE job",
        "DROP TABLE session",
        "DROP TABLE usage",
        "DROP TABLE counter",
        "DROP TABLE clock",
        "DELETE FROM counter",
        "ALTER TABLE job DROP COLUMN digest",
        "UPDATE job SET state = 'odd'",
        "UPDATE job SET bytes_read = -1",
        "UPDATE job SET request = '{'",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 0",
    ] {
        let (_folder, path) = place();
        let journal = open(&path);
        let job = job(&journal, JobState::Running);
        journal.record_job(job.clone(), Durability::Disk).await.unwrap();
        let other = Connection::open(&path).unwrap();
        // While it is used.
        other.execute_batch(change).unwrap();
        if let Err(error) = journal.job(&job.id).await {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{change}: {error}");
        }
        let _ = journal.close().await;
        drop((journal, other));
        // And when it is opened, where it is read then.
        match Journal::open(&path) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{change}: {error}");
                assert!(error.message().starts_with("it is damaged: "), "{change}: {error}");
                assert!(error.hints()[0].contains("away"), "{change}: {error:?}");
            }
            Ok(_) => assert!(change.starts_with("UPDATE"), "{change} is not noticed"),
        }
    }
}

#[tokio::test]
async fn the_files_are_private() {
    let (folder, path) = place();
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let journal = open(&path);
    journal.record_session(session(&journal)).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        files += 1;
    }
    assert!(files >= 3, "{files}");
}

#[tokio::test]
async fn what_ran_is_interrupted_when_it_is_opened_again() {
    let (_folder, path) = place();
    let journal = open(&path);
    let open_one = session(&journal);
    let mut ended = session(&journal);
    ended.ended = Some(START);
    journal.record_session(open_one.clone()).await.unwrap();
    journal.record_session(ended).await.unwrap();
    let jobs = [JobState::Waiting, JobState::Running, JobState::Done].map(|s| job(&journal, s));
    for job in &jobs {
        journal.record_job(job.clone(), Durability::Disk).await.unwrap();
    }
    drop(journal);

    let (journal, recovered) = Journal::open(&path).unwrap();
    assert_eq!(recovered.sessions, std::slice::from_ref(&open_one));
    let [waited, ran] = &recovered.interrupted[..] else { panic!("{recovered:?}") };
    assert_eq!((&waited.id, &ran.id), (&jobs[0].id, &jobs[1].id));
    for job in &recovered.interrupted {
        assert_eq!(job.state, JobState::Interrupted);
        assert!(job.ended.is_some());
        let error = job.error.clone().unwrap();
        assert_eq!((error.kind.as_str(), error.retryable), ("unavailable", true));
        assert_eq!(journal.job(&job.id).await.unwrap().as_ref(), Some(job));
    }
    assert_eq!(ran.error.as_ref().unwrap().message, "the agent ended while it ran");
    assert_eq!(journal.job(&jobs[2].id).await.unwrap().unwrap(), jobs[2]);
    // It counts when it is found out.
    let usage = journal.history(START + 3600.0, Resolution::Hour).await.unwrap();
    assert_eq!(usage.iter().map(|point| point.usage.failed).sum::<u64>(), 2);
    assert_eq!(usage.iter().map(|point| point.usage.busy).sum::<f64>(), 0.0);
    drop(journal);

    let (_, recovered) = Journal::open(&path).unwrap();
    assert_eq!(recovered.interrupted, []);
    assert_eq!(recovered.sessions, [open_one]);
}

#[tokio::test]
async fn numbers_continue_and_only_a_crash_skips_some() {
    let (_folder, path) = place();
    let journal = open(&path);
    assert_eq!([(); 3].map(|()| journal.next_number().unwrap()), [1, 2, 3]);
    journal.close().await.unwrap();
    let journal = open(&path);
    assert_eq!(journal.next_number().unwrap(), 4);
    // As a crash would leave it: what is reserved stays reserved.
    let reserved: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT value FROM counter", [], |row| row.get(0))
        .unwrap();
    assert!(reserved > 5, "{reserved}");
}

#[tokio::test]
async fn closing_writes_everything_and_ends_it() {
    let (_folder, path) = place();
    let journal = open(&path);
    let plain = job(&journal, JobState::Done);
    let running = job(&journal, JobState::Running);
    journal.record_job(plain.clone(), Durability::Group).await.unwrap();
    journal.record_job(running, Durability::Group).await.unwrap();
    let session = session(&journal);
    let other = journal.clone();
    let (first, second) = tokio::join!(journal.close(), other.close());
    first.unwrap();
    second.unwrap();
    let kinds = [
        journal.next_number().unwrap_err().kind(),
        journal.record_session(session).await.unwrap_err().kind(),
        journal.record_job(plain.clone(), Durability::Group).await.unwrap_err().kind(),
        journal.job(&plain.id).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Unavailable; 4]);
    let (journal, recovered) = Journal::open(&path).unwrap();
    assert_eq!(journal.job(&plain.id).await.unwrap().unwrap(), plain);
    assert_eq!(recovered.interrupted.len(), 1);
}
