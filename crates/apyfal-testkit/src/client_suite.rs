//! What every [`Client`] must do, be it in this process or far away.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apyfal_core::{
    Cancel, Client, ErrorKind, Input, Job, JobIo, JobParameters, Output, Report, Result, Session,
    Start,
};
use serde_json::{Value, json};

use crate::eventually;

/// Runs the whole suite. Each behaviour gets the client as the earlier ones left it, so that what
/// one leaves behind shows in the next.
///
/// # Panics
/// The client does something else; the message names the behaviour.
pub async fn client_suite(client: &Arc<dyn Client>) {
    a_job_goes_through(client).await;
    results_come_back(client).await;
    a_session_has_its_source(client).await;
    wrong_requests_are_refused(client).await;
    sessions_do_not_mix(client).await;
    jobs_run_side_by_side(client).await;
    a_job_ends_when_it_is_cancelled(client).await;
    a_failing_source_fails_the_job(client).await;
    a_failing_destination_fails_the_job(client).await;
    stopping_is_final_and_harmless(client).await;
}

/// An output that keeps what is written to it.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// The output to give to a job.
    pub fn output(&self) -> Output {
        Output::stream(self.clone())
    }

    /// What was written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no writer panicked").clone()
    }
}

impl Write for Kept {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An input that gives a byte now and then and never ends.
#[derive(Debug, Default)]
struct Endless {
    given: Arc<AtomicUsize>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(10));
        buffer[0] = b'x';
        self.given.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }
}

fn parameters(specific: Value) -> JobParameters {
    JobParameters::specific(specific.as_object().cloned().unwrap_or_default())
}

async fn start(client: &Arc<dyn Client>, accelerator: &str, specific: Value) -> Result<Session> {
    let request = Start {
        accelerator: accelerator.to_owned(),
        parameters: parameters(specific),
        ..Start::default()
    };
    client.start(request, JobIo::default()).await
}

async fn process(
    client: &Arc<dyn Client>,
    session: &Session,
    specific: Value,
    src: Option<Input>,
    dst: Option<Output>,
) -> Result<Report> {
    let job =
        Job { session: session.id.clone(), parameters: parameters(specific), ..Job::default() };
    client.process(job, JobIo { src, dst, ..JobIo::default() }).await
}

async fn a_job_goes_through(client: &Arc<dyn Client>) {
    let session = start(client, "null", json!({})).await.expect("null starts");
    for len in [0, 1, 100_000, 3_000_001] {
        let data: Vec<u8> = (0..len).map(|index: u32| (index % 251) as u8).collect();
        let kept = Kept::default();
        let src = Input::bytes(data.clone());
        let report = process(client, &session, json!({}), Some(src), Some(kept.output()))
            .await
            .expect("null copies");
        assert!(kept.bytes() == data, "{len} bytes came back changed");
        assert_eq!(report.profiling.bytes_read, u64::from(len));
        assert_eq!(report.profiling.bytes_written, u64::from(len));
        assert_eq!((report.accelerator.as_str(), report.engine.as_str()), ("null", "cpu"));
    }
    client.stop(&session.id).await.expect("null stops");
}

async fn results_come_back(client: &Arc<dyn Client>) {
    let session =
        start(client, "silex_sha3", json!({"type": "sha3-512"})).await.expect("it starts");
    let empty = || Some(Input::bytes(Vec::new()));
    let report = process(client, &session, json!({}), empty(), None).await.expect("it hashes");
    let digest = report.specific["digest"].as_str().expect("a text");
    assert!(digest.starts_with("a69f73cca23a9ac5"), "sha3-512 of nothing is not {digest}");
    let report = process(client, &session, json!({"type": "sha3-256"}), empty(), None)
        .await
        .expect("a job's parameter wins");
    assert_eq!(report.specific["digest"].as_str().map(str::len), Some(64));
    client.stop(&session.id).await.expect("it stops");
}

async fn a_session_has_its_source(client: &Arc<dyn Client>) {
    let request = Start { accelerator: "hyperfire".to_owned(), ..Start::default() };
    let io = JobIo { src: Some(Input::bytes(*b"one,two\n")), ..JobIo::default() };
    let session = client.start(request, io).await.expect("hyperfire starts");
    for _ in 0..2 {
        let kept = Kept::default();
        let src = Some(Input::bytes(*b"one ones one"));
        process(client, &session, json!({}), src, Some(kept.output())).await.expect("it replaces");
        assert_eq!(kept.bytes(), b"two ones two");
    }
    client.stop(&session.id).await.expect("it stops");
}

