//! Accelerators that are programs with a device.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apyfal_core::{
    Cancel, Engine, EngineJob, EngineSession, ErrorKind, Input, JobContext, JobParameters, Output,
    Params, Result, Slots,
};
use apyfal_devices::{Access, Hold, Kind, WithSlot};
use apyfal_engines::exec::{Declaration, Exec};
use serde_json::{Value, json};

use crate::stand::{PATIENCE, Stand, each, executable, group_runs, until};

fn exec(section: &Value, locks: &Path) -> Exec {
    Exec::new(Declaration::new("mine", section.as_object().unwrap()).unwrap(), locks)
}

fn with_slot(stand: &Stand, section: &Value, hold: Hold) -> WithSlot<Exec> {
    let engine = exec(section, &stand.path("locks"));
    let pool = Arc::new(stand.pool_by(&Access::Direct, PATIENCE));
    WithSlot::new(engine, pool, stand.image("a"), hold)
}

fn context(folder: &Path, cancel: &Cancel) -> JobContext {
    JobContext::new(cancel.clone(), Arc::default(), folder, NonZeroUsize::MIN)
}

fn open(engine: &dyn Engine, folder: &Path) -> Box<dyn EngineSession> {
    let ctx = context(folder, &Cancel::default());
    engine.open(None, &Params::default(), &folder, &ctx).unwrap()
}

fn run(session: &dyn EngineSession, folder: &Path, cancel: &Cancel) -> Result<Vec<u8>> {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let job = EngineJob {
        src: Some(Input::bytes(*b"some words to be made loud")),
        dst: Some(Output::stream(sink.clone())),
        params: Params::default(),
    };
    session.process(job, &context(folder, cancel))?;
    let written = sink.0.lock().unwrap().clone();
    Ok(written)
}

fn sh(script: &str) -> Value {
    json!({"command": ["sh", "-c", script]})
}

/// A program that makes its source loud, and tells in a file what it was told.
fn loud(folder: &Path) -> Value {
    let told = folder.join("told");
    sh(&format!(
        "printf '%s %s' \"$APYFAL_DEVICE\" \"$APYFAL_SLOT\" >'{}'; tr a-z A-Z",
        told.display()
    ))
}

fn told(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("told")).unwrap()
}

#[test]
fn a_program_with_a_device_gets_values_and_no_options() {
    let stand = Stand::new(Kind::Xrt, 1);
    let section = json!({"command": ["echo", "{word}"], "parameters": {"word": "x"}});
    let engine = with_slot(&stand, &section, Hold::Job);
    let given = json!({"word": "-n"});
    let specs = &engine.accelerator().params;
    let params = Params::check("it", specs, None, given.as_object().unwrap()).unwrap();
    assert_eq!(engine.check(&params).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn one_program_gives_the_same_bytes_with_each_device_and_without() {
    let never = Cancel::default();
    let plain = tempfile::tempdir().unwrap();
    let plain = plain.path();
    let engine = exec(&loud(plain), plain);
    let expected = run(&*open(&engine, plain), plain, &never).unwrap();
    assert_eq!(expected, b"SOME WORDS TO BE MADE LOUD");
    assert_eq!(told(plain), " ");
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let folder = stand.folder();
        let engine = with_slot(&stand, &loud(folder), Hold::Job);
        assert_eq!(run(&*open(&engine, folder), folder, &never).unwrap(), expected);
        assert_eq!(told(folder), format!("{} {}", kind.name(), Stand::names(kind)[0]));
        assert_eq!(stand.changes(), ["load"]);
    });
}

#[test]
fn jobs_that_end_well_find_the_image_there() {
    let stand = Stand::new(Kind::AwsF2, 1);
    let engine = with_slot(&stand, &sh("cat"), Hold::Job);
    assert_eq!(engine.info().slots, Slots::Fixed(1));
    let session = open(&engine, stand.folder());
    let never = Cancel::default();
    for _ in 0..3 {
        run(&*session, stand.folder(), &never).unwrap();
    }
    // Nor does one that says what is wrong with its data leave the card in a strange state.
    let failing = with_slot(&stand, &sh("cat >/dev/null; exit 3"), Hold::Job);
    let failed = run(&*open(&failing, stand.folder()), stand.folder(), &never);
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Engine);
    run(&*session, stand.folder(), &never).unwrap();
    assert_eq!(stand.changes(), ["load"]);
}

#[test]
fn a_start_may_ask_for_the_image_anew() {
    each(|kind| {
        let stand = Stand::new(kind, 2);
        let folder = stand.folder();
        let never = Cancel::default();
        let start = |engine: &dyn Engine, state: &Path, asked: Value| {
            std::fs::create_dir_all(state).unwrap();
            let request = JobParameters::from_json(&json!({ "app": asked })).unwrap();
            let ctx = context(folder, &never).with_request(request);
            engine.open(None, &Params::default(), &state, &ctx).unwrap()
        };
        let engine = with_slot(&stand, &sh("cat"), Hold::Job);
        run(&*open(&engine, folder), folder, &never).unwrap();
        assert_eq!(stand.changes(), ["load"]);
        for (name, asked) in
            [("reload", json!({"reload": true})), ("reset", json!({"reset": true}))]
        {
            let state = stand.path(name);
            let session = start(&engine, &state, asked.clone());
            assert_eq!(stand.changes(), stand.clear_and_load(), "{name}");
            run(&*session, folder, &never).unwrap();
            // A session that is opened again was not started again.
            run(&*start(&engine, &state, asked), folder, &never).unwrap();
            assert!(stand.changes().is_empty(), "{name}");
        }
        let session = start(&engine, &stand.path("not"), json!({"reload": false}));
        run(&*session, folder, &never).unwrap();
        assert!(stand.changes().is_empty());
    });
}

