//! The three calls of the library.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::num::NonZeroUsize;

use apyfal::{Accelerator, Call, Cancel, ErrorKind, Input};
use serde_json::json;

/// A directory with `count` files of numbers.
fn files(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..count {
        std::fs::write(folder.path().join(format!("{number}")), number.to_string().repeat(1000))
            .unwrap();
    }
    folder
}

fn path(folder: &tempfile::TempDir, name: impl std::fmt::Display) -> String {
    folder.path().join(name.to_string()).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn start_process_stop() {
    let folder = files(1);
    let accelerator = Accelerator::builder("null").build().unwrap();
    let call = || Call::new().src(path(&folder, 0)).dst(path(&folder, "out"));
    let error = accelerator.process(call()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    accelerator.start(Call::new()).await.unwrap();
    let report = accelerator.process(call()).await.unwrap();
    assert_eq!(report.profiling.bytes_read, 1000);
    assert_eq!(std::fs::read(path(&folder, "out")).unwrap(), "0".repeat(1000).as_bytes());
    // Starting again configures anew; the earlier session is gone.
    let first = accelerator.session();
    accelerator.start(Call::new()).await.unwrap();
    assert_ne!(accelerator.session(), first);
    accelerator.stop().await.unwrap();
    accelerator.stop().await.unwrap();
    assert!(accelerator.process(call()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_gives_results_in_order() {
    let folder = files(200);
    let accelerator = Accelerator::builder("sha3").build().unwrap();
    accelerator.start(Call::new().set("type", "sha3-224")).await.unwrap();
    let calls = (0..200).map(|number| Call::new().src(path(&folder, number)));
    let mut reports = accelerator.process_map(calls);
    for number in 0..200 {
        let report = reports.next().await.unwrap().unwrap();
        let single = accelerator.process(Call::new().src(path(&folder, number))).await.unwrap();
        assert_eq!(report.specific, single.specific, "{number}");
    }
    assert!(reports.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_dropped_ends_no_other() {
    let accelerator = Accelerator::builder("sha3").build().unwrap();
    let cancel = Cancel::default();
    accelerator.start(Call::new().cancel(cancel.clone())).await.unwrap();
    let call = |input| Call::new().input(input).cancel(cancel.clone());
    let waits = || Input::stream(Waits);
    // Given up by its caller, ended by its handle, and with the map that it is of.
    let given_up = accelerator.process(call(waits()));
    let short = std::time::Duration::from_millis(50);
    assert!(tokio::time::timeout(short, given_up).await.is_err());
    let job = accelerator.process_submit(call(waits()));
    job.cancel();
    assert!(job.await.unwrap_err().is_cancelled());
    drop(accelerator.process_map([call(waits())]));
    assert!(!cancel.is_cancelled());
    accelerator.process(call(Input::bytes(*b"x"))).await.unwrap();
    // The switch itself ends all.
    let job = accelerator.process_submit(call(waits()));
    cancel.cancel();
    assert!(job.await.unwrap_err().is_cancelled());
}

/// A stream of which nothing ever comes.
struct Waits;

impl std::io::Read for Waits {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(std::time::Duration::from_millis(5));
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_of_files_and_streams_keeps_the_order() {
    let folder = files(100);
    let accelerator = Accelerator::builder("sha3").threads(NonZeroUsize::MIN).build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    let call = |number: usize| match number % 40 {
        // More of either in a row than are under way at once.
        ..20 => Call::new().input(Input::bytes(number.to_string().repeat(1000))),
        _ => Call::new().src(path(&folder, number)),
    };
    let mut reports = accelerator.process_map((0..100).map(call));
    for number in 0..100 {
        let report = reports.next().await.unwrap().unwrap();
        let single = accelerator.process(Call::new().src(path(&folder, number))).await.unwrap();
        assert_eq!(report.specific, single.specific, "{number}");
    }
    assert!(reports.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_job_of_a_map_fails_alone() {
    let folder = files(3);
    let accelerator = Accelerator::builder("sha3").build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    let names = ["0", "missing", "2"];
    let calls: Vec<_> = names.iter().map(|name| Call::new().src(path(&folder, name))).collect();
    let mut reports = accelerator.process_map(calls);
    assert!(reports.next().await.unwrap().is_ok());
    let error = reports.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound);
    assert!(reports.next().await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_job_can_be_waited_for_or_cancelled() {
    let folder = files(2);
    let accelerator = Accelerator::builder("null").build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    let call = || Call::new().src(path(&folder, 1)).dst(path(&folder, "out"));
    assert!(accelerator.process_submit(call()).await.is_ok());
    std::fs::remove_file(path(&folder, "out")).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let error = accelerator.process_submit(call().cancel(cancel)).await.unwrap_err();
    assert!(error.is_cancelled());
    assert!(!folder.path().join("out").exists());
}

#[tokio::test]
async fn stopping_waits_for_submitted_jobs() {
    let folder = files(8);
    let accelerator = Accelerator::builder("null").build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    let out = |number| path(&folder, format!("out{number}"));
    let call = |number| Call::new().src(path(&folder, number)).dst(out(number));
    let jobs: Vec<_> = (0..8).map(|number| accelerator.process_submit(call(number))).collect();
    accelerator.start(Call::new()).await.unwrap();
    let later = accelerator.process_submit(call(0));
    accelerator.stop().await.unwrap();
    assert!(later.is_done());
    for job in jobs.into_iter().chain([later]) {
        job.await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_that_is_interrupted_can_be_made_again() {
    let folder = files(0);
    let here = || Accelerator::builder("null").root(folder.path());
    let accelerator = here().build().unwrap();
    accelerator.start(Call::new()).await.unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let call = || Call::new().dst(path(&folder, "out"));
    let job = accelerator.process_submit(call().input(Input::stream(reader)));
    tokio::select! {
        biased;
        stopped = accelerator.stop() => panic!("it did not wait for its job: {stopped:?}"),
        () = tokio::task::yield_now() => {}
    }
    let session = accelerator.session().expect("it is not forgotten");
    let error = accelerator.process(call().input(Input::bytes(b"x"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "it gets no more jobs");
    drop(writer);
    job.await.unwrap();
    accelerator.stop().await.unwrap();
    assert_eq!(accelerator.session(), None);
    let later = here().session(session).build().unwrap();
    later.process(call().input(Input::bytes(b"x"))).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_from_everywhere_in_order() {
    let folder = files(1);
    let file = path(&folder, "p.json");
    std::fs::write(&file, r#"{"app": {"specific": {"type": "sha3-384"}}}"#).unwrap();
    let configuration = apyfal::Configuration::parse(
        b"[configuration]\ntype = sha3-224\n[process.sha3]\nlength = 256\n",
        "test",
    )
    .unwrap();
    let accelerator = Accelerator::builder("sha3").configuration(configuration).build().unwrap();
    let digest = |call: Call| {
        let (accelerator, call) = (accelerator.clone(), call.src(path(&folder, 0)));
        async move {
            let report = accelerator.process(call).await.unwrap();
            report.specific["digest"].as_str().unwrap().len() * 4
        }
    };
    accelerator.start(Call::new()).await.unwrap();
    assert_eq!(digest(Call::new().set("length", json!(null)).set("type", "sha3-256")).await, 256);
    assert_eq!(digest(Call::new().set("type", "shake-128")).await, 256);
    let call = Call::new().parameters(file.clone()).set("length", 384);
    assert_eq!(digest(call).await, 384);
    let call = Call::new().parameters(file).set("type", "shake-256").set("length", 1024);
    assert_eq!(digest(call).await, 1024);
}
