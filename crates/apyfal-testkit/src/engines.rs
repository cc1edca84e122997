//! An accelerator with two engines, one of which breaks where it is told to.

use std::io::{Read, Write};
use std::sync::Arc;

use apyfal_core::{
    AcceleratorInfo, Client, Directory, Engine, EngineInfo, EngineJob, EngineSession, Error,
    ErrorKind, Input, Job, JobContext, JobIo, JobParameters, Need, Outcome, Output, ParamKind,
    ParamSpec, Params, Report, Result, Session, Slots, Start,
};
use serde_json::{Map, Value, json};

use crate::Kept;

/// The engines of the accelerator `twin`, which copies, the worse one first: `cpu`, which always
/// works, and `card`, which breaks where the parameter `fault` or, at start, `broken` says so.
pub fn twins() -> [Arc<dyn Engine>; 2] {
    let mut accelerator = AcceleratorInfo::new("twin", "Copy, on either of two engines");
    accelerator.start_src = Need::Optional;
    let faults = ["none", "early", "seen"].map(Into::into).to_vec();
    accelerator.params = vec![
        ParamSpec::new("fault", ParamKind::Choice(faults), "When the card breaks").default("none"),
        ParamSpec::new("broken", ParamKind::Bool, "Whether the card breaks at once").at_start(),
    ];
    let card = EngineInfo {
        name: "card".into(),
        slots: Slots::Fixed(1),
        needs: "a card".into(),
        ..EngineInfo::cpu()
    };
    let engine =
        |info| -> Arc<dyn Engine> { Arc::new(Twin { accelerator: accelerator.clone(), info }) };
    [engine(EngineInfo { quick: 64 << 10, ..EngineInfo::cpu() }), engine(card)]
}

#[derive(Debug)]
struct Twin {
    accelerator: AcceleratorInfo,
    info: EngineInfo,
}

#[derive(Debug)]
struct TwinSession {
    is_card: bool,
}

fn gone() -> Error {
    Error::new(ErrorKind::Engine, "the card is gone")
}

impl Engine for Twin {
    fn accelerator(&self) -> &AcceleratorInfo {
        &self.accelerator
    }

    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn open(
        &self,
        _src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        _ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>> {
        // No other engine's state is its own.
        let mark = state.path()?.join("of");
        if let Ok(of) = std::fs::read_to_string(&mark) {
            assert_eq!(of, self.info.name, "a state that another engine made");
        }
        std::fs::write(&mark, self.info.name.as_ref())?;
        let is_card = self.info.name == "card";
        match is_card && params.flag("broken") {
            true => Err(gone()),
            false => Ok(Box::new(TwinSession { is_card })),
        }
    }
}

impl EngineSession for TwinSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (Some(src), Some(dst)) = (job.src, job.dst) else { return Err(gone()) };
        let fault = job.params.text("fault").filter(|_| self.is_card).unwrap_or("none");
        let (mut reader, mut writer) = (ctx.reader(src)?, ctx.writer(dst));
        let mut first = [0; 1];
        let count = reader.read(&mut first)?;
        if fault == "early" {
            return Err(gone());
        }
        writer.write_all(&first[..count])?;
        if fault == "seen" {
            writer.flush()?;
            return Err(gone());
        }
        std::io::copy(&mut reader, &mut writer)?;
        writer.flush()?;
        Ok(Outcome::default())
    }
}

/// What every client must do with the accelerator of [`twins`].
///
/// # Panics
/// The client does something else; the message names the behaviour.
pub async fn engines_suite(client: &Arc<dyn Client>) {
    the_best_engine_runs_jobs(client).await;
    another_one_takes_over_what_nobody_saw(client).await;
    what_was_seen_is_not_done_again(client).await;
    who_asks_for_an_engine_gets_that_or_an_error(client).await;
    a_session_is_opened_by_the_best_engine_that_can(client).await;
}

fn parameters(engine: Option<&str>, specific: Value) -> JobParameters {
    let specific: Map<_, _> = specific.as_object().cloned().unwrap_or_default();
    JobParameters { engine: engine.map(str::to_owned), ..JobParameters::specific(specific) }
}

async fn start(client: &Arc<dyn Client>, engine: Option<&str>, specific: Value) -> Result<Session> {
    let parameters = parameters(engine, specific);
    let start = Start { accelerator: "twin".to_owned(), parameters, ..Start::default() };
    client.start(start, JobIo::default()).await
}

