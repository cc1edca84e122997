//! `apyfal map` on this machine: many files, again and again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use apyfal_testkit::{Answer, FaultServer, Moto};
use common::server::until;
use common::{Home, peer, text, words};
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use serde_json::{Value, json};

/// A home with some files in `in`.
fn home(files: &[(&str, usize)]) -> Home {
    let home = Home::new();
    for (seed, (name, len)) in files.iter().enumerate() {
        let path = home.path("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, words(*len, seed as u64 + 1)).unwrap();
    }
    home
}

/// Runs a map that must succeed; the figures that it tells.
fn map(home: &Home, words: &[&str]) -> Value {
    serde_json::from_str(&home.ok(&[&["map", "--json"], words].concat())).unwrap()
}

fn counts(told: &Value) -> [u64; 3] {
    let failed = told["failed"].as_array().unwrap().len() as u64;
    [told["done"].as_u64().unwrap(), told["skipped"].as_u64().unwrap(), failed]
}

fn gunzipped(home: &Home, name: &str) -> Vec<u8> {
    peer("gzip", &["-dc"], &home.read(name))
}

const FILES: [(&str, usize); 4] =
    [("a.txt", 100_000), ("b/c.txt", 3_000_000), ("b/d e.txt", 10), ("empty", 0)];

#[test]
fn a_directory_is_done_once() {
    let home = home(&FILES);
    let gzip = ["-a", "gzip", "in", "out"];
    let told = map(&home, &gzip);
    assert_eq!((counts(&told), &told["total"]), ([4, 0, 0], &4.into()));
    assert_eq!(told["bytes_read"], 3_100_010);
    assert_eq!(told["hosts"][0]["host"], "this machine");
    for (name, _) in FILES {
        assert!(gunzipped(&home, &format!("out/{name}.gz")) == home.read(&format!("in/{name}")));
    }
    let made = |name: &str| fs::metadata(home.path(name)).unwrap().modified().unwrap();
    let before = made("out/a.txt.gz");
    assert_eq!(counts(&map(&home, &gzip)), [0, 4, 0]);
    assert_eq!(made("out/a.txt.gz"), before);

    // A source that changed, even where it has the same length.
    let other = words(100_000, 99);
    home.write("in/a.txt", &other);
    assert_eq!(counts(&map(&home, &gzip)), [1, 3, 0]);
    assert!(gunzipped(&home, "out/a.txt.gz") == other);
    // A result that was changed by somebody, or removed; a new source.
    home.write("out/b/c.txt.gz", "half");
    fs::remove_file(home.path("out/empty.gz")).unwrap();
    home.write("in/new", "new");
    assert_eq!(counts(&map(&home, &gzip)), [3, 2, 0]);
    assert!(gunzipped(&home, "out/b/c.txt.gz") == home.read("in/b/c.txt"));
    // Other parameters are other work.
    let best = [&gzip[..], &["--level", "best"]].concat();
    assert_eq!(counts(&map(&home, &best)), [5, 0, 0]);
    assert_eq!(counts(&map(&home, &best)), [0, 5, 0]);
    assert_eq!(counts(&map(&home, &[&best[..], &["--again"]].concat())), [5, 0, 0]);
}

/// Sets the time of a file's last change to that of another one.
fn set_time_back(path: &Path, like: &fs::Metadata) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(like.modified().unwrap()).unwrap();
}

#[test]
fn a_file_whose_time_was_set_back_has_changed() {
    let home = home(&FILES[..2]);
    let gzip = ["gzip", "in", "out"];
    map(&home, &gzip);
    let (path, other) = (home.path("in/a.txt"), words(100_000, 99));
    let before = fs::metadata(&path).unwrap();
    fs::write(&path, &other).unwrap();
    set_time_back(&path, &before);
    assert_eq!(counts(&map(&home, &gzip)), [1, 1, 0]);
    assert!(gunzipped(&home, "out/a.txt.gz") == other);
    // Another file in its place, which had been there before.
    let third = home.write("third", words(100_000, 100));
    set_time_back(&third, &before);
    fs::rename(&third, &path).unwrap();
    assert_eq!(counts(&map(&home, &gzip)), [1, 1, 0]);
    // A result.
    let result = home.path("out/a.txt.gz");
    let (good, before) = (fs::read(&result).unwrap(), fs::metadata(&result).unwrap());
    fs::write(&result, vec![0; good.len()]).unwrap();
    set_time_back(&result, &before);
    assert_eq!(counts(&map(&home, &gzip)), [1, 1, 0]);
    assert!(fs::read(&result).unwrap() == good);
    // What it is started with.
    home.write("words.csv", "the,THE\n");
    let words = ["-a", "hyperfire", "in/*.txt", "found", "--start-src", "words.csv"];
    assert_eq!(counts(&map(&home, &words)), [1, 0, 0]);
    let before = fs::metadata(home.path("words.csv")).unwrap();
    home.write("words.csv", "the,DIE\n");
    set_time_back(&home.path("words.csv"), &before);
    assert_eq!(counts(&map(&home, &words)), [1, 0, 0]);
    assert!(text(&home.read("found/a.txt")).contains("DIE "));
    assert_eq!(counts(&map(&home, &words)), [0, 1, 0]);
}

