use std::fs::{self, File};
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apyfal_core::{Cancel, Engine, Progress};
use apyfal_testkit::{Kept, until};
use serde_json::{Value, json};

use super::*;

/// A session with its state and scratch space.
struct Bench {
    directory: tempfile::TempDir,
    session: Box<dyn EngineSession>,
    start: Params,
}

impl Bench {
    fn new(mode: i64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["state", "scratch"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let start = params(None, json!({"mode": mode, "level": "fast"}));
        let session = open(&directory.path().join("state"), &start);
        Self { directory, session, start }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn context(&self) -> JobContext {
        context(&self.path("scratch"))
    }

    /// Runs a call without destination.
    fn add(&self, src: Option<Input>, raw: Value) -> Result<Outcome> {
        let job = EngineJob { src, dst: None, params: params(Some(&self.start), raw) };
        self.session.process(job, &self.context())
    }

    /// Runs a call with a destination: what was written to it.
    fn get(&self, src: Option<Input>, raw: Value) -> Result<Vec<u8>> {
        let (dst, written) = sink();
        let job = EngineJob { src, dst: Some(dst), params: params(Some(&self.start), raw) };
        self.session.process(job, &self.context())?;
        let written = written.bytes();
        Ok(written)
    }
}

fn context(scratch: &Path) -> JobContext {
    let threads = NonZeroUsize::new(2).unwrap();
    JobContext::new(Cancel::default(), Arc::new(Progress::default()), scratch, threads)
}

fn open(state: &Path, start: &Params) -> Box<dyn EngineSession> {
    engine().open(None, start, &state, &context(state)).unwrap()
}

fn params(start: Option<&Params>, raw: Value) -> Params {
    Params::check("targz", &engine().accelerator().params, start, raw.as_object().unwrap()).unwrap()
}

fn sink() -> (Output, Kept) {
    let written = Kept::default();
    (written.output(), written)
}

fn text(name: &str, content: &str) -> Option<Input> {
    Some(Input::bytes(content).with_name(name))
}

/// Feeds a peer program and returns what it wrote. It must end well and without complaint.
fn peer(program: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("the program {} is needed: {error}", program[0]));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program:?}: {complaint}");
    output.stdout
}

/// The members' names and contents as a peer extracts them.
fn extracted(tar: &str, archive: &[u8]) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    peer(&[tar, "-xzf", "-", "-C", path], archive);
    let mut members: Vec<_> = walkdir::WalkDir::new(directory.path())
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(directory.path()).unwrap();
            (name.to_str().unwrap().to_owned(), fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    members.sort();
    members
}

