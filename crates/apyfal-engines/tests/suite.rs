//! What every built-in engine must do. A new engine needs a sample here and nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_core::{
    Cancel, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Need, Outcome, Output,
    Params, Progress, Result,
};
use apyfal_engines::{Registry, built_in};
use apyfal_testkit::{Kept, until};
use serde_json::{Map, Value, json};

/// A job for an engine.
struct Sample {
    engine: &'static str,
    start_src: Option<Vec<u8>>,
    params: Value,
    src: Option<Vec<u8>>,
    /// Whether the same job gives the same bytes.
    is_repeatable: bool,
}

impl Sample {
    fn new(engine: &'static str, src: Vec<u8>) -> Self {
        Self { engine, start_src: None, params: json!({}), src: Some(src), is_repeatable: true }
    }
}

/// One sample per engine, of about `len` bytes.
fn samples(len: usize, seed: u64) -> Vec<Sample> {
    let mut random = Random(seed);
    let text = random.text(len);
    let mut hyperfire = Sample::new("hyperfire", text.clone());
    hyperfire.start_src = Some(b"the,THE\nof,\nand,\"&,\"\n".to_vec());
    let mut trng = Sample::new("trng", Vec::new());
    trng.src = None;
    trng.params = json!({"nbBytes": len});
    trng.is_repeatable = false;
    // A member whose source has no time gets that of the job.
    let mut targz = Sample::new("targz", text.clone());
    targz.is_repeatable = false;
    vec![
        Sample::new("null", text.clone()),
        Sample::new("gzip", text.clone()),
        Sample::new("gunzip", gzipped(&text)),
        targz,
        Sample::new("sha3", text),
        Sample::new("jpegenc", bmp(len, &mut random)),
        trng,
        hyperfire,
    ]
}

fn gzipped(data: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new("gzip", data.to_vec());
    let run = Run::of(&sample, folder.path());
    run.process(1, Form::Stream).unwrap().bytes
}

/// A top-down 24-bit image of about `len` bytes.
fn bmp(len: usize, random: &mut Random) -> Vec<u8> {
    let width = 64;
    let height = (len / (3 * width)).max(1);
    let mut bytes = b"BM".to_vec();
    for value in [54 + (3 * width * height) as i32, 0, 54, 40, width as i32, -(height as i32)] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes.extend(
        (0..3 * width * height).map(|index| (index / 7) as u8 ^ (random.next() & 15) as u8),
    );
    bytes
}

/// xorshift64: a different sequence for each seed, the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut state = self.0;
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^ (state >> 31)
    }

    fn text(&mut self, len: usize) -> Vec<u8> {
        const WORDS: [&str; 12] =
            ["the", "of", "and", "hyper", "fire", "_", "x1", "a-b", "then", "off", "band", "\n"];
        let mut text = Vec::with_capacity(len + 8);
        while text.len() < len {
            text.extend_from_slice(WORDS[self.next() as usize % WORDS.len()].as_bytes());
            text.push(b' ');
        }
        text.truncate(len);
        text
    }
}

/// How the source of a job is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    File,
    Stream,
    /// A stream that gives a few bytes at a time and now and then makes the reader wait.
    Drops,
}

/// An engine with an open session for a sample.
struct Run<'a> {
    sample: &'a Sample,
    session: Box<dyn EngineSession>,
    params: Params,
    folder: &'a std::path::Path,
    needs_dst: bool,
}

#[derive(Debug)]
struct Done {
    bytes: Vec<u8>,
    outcome: Outcome,
    read: u64,
    written: u64,
}

impl<'a> Run<'a> {
    fn of(sample: &'a Sample, folder: &'a std::path::Path) -> Self {
        let found = Registry::default().find(sample.engine).unwrap();
        let (engine, info) = (found.best(), found.info());
        let raw: Map<String, Value> = sample.params.as_object().unwrap().clone();
        let params = Params::check(&info.name, &info.params, None, &raw).unwrap();
        let state = tempfile::tempdir_in(folder).unwrap().keep();
        let src = sample.start_src.clone().map(Input::bytes);
        let session = engine.open(src, &params, &state, &context(folder, 1)).unwrap();
        Self { sample, session, params, folder, needs_dst: info.dst != Need::None }
    }

    fn job(&self, src: Option<Input>, dst: Output) -> EngineJob {
        let params = self.params.clone();
        EngineJob { src, dst: self.needs_dst.then_some(dst), params }
    }

    fn process(&self, threads: usize, form: Form) -> Result<Done> {
        let src = self.sample.src.clone().map(|data| match form {
            Form::File => {
                let path = self.folder.join("source");
                std::fs::write(&path, data).unwrap();
                Input::file(std::fs::File::open(&path).unwrap(), path).unwrap()
            }
            Form::Stream => Input::bytes(data).with_name("source"),
            Form::Drops => {
                let drops = Drops { random: Random(data.len() as u64), data, at: 0 };
                Input::stream(drops).with_name("source")
            }
        });
        let kept = Kept::default();
        let ctx = context(self.folder, threads);
        let outcome = self.session.process(self.job(src, kept.output()), &ctx)?;
        let bytes = kept.bytes();
        Ok(Done { bytes, outcome, read: ctx.progress().read(), written: ctx.progress().written() })
    }
}