async fn wrong_requests_are_refused(client: &Arc<dyn Client>) {
    let kind = |result: Result<Session>| result.err().map(|error| error.kind());
    assert_eq!(kind(start(client, "nulll", json!({})).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(start(client, "gzip", json!({"x": 1})).await), Some(ErrorKind::Usage));
    assert_eq!(kind(start(client, "gzip", json!({"level": []})).await), Some(ErrorKind::Usage));
    assert_eq!(kind(start(client, "hyperfire", json!({})).await), Some(ErrorKind::Usage));

    let session = start(client, "null", json!({})).await.expect("null starts");
    let kind = |result: Result<Report>| result.err().map(|error| error.kind());
    let nothing = process(client, &session, json!({}), None, None).await;
    assert_eq!(kind(nothing), Some(ErrorKind::Usage));
    let src = Some(Input::bytes(*b"x"));
    let unknown = process(client, &session, json!({"x": 1}), src, Some(Kept::default().output()));
    assert_eq!(kind(unknown.await), Some(ErrorKind::Usage));
    client.stop(&session.id).await.expect("null stops");
}

async fn sessions_do_not_mix(client: &Arc<dyn Client>) {
    let one = start(client, "sha3", json!({"type": "sha3-224"})).await.expect("one starts");
    let two = start(client, "sha3", json!({"type": "sha3-384"})).await.expect("two starts");
    assert_ne!(one.id, two.id);
    client.stop(&two.id).await.expect("two stops");
    let src = Some(Input::bytes(*b"x"));
    let report = process(client, &one, json!({}), src, None).await.expect("one goes on");
    assert_eq!(report.specific["digest"].as_str().map(str::len), Some(56));
    client.stop(&one.id).await.expect("one stops");
}

async fn jobs_run_side_by_side(client: &Arc<dyn Client>) {
    let session = start(client, "null", json!({})).await.expect("null starts");
    let mut jobs = Vec::new();
    for number in 0..32_u8 {
        let (client, session) = (client.clone(), session.clone());
        jobs.push(tokio::spawn(async move {
            let kept = Kept::default();
            let data = vec![number; 50_000 + usize::from(number)];
            let src = Some(Input::bytes(data.clone()));
            process(&client, &session, json!({}), src, Some(kept.output())).await?;
            Ok::<_, apyfal_core::Error>(kept.bytes() == data)
        }));
    }
    for job in jobs {
        assert!(job.await.expect("no panic").expect("null copies"), "jobs were mixed up");
    }
    client.stop(&session.id).await.expect("null stops");
}

async fn a_job_ends_when_it_is_cancelled(client: &Arc<dyn Client>) {
    let session = start(client, "null", json!({})).await.expect("null starts");
    let (cancel, endless) = (Cancel::default(), Endless::default());
    let given = endless.given.clone();
    let io = JobIo {
        src: Some(Input::stream(endless)),
        dst: Some(Kept::default().output()),
        cancel: cancel.clone(),
        ..JobIo::default()
    };
    let job = Job { session: session.id.clone(), ..Job::default() };
    let running = {
        let client = client.clone();
        tokio::spawn(async move { client.process(job, io).await })
    };
    eventually("it reads", || given.load(Ordering::Relaxed) >= 3).await;
    let begin = Instant::now();
    cancel.cancel();
    let error = running.await.expect("no panic").expect_err("it was cancelled");
    assert!(error.is_cancelled(), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20), "cancelling took {:?}", begin.elapsed());

    // The session is none the worse for it.
    let src = Some(Input::bytes(*b"x"));
    process(client, &session, json!({}), src, Some(Kept::default().output()))
        .await
        .expect("the next job runs");
    client.stop(&session.id).await.expect("null stops");
}

async fn a_failing_source_fails_the_job(client: &Arc<dyn Client>) {
    #[derive(Debug)]
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is out"))
        }
    }
    let session = start(client, "null", json!({})).await.expect("null starts");
    let src = Some(Input::stream(Broken));
    let error = process(client, &session, json!({}), src, Some(Kept::default().output()))
        .await
        .expect_err("the source is broken");
    assert!(error.to_string().contains("the cable is out"), "{error}");
    client.stop(&session.id).await.expect("null stops");
}

async fn a_failing_destination_fails_the_job(client: &Arc<dyn Client>) {
    #[derive(Debug)]
    struct Full;
    impl Write for Full {
        fn write(&mut self, _buffer: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let session = start(client, "null", json!({})).await.expect("null starts");
    let src = Some(Input::bytes(vec![1; 100_000]));
    let error = process(client, &session, json!({}), src, Some(Output::stream(Full)))
        .await
        .expect_err("the destination is full");
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    client.stop(&session.id).await.expect("null stops");
}

async fn stopping_is_final_and_harmless(client: &Arc<dyn Client>) {
    let session = start(client, "null", json!({})).await.expect("null starts");
    client.stop(&session.id).await.expect("null stops");
    client.stop(&session.id).await.expect("stopping again is no error");
    let src = Some(Input::bytes(*b"x"));
    let error = process(client, &session, json!({}), src, Some(Kept::default().output()))
        .await
        .expect_err("the session is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