fn owned(members: &[(&str, &str)]) -> Vec<(String, String)> {
    members.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn one_call_makes_a_whole_archive() {
    let bench = Bench::new(3);
    for flags in [json!({}), json!({"startOfTx": 1, "endOfTx": 1})] {
        let archive = bench.get(text("a.txt", "hello"), flags).unwrap();
        for tar in ["tar", "bsdtar"] {
            assert_eq!(extracted(tar, &archive), owned(&[("a.txt", "hello")]));
        }
    }
    assert_eq!(bench.get(None, json!({})).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(bench.add(text("a", ""), json!({})).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_transaction_collects_over_several_calls_and_openings() {
    let mut bench = Bench::new(3);
    bench.add(text("a", "first"), json!({"startOfTx": 1})).unwrap();
    bench.add(text("b", "second"), json!({"startOfTx": 0, "endOfTx": 0})).unwrap();
    bench.session = open(&bench.path("state"), &bench.start);
    let outcome = bench.add(text("c", "third"), json!({"name": "in/side"})).unwrap();
    assert_eq!(outcome, Outcome::default().with("members", 3));
    let archive = bench.get(text("d", "last"), json!({"endOfTx": 1})).unwrap();
    let expected = owned(&[("a", "first"), ("b", "second"), ("d", "last"), ("in/side", "third")]);
    for tar in ["tar", "bsdtar"] {
        assert_eq!(extracted(tar, &archive), expected);
    }
    // It can be had once more, until the next one starts.
    assert_eq!(bench.get(None, json!({"again": 1})).unwrap(), archive);
    bench.add(None, json!({"startOfTx": 1})).unwrap();
    assert_eq!(bench.get(None, json!({"again": 1})).unwrap_err().kind(), ErrorKind::Conflict);
    let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
    assert_eq!(peer(&["tar", "-tzf", "-"], &archive), b"");
}

#[test]
fn calls_that_contradict_the_state_are_refused_and_change_nothing() {
    let bench = Bench::new(3);
    let error = bench.get(text("x", ""), json!({"endOfTx": 1})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hints()[0].contains("startOfTx"));
    bench.add(text("a", "kept"), json!({"startOfTx": 1})).unwrap();
    for flags in [json!({"startOfTx": 1}), json!({"startOfTx": 1, "endOfTx": 1})] {
        let error = bench.add(text("b", "x"), flags).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.hints()[0].contains("endOfTx"));
    }
    for (src, flags) in [(None, json!({})), (text("b", ""), json!({"name": "../b"}))] {
        assert_eq!(bench.add(src, flags).unwrap_err().kind(), ErrorKind::Usage);
    }
    assert_eq!(bench.get(text("b", "x"), json!({})).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(
        bench.add(text("b", "x"), json!({"endOfTx": 1})).unwrap_err().kind(),
        ErrorKind::Usage
    );
    let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
    assert_eq!(extracted("tar", &archive), owned(&[("a", "kept")]));
}

#[test]
fn a_call_that_fails_half_way_adds_nothing() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 40 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            buffer.fill(self.0 as u8);
            Ok(buffer.len())
        }
    }
    for mode in [1, 2, 3] {
        let bench = Bench::new(mode);
        bench.add(text("a", "one"), json!({"startOfTx": 1})).unwrap();
        bench.add(Some(Input::stream(Broken(0))), json!({})).unwrap_err();
        bench.add(text("b", "two"), json!({})).unwrap();
        bench.get(Some(Input::stream(Broken(0))), json!({"endOfTx": 1})).unwrap_err();
        let archive = bench.get(text("c", "three"), json!({"endOfTx": 1})).unwrap();
        let listing = match mode {
            1 => peer(&["gzip", "-dc"], &archive),
            2 => peer(&["tar", "-tf", "-"], &archive),
            _ => peer(&["tar", "-tzf", "-"], &archive),
        };
        let expected = if mode == 1 { "onetwothree" } else { "a\nb\nc\n" };
        assert_eq!(String::from_utf8(listing).unwrap(), expected);
    }
}

#[test]
fn the_modes_compress_archive_or_both() {
    let bench = Bench::new(1);
    let long = "0123456789".repeat(300_000);
    bench.add(text("a", "start "), json!({"startOfTx": 1})).unwrap();
    bench.add(text("b", &long), json!({})).unwrap();
    let compressed = bench.get(text("c", " end"), json!({"endOfTx": 1})).unwrap();
    assert!(peer(&["gzip", "-dc"], &compressed) == format!("start {long} end").into_bytes());
    assert_eq!(peer(&["gzip", "-dc"], &bench.get(text("a", "x"), json!({})).unwrap()), b"x");
    assert_eq!(peer(&["gzip", "-dc"], &bench.get(text("a", ""), json!({})).unwrap()), b"");
    let directory = bench.get(Some(Input::directory("/tmp")), json!({})).unwrap_err();
    assert_eq!(directory.kind(), ErrorKind::InvalidData);

    let archive = Bench::new(2).get(text("a", &long), json!({})).unwrap();
    assert_eq!(archive.len(), 512 + long.len().next_multiple_of(512) + 1024);
    assert_eq!(peer(&["tar", "-tf", "-"], &archive), b"a\n");
}

#[test]
fn an_empty_transaction_is_an_empty_archive() {
    for (mode, list) in [(1, "gzip -dc"), (2, "tar -tf -"), (3, "tar -tzf -"), (3, "bsdtar -tzf -")]
    {
        let bench = Bench::new(mode);
        bench.add(None, json!({"startOfTx": 1})).unwrap();
        let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
        assert_eq!(peer(&list.split(' ').collect::<Vec<_>>(), &archive), b"");
        let archive = bench.get(None, json!({"startOfTx": 1, "endOfTx": 1})).unwrap();
        assert_eq!(peer(&list.split(' ').collect::<Vec<_>>(), &archive), b"");
    }
}

#[test]
fn members_are_named_by_the_caller_the_source_or_their_number() {
    let bench = Bench::new(2);
    let unnamed = || Some(Input::bytes(*b"x"));
    bench.add(unnamed(), json!({"startOfTx": 1})).unwrap();
    bench.add(unnamed(), json!({"name": "/abs//olute/./path/"})).unwrap();
    bench.add(unnamed(), json!({})).unwrap();
    let odd = bench.path("scratch").join(std::ffi::OsStr::from_bytes(b"odd\xff\n name"));
    fs::write(&odd, "x").unwrap();
    bench.add(Some(Input::file(File::open(&odd).unwrap(), &odd).unwrap()), json!({})).unwrap();
    bench.add(unnamed(), json!({"name": "größe €"})).unwrap();
    for length in [99, 100, 101, 255, 256, 300, 5000] {
        bench.add(unnamed(), json!({"name": "n".repeat(length)})).unwrap();
    }
    let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
    let names: Vec<_> = ["member-1", "abs/olute/path", "member-3"].map(str::to_owned).to_vec();
    let long = [99, 100, 101, 255, 256, 300, 5000].map(|length| "n".repeat(length));
    let listing =
        peer(&["tar", "--quoting-style=literal", "--show-transformed", "-tf", "-"], &archive);
    let mut expected = names.join("\n").into_bytes();
    expected.extend_from_slice(b"\nodd\xff\n name\n");
    expected.extend_from_slice("größe €\n".as_bytes());
    expected.extend_from_slice(long.join("\n").as_bytes());
    expected.push(b'\n');
    assert!(listing == expected, "{}", String::from_utf8_lossy(&listing));
    let listing = String::from_utf8(peer(&["bsdtar", "-tf", "-"], &archive)).unwrap();
    assert!(names.iter().chain(&long).all(|name| listing.lines().any(|line| line == name)));
}

/// A tree with everything that a tree can have, all of it readable by both peers.
fn build_tree(root: &Path) {
    fs::create_dir_all(root.join("sub/empty")).unwrap();
    fs::write(root.join("one"), "content").unwrap();
    fs::write(root.join("none"), "").unwrap();
    fs::write(root.join("sub/big"), vec![7; 3_000_001]).unwrap();
    fs::set_permissions(root.join("one"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(root.join("sub/empty"), fs::Permissions::from_mode(0o1700)).unwrap();
    fs::hard_link(root.join("one"), root.join("sub/same as one")).unwrap();
    symlink("../one", root.join("sub/link")).unwrap();
    symlink("nowhere/../x//y/", root.join("dangling")).unwrap();
    symlink("t".repeat(400), root.join("far")).unwrap();
    let deep = root.join(["d".repeat(120), "e".repeat(150)].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f".repeat(200)), "deep").unwrap();
    symlink("x", root.join("g".repeat(150))).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
    std::mem::forget(std::os::unix::net::UnixListener::bind(root.join("s")));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    for name in ["one", "none", "sub/empty"] {
        File::open(root.join(name)).unwrap().set_modified(time).unwrap();
    }
}

/// What a tree looks like, entry by entry.
fn describe(root: &Path) -> Vec<String> {
    walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_name() != "s")
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            let kind = metadata.file_type();
            let content = match () {
                () if kind.is_symlink() => fs::read_link(entry.path()).unwrap().into_os_string(),
                () if kind.is_file() => format!("{:?}", fs::read(entry.path()).unwrap()).into(),
                () => "".into(),
            };
            // Extracting a link cannot always set its time, nor is a directory's kept by all.
            let mtime = if kind.is_file() { metadata.mtime() } else { 0 };
            format!(
                "{:?} {:o} {} {} {} {mtime} {content:?}",
                entry.path().strip_prefix(root).unwrap(),
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                if kind.is_dir() { 0 } else { metadata.nlink() },
            )
        })
        .collect()
}

#[test]
fn a_directory_comes_back_as_it_was() {
    let bench = Bench::new(3);
    let root = bench.path("my tree");
    build_tree(&root);
    let archive = bench.get(Some(Input::directory(&root)), json!({})).unwrap();
    assert!(bench.get(Some(Input::directory(&root)), json!({})).unwrap() == archive);
    for tar in ["tar", "bsdtar"] {
        let out = bench.path(tar);
        fs::create_dir(&out).unwrap();
        peer(&[tar, "-xpzf", "-", "-C", out.to_str().unwrap()], &archive);
        assert_eq!(describe(&out.join("my tree")), describe(&root), "{tar}");
    }
    let outcome = bench.add(Some(Input::directory(&root)), json!({"startOfTx": 1})).unwrap();
    assert_eq!(outcome.specific["skipped_sockets"], 1);
    bench.add(text("x", "beside"), json!({})).unwrap();
    bench.get(None, json!({"endOfTx": 1})).unwrap();
}

#[test]
fn a_directory_is_named_as_asked_or_as_it_is_called() {
    let bench = Bench::new(2);
    let root = bench.path("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "x").unwrap();
    symlink(&root, bench.path("link")).unwrap();
    let list = |src: &Path, flags| {
        let archive = bench.get(Some(Input::directory(src)), flags).unwrap();
        String::from_utf8(peer(&["tar", "-tf", "-"], &archive)).unwrap()
    };
    assert_eq!(list(&root, json!({})), "tree/\ntree/a\n");
    assert_eq!(list(&root.join("."), json!({})), "tree/\ntree/a\n");
    assert_eq!(list(&root, json!({"name": "p/q/"})), "p/q/\np/q/a\n");
    assert_eq!(list(&bench.path("link"), json!({"name": "via"})), "via/\nvia/a\n");
}

#[test]
fn times_are_those_that_tar_stores() {
    let bench = Bench::new(2);
    let root = bench.path("tree");
    fs::create_dir(&root).unwrap();
    let times = [
        ("epoch", "@0"),
        ("before", "@-1"),
        ("within", "@-1.5"),
        ("after", "@1.999999999"),
        ("old", "@-2147483648"),
        ("older", "@-99999999999"),
        ("octal", "@8589934591"),
        ("beyond", "@8589934592"),
        ("far", "@99999999999"),
    ];
    for (name, time) in times {
        let path = root.join(name);
        fs::write(&path, "x").unwrap();
        assert!(Command::new("touch").args(["-d", time]).arg(&path).status().unwrap().success());
    }
    // What the file system does not hold is not asked for: the peer reads the same files.
    let ours = bench.get(Some(Input::directory(&root)), json!({})).unwrap();
    let parent = bench.directory.path().to_str().unwrap();
    let theirs = peer(
        &[
            "tar",
            "--format=gnu",
            "--sort=name",
            "--numeric-owner",
            "-C",
            parent,
            "-cf",
            "-",
            "tree",
        ],
        b"",
    );
    let fields = |archive: &[u8]| {
        let records = archive.chunks(512).filter(|record| record[257..262] == b"ustar"[..]);
        records
            .map(|record| (record[..100].to_vec(), record[136..148].to_vec()))
            .collect::<Vec<_>>()
    };
    // The last byte of a field is a NUL with one and a space with the other, where it is octal.
    let number = |(name, field): (Vec<u8>, Vec<u8>)| {
        let is_octal = field[0] & 0x80 == 0;
        (name, if is_octal { field[..11].to_vec() } else { field })
    };
    let ours_read: Vec<_> = fields(&ours).into_iter().map(number).collect();
    assert_eq!(ours_read.len(), times.len() + 1);
    assert_eq!(ours_read, fields(&theirs).into_iter().map(number).collect::<Vec<_>>());
    // The first would warn of such times.
    for tar in [&["tar", "--warning=no-timestamp"][..], &["bsdtar"]] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        peer(&[tar, &["-xf", "-", "-C", place]].concat(), &ours);
        for (name, _) in times {
            let seconds = |root: &Path| fs::metadata(root.join(name)).unwrap().mtime();
            assert_eq!(seconds(&folder.path().join("tree")), seconds(&root), "{tar:?} {name}");
        }
    }
}

#[test]
fn the_archive_does_not_hold_itself() {
    let bench = Bench::new(2);
    let root = bench.path("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "x").unwrap();
    let path = root.join("out.tar");
    let dst = Output::file(File::create(&path).unwrap(), &path);
    let job = EngineJob {
        src: Some(Input::directory(&root)),
        dst: Some(dst),
        params: params(Some(&bench.start), json!({})),
    };
    bench.session.process(job, &bench.context()).unwrap();
    let listing = peer(&["tar", "-tf", "-"], &fs::read(&path).unwrap());
    assert_eq!(String::from_utf8(listing).unwrap(), "tree/\ntree/a\n");
}

#[test]
fn what_cannot_be_read_fails_the_call_and_is_named() {
    let bench = Bench::new(3);
    let missing = Some(Input::directory(bench.path("missing")).with_name("missing"));
    let error = bench.get(missing, json!({})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound);
    assert!(error.to_string().contains("missing'"), "{error}");
    // A file that lost bytes after its length was taken.
    let path = bench.path("shrinking");
    fs::write(&path, vec![1; 5_000_000]).unwrap();
    let input = Input::file(File::open(&path).unwrap(), &path).unwrap();
    let context = bench.context();
    let mut member = Member::new(input, b"x".to_vec(), Vec::new(), &context).unwrap();
    fs::write(&path, "short").unwrap();
    let error = TarStream::new(Some(&mut member), true, &context).copy_to(|_| Ok(())).unwrap_err();
    assert!(error.message().contains("cut off"), "{error}");
}

#[test]
fn files_over_8_gib_have_their_size() {
    let bench = Bench::new(2);
    let path = bench.path("sparse");
    let size = (9 << 30) + 5;
    File::create(&path).unwrap().set_len(size).unwrap();
    let input = Input::file(File::open(&path).unwrap(), &path).unwrap();
    let context = bench.context();
    let mut member = Member::new(input, b"sparse".to_vec(), Vec::new(), &context).unwrap();
    let mut head = vec![0; 4096];
    assert_eq!(TarStream::new(Some(&mut member), true, &context).fill(&mut head).unwrap(), 4096);
    for tar in ["tar", "bsdtar"] {
        let list = bench.path("head");
        fs::write(&list, &head).unwrap();
        // The rest is missing, which the peer says after it listed the member.
        let output = Command::new(tar).arg("-tvf").arg(&list).output().unwrap();
        let listing = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(listing.contains(&format!(" {size} ")), "{tar}: {listing}");
    }
}

#[test]
fn a_cancelled_call_ends_and_adds_nothing() {
    let bench = Bench::new(3);
    bench.add(text("a", "kept"), json!({"startOfTx": 1})).unwrap();
    let context = bench.context();
    let endless = std::io::repeat(1);
    std::thread::scope(|scope| {
        let job = scope.spawn(|| {
            let params = params(Some(&bench.start), json!({}));
            let job = EngineJob { src: Some(Input::stream(endless)), dst: None, params };
            bench.session.process(job, &context)
        });
        while context.progress().read() < 5 << 20 {
            std::thread::yield_now();
        }
        context.cancel().cancel();
        assert!(job.join().unwrap().unwrap_err().is_cancelled());
    });
    let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
    assert_eq!(extracted("tar", &archive), owned(&[("a", "kept")]));
}

#[test]
fn sessions_do_not_mix_and_calls_on_one_do_not_interleave() {
    let benches = [Bench::new(3), Bench::new(3)];
    let content = |session: usize, thread: usize, call: usize| {
        format!("{session} {thread} {call} ").repeat(20_000)
    };
    for bench in &benches {
        bench.add(None, json!({"startOfTx": 1})).unwrap();
    }
    std::thread::scope(|scope| {
        for (number, bench) in benches.iter().enumerate() {
            for thread in 0..2 {
                scope.spawn(move || {
                    // An opening of its own, as another process would have.
                    let session = open(&bench.path("state"), &bench.start);
                    for call in 0..5 {
                        let src = text(&format!("{thread}-{call}"), &content(number, thread, call));
                        let params = params(Some(&bench.start), json!({}));
                        let job = EngineJob { src, dst: None, params };
                        session.process(job, &bench.context()).unwrap();
                    }
                });
            }
        }
    });
    for (number, bench) in benches.iter().enumerate() {
        let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
        let members = extracted("tar", &archive);
        assert_eq!(members.len(), 10);
        for (name, text) in members {
            let (thread, call) = name.split_once('-').unwrap();
            assert!(text == content(number, thread.parse().unwrap(), call.parse().unwrap()));
        }
    }
}

/// Runs this test binary again as a process that can be killed, with the directory to work in.
const VICTIM: &str = "APYFAL_TEST_VICTIM";

#[test]
fn a_killed_process_loses_nothing_that_was_added() {
    let content = |number: usize| format!("{number} ").repeat(200_000 + number);
    if let Some(directory) = std::env::var_os(VICTIM).map(PathBuf::from) {
        let start = params(None, json!({"mode": 3, "level": "fast"}));
        let session = open(&directory.join("state"), &start);
        let mut note = File::options().append(true).open(directory.join("note")).unwrap();
        let first = fs::read_to_string(directory.join("note")).unwrap().lines().count();
        for number in first.. {
            let job = EngineJob {
                src: text(&number.to_string(), &content(number)),
                dst: None,
                params: params(Some(&start), json!({})),
            };
            session.process(job, &context(&directory.join("scratch"))).unwrap();
            writeln!(note, "{number}").unwrap();
        }
        return;
    }
    let bench = Bench::new(3);
    bench.add(None, json!({"startOfTx": 1})).unwrap();
    let note = bench.path("note");
    fs::write(&note, "").unwrap();
    let acknowledged = || fs::read_to_string(&note).unwrap().lines().count();
    for round in 1..=8u64 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "targz::tests::a_killed_process_loses_nothing_that_was_added"])
            .env(VICTIM, bench.directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let before = acknowledged();
        until("something is added", || acknowledged() >= before + 2);
        // At another moment of a call in every round.
        std::thread::sleep(Duration::from_micros(round * 700));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    let added = acknowledged();
    assert!(added >= 16);
    let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
    for tar in ["tar", "bsdtar"] {
        let members = extracted(tar, &archive);
        // At most one more than was acknowledged: killed between the two.
        assert!(members.len() == added || members.len() == added + 1, "{} {added}", members.len());
        for (name, text) in members {
            assert!(text == content(name.parse().unwrap()));
        }
    }
}

#[test]
fn a_start_that_fails_leaves_the_archive_that_ended_before() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let bench = Bench::new(3);
    // Twice, since the next transaction takes the place that the one before had.
    for (round, content) in ["first", "second"].into_iter().enumerate() {
        bench.add(text("a", content), json!({"startOfTx": 1})).unwrap();
        let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
        assert_eq!(extracted("tar", &archive), owned(&[("a", content)]));
        let broken = || Some(Input::stream(Broken).with_name("b"));
        bench.add(broken(), json!({"startOfTx": 1})).unwrap_err();
        assert_eq!(bench.get(None, json!({"again": 1})).unwrap(), archive, "round {round}");
        let error = bench.get(None, json!({"endOfTx": 1})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "nothing was started");
    }
    bench.add(None, json!({"startOfTx": 1})).unwrap();
    let spools = fs::read_dir(bench.path("state/transaction")).unwrap().flatten();
    let spools = spools.filter(|entry| entry.file_name().as_bytes().ends_with(b"spool"));
    assert_eq!(spools.count(), 1, "what is not needed is gone");
}