fn context(folder: &std::path::Path, threads: usize) -> JobContext {
    let scratch = tempfile::tempdir_in(folder).unwrap().keep();
    let threads = NonZeroUsize::new(threads).unwrap();
    JobContext::new(Cancel::default(), Arc::new(Progress::default()), scratch, threads)
}

struct Drops {
    data: Vec<u8>,
    at: usize,
    random: Random,
}

impl Read for Drops {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.random.next().is_multiple_of(5) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = (self.random.next() % 70_000) as usize + 1;
        let count = buffer.len().min(self.data.len() - self.at).min(most);
        buffer[..count].copy_from_slice(&self.data[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Checks that threads and the form of the source change nothing.
fn check_repeatable(len: usize, seed: u64) {
    for sample in samples(len, seed) {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::of(&sample, folder.path());
        let case = |threads, form| format!("{}, {len} B, {threads} T, {form:?}", sample.engine);
        let first = run.process(1, Form::Stream).unwrap();
        for (threads, form) in
            [(2, Form::Stream), (3, Form::Drops), (1, Form::File), (2, Form::File)]
        {
            let again = run.process(threads, form).unwrap_or_else(|error| {
                panic!("{}: {error}", case(threads, form));
            });
            assert_eq!(again.bytes.len() as u64, again.written, "{}", case(threads, form));
            if sample.is_repeatable {
                assert!(again.bytes == first.bytes, "{}", case(threads, form));
                assert_eq!(again.outcome, first.outcome, "{}", case(threads, form));
            }
            if let Some(src) = &sample.src {
                assert!(
                    again.read >= src.len() as u64,
                    "{}: read {}",
                    case(threads, form),
                    again.read
                );
            }
        }
    }
}

#[test]
fn every_engine_has_a_sample() {
    let sampled: HashSet<_> = samples(100, 1).iter().map(|sample| sample.engine).collect();
    for engine in built_in() {
        assert!(sampled.contains(&*engine.accelerator().name), "{engine:?}");
    }
    assert_eq!(sampled.len(), built_in().len());
}

#[test]
fn names_are_clear_and_parameters_documented() {
    let mut names = HashSet::new();
    for engine in built_in() {
        let info = engine.accelerator();
        for name in std::iter::once(&info.name).chain(&info.aliases) {
            assert!(names.insert(name.to_lowercase()), "'{name}' is used twice");
        }
        assert!(!info.summary.is_empty() && !info.summary.ends_with('.'), "{}", info.name);
        for spec in &info.params {
            assert!(!spec.help.is_empty(), "{} {}", info.name, spec.name);
        }
    }
}

#[test]
fn threads_and_the_form_of_the_source_change_nothing() {
    for len in [1, 1000, 3_300_000] {
        check_repeatable(len, 7);
    }
}

/// A file that has changed since it was opened.
fn changed(folder: &std::path::Path, data: &[u8], change: impl FnOnce(&std::fs::File)) -> Input {
    let path = folder.join("changing");
    std::fs::write(&path, data).unwrap();
    let input = Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
    change(&std::fs::File::options().append(true).open(&path).unwrap());
    input
}

#[test]
fn a_source_that_is_cut_off_is_no_whole_result() {
    for sample in samples(3_000_000, 5) {
        let Some(data) = &sample.src else { continue };
        let folder = tempfile::tempdir().unwrap();
        let run = Run::of(&sample, folder.path());
        for left in [0, 1, data.len() / 2, data.len() - 1] {
            let job = || {
                let src = changed(folder.path(), data, |file| file.set_len(left as u64).unwrap());
                run.job(Some(src), Output::stream(io::sink()))
            };
            let stream = || {
                let src = Input::stream(io::Cursor::new(data[..left].to_vec()));
                run.job(Some(src.with_len(data.len() as u64)), Output::stream(io::sink()))
            };
            let ctx = || context(folder.path(), 2);
            let mut results = vec![
                ("a file", run.session.process(job(), &ctx()).map(drop)),
                ("a stream", run.session.process(stream(), &ctx()).map(drop)),
            ];
            let many = run.session.process_many(vec![(job(), ctx()), (stream(), ctx())]);
            results.extend(many.into_iter().map(|result| ("many", result.map(drop))));
            if let Some(result) = run.session.process_in_software(job(), &ctx()) {
                results.push(("software", result));
            }
            for (how, result) in results {
                let case = format!("{}, {how}, {left} bytes left", sample.engine);
                let error = result.expect_err(&case);
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{case}: {error}");
            }
        }
    }
}

#[test]
fn a_start_source_that_is_cut_off_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Registry::default().find("hyperfire").unwrap().best().clone();
    let params =
        Params::check("hyperfire", &engine.accelerator().params, None, &Map::new()).unwrap();
    let src = changed(folder.path(), b"the,THE\nof,\n", |file| file.set_len(8).unwrap());
    let ctx = context(folder.path(), 1);
    let error = engine.open(Some(src), &params, &folder, &ctx).map(drop).unwrap_err();
    assert!(error.to_string().contains("it ended after 8 of 12 bytes"), "{error}");
}

#[test]
fn what_a_source_gets_after_it_was_opened_does_not_count() {
    for sample in samples(300_000, 6) {
        let Some(data) = sample.src.as_ref().filter(|_| sample.is_repeatable) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let run = Run::of(&sample, folder.path());
        let whole = run.process(1, Form::File).unwrap();
        let src = changed(folder.path(), data, |mut file| file.write_all(b"more").unwrap());
        let kept = Kept::default();
        let job = run.job(Some(src), kept.output());
        let outcome = run.session.process(job, &context(folder.path(), 2)).unwrap();
        assert!(kept.bytes() == whole.bytes, "{}", sample.engine);
        assert_eq!(outcome, whole.outcome, "{}", sample.engine);
    }
}

/// The long form: `cargo xtask soak`.
#[test]
#[ignore = "runs for APYFAL_SOAK_SECONDS"]
fn soak() {
    let seconds = std::env::var("APYFAL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
    let base =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut rounds = 0;
    while Instant::now() < end {
        let seed = base + rounds;
        let len = Random(seed).next() as usize % 9_000_000 + 1;
        println!("seed {seed}, {len} bytes");
        check_repeatable(len, seed);
        rounds += 1;
    }
    println!("{rounds} rounds");
}

/// A source that repeats the sample's bytes, one a millisecond, without end.
struct Trickle {
    data: Vec<u8>,
    at: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(1));
        buffer[0] = self.data[self.at % self.data.len()];
        self.at += 1;
        Ok(1)
    }
}

#[test]
fn cancelling_ends_a_job_soon() {
    for sample in samples(500_000, 3) {
        for threads in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let mut run = Run::of(&sample, folder.path());
            if sample.engine == "trng" {
                let engine = Registry::default().find("trng").unwrap().best().clone();
                let raw = json!({"nbBytes": 1_i64 << 50});
                let specs = &engine.accelerator().params;
                run.params = Params::check("trng", specs, None, raw.as_object().unwrap()).unwrap();
            }
            let ctx = context(folder.path(), threads);
            let src = sample.src.clone().map(|data| Input::stream(Trickle { data, at: 0 }));
            let job = run.job(src, Output::stream(io::sink()));
            let cancel = ctx.cancel().clone();
            let (error, took) = std::thread::scope(|scope| {
                let running = scope.spawn(|| run.session.process(job, &ctx));
                // In the middle of it.
                let progress = ctx.progress();
                until("it is at it", || {
                    progress.read().max(progress.written()) >= 50 || running.is_finished()
                });
                let begin = Instant::now();
                cancel.cancel();
                (running.join().unwrap().unwrap_err(), begin.elapsed())
            });
            assert!(error.is_cancelled(), "{}: {error}", sample.engine);
            // The promise is 100 ms; a busy machine gets more.
            assert!(took < Duration::from_secs(20), "{} took {took:?}", sample.engine);
        }
    }
}

