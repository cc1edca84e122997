use super::*;

#[test]
fn streams_go_both_ways_at_once() {
    let bytes = noise(40 << 20);
    let compressed = Bench::new(json!({"command": ["pigz", "-1", "-c"]}))
        .run(Some(Input::bytes(bytes.clone())), json!({}))
        .expect("the program pigz is needed")
        .0;
    assert!(compressed.len() < bytes.len());
    let back =
        Bench::new(json!({"command": "pigz -dc"})).run(Some(Input::bytes(compressed)), json!({}));
    assert!(back.unwrap().0 == bytes);
}

#[test]
fn progress_counts_bytes_both_ways() {
    let bench = Bench::new(json!({"command": "cat"}));
    let context = bench.context();
    let (dst, written) = sink();
    let job = EngineJob {
        src: Some(Input::bytes(noise(3 << 20))),
        dst: Some(dst),
        ..EngineJob::default()
    };
    bench.open().process(job, &context).unwrap();
    assert_eq!(written.bytes().len(), 3 << 20);
    assert_eq!((context.progress().read(), context.progress().written()), (3 << 20, 3 << 20));
}

#[test]
fn paths_are_those_of_real_files() {
    let bench = Bench::new(json!({"command": ["cp", "{src}", "{dst}"]}));
    let bytes = noise(100_000);
    let (src, dst) =
        (file(&bench.path("in put"), &bytes), File::create(bench.path("out")).unwrap());
    let job = EngineJob {
        src: Some(src),
        dst: Some(Output::file(dst, bench.path("out"))),
        ..EngineJob::default()
    };
    let context = bench.context();
    bench.open().process(job, &context).unwrap();
    assert!(fs::read(bench.path("out")).unwrap() == bytes);
    assert_eq!((context.progress().read(), context.progress().written()), (100_000, 100_000));
    assert_eq!(fs::read_dir(bench.path("scratch")).unwrap().count(), 0);
}

#[test]
fn a_source_that_is_cut_off_is_no_whole_result() {
    for command in [json!(["cp", "{src}", "{dst}"]), json!(["cat"])] {
        let bench = Bench::new(json!({"command": command}));
        let src = file(&bench.path("in"), &noise(100_000));
        File::options().write(true).open(bench.path("in")).unwrap().set_len(99_999).unwrap();
        let error = bench.run(Some(src), json!({})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains("it ended after 99999 of 100000 bytes"), "{error}");
    }
}

#[test]
fn paths_of_streams_are_in_scratch_space() {
    let bench = Bench::new(
        json!({"command": ["sh", "-c", "echo $1 $2; cat \"$1\" >\"$2\"", "sh", "{src}", "{dst}"]}),
    );
    let (written, outcome) =
        bench.run(Some(Input::bytes(*b"abc").with_name("a.bmp")), json!({})).unwrap();
    assert_eq!(written, b"abc");
    let output = outcome.specific["output"].as_str().unwrap();
    assert!(output.starts_with(bench.path("scratch/src-").to_str().unwrap()), "{output}");
    assert!(output.contains(".bmp "), "{output}");
    assert_eq!(fs::read_dir(bench.path("scratch")).unwrap().count(), 0);
}

#[test]
fn a_program_may_replace_its_output_file() {
    let bench = Bench::new(sh("echo new >'{scratch}/new'; mv '{scratch}/new' '{dst}'"));
    let out = bench.path("out");
    let handle =
        File::options().create(true).truncate(true).read(true).write(true).open(&out).unwrap();
    let job = EngineJob {
        dst: Some(Output::file(handle.try_clone().unwrap(), &out)),
        ..EngineJob::default()
    };
    bench.open().process(job, &bench.context()).unwrap();
    let mut text = String::new();
    std::io::Seek::rewind(&mut &handle).unwrap();
    (&handle).read_to_string(&mut text).unwrap();
    assert_eq!(text, "new\n");
}