#[test]
fn stopping_the_session_discards_its_transaction() {
    let bench = Bench::new(3);
    bench.add(text("a", "x"), json!({"startOfTx": 1})).unwrap();
    bench.session.stop(&bench.context()).unwrap();
    bench.add(text("b", "y"), json!({"startOfTx": 1})).unwrap();
    let archive = bench.get(None, json!({"endOfTx": 1})).unwrap();
    assert_eq!(extracted("tar", &archive), owned(&[("b", "y")]));
    let state: Vec<_> = walkdir::WalkDir::new(bench.path("state")).into_iter().flatten().collect();
    for entry in state.iter().filter(|entry| entry.file_type().is_file()) {
        assert_eq!(entry.metadata().unwrap().mode() & 0o077, 0, "{}", entry.path().display());
    }
}

#[test]
fn plain_software_makes_an_archive_of_a_plain_source_alone() {
    let bench = Bench::new(3);
    let plain = |src, raw| {
        let (dst, written) = sink();
        let job = EngineJob { src, dst: Some(dst), params: params(Some(&bench.start), raw) };
        let result = bench.session.process_in_software(job, &bench.context())?;
        result.unwrap();
        let written = written.bytes();
        Some(written)
    };
    let archive = plain(text("a.txt", "hello"), json!({})).unwrap();
    assert_eq!(extracted("tar", &archive), owned(&[("a.txt", "hello")]));
    assert!(plain(text("a.txt", "hello"), json!({"endOfTx": true})).is_none());
    assert!(plain(Some(Input::stream(std::io::empty())), json!({})).is_none());
}
