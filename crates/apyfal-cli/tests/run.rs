//! `apyfal run` with every accelerator, against the tools that everybody uses.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Home, bmp, peer, text, words};
use serde_json::{Value, json};

#[test]
fn gzip_is_read_by_gunzip_and_gunzip_reads_gzip() {
    let home = Home::new();
    let data = words(3_000_000, 1);
    home.write("in.txt", &data);
    for level in ["fast", "default", "best", "1", "9"] {
        home.ok(&["run", "gzip", "in.txt", "out.gz", "--level", level]);
        assert!(peer("gzip", &["-dc"], &home.read("out.gz")) == data, "level {level}");
    }
    home.write("theirs.gz", peer("gzip", &["-c"], &data));
    home.ok(&["run", "gunzip", "theirs.gz", "out.txt"]);
    assert!(home.read("out.txt") == data);
}

#[test]
fn pipes_carry_data_and_notes_stay_off_standard_output() {
    let home = Home::new();
    let data = words(1_500_000, 2);
    let packed = home.piped(&["run", "gzip", "-", "-"], &data);
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    assert!(peer("gzip", &["-dc"], &packed.stdout) == data);
    assert!(text(&packed.stderr).contains("gzip: 1.5 MB ->"), "{}", text(&packed.stderr));
    // Without names, what is piped is meant.
    let plain = home.piped(&["run", "gunzip"], &packed.stdout);
    assert!(plain.stdout == data);
}

#[test]
fn only_who_needs_temporary_files_needs_a_place_for_them() {
    let home = Home::new();
    home.write("in.txt", "some text");
    let run = |words: &[&str]| {
        let mut command = home.apyfal(words);
        let input = std::fs::File::open(home.path("in.txt")).unwrap();
        command.env("TMPDIR", home.path("missing")).stdin(input).output().unwrap()
    };
    let well = run(&["run", "gzip", "in.txt", "out.gz"]);
    assert!(well.status.success(), "{}", text(&well.stderr));
    assert!(peer("gzip", &["-dc"], &home.read("out.gz")) == b"some text");
    let refused = run(&["run", "targz", "-", "out.tgz"]);
    let told = text(&refused.stderr);
    assert!(told.contains("cannot make a directory in '"), "{told}");
    assert!(told.contains("hint: name a directory that can be written in TMPDIR"), "{told}");
}

/// A pipe that nobody reads holds the job up while its source is made shorter.
#[test]
fn a_file_that_is_cut_off_while_it_is_read_is_no_whole_result() {
    use std::io::Read;
    let mut data = Vec::new();
    // Not compressible, so that what was read cannot have become little.
    let random = std::fs::File::open("/dev/urandom").unwrap();
    random.take(64 << 20).read_to_end(&mut data).unwrap();
    for words in [&["run", "gzip"][..], &["run", "null"], &["copy"]] {
        for source in ["in.bin", "-"] {
            let home = Home::new();
            let file = home.write("in.bin", &data);
            let input = std::fs::File::open(&file).unwrap();
            let mut command = home.apyfal(&[words, &[source, "-"]].concat());
            command.stdin(input).stdout(std::process::Stdio::piped());
            let mut job = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
            let mut output = job.stdout.take().unwrap();
            output.read_exact(&mut vec![0; 1 << 20]).unwrap();
            std::fs::File::options().write(true).open(&file).unwrap().set_len(32 << 20).unwrap();
            std::io::copy(&mut output, &mut std::io::sink()).unwrap();
            let ended = job.wait_with_output().unwrap();
            let told = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(7), "{words:?} {source}: {told}");
            let expected = "it ended after 33554432 of 67108864 bytes";
            assert!(told.contains(expected), "{words:?} {source}: {told}");
        }
    }
}

#[test]
fn sha3_says_what_openssl_says() {
    let home = Home::new();
    let data = words(100_000, 3);
    home.write("in.txt", &data);
    for kind in ["sha3-224", "sha3-256", "sha3-384", "sha3-512"] {
        let ours = home.ok(&["run", "sha3", "in.txt", "--type", kind]);
        let theirs = text(&peer("openssl", &["dgst", &format!("-{kind}"), "-r"], &data));
        let theirs = theirs.split(' ').next().unwrap_or_default();
        assert_eq!(ours.trim(), format!("digest: {theirs}"));
    }
    let ours = home.ok(&["run", "sha3", "in.txt", "--type", "shake-128", "--length", "512"]);
    let theirs = peer("openssl", &["dgst", "-shake128", "-xoflen", "64", "-r"], &data);
    assert!(ours.contains(text(&theirs).split(' ').next().unwrap_or("nothing")));
}