#[test]
fn parameters_fill_arguments_and_variables() {
    let bench = Bench::new(json!({
        "command": ["sh", "-c", "echo \"$0|$*|$MODE|${GONE:-unset}\"", "{level}", "--name={name}", "{gone}", "end"],
        "parameters": {"level": 6, "name": "a b", "fast": true, "gone": {"type": "text"}},
        "env": {"MODE": "fast={fast}", "GONE": "{gone}"},
    }));
    let (written, _) = bench.run(None, json!({"level": 7})).unwrap();
    assert_eq!(written, b"7|--name=a b end|fast=true|unset\n");
}

#[test]
fn output_without_destination_is_shown() {
    let bench = Bench::new(json!({"command": "wc -c"}));
    let job = EngineJob { src: Some(Input::bytes(noise(300))), ..EngineJob::default() };
    let outcome = bench.open().process(job, &bench.context()).unwrap();
    assert_eq!(outcome, Outcome::default().with("output", "300"));
}

#[test]
fn without_a_source_there_is_no_input_and_no_descriptor_of_ours() {
    let bench = Bench::new(json!({"command": "ls -l /proc/self/fd"}));
    let _held = File::open("/dev/zero").unwrap();
    let listing = String::from_utf8(bench.run(None, json!({})).unwrap().0).unwrap();
    let links = listing.lines().filter_map(|line| line.split_once(" -> "));
    for (before, target) in links {
        let number = before.rsplit(' ').next().unwrap();
        match number {
            "0" => assert_eq!(target, "/dev/null"),
            "1" | "2" => assert!(target.starts_with("pipe:"), "{target}"),
            // The listed directory, and what whoever started the tests lets everybody inherit.
            _ if target.starts_with("/proc/") => {}
            _ => {
                let flags = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
                let flags = flags.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
                let flags = u64::from_str_radix(flags, 8).unwrap();
                assert_eq!(flags & 0o2_000_000, 0, "{number} -> {target} is ours");
            }
        }
    }
    assert!(listing.contains(" 0 -> "), "{listing}");
}

#[test]
fn a_program_may_leave_its_input_unread() {
    let bench = Bench::new(json!({"command": "head -c 10"}));
    let (written, _) = bench.run(Some(Input::stream(std::io::repeat(b'x'))), json!({})).unwrap();
    assert_eq!(written, b"xxxxxxxxxx");
    // Nor need a source that has nothing to say for now hold it up.
    struct Silent;
    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(Duration::from_millis(5));
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }
    let bench = Bench::new(json!({"command": "true"}));
    bench.run(Some(Input::stream(Silent)), json!({})).unwrap();
}

#[test]
fn failure_shows_command_status_and_stderr() {
    let bench = Bench::new(json!({
        "command": ["sh", "-c", "echo out; echo the $1 failed >&2; exit 3", "sh", "{token}"],
        "parameters": {"token": {"type": "text"}},
    }));
    let error = bench.run(Some(Input::bytes(*b"x")), json!({"token": "hunter2"})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Engine);
    assert_eq!(fact(&error, "status"), "exit status 3");
    assert_eq!(error.details().exit_status, Some(3));
    assert_eq!(fact(&error, "stderr"), "the *** failed");
    assert!(fact(&error, "command").ends_with("sh '***'"), "{error}");
    let error = Bench::new(sh("kill -SEGV $$")).run(None, json!({})).unwrap_err();
    assert_eq!(fact(&error, "status"), "killed by signal 11");
    assert_eq!(error.details().exit_status, None);
}

#[test]
fn a_flood_on_stderr_neither_blocks_nor_fills_memory() {
    let bench = Bench::new(sh(
        "head -c 100000000 /dev/zero | tr '\\0' e >&2; echo done; echo last >&2; exit 1",
    ));
    let error = bench.run(None, json!({})).unwrap_err();
    let stderr = fact(&error, "stderr");
    assert!(stderr.len() <= (16 << 10) + 3 && stderr.starts_with("…e") && stderr.ends_with("last"));
}

/// A source that fails after some bytes, and not before the program has written its number.
struct Fails<F> {
    once: PathBuf,
    after: usize,
    how: F,
}

