use super::*;

/// Keeps a log of its calls, and the JSON that it was sent.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
args = sys.argv[1:]
rest = [arg for arg in args if arg == "-v4"]
args = [arg for arg in args if arg != "-v4"]
given = dict(zip(args[::2], args[1::2]))
sent = json.load(open(given["-j"])) if "-j" in given else None
with open(here + "/log", "a") as log:
    print(json.dumps([given["-m"], sorted(k for k in given), rest, sent]), file=log)
app = {"status": 0, "msg": ""}
if given["-m"] == "0" and "-i" in given:
    open(here + "/data", "wb").write(open(given["-i"], "rb").read())
if given["-m"] == "1":
    what = sent["app"]["specific"].get("what")
    if what == "refuse":
        app = {"status": 7, "msg": "no such word"}
    if what == "crash":
        print("some output")
        print("some error", file=sys.stderr)
        open(given["-p"], "w").write('{"app": {"ha')
        sys.exit(4)
    if what == "nothing":
        open(given["-p"], "w").write("{}")
        sys.exit(0)
    if what == "garbage":
        open(given["-p"], "w").write("<xml/>")
        sys.exit(0)
    app["specific"] = {"digest": "ab"}
    app["profiling"] = {"fpga-elapsed-time": 0.25}
    if "-o" in given:
        open(given["-o"], "wb").write(open(given["-i"], "rb").read()[::-1])
json.dump({"app": app}, open(given["-p"], "w"))
"#;

fn bench(more: Value) -> Bench {
    let mut bench = Bench::new(json!({"command": "true"}));
    let executable = bench.script("accelerator", STAND_IN);
    let mut section = json!({"executable": executable});
    section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.engine = Exec::new(declare(section).unwrap(), bench.path("locks"));
    bench
}