/// The journal of a directory as earlier versions wrote it: files with the time of their last change
/// alone.
fn of_before(journal: &str, work: &str) -> String {
    let lines = journal.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for stamp in ["from", "made"] {
            let version = line[stamp][1].as_str().unwrap();
            line[stamp][1] = version.split(' ').next().unwrap().into();
        }
        line["work"] = work.into();
        format!("{line}\n")
    });
    lines.collect()
}

#[test]
fn what_earlier_versions_did_is_done() {
    let home = home(&FILES[..2]);
    home.write("words.csv", "the,THE\n");
    let modified = fs::metadata(home.path("words.csv")).unwrap();
    let time = format!("{}.{:09}", modified.mtime(), modified.mtime_nsec());
    let start = format!("words.csv Stamp {{ len: Some(8), version: Some(\"{time}\") }}");
    let hyperfire = ["hyperfire", "in", "out", "--start-src", "words.csv"];
    let journal = home.path("out/.apyfal-map");
    for (words, asked) in [
        (&["gzip", "in", "out"][..], json!(["gzip", {}, null, null])),
        (&hyperfire, json!(["hyperfire", {}, null, start])),
    ] {
        assert_eq!(counts(&map(&home, words)), [2, 0, 0]);
        let old = of_before(&fs::read_to_string(&journal).unwrap(), &fingerprint(&asked));
        fs::write(&journal, old).unwrap();
        assert_eq!(counts(&map(&home, words)), [0, 2, 0], "{words:?}");
        // From then on more of it is known.
        let path = home.path("in/a.txt");
        let before = fs::metadata(&path).unwrap();
        fs::write(&path, fs::read(&path).unwrap()).unwrap();
        set_time_back(&path, &before);
        assert_eq!(counts(&map(&home, words)), [1, 1, 0], "{words:?}");
        fs::remove_dir_all(home.path("out")).unwrap();
    }
}

#[test]
fn a_page_that_changed_is_done_again() {
    let versions: Arc<Mutex<Vec<(&str, &str)>>> = Arc::default();
    let shown = versions.clone();
    let server = FaultServer::start(move |_| {
        let (tag, text) = *shown.lock().unwrap().last().unwrap();
        Answer::new(200, text).header("etag", tag)
    })
    .unwrap();
    let home = Home::new();
    home.write("list", format!("{}/page\n", server.url()));
    let null = ["null", "@list", "out"];
    for (tag, text, done) in
        [("\"1\"", "one", 1), ("\"1\"", "one", 0), ("\"2\"", "two", 1), ("\"2\"", "two", 0)]
    {
        versions.lock().unwrap().push((tag, text));
        assert_eq!(counts(&map(&home, &null)), [done, 1 - done, 0], "{tag}");
        assert_eq!(home.read("out/page"), text.as_bytes());
    }
}

/// How the journal calls an accelerator with its parameters (FNV-1a).
fn fingerprint(asked: &Value) -> String {
    let (prime, begin) = (0x13b_u128 | 1 << 88, 0xcbf2_9ce4_8422_2325_cbf2_9ce4_8422_2325_u128);
    let hash = asked
        .to_string()
        .bytes()
        .fold(begin, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(prime));
    format!("{hash:032x}")
}