#[test]
fn errors_of_the_ends_come_through() {
    struct Fails(io::ErrorKind);
    impl Read for Fails {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(ErrorKind::Unavailable, "the cable is out").into_io())
        }
    }
    impl Write for Fails {
        fn write(&mut self, _buffer: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }
    for sample in samples(200_000, 5) {
        for threads in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let run = Run::of(&sample, folder.path());
            if sample.src.is_some() {
                let src = Input::stream(Fails(io::ErrorKind::Other));
                let job = run.job(Some(src), Output::stream(io::sink()));
                let error = run.session.process(job, &context(folder.path(), threads)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{}: {error}", sample.engine);
                assert!(error.to_string().contains("the cable is out"), "{error}");
            }
            if run.needs_dst && sample.engine != "sha3" {
                let src = sample.src.clone().map(|data| Input::bytes(data).with_name("source"));
                let dst = Output::stream(Fails(io::ErrorKind::StorageFull));
                let error = run
                    .session
                    .process(run.job(src, dst), &context(folder.path(), threads))
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{}: {error}", sample.engine);
            }
        }
    }
}

#[test]
fn plain_software_does_the_same_job() {
    for sample in samples(100_000, 6) {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::of(&sample, folder.path());
        let src = sample.src.clone().map(|data| Input::bytes(data).with_name("source"));
        let ctx = context(folder.path(), 1);
        let job = run.job(src, Output::stream(io::sink()));
        if let Some(result) = run.session.process_in_software(job, &ctx) {
            result.unwrap_or_else(|error| panic!("{}: {error}", sample.engine));
        }
    }
}