fn log(bench: &Bench) -> Vec<Value> {
    let text = fs::read_to_string(bench.path("log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the program was called for, in order.
fn modes(bench: &Bench) -> String {
    log(bench).iter().map(|call| call[0].as_str().unwrap().to_owned()).collect()
}

fn process(
    bench: &Bench,
    session: &dyn EngineSession,
    params: Value,
) -> Result<(Vec<u8>, Outcome)> {
    let (dst, written) = sink();
    let job = EngineJob {
        src: Some(Input::bytes(*b"abc")),
        dst: Some(dst),
        params: bench.params(None, params),
    };
    let outcome = session.process(job, &bench.context())?;
    let written = written.bytes();
    Ok((written, outcome))
}

#[test]
fn start_process_and_stop_call_the_program_as_the_original_did() {
    let bench = bench(json!({}));
    let request =
        JobParameters { reset: Some(true), reload: Some(true), ..JobParameters::default() };
    let session = bench
        .engine
        .open(
            Some(Input::bytes(*b"corpus")),
            &bench.params(None, json!({"words": 3})),
            &bench.path("state"),
            &bench.context().with_request(request),
        )
        .unwrap();
    assert_eq!(fs::read(bench.path("data")).unwrap(), b"corpus");
    let (written, outcome) = process(&bench, &*session, json!({"what": "go"})).unwrap();
    assert_eq!(written, b"cba");
    assert_eq!(outcome.specific["digest"], "ab");
    assert_eq!(Value::from(outcome.app), json!({"profiling": {"fpga-elapsed-time": 0.25}}));
    session.stop(&bench.context()).unwrap();
    assert_eq!(
        log(&bench),
        [
            json!(["0", ["-i", "-j", "-m", "-p"], [], {"app": {
                "reset": 1, "enable-sw-comparison": 0,
                "logging": {"format": 1, "verbosity": 2}, "specific": {"words": 3}}}]),
            json!(["1", ["-i", "-j", "-m", "-o", "-p"], ["-v4"], {"app": {
                "reset": 0, "enable-sw-comparison": 0,
                "logging": {"format": 1, "verbosity": 4}, "specific": {"what": "go"}}}]),
            json!(["2", ["-m", "-p"], [], null]),
        ]
    );
    assert_eq!(fs::read_dir(bench.path("scratch")).unwrap().count(), 0);
}

#[test]
fn a_session_opened_again_does_not_start_again() {
    let bench = bench(json!({}));
    drop(bench.open());
    process(&bench, &*bench.open(), json!({})).unwrap();
    let modes: Vec<_> = log(&bench).iter().map(|call| call[0].clone()).collect();
    assert_eq!(modes, ["0", "1"]);
}

#[test]
fn declared_parameters_go_where_they_belong() {
    let bench = bench(json!({"parameters": {
        "table": {"default": "small", "stage": "start"},
        "level": 6,
    }}));
    let session = bench.open();
    process(&bench, &*session, json!({"level": 7})).unwrap();
    let sent: Vec<_> = log(&bench).iter().map(|call| call[3]["app"]["specific"].clone()).collect();
    assert_eq!(sent, [json!({"table": "small"}), json!({"level": 7})]);
}

#[test]
fn failures_are_those_that_the_program_tells() {
    let bench = bench(json!({}));
    let session = bench.open();
    for (what, message) in [
        ("refuse", "no such word"),
        ("nothing", "No result returned"),
        ("garbage", "the program's answer is not JSON: expected value at line 1 column 1"),
        ("crash", "the program failed"),
    ] {
        let error = process(&bench, &*session, json!({"what": what})).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Engine, message));
        assert!(fact(&error, "command").contains(" -m 1 -i "), "{error}");
        if what == "crash" {
            assert_eq!(fact(&error, "stdout"), "some output");
            assert_eq!(fact(&error, "stderr"), "some error");
            assert_eq!(fact(&error, "status"), "exit status 4");
            assert_eq!(fact(&error, "output JSON"), "{\"app\": {\"ha");
        }
    }
    process(&bench, &*session, json!({})).unwrap();
}

#[test]
fn another_sessions_configuration_is_not_used() {
    let bench = bench(json!({}));
    let state = bench.path("other");
    fs::create_dir(&state).unwrap();
    let open = |src| bench.engine.open(src, &Params::default(), &state, &bench.context()).unwrap();
    let with_data = open(Some(Input::bytes(*b"data")));
    let first = bench.open();
    // What it was started with is gone.
    let error = process(&bench, &*with_data, json!({})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    with_data.stop(&bench.context()).unwrap();
    // What was started without data is started again, at each turn.
    let second = open(None);
    for session in [&first, &first, &second] {
        process(&bench, &**session, json!({})).unwrap();
    }
    assert_eq!(modes(&bench), "00001101");
    first.stop(&bench.context()).unwrap();
    process(&bench, &*second, json!({})).unwrap();
}

#[test]
fn sections_and_links_that_lead_to_one_program_exclude_each_other() {
    let bench = bench(json!({}));
    let first = bench.open();
    let link = bench.path("link");
    std::os::unix::fs::symlink(bench.path("accelerator"), &link).unwrap();
    let (state, section) = (bench.path("other"), json!({"executable": link}));
    fs::create_dir(&state).unwrap();
    let other = Declaration::new("theirs", section.as_object().unwrap()).unwrap();
    let other = Exec::new(other, bench.path("locks"));
    other.open(None, &Params::default(), &state, &bench.context()).unwrap();
    process(&bench, &*first, json!({})).unwrap();
    assert_eq!(modes(&bench), "0001", "it has to be started again");
}

#[test]
fn the_lock_can_be_kept_elsewhere() {
    let mut bench = bench(json!({"lock_directory": "/nonexistent/locks"}));
    let error = bench.open_with(None, json!({})).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/locks/apyfal-"), "{error}");
    let section = json!({
        "executable": bench.path("accelerator"), "lock_directory": bench.path("scratch"),
    });
    bench.engine = Exec::new(declare(section).unwrap(), "/nonexistent");
    bench.open();
    let names = fs::read_dir(bench.path("scratch")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(matches!(&names[..], [name] if name.to_str().unwrap().ends_with(".lock")), "{names:?}");
}

#[test]
fn programs_that_are_exclusive_by_a_name_share_its_lock() {
    let mut bench = bench(json!({}));
    let first = bench.path("accelerator");
    let second = bench.path("another");
    fs::copy(&first, &second).unwrap();
    for path in [first, second] {
        let declaration = declare(json!({"executable": path})).unwrap().exclusive_as("card");
        fs::create_dir_all(bench.path("state")).unwrap();
        bench.engine = Exec::new(declaration, bench.path("locks"));
        bench.open();
        fs::remove_dir_all(bench.path("state")).unwrap();
    }
    assert_eq!(fs::read_dir(bench.path("locks")).unwrap().count(), 1);
}

#[test]
fn calls_wait_for_each_other_across_processes() {
    let bench = bench(json!({}));
    let session = bench.open();
    let lock = fs::read_dir(bench.path("locks")).unwrap().next().unwrap().unwrap().path();
    let locked = File::options().write(true).open(&lock).unwrap();
    locked.lock().unwrap();
    let before = times_open(&lock);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| process(&bench, &*session, json!({})));
        until("it waits", || times_open(&lock) != before || waiting.is_finished());
        assert!(!waiting.is_finished());
        bench.cancel.cancel();
        assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
    });
    assert_eq!(log(&bench).len(), 1);
}

#[test]
fn sudo_is_used_where_it_is_asked_for() {
    let bench = bench(json!({}));
    bench.script(
        "sudo",
        "#!/bin/sh\necho sudo >>\"$(dirname \"$0\")/sudo.log\"\nshift 3\nexec \"$@\"\n",
    );
    let path = format!("{}:{}", bench.directory.path().display(), std::env::var("PATH").unwrap());
    let with_sudo = Exec::new(
        declare(json!({
            "executable": bench.path("accelerator"), "sudo": true, "env": {"PATH": path},
        }))
        .unwrap(),
        bench.path("locks"),
    );
    drop(bench.open());
    assert!(!bench.path("sudo.log").exists());
    let state = bench.path("other");
    fs::create_dir(&state).unwrap();
    with_sudo.open(None, &Params::default(), &state, &bench.context()).unwrap();
    assert_eq!(fs::read_to_string(bench.path("sudo.log")).unwrap(), "sudo\n");
}

#[test]
fn both_streams_of_an_executable_are_logged() {
    let bench = bench(json!({}));
    let session = bench.open();
    let (log, lines) = listen();
    let params = bench.params(None, json!({"what": "crash"}));
    let job = EngineJob { src: Some(Input::bytes(*b"abc")), dst: None, params };
    assert!(session.process(job, &bench.context().with_log(log)).is_err());
    let mut lines = lines.lock().unwrap().clone();
    lines.sort();
    assert_eq!(lines, ["some error", "some output"]);
}
