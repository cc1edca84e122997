use super::*;

/// Copies in capitals; crashes, hangs or babbles when it is told to.
const WORKER: &str = r#"
import json, os, sys, time
print("opening the device", file=sys.stderr, flush=True)
for line in sys.stdin:
    job = json.loads(line)
    what = job["parameters"].get("what")
    print("working on", what, file=sys.stderr, flush=True)
    if what == "crash":
        os._exit(9)
    if what == "hang":
        with open(job["parameters"]["note"], "w") as note:
            print(os.getpid(), file=note)
        time.sleep(1000)
    if what == "babble":
        print("hello", flush=True)
        continue
    answer = {"id": job["id"], "specific": {"pid": os.getpid()}, "profiling": {"fpga-elapsed-time": 0.5}}
    if what == "refuse":
        answer |= {"status": 2, "msg": "bad data"}
    elif job["src"]:
        with open(job["src"], "rb") as src, open(job["dst"], "wb") as dst:
            dst.write(src.read().upper())
    print(json.dumps(answer), flush=True)
if os.environ.get("NOTE"):
    open(os.environ["NOTE"], "w").write("closed in order")
"#;

fn bench() -> Bench {
    Bench::new(json!({
        "worker": ["python3", "-c", WORKER],
        "parameters": {"what": {"type": "text"}, "note": {"type": "text"}},
    }))
}

fn job(bench: &Bench, session: &dyn EngineSession, what: &str) -> Result<(Vec<u8>, Outcome)> {
    let (dst, written) = sink();
    let note = bench.path("note");
    let params = bench.params(None, json!({"what": what, "note": note}));
    let job = EngineJob { src: Some(Input::bytes(*b"abc")), dst: Some(dst), params };
    let outcome = session.process(job, &bench.context())?;
    let written = written.bytes();
    Ok((written, outcome))
}

#[test]
fn one_worker_takes_one_job_after_the_other() {
    let bench = bench();
    let session = bench.open();
    let (written, first) = job(&bench, &*session, "one").unwrap();
    assert_eq!(written, b"ABC");
    assert_eq!(first.app["profiling"]["fpga-elapsed-time"], 0.5);
    let error = job(&bench, &*session, "refuse").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Engine, "bad data"));
    assert_eq!(job(&bench, &*session, "two").unwrap().1, first);
    assert_eq!(fs::read_dir(bench.path("scratch")).unwrap().count(), 0);
    let pid = first.specific["pid"].as_u64().unwrap() as u32;
    assert!(is_running(pid));
    drop(session);
    wait_until_gone(pid);
}

#[test]
fn a_worker_that_crashes_fails_its_job_and_is_replaced() {
    let bench = bench();
    let session = bench.open();
    let first = job(&bench, &*session, "one").unwrap().1;
    job(&bench, &*session, "two").unwrap();
    let error = job(&bench, &*session, "crash").unwrap_err();
    assert_eq!(fact(&error, "status"), "exit status 9");
    // Its end alone, not what earlier jobs wrote.
    assert_eq!(fact(&error, "stderr"), "working on crash");
    let next = job(&bench, &*session, "three").unwrap();
    assert_eq!(next.0, b"ABC");
    assert_ne!(next.1, first);
}

#[test]
fn a_worker_that_died_while_idle_is_replaced_unseen() {
    let bench = bench();
    let session = bench.open();
    let pid = job(&bench, &*session, "one").unwrap().1.specific["pid"].as_i64().unwrap() as i32;
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_until_gone(pid.as_raw_nonzero().get() as u32);
    assert_eq!(job(&bench, &*session, "two").unwrap().0, b"ABC");
}

#[test]
fn a_worker_that_hangs_ends_with_its_job() {
    let bench = bench();
    let session = bench.open();
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| job(&bench, &*session, "hang"));
        let pid = pid_in(&bench.path("note"));
        bench.cancel.cancel();
        assert!(hanging.join().unwrap().unwrap_err().is_cancelled());
        wait_until_gone(pid);
    });
}

#[test]
fn an_answer_that_is_none_fails_the_job() {
    let bench = bench();
    let session = bench.open();
    let error = job(&bench, &*session, "babble").unwrap_err();
    assert_eq!(fact(&error, "answer"), "hello");
    assert_eq!(job(&bench, &*session, "one").unwrap().0, b"ABC");
}

#[test]
fn workers_run_side_by_side_and_close_in_order() {
    let mut bench = bench();
    let note = bench.path("closed");
    bench.engine = Exec::new(
        declare(json!({"worker": ["python3", "-c", WORKER], "env": {"NOTE": note}})).unwrap(),
        bench.path("locks"),
    );
    let session = bench.open();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let (dst, written) = sink();
                    let src = Some(Input::bytes(*b"xyz"));
                    let job = EngineJob { src, dst: Some(dst), ..EngineJob::default() };
                    session.process(job, &bench.context()).unwrap();
                    assert_eq!(written.bytes(), b"XYZ");
                }
            });
        }
    });
    drop(session);
    assert_eq!(fs::read_to_string(note).unwrap(), "closed in order");
}

#[test]
fn an_answer_is_shown_without_secrets_also_where_it_is_cut() {
    let bench = Bench::new(json!({
        "worker": ["sh", "-c", "read job; printf '%0195d%s\\n' 0 \"$TOKEN\"; read job"],
        "parameters": {"token": {"type": "text", "stage": "start"}},
        "env": {"TOKEN": "{token}"},
    }));
    let session = bench.open_with(None, json!({"token": "hunter2-hunter2"})).unwrap();
    let error = session.process(EngineJob::default(), &bench.context()).unwrap_err();
    assert_eq!(fact(&error, "answer"), format!("{}***", "0".repeat(195)));
}

#[test]
fn each_job_logs_its_own_lines() {
    let bench = bench();
    let session = bench.open();
    for (what, expected) in [
        ("one", &["opening the device", "working on one"][..]),
        ("refuse", &["working on refuse"]),
        ("crash", &["working on crash"]),
        ("two", &["opening the device", "working on two"]),
    ] {
        let (log, lines) = listen();
        let params = bench.params(None, json!({"what": what}));
        let job = EngineJob { params, ..EngineJob::default() };
        let result = session.process(job, &bench.context().with_log(log));
        assert_eq!(result.is_ok(), !matches!(what, "refuse" | "crash"));
        assert_eq!(*lines.lock().unwrap(), expected);
    }
}