#[test]
fn targz_takes_a_directory_and_tar_reads_it() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("tree/deep")).unwrap();
    home.write("tree/one", "1");
    home.write("tree/deep/two", words(300_000, 4));
    std::os::unix::fs::symlink("one", home.path("tree/link")).unwrap();
    home.ok(&["run", "targz", "tree", "tree.tar.gz"]);
    std::fs::create_dir(home.path("back")).unwrap();
    let back = home.path("back");
    peer("tar", &["-xzf", "-", "-C", &back.to_string_lossy()], &home.read("tree.tar.gz"));
    peer(
        "diff",
        &[
            "-r",
            "--no-dereference",
            &home.path("tree").to_string_lossy(),
            &back.join("tree").to_string_lossy(),
        ],
        b"",
    );
}

#[test]
fn hyperfire_replaces_what_sed_replaces() {
    let home = Home::new();
    let data = words(200_000, 5);
    home.write("in.txt", &data);
    home.write("words.csv", "the,THE_\nhe,\"1,2\"\nnot,\n");
    home.ok(&["run", "hyperfire", "--start-src", "words.csv", "in.txt", "out.txt"]);
    let script = r"s/\<the\>/THE_/g; s/\<he\>/1,2/g; s/\<not\>//g";
    assert!(home.read("out.txt") == peer("sed", &[script], &data));
}

#[test]
fn trng_makes_as_many_bytes_as_asked_for() {
    let home = Home::new();
    home.ok(&["run", "trng", "random.bin", "--nbBytes", "1000003"]);
    let first = home.read("random.bin");
    assert_eq!(first.len(), 1_000_003);
    home.ok(&["run", "trng", "random.bin", "--nbBytes", "1000003"]);
    assert!(first != home.read("random.bin"));
}

#[test]
fn jpegenc_makes_what_djpeg_reads() {
    let home = Home::new();
    home.write("in.bmp", bmp());
    home.ok(&["run", "jpegenc", "in.bmp", "out.jpg", "--quality", "90"]);
    let ppm = peer("djpeg", &["-pnm"], &home.read("out.jpg"));
    assert!(ppm.starts_with(b"P6\n33 21\n255\n"));
}

#[test]
fn original_names_work() {
    let home = Home::new();
    home.write("in.txt", "text");
    home.ok(&["run", "cast_gzip", "in.txt", "out.gz"]);
    assert_eq!(peer("gzip", &["-dc"], &home.read("out.gz")), b"text");
    assert!(home.ok(&["run", "silex_sha3", "in.txt"]).starts_with("digest: "));
}

