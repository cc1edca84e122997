//! Whether an accelerator works on this machine: its own job, through its own engine.

use std::fs::File;
use std::io::{BufReader, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use apyfal_core::{
    Cancel, Engine, EngineJob, Error, ErrorKind, Input, JobContext, JobParameters, Need, Outcome,
    Output, Params, Result,
};
use apyfal_engines::exec::{Declaration, Exec};

use crate::{Digest, Test};

/// How often the clock and the caller's switch are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the test of an accelerator whose files are in `files`. What it needs meanwhile is made in
/// `scratch`, and removed.
pub(crate) fn run(
    declaration: Declaration,
    test: &Test,
    files: &Path,
    locks: &Path,
    scratch: &Path,
    cancel: &Cancel,
) -> Result<()> {
    let folder = tempfile::Builder::new().prefix(".new-test-").tempdir_in(scratch)?;
    let engine = Exec::new(declaration, locks);
    let own = Cancel::default();
    let (ended, ending) = mpsc::channel::<()>();
    let (outcome, is_late) = std::thread::scope(|scope| {
        let watch = scope.spawn({
            let own = own.clone();
            move || watch(&ending, test.timeout, &own, cancel)
        });
        let outcome = job(&engine, test, files, folder.path(), &own);
        drop(ended);
        (outcome, watch.join().unwrap_or(false))
    });
    cancel.check()?;
    match outcome {
        Err(error) if is_late && error.is_cancelled() => {
            let seconds = test.timeout.as_secs();
            Err(Error::new(
                ErrorKind::Timeout,
                format!("its self-test takes longer than {seconds} s"),
            )
            .hint("'timeout' in [test] allows more"))
        }
        outcome => outcome.map_err(failed),
    }
}

/// Throws the test's switch when its time is over, or when the caller's is thrown. Tells whether it
/// was the time.
fn watch(ending: &mpsc::Receiver<()>, limit: Duration, own: &Cancel, cancel: &Cancel) -> bool {
    let begin = Instant::now();
    while let Err(RecvTimeoutError::Timeout) = ending.recv_timeout(LOOK) {
        let is_late = begin.elapsed() >= limit;
        if is_late || cancel.is_cancelled() {
            own.cancel();
            return is_late;
        }
    }
    false
}

fn job(engine: &Exec, test: &Test, files: &Path, folder: &Path, cancel: &Cancel) -> Result<()> {
    let info = engine.accelerator();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ctx = JobContext::new(cancel.clone(), Arc::default(), folder, threads)
        .with_request(JobParameters::specific(test.parameters.clone()));
    let state = folder.join("state");
    std::fs::create_dir(&state)?;
    let input = |name: &Option<String>| -> Result<Option<Input>> {
        let Some(name) = name else { return Ok(None) };
        let path = files.join(name);
        Ok(Some(Input::file(File::open(&path)?, path)?))
    };
    let params = Params::check(&info.name, &info.params, None, &test.parameters)?;
    engine.check(&params)?;
    let result = folder.join("result");
    let wants = test.expect.is_some() || test.sha256.is_some();
    let dst = match wants || info.dst == Need::Required {
        true => {
            let file = File::options().read(true).write(true).create_new(true).open(&result)?;
            Some(Output::file(file, &result))
        }
        false => None,
    };
    let src = match input(&test.src)? {
        None if info.src == Need::Required => {
            return Err(Error::new(ErrorKind::Configuration, "[test] has no 'src'"));
        }
        src => src,
    };
    // From here on nothing but the session fails: what it began is stopped in any case.
    let session = engine.open(input(&test.start_src)?, &params, &state, &ctx)?;
    let outcome = session.process(EngineJob { src, dst, params }, &ctx);
    // It may hold a device, whatever became of the job.
    let stopped = session.stop(&ctx);
    let outcome = outcome?;
    stopped?;
    compare(test, files, &result, &outcome, cancel)
}

fn compare(
    test: &Test,
    files: &Path,
    result: &Path,
    outcome: &Outcome,
    cancel: &Cancel,
) -> Result<()> {
    let wrong = |why: String| Err(Error::new(ErrorKind::Engine, why));
    if let Some(name) = &test.expect
        && let Some(offset) = difference(&files.join(name), result, cancel)?
    {
        return wrong(format!("its result is not '{name}': byte {offset} differs"));
    }
    if let Some(expected) = &test.sha256 {
        let found = Digest::of(File::open(result)?, cancel)?;
        if found != *expected {
            return wrong(format!("its result has the SHA-256 {found}, not {expected}"));
        }
    }
    for (key, expected) in &test.result {
        match outcome.specific.get(key) {
            Some(found) if found == expected => {}
            Some(found) => return wrong(format!("its '{key}' is {found}, not {expected}")),
            None => return wrong(format!("it tells no '{key}'")),
        }
    }
    Ok(())
}

/// Where two files begin to differ, if they do.
fn difference(expected: &Path, found: &Path, cancel: &Cancel) -> Result<Option<u64>> {
    let open = |path: &Path| Ok::<_, Error>(BufReader::with_capacity(64 << 10, File::open(path)?));
    let (mut expected, mut found) = (open(expected)?.bytes(), open(found)?.bytes());
    for offset in 0.. {
        if offset % (1 << 20) == 0 {
            cancel.check()?;
        }
        match (expected.next().transpose()?, found.next().transpose()?) {
            (None, None) => break,
            (a, b) if a == b => {}
            _ => return Ok(Some(offset)),
        }
    }
    Ok(None)
}

fn failed(error: Error) -> Error {
    error.as_reason().prefixed("its self-test fails")
}