#[test]
fn a_job_that_was_cancelled_or_killed_leaves_the_slot_to_be_cleared() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let folder = stand.folder();
        let good = open(&with_slot(&stand, &sh("cat"), Hold::Job), folder);
        let never = Cancel::default();
        run(&*good, folder, &never).unwrap();
        stand.changes();

        let killed = with_slot(&stand, &sh("kill -9 $$"), Hold::Job);
        run(&*open(&killed, folder), folder, &never).unwrap_err();
        run(&*good, folder, &never).unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());

        let script = format!("touch '{}'; sleep 500", stand.path("running").display());
        let hanging = open(&with_slot(&stand, &sh(&script), Hold::Job), folder);
        let cancel = Cancel::default();
        std::thread::scope(|scope| {
            let job = scope.spawn(|| run(&*hanging, folder, &cancel));
            until("the job runs", || stand.path("running").exists());
            cancel.cancel();
            assert!(job.join().unwrap().unwrap_err().is_cancelled());
        });
        run(&*good, folder, &never).unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());
    });
}

const WORKER: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  dst=${line#*\"dst\":\"}; dst=${dst%%\"*}
  if [ -e "$0" ]; then rm "$0"; sleep 500; fi
  printf '%s' "$APYFAL_SLOT $$ $(($(ps -o pgid= -p $$)))" >"$dst"
  echo "{\"id\": $id}"
done
# It takes a moment to let go of its device.
sleep 0.3
"#;

#[test]
fn a_worker_keeps_its_slot_for_the_session() {
    let stand = Stand::new(Kind::AwsF2, 1);
    let folder = stand.folder();
    let hang = stand.path("hang");
    let section = json!({"worker": ["sh", "-c", WORKER, hang.to_str().unwrap()]});
    let session = open(&with_slot(&stand, &section, Hold::Session), folder);
    let never = Cancel::default();
    let first = run(&*session, folder, &never).unwrap();
    assert!(first.starts_with(b"0 "), "{first:?}");
    let other = stand.pool_by(&Access::Direct, Duration::ZERO);
    let error = other.acquire(&stand.image("a"), &never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(run(&*session, folder, &never).unwrap(), first);
    assert_eq!(stand.changes(), ["load"]);

    std::fs::write(&hang, "").unwrap();
    let cancel = Cancel::default();
    std::thread::scope(|scope| {
        let job = scope.spawn(|| run(&*session, folder, &cancel));
        until("it hangs", || !hang.exists());
        cancel.cancel();
        assert!(job.join().unwrap().unwrap_err().is_cancelled());
    });
    let next = run(&*session, folder, &never).unwrap();
    assert!(next != first && next.starts_with(b"0 "), "{next:?}");
    assert_eq!(stand.changes(), ["clear", "load"]);
    // The slot is not free before the worker is gone.
    let group = std::str::from_utf8(&next).unwrap().split(' ').nth(2).unwrap().parse().unwrap();
    assert!(group_runs(group));
    std::thread::scope(|scope| {
        let (waiting, image) = (stand.pool(), stand.image("a"));
        let acquired = scope.spawn(move || {
            let guard = waiting.acquire(&image, &Cancel::default()).unwrap();
            let runs = group_runs(group);
            guard.finish().unwrap();
            runs
        });
        drop(session);
        assert!(!acquired.join().unwrap());
    });
    other.acquire(&stand.image("a"), &never).unwrap().finish().unwrap();
    assert_eq!(stand.changes(), [""; 0]);
}

/// An executable of the original's kind, which says what it is called for and in which slot.
const ORIGINAL: &str = r#"#!/bin/sh
mode=$2
while [ $# -gt 0 ]; do case $1 in -p) answer=$2 ;; -o) dst=$2 ;; esac; shift; done
echo "$mode $APYFAL_SLOT" >>"$NOTES"
if [ -n "$dst" ]; then echo made >"$dst"; fi
echo '{"app": {"status": 0}}' >"$answer"
"#;

#[test]
fn an_executable_finds_what_it_left_in_its_slot_or_says_so() {
    let stand = Stand::new(Kind::AwsF2, 2);
    let folder = stand.folder();
    executable(&stand.path("original"), ORIGINAL);
    let section = json!({
        "executable": stand.path("original").to_str().unwrap(),
        "env": {"NOTES": stand.path("notes").to_str().unwrap()},
    });
    let never = Cancel::default();
    // The first slot is taken, so that it is started in the second one.
    let taken = stand.acquire("b").unwrap();
    let engine = with_slot(&stand, &section, Hold::Start);
    let session = open(&engine, folder);
    taken.finish().unwrap();
    assert_eq!(run(&*session, folder, &never).unwrap(), b"made\n");
    // In another process.
    let again = open(&with_slot(&stand, &section, Hold::Start), folder);
    run(&*again, folder, &never).unwrap();
    let notes = || std::fs::read_to_string(stand.path("notes")).unwrap();
    assert_eq!(notes(), "0 1\n1 1\n1 1\n");
    assert_eq!(stand.changes(), ["load", "load"]);

    let pool = stand.pool();
    pool.acquire_in("1", &stand.image("b"), &never).unwrap().finish().unwrap();
    let error = run(&*session, folder, &never).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    session.stop(&context(folder, &never)).unwrap();
    assert_eq!(notes(), "0 1\n1 1\n1 1\n");
    pool.acquire_in("2", &stand.image("a"), &never).unwrap_err();
}