#[test]
fn run_takes_source_and_destination_by_their_old_names() {
    let home = Home::new();
    home.write("in.txt", "a b");
    home.write("words.csv", "a,A\n");
    let words = "run hyperfire --datafile words.csv --file_in in.txt --file_out out.txt";
    home.ok(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(home.read("out.txt"), b"A b");
    home.fails(2, &["run", "null", "in.txt", "out.txt", "--file_in", "other"]);
}

#[test]
fn the_report_is_json_where_asked_for() {
    let home = Home::new();
    home.write("in.txt", words(50_000, 6));
    let out = home.ok(&["run", "gzip", "in.txt", "out.gz", "--json", "--compare"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let app = &report["app"];
    assert_eq!(app["status"], 0);
    assert_eq!(app["profiling"]["total-bytes-read"], 50_000);
    assert_eq!(app["profiling"]["total-bytes-written"], home.read("out.gz").len());
    assert!(app["result-sw-comparison"]["accelerator-factor"].as_f64().is_some_and(|x| x > 0.0));
}

#[test]
fn full_parameters_of_run_may_be_of_either_stage() {
    let home = Home::new();
    home.write("in", "x");
    let json = r#"{"app": {"specific": {"mode": 2, "name": "1_000"}}}"#;
    home.ok(&["run", "targz", "in", "out.tar", "-j", json]);
    assert_eq!(text(&peer("tar", &["-tf", "-"], &home.read("out.tar"))), "1_000\n");
    home.ok(&["run", "targz", "in", "out.tar", "--mode", "2", "--name", "2_000"]);
    assert_eq!(text(&peer("tar", &["-tf", "-"], &home.read("out.tar"))), "2_000\n");
}

#[test]
fn a_wrong_declaration_is_an_error_of_its_own_alone() {
    let home = Home::new();
    let sections = "[accelerator.bad]\ncommnad = x\n[accelerator.worse]\ncommand = [b'x']\n";
    home.write("accelerator.conf", sections);
    home.write("in", "x");
    home.ok(&["run", "null", "in", "out"]);
    let error = home.fails(3, &["run", "bad", "in", "out"]);
    assert!(error.contains("did you mean 'command'?"), "{error}");
    let error = home.fails(3, &["run", "worse", "in", "out"]);
    assert!(error.contains("the value has bytes, which JSON cannot say"), "{error}");
    assert!(error.contains("section accelerator.worse, key command"), "{error}");
}

#[test]
fn a_program_of_ones_own_is_an_accelerator() {
    let home = Home::new();
    home.write(
        "accelerator.conf",
        "[accelerator.shout]\ncommand = [\"tr\", \"a-z\", \"{to}\"]\n\
         parameters = {\"to\": {\"type\": \"text\", \"default\": \"A-Z\"}}\n",
    );
    home.write("in.txt", "hello");
    home.ok(&["run", "shout", "in.txt", "out.txt"]);
    assert_eq!(home.read("out.txt"), b"HELLO");
    home.ok(&["run", "shout", "in.txt", "out.txt", "--to", "B-ZA"]);
    assert_eq!(home.read("out.txt"), b"IFMMP");
    assert!(home.ok(&["accelerators"]).contains("shout"));
}

#[test]
fn a_program_of_ones_own_is_a_filter_where_something_is_piped() {
    let home = Home::new();
    home.write(
        "accelerator.conf",
        "[accelerator.upper]\ncommand = ['tr', 'a-z', 'A-Z']\n\
         [accelerator.silent]\ncommand = ['cat', '/dev/null']\n",
    );
    // More than a report has of what a program wrote.
    let text_of = "some text\n".repeat(50_000);
    let output = home.piped(&["run", "upper"], text_of.as_bytes());
    assert!(output.status.success() && output.stdout == text_of.to_uppercase().as_bytes());
    home.write("in", "some text");
    assert_eq!(home.ok(&["run", "upper", "in"]), "SOME TEXT");
    // Who asks for the report gets it, and so does who would get nothing else.
    assert!(home.ok(&["run", "upper", "in", "--json"]).contains("\"output\": \"SOME TEXT\""));
    home.ok(&["run", "silent", "in"]);
}

#[test]
fn several_sources_have_a_line_each() {
    let home = Home::new();
    let names = ["one", "two words", "line\nend", "back\\slash"];
    for (number, name) in names.iter().enumerate() {
        home.write(name, words(1000 * number, 7));
    }
    let lines = home.ok(&[&["run", "sha3"], &names[..], &["--type", "sha3-256"]].concat());
    // What the tools for sums check.
    home.write("sums", &lines);
    let digest = |name: &str| {
        let line = text(&peer("openssl", &["dgst", "-sha3-256", "-r"], &home.read(name)));
        line.split(' ').next().unwrap_or_default().to_owned()
    };
    let expected = [
        format!("{}  one\n", digest("one")),
        format!("{}  two words\n", digest("two words")),
        format!("\\{}  line\\nend\n", digest("line\nend")),
        format!("\\{}  back\\\\slash\n", digest("back\\slash")),
    ];
    assert_eq!(lines, expected.concat());
    // One that fails does not stop the others.
    let output = home.apyfal(&["run", "sha3", "one", "missing", "two words"]).output().unwrap();
    assert_eq!(output.status.code(), Some(20));
    assert_eq!(text(&output.stdout), [&*expected[0], &*expected[1]].concat());
    let said = text(&output.stderr);
    assert!(said.contains("'missing': no such file"), "{said}");
    assert!(said.contains("1 of 3 sources failed"), "{said}");
    let words = ["run", "sha3", "one", "missing", "two words", "--json"];
    let output = home.apyfal(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(20));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told[0]["source"], "one");
    assert_eq!(told[0]["app"]["specific"]["digest"], digest("one"));
    assert_eq!(told[1]["error"]["kind"], "storage-not-found", "{told}");
    assert_eq!(told[2]["source"], "two words");
    // One of them may be standard input.
    let piped = home.piped(&["run", "sha3", "-", "one"], &home.read("two words"));
    assert_eq!(text(&piped.stdout), format!("{}  -\n{}", digest("two words"), expected[0]));
    // Others have a destination, and say what is for many files.
    let said = home.fails(2, &["run", "gzip", "one", "out.gz", "two words"]);
    assert!(said.contains("apyfal map gzip"), "{said}");
    assert!(!home.path("out.gz").exists());
}

#[test]
fn a_comparison_that_is_missing_says_why() {
    let home = Home::new();
    home.write("in.bmp", bmp());
    home.write("in", words(3000, 8));
    let said = |words: &[&str]| text(&home.apyfal(words).output().unwrap().stderr);
    let piped = home.piped(&["run", "sha3", "-", "--compare"], b"x");
    let told = text(&piped.stderr);
    assert!(told.contains("no comparison: the source is a stream"), "{told}");
    let told = said(&["run", "jpegenc", "in.bmp", "out.jpg", "--compare"]);
    assert!(told.contains("no comparison: there is no plain software"), "{told}");
    let told = said(&["run", "gzip", "in", "out.gz", "--compare"]);
    assert!(told.contains("x plain software") && !told.contains("no comparison"), "{told}");
    let told = said(&["run", "sha3", "in", "in.bmp", "--compare"]);
    assert!(told.contains("x plain software"), "{told}");
    let told = said(&["run", "gzip", "in", "out.gz"]);
    assert!(!told.contains("comparison"), "{told}");
}

#[test]
fn bytes_may_be_counted_in_larger_units() {
    let home = Home::new();
    home.write(
        "accelerator.conf",
        "[accelerator.head]\ncommand = ['head', '-c', '{count}']\n\
         parameters = {'count': {'type': 'bytes', 'default': '1kB', 'max': '64KiB'}}\n",
    );
    home.write("in", words(100_000, 9));
    for (given, len) in [("64KiB", 65_536), ("1MB", 1_000_000), ("1.5kB", 1500), ("12", 12)] {
        home.ok(&["run", "trng", "out", "--nbBytes", given]);
        assert_eq!(home.read("out").len(), len, "{given}");
    }
    let full = r#"{"app": {"specific": {"nbBytes": "2 KiB"}}}"#;
    home.ok(&["run", "trng", "out", "-j", full]);
    assert_eq!(home.read("out").len(), 2048);
    home.ok(&["run", "head", "in", "out"]);
    assert_eq!(home.read("out").len(), 1000);
    home.ok(&["run", "head", "in", "out", "--count", "64KiB"]);
    assert_eq!(home.read("out").len(), 65_536);
    let said = home.fails(2, &["run", "head", "in", "out", "--count", "64.1KiB"]);
    assert!(said.contains("bytes 0 to 65536, such as 64kB"), "{said}");
    let said = home.fails(2, &["run", "trng", "out", "--nbBytes", "1MX"]);
    assert!(said.contains("bytes from 0, such as 64kB"), "{said}");
}

#[test]
fn help_is_a_command_too() {
    let home = Home::new();
    assert_eq!(home.ok(&["help"]), home.ok(&["--help"]));
    for command in ["run", "host add", "catalog account list"] {
        let words: Vec<_> = command.split(' ').collect();
        let help = home.ok(&[&["help"], &words[..]].concat());
        assert_eq!(help, home.ok(&[&words[..], &["--help"]].concat()), "{command}");
    }
    home.fails(2, &["help", "nothing"]);
}

#[test]
fn an_engine_can_be_asked_for() {
    let home = Home::new();
    home.write("in", "some data");
    home.ok(&["run", "null", "in", "out", "--engine", "cpu"]);
    assert_eq!(home.read("out"), b"some data");
    home.ok(&["map", "null", "in", "folder", "--engine", "CPU"]);
    home.ok(&["start", "--accelerator", "null", "--engine", "cpu"]);
    home.ok(&["process", "-i", "in", "-o", "out", "--engine", "cpu"]);
    for words in [
        &["run", "null", "in", "out", "--engine", "gpu"][..],
        &["map", "null", "in", "folder", "--engine", "gpu"],
        &["start", "--accelerator", "null", "--engine", "gpu"],
        &["process", "-i", "in", "-o", "out", "--engine", "gpu"],
    ] {
        let error = home.fails(2, words);
        assert!(error.contains("null has no engine 'gpu' here"), "{words:?}: {error}");
        assert!(error.contains("hint: it has: cpu"), "{words:?}: {error}");
    }
    home.ok(&["stop"]);
    let told: Value = serde_json::from_str(&home.ok(&["accelerators", "null", "--json"])).unwrap();
    assert_eq!((&told["engine"], &told["engines"][0]["name"]), (&json!("cpu"), &json!("cpu")));
}

#[test]
fn a_parameter_that_is_called_engine_is_set_as_others_that_are_options() {
    let home = Home::new();
    home.write(
        "accelerator.conf",
        "[accelerator.mine]\ncommand = [\"echo\", \"{engine}\"]\nparameters = {\"engine\": \"none\"}\n",
    );
    home.write("in", "");
    home.ok(&["run", "mine", "in", "out", "--set", "engine=v8"]);
    assert_eq!(home.read("out"), b"v8\n");
    let error = home.fails(2, &["run", "mine", "in", "out", "--engine", "v8"]);
    assert!(error.contains("it has: echo") && error.contains("--set engine=v8"), "{error}");
}