impl<F: FnMut() -> std::io::Result<usize>> Read for Fails<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.after > 0 {
            self.after -= 1;
            buffer[0] = b'x';
            return Ok(1);
        }
        if fs::read_to_string(&self.once).is_ok_and(|text| text.ends_with('\n')) {
            return (self.how)();
        }
        std::thread::sleep(Duration::from_millis(1));
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

#[test]
fn a_broken_source_fails_the_job_and_kills_the_program() {
    let bench = Bench::new(sh("echo $$ >\"$NOTES/pid\"; cat"));
    let truncated = || Err(Error::new(ErrorKind::InvalidData, "truncated").into_io());
    let src = Fails { once: bench.path("pid"), after: 3, how: truncated };
    let error = bench.run(Some(Input::stream(src)), json!({})).unwrap_err();
    assert_eq!(error.message(), "truncated");
    wait_until_gone(pid_in(&bench.path("pid")));
}

#[test]
fn a_source_that_panics_is_no_end_of_the_input() {
    let bench = Bench::new(sh("echo $$ >\"$NOTES/pid\"; cat; echo whole >\"$NOTES/ended\""));
    let panics = || panic!("a defect of the caller's");
    let src = Fails { once: bench.path("pid"), after: 3, how: panics };
    let error = bench.run(Some(Input::stream(src)), json!({})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    wait_until_gone(pid_in(&bench.path("pid")));
    assert!(!bench.path("ended").exists());
}

#[test]
fn a_broken_destination_fails_the_job_and_kills_the_program() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let bench = Bench::new(sh("echo $$ >\"$NOTES/pid\"; yes"));
    let job = EngineJob { dst: Some(Output::stream(Full)), ..EngineJob::default() };
    let error = bench.open().process(job, &bench.context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    wait_until_gone(pid_in(&bench.path("pid")));
}

#[test]
fn a_cancelled_job_leaves_no_process_behind() {
    // Deaf to SIGTERM, with a child and a grandchild that are so too.
    let bench = Bench::new(sh(
        "trap '' TERM; sh -c 'sleep 1000 & echo $! >\"$NOTES/grandchild\"; sleep 1000' & \
         echo $! >\"$NOTES/child\"; echo $$ >\"$NOTES/pid\"; while :; do sleep 1; done",
    ));
    std::thread::scope(|scope| {
        let job = scope.spawn(|| bench.run(Some(Input::stream(std::io::repeat(0))), json!({})));
        let pids: Vec<_> =
            ["pid", "child", "grandchild"].map(|name| pid_in(&bench.path(name))).to_vec();
        assert!(pids.iter().all(|pid| is_running(*pid)));
        bench.cancel.cancel();
        assert!(job.join().unwrap().unwrap_err().is_cancelled());
        pids.into_iter().for_each(wait_until_gone);
    });
}

#[test]
fn the_guard_forgets_programs_that_were_cancelled() {
    let bench = Bench::new(sh("echo $$ >\"$NOTES/pid\"; exec sleep 1000"));
    let left = bench.path("left");
    let guard = Arc::new(Guard::harmless(&left).unwrap());
    let launcher = Launcher { declaration: bench.engine.declaration.clone(), guard: guard.clone() };
    let session = super::super::command::CommandSession::new(launcher);
    for _ in 0..50 {
        let cancel = Cancel::default();
        let context = bench.context().with_cancel(cancel.clone());
        std::thread::scope(|scope| {
            let job = scope.spawn(|| session.process(EngineJob::default(), &context));
            pid_in(&bench.path("pid"));
            cancel.cancel();
            assert!(job.join().unwrap().unwrap_err().is_cancelled());
        });
        fs::remove_file(bench.path("pid")).unwrap();
    }
    drop(session);
    // Ends once the guard has done what it had to do.
    drop(guard);
    assert!(!left.exists(), "{:?}", fs::read_to_string(left));
}

#[test]
fn a_panic_leaves_no_process_behind() {
    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("a defect of the caller's")
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let bench = Bench::new(sh("echo $$ >\"$NOTES/pid\"; yes"));
    let src = Some(Input::stream(std::io::repeat(0)));
    let job = EngineJob { src, dst: Some(Output::stream(Panics)), ..EngineJob::default() };
    let (session, context) = (bench.open(), bench.context());
    let run = std::panic::AssertUnwindSafe(|| session.process(job, &context));
    assert!(std::panic::catch_unwind(run).is_err());
    wait_until_gone(pid_in(&bench.path("pid")));
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let bench = Bench::new(sh("sleep 1000 & echo $! >\"$NOTES/pid\"; echo done"));
    let (written, _) = bench.run(None, json!({})).unwrap();
    assert_eq!(written, b"done\n");
    wait_until_gone(pid_in(&bench.path("pid")));
}

#[test]
fn programs_that_cannot_start_say_why() {
    let bench = Bench::new(json!({"command": "/nonexistent/program"}));
    let error = bench.run(None, json!({})).unwrap_err();
    assert!(error.to_string().contains("there is no program '/nonexistent/program'"), "{error}");
    assert!(!error.hints().is_empty());
    for (name, mode, text, message) in [
        ("plain", 0o644, "#!/bin/sh\n", "may not be executed"),
        ("lost", 0o755, "#!/nonexistent/sh\n", "interpreter"),
        ("empty", 0o755, "\u{1}\u{2}", "is not a program"),
    ] {
        let path = bench.script(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Bench::new(json!({"command": [path]})).run(None, json!({})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
        assert!(error.message().contains(message), "{name}: {error}");
    }
}

/// Runs this test binary again as a process that can be killed, with the directory to work in.
const VICTIM: &str = "APYFAL_TEST_VICTIM";

fn victim(test: &str, directory: &tempfile::TempDir) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("exec::tests::command::{test}")])
        .env(VICTIM, directory.path())
        // What it leaves goes with the directory.
        .env("TMPDIR", directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn programs_die_with_a_killed_owner() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        let script = format!(
            "sleep 1000 & echo $! >'{0}/child'; echo $$ >'{0}/pid'; wait",
            directory.display()
        );
        let _ = Bench::new(sh(&script)).run(None, json!({}));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut owner = victim("programs_die_with_a_killed_owner", &directory);
    let pids = ["pid", "child"].map(|name| pid_in(&directory.path().join(name)));
    assert!(pids.iter().all(|pid| is_running(*pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    pids.into_iter().for_each(wait_until_gone);
}

#[test]
fn a_program_whose_owner_is_killed_as_it_starts_dies_too() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        // Its owner may be killed before it has heard that the program runs.
        let script =
            format!("echo $$ >'{}/pid'; kill -KILL $PPID; exec sleep 1000", directory.display());
        let _ = Bench::new(sh(&script)).run(None, json!({}));
        return;
    }
    for _ in 0..50 {
        let directory = tempfile::tempdir().unwrap();
        let mut owner = victim("a_program_whose_owner_is_killed_as_it_starts_dies_too", &directory);
        let program = pid_in(&directory.path().join("pid"));
        owner.wait().unwrap();
        wait_until_gone(program);
    }
}

#[test]
fn lines_of_standard_error_are_logged_as_they_come() {
    let bench = Bench::new(json!({
        "command": ["sh", "-c", "echo first $1 >&2; cat >/dev/null; printf last >&2", "sh", "{token}"],
        "parameters": {"token": {"type": "text"}},
    }));
    // The source ends only once the first line was heard.
    struct Until(Arc<Mutex<Vec<String>>>);
    impl Read for Until {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            if !self.0.lock().unwrap().is_empty() {
                return Ok(0);
            }
            std::thread::sleep(Duration::from_millis(1));
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }
    let (log, lines) = listen();
    let src = Some(Input::stream(Until(lines.clone())));
    let job = EngineJob { src, dst: None, params: bench.params(None, json!({"token": "hunter2"})) };
    bench.open().process(job, &bench.context().with_log(log)).unwrap();
    assert_eq!(*lines.lock().unwrap(), ["first ***", "last"]);
}