async fn run(
    client: &Arc<dyn Client>,
    session: &Session,
    engine: Option<&str>,
    fault: &str,
    src: Input,
) -> (Result<Report>, Vec<u8>) {
    let (kept, session) = (Kept::default(), session.id.clone());
    let parameters = parameters(engine, json!({"fault": fault}));
    let job = Job { session, parameters, ..Job::default() };
    let dst: Option<Output> = Some(kept.output());
    let io = JobIo { src: Some(src), dst, ..JobIo::default() };
    (client.process(job, io).await, kept.bytes())
}

async fn the_best_engine_runs_jobs(client: &Arc<dyn Client>) {
    let session = start(client, None, json!({})).await.expect("it starts");
    assert_eq!(session.report.engine, "card");
    let (report, bytes) = run(client, &session, None, "none", Input::bytes(*b"abc")).await;
    let report = report.expect("it copies");
    assert_eq!((&*report.engine, &*bytes), ("card", &b"abc"[..]));
    assert_eq!(report.engine_note(), None);
    client.stop(&session.id).await.expect("it stops");
}

async fn another_one_takes_over_what_nobody_saw(client: &Arc<dyn Client>) {
    let session = start(client, None, json!({})).await.expect("it starts");
    for _ in 0..2 {
        for src in [Input::bytes(*b"abc"), Input::stream(&b"abc"[..])] {
            let (report, bytes) = run(client, &session, None, "early", src).await;
            let report = report.expect("the other engine copies");
            assert_eq!((&*report.engine, &*bytes), ("cpu", &b"abc"[..]));
            assert_eq!((report.profiling.bytes_read, report.profiling.bytes_written), (3, 3));
            let note = report.engine_note().expect("it says so");
            assert!(note.contains("'card' failed") && note.contains("the card is gone"), "{note}");
        }
    }
    client.stop(&session.id).await.expect("it stops");
}

async fn what_was_seen_is_not_done_again(client: &Arc<dyn Client>) {
    let session = start(client, None, json!({})).await.expect("it starts");
    let (failed, _) = run(client, &session, None, "seen", Input::bytes(*b"abc")).await;
    let error = failed.expect_err("the card breaks");
    assert_eq!(error.kind(), ErrorKind::Engine, "{error}");
    assert!(error.hints().concat().contains("'cpu' did not take over"), "{:?}", error.hints());
    client.stop(&session.id).await.expect("it stops");
}

async fn who_asks_for_an_engine_gets_that_or_an_error(client: &Arc<dyn Client>) {
    let session = start(client, None, json!({})).await.expect("it starts");
    let (report, _) = run(client, &session, Some("CPU"), "early", Input::bytes(*b"abc")).await;
    let report = report.expect("the other engine copies");
    assert_eq!((&*report.engine, report.engine_note()), ("cpu", None));
    let (failed, _) = run(client, &session, Some("card"), "early", Input::bytes(*b"abc")).await;
    assert_eq!(failed.expect_err("no other is asked").kind(), ErrorKind::Engine);
    let (failed, _) = run(client, &session, Some("gpu"), "none", Input::bytes(*b"abc")).await;
    for error in [failed.map(drop), start(client, Some("gpu"), json!({})).await.map(drop)] {
        let error = error.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.to_string().contains("no engine 'gpu'"), "{error}");
        assert!(error.hints().concat().contains("card, cpu"), "{:?}", error.hints());
    }
    client.stop(&session.id).await.expect("it stops");

    let session = start(client, Some("cpu"), json!({})).await.expect("it starts");
    assert_eq!(session.report.engine, "cpu");
    let (report, _) = run(client, &session, None, "early", Input::bytes(*b"abc")).await;
    assert_eq!(report.expect("it copies").engine, "cpu");
    client.stop(&session.id).await.expect("it stops");
}

async fn a_session_is_opened_by_the_best_engine_that_can(client: &Arc<dyn Client>) {
    let session = start(client, None, json!({"broken": true})).await.expect("the other one starts");
    assert_eq!(session.report.engine, "cpu");
    assert!(session.report.engine_note().is_some_and(|note| note.contains("'card' failed")));
    let (report, bytes) = run(client, &session, None, "none", Input::bytes(*b"abc")).await;
    assert_eq!((&*report.expect("it copies").engine, &*bytes), ("cpu", &b"abc"[..]));
    client.stop(&session.id).await.expect("it stops");
    let failed = start(client, Some("card"), json!({"broken": true})).await;
    assert_eq!(failed.expect_err("no other is asked").kind(), ErrorKind::Engine);
}