#[test]
fn results_within_the_directory_are_no_sources() {
    let home = home(&FILES[..2]);
    for _ in 0..2 {
        let told = map(&home, &["-a", "gzip", "in", "in/packed"]);
        assert_eq!(told["total"], 2);
    }
    home.fails(2, &["map", "-a", "gzip", "in", "in"]);
    // A pattern may write beside its sources, unless it would write over them.
    assert_eq!(counts(&map(&home, &["-a", "gzip", "in/*.txt", "in"])), [1, 0, 0]);
    let error = home.fails(2, &["map", "-a", "null", "in/*.txt", "in"]);
    assert!(error.contains("replace a source") && error.contains("--suffix"), "{error}");
    assert_eq!(
        counts(&map(&home, &["-a", "null", "in/*.txt", "in", "--suffix", ".copy"])),
        [1, 0, 0]
    );
    assert!(home.read("in/a.txt.copy") == home.read("in/a.txt"));
}

#[test]
fn patterns_and_lists_name_sources() {
    let home = home(&FILES);
    assert_eq!(counts(&map(&home, &["-a", "gzip", "in/**/*.txt", "one"])), [3, 0, 0]);
    assert!(gunzipped(&home, "one/b/c.txt.gz") == home.read("in/b/c.txt"));
    assert_eq!(counts(&map(&home, &["-a", "gunzip", "one/b/*.gz", "two"])), [2, 0, 0]);
    assert!(home.read("two/c.txt") == home.read("in/b/c.txt"));
    home.fails(20, &["map", "-a", "gzip", "in/*.jpg", "one"]);

    home.write("list", "in/a.txt\n\nin/b/c.txt\tother name\r\n");
    assert_eq!(counts(&map(&home, &["-a", "gzip", "@list", "three"])), [2, 0, 0]);
    assert!(gunzipped(&home, "three/in/a.txt.gz") == home.read("in/a.txt"));
    // A name that was given is the name.
    assert!(gunzipped(&home, "three/other name") == home.read("in/b/c.txt"));
    let output = home.piped(&["map", "-a", "null", "@-", "four"], b"in/empty\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(home.read("four/in/empty").is_empty());
    let absolute = format!("{}\n{}\n", home.path("in/a.txt").display(), "../x/a.txt");
    home.write("list", absolute);
    let error = home.fails(2, &["map", "-a", "gzip", "@list", "five"]);
    assert!(error.contains("a.txt") && error.contains("hint"), "{error}");
    home.write("list", "in/a.txt\t../escaped\n");
    let error = home.fails(2, &["map", "-a", "gzip", "@list", "five"]);
    assert!(error.contains("line 1"), "{error}");
    assert!(!home.path("five").exists());
    assert_eq!(counts(&map(&home, &["-a", "gzip", "in/a.txt", "six"])), [1, 0, 0]);
}

#[test]
fn lists_of_windows_are_lists() {
    let home = home(&FILES);
    let list = "\u{feff}in/a.txt\tone.gz\r\nin/b/c.txt\ttwo\r\nin/empty\r\n";
    home.write("list", list);
    assert_eq!(counts(&map(&home, &["gzip", "@list", "out"])), [3, 0, 0]);
    assert!(gunzipped(&home, "out/one.gz") == home.read("in/a.txt"));
    assert!(gunzipped(&home, "out/two") == home.read("in/b/c.txt"));
    assert!(gunzipped(&home, "out/in/empty.gz").is_empty());
    // The other texts that it reads.
    home.write("parameters.json", "\u{feff}{\"app\": {\"specific\": {\"level\": \"best\"}}}\r\n");
    assert_eq!(counts(&map(&home, &["gzip", "@list", "best", "-j", "parameters.json"])), [3, 0, 0]);
    assert!(home.read("best/one.gz").len() < home.read("out/one.gz").len());
}

#[test]
fn the_accelerator_is_the_first_word_as_with_run() {
    let home = home(&FILES);
    assert_eq!(counts(&map(&home, &["gzip", "in", "out"])), [4, 0, 0]);
    // The old form is the same.
    assert_eq!(counts(&map(&home, &["--accelerator", "gzip", "in", "out"])), [0, 4, 0]);
    assert_eq!(counts(&map(&home, &["in", "out", "-a", "gzip"])), [0, 4, 0]);
    let error = home.fails(2, &["map", "gzip", "in"]);
    assert!(error.contains("the destination is missing"), "{error}");
    let error = home.fails(2, &["map", "gzip", "in", "out", "-a", "gzip"]);
    assert!(error.contains("both name it"), "{error}");
}

#[test]
fn an_entry_that_cannot_be_read_does_not_stop_the_others() {
    let home = home(&FILES);
    // A directory that nobody can read, not even root: its path is too long.
    let name = "d".repeat(250);
    let mut folder = std::os::fd::OwnedFd::from(fs::File::open(home.path("in")).unwrap());
    for _ in 0..20 {
        mkdirat(&folder, &name, Mode::RWXU).unwrap();
        folder = openat(&folder, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let odd = std::ffi::OsStr::from_bytes(b"in/b/\xFF.txt");
    fs::write(home.folder().join(odd), "odd").unwrap();
    std::os::unix::fs::symlink("nowhere", home.path("in/broken")).unwrap();
    let output = home.apyfal(&["map", "--json", "gzip", "in", "out"]).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((counts(&told), &told["total"]), ([4, 0, 3], &7.into()), "{told}");
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("3 of 7 files failed"), "{error}");
    for (name, _) in FILES {
        assert!(gunzipped(&home, &format!("out/{name}.gz")) == home.read(&format!("in/{name}")));
    }
    // What a pattern does not lead to is not looked at.
    assert_eq!(counts(&map(&home, &["gzip", "in/*.txt", "one"])), [1, 0, 0]);
    // In a list each line is for itself, and a name of any bytes has a result where one is named.
    home.write("list", b"in/a.txt\nin/b/\xFF.txt\nin/b/\xFF.txt\todd.gz\nin/gone\n");
    let output = home.apyfal(&["map", "--json", "gzip", "@list", "two"]).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts(&told), [2, 0, 2], "{told}");
    assert_eq!(gunzipped(&home, "two/odd.gz"), b"odd");
    // That directory alone is an error, and so is the end at the first one.
    let words = ["map", "gzip", "in", "three", "--fail-fast"];
    assert!(!home.apyfal(&words).output().unwrap().status.success());
    assert!(!home.path("three/a.txt.gz").exists());
}

#[test]
fn a_wrong_call_ends_before_the_first_file() {
    let home = home(&FILES);
    home.write("wrong.json", "{\"app\": {\"specific\": {\"levle\": 1}}}");
    home.write("wrong.conf", "[process.gzip]\nlevel = fat\n");
    for (code, words) in [
        (2, &["gzip", "in", "out", "--levle", "9"][..]),
        (2, &["gzip", "in", "out", "--level", "fat"]),
        (2, &["gzip", "in", "out", "-j", "wrong.json"]),
        (2, &["gzip", "in", "out", "-j", "{\"app\""]),
        (20, &["gzip", "in", "out", "-j", "missing.json"]),
        (2, &["gzip", "in", "out", "-c", "wrong.conf"]),
        (2, &["hyperfire", "in", "out"]),
        (2, &["sha3", "in", "s3://bucket/out"]),
        // What only the engine knows.
        (2, &["sha3", "in", "out", "--type", "sha3-256", "--length", "8"]),
    ] {
        let error = home.fails(code, &[&["map"], words].concat());
        assert_eq!(error.matches("apyfal: ").count(), 1, "{words:?} {error}");
        assert!(!error.contains("files failed"), "{error}");
        let results = fs::read_dir(home.path("out")).into_iter().flatten();
        let files = results.map(Result::unwrap).filter(|entry| entry.path().is_file());
        assert_eq!(files.filter(|file| file.file_name() != ".apyfal-map").count(), 0, "{words:?}");
    }
    let error = home.fails(6, &["map", "gzp", "in", "out"]);
    assert!(error.contains("gzip"), "{error}");
}

#[test]
fn a_file_that_fails_does_not_stop_the_others() {
    let home = home(&FILES);
    map(&home, &["-a", "gzip", "in", "packed"]);
    home.write("packed/broken.gz", "no gzip");
    home.write("packed/broken too.gz", "no gzip");
    let output = home.apyfal(&["map", "-a", "gunzip", "packed", "out"]).output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{error}");
    assert!(output.stdout.is_empty());
    assert!(error.contains("2 of 6 files failed"), "{error}");
    assert!(error.contains("failed: packed/broken.gz: this is not gzip data"), "{error}");
    assert!(error.contains("map: 4 done, 0 skipped, 2 failed"), "{error}");
    assert!(error.contains("this machine"), "{error}");
    assert!(!home.path("out/broken").exists());
    assert!(home.read("out/b/c.txt") == home.read("in/b/c.txt"));
    home.write("packed/broken.gz", peer("gzip", &["-c"], b"mended"));
    fs::remove_file(home.path("packed/broken too.gz")).unwrap();
    assert_eq!(counts(&map(&home, &["-a", "gunzip", "packed", "out"])), [1, 4, 0]);
    assert_eq!(home.read("out/broken"), b"mended");

    for number in 0..40 {
        home.write(&format!("packed/x{number:02}.gz"), "no gzip");
    }
    let words = ["map", "-a", "gunzip", "packed", "new", "--fail-fast", "--threads", "1"];
    let error = home.fails(7, &words);
    assert!(error.contains("1 of 45 files failed"), "{error}");
}

#[test]
fn reports_become_files() {
    let home = home(&FILES);
    assert_eq!(counts(&map(&home, &["-a", "sha3", "in", "out", "--type", "sha3-256"])), [4, 0, 0]);
    for (name, _) in FILES {
        let told: Value = serde_json::from_slice(&home.read(&format!("out/{name}.json"))).unwrap();
        let theirs =
            peer("openssl", &["dgst", "-sha3-256", "-r"], &home.read(&format!("in/{name}")));
        assert_eq!(told["digest"].as_str(), text(&theirs).split(' ').next());
    }
    assert_eq!(counts(&map(&home, &["-a", "sha3", "in", "out", "--type", "sha3-256"])), [0, 4, 0]);
    let error = home.fails(2, &["map", "-a", "trng", "in", "out"]);
    assert!(error.contains("reads nothing"), "{error}");
}

#[test]
fn what_is_started_with_counts() {
    let home = home(&FILES[..1]);
    home.write("words.csv", "the,THE\n");
    let words = ["-a", "hyperfire", "in", "out", "--start-src", "words.csv"];
    assert_eq!(counts(&map(&home, &words)), [1, 0, 0]);
    assert_eq!(counts(&map(&home, &words)), [0, 1, 0]);
    assert!(text(&home.read("out/a.txt")).contains("THE "));
    home.write("words.csv", "the,DIE\n");
    assert_eq!(counts(&map(&home, &words)), [1, 0, 0]);
    assert!(text(&home.read("out/a.txt")).contains("DIE "));
}

#[test]
fn what_the_configuration_says_counts() {
    let home = home(&FILES[..2]);
    let gzip = ["gzip", "in", "out", "--config", "conf"];
    for (level, done) in [("fast", 2), ("fast", 0), ("best", 2), ("best", 0)] {
        home.write("conf", format!("[process.gzip]\nlevel = {level}\n"));
        assert_eq!(counts(&map(&home, &gzip)), [done, 2 - done, 0], "{level}");
    }
    // What a start reads as well, which need not be named again.
    home.write("words.csv", "the,THE\n");
    home.write("conf", "[configuration.hyperfire]\ndatafile = words.csv\n");
    let hyperfire = ["hyperfire", "in", "replaced", "--config", "conf"];
    assert_eq!(counts(&map(&home, &hyperfire)), [2, 0, 0]);
    assert_eq!(counts(&map(&home, &hyperfire)), [0, 2, 0]);
    assert!(text(&home.read("replaced/a.txt")).contains("THE "));
    home.write("words.csv", "the,DIE\n");
    assert_eq!(counts(&map(&home, &hyperfire)), [2, 0, 0]);
    assert!(text(&home.read("replaced/a.txt")).contains("DIE "));
}

#[test]
fn what_cannot_be_compared_is_done_again() {
    let page: Arc<Mutex<&str>> = Arc::new(Mutex::new("one"));
    let shown = page.clone();
    let server = FaultServer::start(move |_| Answer::new(200, *shown.lock().unwrap())).unwrap();
    let home = Home::new();
    home.write("list", format!("{}/page\n", server.url()));
    let null = ["null", "@list", "out"];
    for text in ["one", "one", "two"] {
        *page.lock().unwrap() = text;
        assert_eq!(counts(&map(&home, &null)), [1, 0, 0]);
        assert_eq!(home.read("out/page"), text.as_bytes());
    }
}

/// A home with forty files and an accelerator that ends twelve jobs, whichever come first, and with the
/// others waits for a file `go`.
fn slow() -> Home {
    let home = Home::new();
    let script = "cat \"$0\"; for n in 0 1 2 3 4 5 6 7 8 9 a b; do mkdir first-$n 2>&- && exit; done; \
                  until [ -e go ]; do sleep 0.05; done";
    home.write(
        "accelerator.conf",
        format!("[accelerator.slow]\ncommand = ['sh', '-c', '{script}', '{{src}}']\n"),
    );
    fs::create_dir(home.path("in")).unwrap();
    for number in 0..40 {
        home.write(&format!("in/{number:02}"), words(20_000 + number, number as u64 + 1));
    }
    home
}

/// The results that are there, all of which must be whole.
fn whole_results(home: &Home) -> Vec<(String, SystemTime)> {
    let Ok(entries) = fs::read_dir(home.path("out")) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with('.') {
            let result = format!("out/{name}");
            assert!(home.read(&result) == home.read(&format!("in/{name}")), "{name} is not whole");
            found.push((name, fs::metadata(home.path(&result)).unwrap().modified().unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn an_interrupted_map_goes_on() {
    for (signal, code) in [("-KILL", None), ("-INT", Some(130)), ("-TERM", Some(130))] {
        let home = slow();
        let words = ["-a", "slow", "in", "out"];
        let mut child =
            home.apyfal(&[&["map"], &words[..]].concat()).stderr(Stdio::null()).spawn().unwrap();
        until("some are done", || whole_results(&home).len() >= 6);
        let pid = child.id().to_string();
        peer("kill", &[signal, &pid], b"");
        assert_eq!(child.wait().unwrap().code(), code);
        let before = whole_results(&home);
        assert!(before.len() < 40, "it was not interrupted");
        home.write("go", "");
        let [done, skipped, failed] = counts(&map(&home, &words));
        // One that was just finished may not have been written down, for each that ran.
        let most = before.len() as u64;
        assert!(skipped <= most && skipped + 16 >= most, "{skipped} of {most}");
        assert_eq!((done + skipped, failed), (40, 0));
        let after = whole_results(&home);
        assert_eq!(after.len(), 40);
        let kept = before.iter().filter(|one| after.contains(one)).count() as u64;
        assert!(kept >= skipped, "results were made again");
    }
}

#[test]
fn two_maps_do_not_meet() {
    let home = slow();
    let mut child = home.apyfal(&["map", "-q", "-a", "slow", "in", "out"]).spawn().unwrap();
    until("some are done", || !whole_results(&home).is_empty());
    let error = home.fails(8, &["map", "-a", "slow", "in", "out"]);
    assert!(error.contains("another 'apyfal map'"), "{error}");
    home.write("go", "");
    assert!(child.wait().unwrap().success());
    assert_eq!(whole_results(&home).len(), 40);
}

#[test]
fn a_store_is_mapped_too() {
    let moto = Moto::start().unwrap();
    moto.create_bucket("here").unwrap();
    moto.create_bucket("there").unwrap();
    let home = home(&FILES);
    home.write(
        "accelerator.conf",
        format!(
            "[storage.AWS]\nclient_id = AKID\nsecret_id = hunter2\nunsecure = True\nendpoint = {}\n",
            moto.url()
        ),
    );
    assert_eq!(counts(&map(&home, &["-a", "null", "in", "s3://here/data"])), [4, 0, 0]);
    assert_eq!(counts(&map(&home, &["-a", "null", "in", "s3://here/data/"])), [0, 4, 0]);
    assert_eq!(moto.keys("here").unwrap().len(), 4);
    let gzip = ["-a", "gzip", "s3://here/data/", "s3://there/packed"];
    assert_eq!(counts(&map(&home, &gzip)), [4, 0, 0]);
    assert_eq!(counts(&map(&home, &gzip)), [0, 4, 0]);
    home.write("changed", "changed");
    home.ok(&["copy", "changed", "s3://here/data/a.txt"]);
    assert_eq!(counts(&map(&home, &gzip)), [1, 3, 0]);
    home.ok(&["copy", "s3://there/packed/a.txt.gz", "out.gz"]);
    assert_eq!(gunzipped(&home, "out.gz"), b"changed");
    assert_eq!(counts(&map(&home, &["-a", "null", "s3://here/data/b/*.txt", "out"])), [2, 0, 0]);
    assert!(home.read("out/c.txt") == home.read("in/b/c.txt"));
    home.write("list", "s3://here/data/b/c.txt\nin/empty\n");
    let list = ["-a", "gzip", "@list", "listed"];
    assert_eq!(counts(&map(&home, &list)), [2, 0, 0]);
    assert_eq!(counts(&map(&home, &list)), [0, 2, 0]);
    home.fails(20, &["map", "-a", "gzip", "s3://here/nothing/", "out"]);
    assert!(!text(&fs::read(home.path("out/.apyfal-map")).unwrap()).contains("hunter2"));
}
