//! Configuration files and parameters that come from elsewhere: pipes, other directories, names of
//! accelerators that are not here.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::page::Page;
use common::{Home, peer, text, words};

const SHA3_384: &str = r#"{"app": {"specific": {"type": "sha3-384"}}}"#;

/// What the command said on standard error; it must succeed.
fn said(home: &Home, words: &[&str]) -> String {
    let output = home.apyfal(words).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "apyfal {words:?}: {said}");
    said
}

#[test]
fn parameters_may_come_through_a_pipe() {
    let home = Home::new();
    home.write("in.txt", "text");
    home.write("words.csv", "a,b\n");
    std::fs::create_dir(home.path("many")).unwrap();
    for name in ["one", "two", "three"] {
        home.write(&format!("many/{name}"), "text");
    }
    let digest = |kind: &str| {
        let line = text(&peer("openssl", &["dgst", kind, "-r"], b"text"));
        line.split(' ').next().unwrap_or_default().to_owned()
    };
    let run = home.piped(&["run", "sha3", "in.txt", "-j", "-"], SHA3_384.as_bytes());
    assert_eq!(text(&run.stdout).trim(), format!("digest: {}", digest("-sha3-384")));
    let map = ["map", "-a", "sha3", "many", "sums", "-j", "-"];
    let output = home.piped(&map, SHA3_384.as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["one.json", "two.json", "three.json"] {
        assert!(text(&home.read(&format!("sums/{name}"))).contains(&digest("-sha3-384")));
    }
    home.ok(&["start", "-a", "sha3"]);
    let process = home.piped(&["process", "-i", "in.txt", "-j", "-"], SHA3_384.as_bytes());
    assert_eq!(process.stdout, run.stdout);
    let lines = [
        format!("test $(apyfal run sha3 in.txt -j <(echo '{SHA3_384}') | wc -c) = 105"),
        format!("apyfal run gzip in.txt out.gz -j <(echo '{SHA3_384}' | sed s/type.*384/level\\\":\\\"9/)"),
        "apyfal run hyperfire --start-src <(cat words.csv) <(cat in.txt) out.txt".to_owned(),
        format!("apyfal start -a sha3 -j <(echo '{SHA3_384}')"),
        "apyfal run sha3 in.txt -c <(printf '[process.sha3]\\ntype = sha3-512\\n') | grep -qE '.{128}'".to_owned(),
    ];
    Page::of_lines("pipes", lines.iter().map(String::as_str)).run(&home);
}

#[test]
fn standard_input_is_read_by_one() {
    let home = Home::new();
    home.write("in", "x");
    home.ok(&["start", "-a", "sha3"]);
    for words in [
        &["run", "sha3", "-", "-j", "-"][..],
        &["run", "sha3", "in", "-", "-j", "-"],
        &["run", "sha3", "-", "in", "-"],
        &["run", "hyperfire", "-", "out", "--start-src", "-"],
        &["run", "hyperfire", "in", "out", "--start-src", "-", "-j", "-"],
        &["map", "-a", "gzip", "@-", "out", "-j", "-"],
        &["run", "gzip", "-", "out", "-c", "-"],
        &["copy", "-", "out", "-c", "-"],
        &["process", "-i", "-", "-j", "-"],
        &["start", "-i", "-", "-j", "-"],
    ] {
        let input = if words.contains(&"-c") { "[process]" } else { SHA3_384 };
        let output = home.piped(words, input.as_bytes());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("cannot read standard input"), "{words:?}: {said}");
    }
    // What is taken for the parameters is no source.
    for words in [["run", "gzip", "-j", "-"], ["run", "gzip", "-c", "-"]] {
        let output = home.piped(&words, b"");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
    let error =
        Page::of_lines("a pipe", ["! apyfal create -a gzip -c <(echo '[process]') 2> said"]);
    error.run(&home);
    assert!(text(&home.read("said")).contains("it can be read only once"));
}

#[test]
fn other_parameters_are_other_work() {
    let home = Home::new();
    std::fs::create_dir(home.path("in")).unwrap();
    home.write("in/one", "text");
    let map = |level: &str| {
        home.write("p.json", format!(r#"{{"app": {{"specific": {{"type": "{level}"}}}}}}"#));
        home.ok(&["map", "-a", "sha3", "in", "out", "-j", "p.json"]);
        text(&home.read("out/one.json")).len()
    };
    assert!(map("sha3-224") < map("sha3-512"));
}

#[test]
fn sections_of_no_known_accelerator_are_told_of() {
    let home = Home::new();
    home.write("in", words(50_000, 1));
    home.write(
        "accelerator.conf",
        "[process.gzp]\nlevel = 9\n[configuration.cast_gzip]\n[process.secureic_trng]\n[process.theirs]\n\
         [process.mine]\n[accelerator.mine]\ncommand = cat\n",
    );
    let told = said(&home, &["run", "gzip", "in", "out"]);
    let warnings: Vec<_> = told.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(
        warnings,
        [
            "apyfal: warning: accelerator.conf, line 1: [process.gzp] is for no accelerator that is \
             known here; did you mean 'gzip'?",
            "apyfal: warning: accelerator.conf, line 5: [process.theirs] is for no accelerator that \
             is known here",
        ]
    );
    // Capitals mean the same.
    home.ok(&["run", "gzip", "in", "nine.gz", "--level", "9"]);
    for section in ["process.GZIP", "process.Gzip", "process.CAST_gzip", "configuration.GZIP"] {
        home.write("accelerator.conf", format!("[{section}]\nlevel = 9\n"));
        let told = said(&home, &["run", "gzip", "in", "out.gz"]);
        assert!(!told.contains("warning"), "{told}");
        assert!(home.read("out.gz") == home.read("nine.gz"), "{section}");
    }
}

#[test]
fn paths_are_looked_for_beside_their_configuration() {
    let home = Home::new();
    home.write("in", "one two");
    for folder in ["conf", "conf/bin", "work"] {
        std::fs::create_dir(home.path(folder)).unwrap();
    }
    home.write("conf/p.json", SHA3_384);
    home.write("conf/words.csv", "one,1\n");
    let program = home.write("conf/bin/loud", "#!/bin/sh\nexec tr a-z A-Z\n");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let configuration = "[process.sha3]\nparameters = p.json\n[configuration.hyperfire]\ndatafile = words.csv\n\
         [accelerator.loud]\ncommand = ['./bin/loud']\n[accelerator.loud2]\ncommand = bin/loud -x\n\
         [accelerator.plain]\ncommand = cat\n";
    home.write("conf/a.conf", configuration);
    let from = |folder: &str, words: &[&str]| {
        let mut command = home.apyfal(words);
        let output = command.current_dir(home.path(folder)).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    for (folder, conf, input) in [("work", "../conf/a.conf", "../in"), ("conf", "a.conf", "../in")]
    {
        let (_, digest, said) = from(folder, &["run", "sha3", input, "-c", conf]);
        assert_eq!(digest.trim().len(), "digest: ".len() + 96, "{said}");
        for (words, out) in [
            (["run", "hyperfire", input, "replaced", "-c", conf], "1 two"),
            (["run", "loud", input, "replaced", "-c", conf], "ONE TWO"),
            (["run", "plain", input, "replaced", "-c", conf], "one two"),
        ] {
            let (is_well, _, said) = from(folder, &words);
            assert!(is_well && !said.contains("warning"), "{said}");
            assert_eq!(text(&home.read(&format!("{folder}/replaced"))), out);
        }
    }
    // As the original did: what is not there is looked for in the working directory.
    std::fs::rename(home.path("conf/p.json"), home.path("work/p.json")).unwrap();
    let (_, digest, said) = from("work", &["run", "sha3", "../in", "-c", "../conf/a.conf"]);
    assert_eq!(digest.trim().len(), "digest: ".len() + 96, "{said}");
    assert!(said.contains("a.conf, line 2: 'p.json' is not beside this file"), "{said}");
    // What is nowhere is missed where it should be.
    std::fs::remove_file(home.path("work/p.json")).unwrap();
    let (is_well, _, said) = from("work", &["run", "sha3", "../in", "-c", "../conf/a.conf"]);
    assert!(!is_well && said.contains("../conf/p.json"), "{said}");
    // A name that was created with it finds it from everywhere.
    home.write("conf/p.json", SHA3_384);
    from("conf", &["create", "-a", "sha3", "-c", "a.conf"]);
    from("conf", &["start"]);
    let (_, digest, said) = from("work", &["process", "-i", "../in"]);
    assert_eq!(digest.trim().len(), "digest: ".len() + 96, "{said}");
}
