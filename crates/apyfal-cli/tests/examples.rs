//! Every example in the documentation, run as it stands.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use apyfal_testkit::{Moto, Nginx};
use common::page::{Page, has_examples, root};
use common::{Home, bmp, peer, text, words};

/// The pages below, each of which has its test.
const PAGES: [&str; 12] = [
    "README.md",
    // On machines of a cloud.
    "docs/guides/aws.md",
    // On two machines.
    "docs/guides/custom-host.md",
    // In the suite of hosts.
    "docs/guides/host.md",
    // In the suite of hosts that are made.
    "docs/guides/made-hosts.md",
    // In the tests of the package for Python.
    "docs/guides/python.md",
    // In the suite of packages.
    "docs/guides/your-own-accelerator.md",
    "docs/guides/your-own-program.md",
    "docs/reference/configuration.md",
    // These in the suites of their protocols.
    "docs/reference/rest-v1.md",
    "docs/reference/rest-v2.md",
    "docs/reference/storage.md",
];

#[test]
fn every_page_has_its_test() {
    let mut pages = vec![root().join("README.md")];
    for folder in ["docs/guides", "docs/reference"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let mut found: Vec<PathBuf> = pages.into_iter().filter(|page| has_examples(page)).collect();
    found.sort();
    assert_eq!(found, PAGES.map(|page| root().join(page)));
}

/// A home with the files that the examples speak of.
fn home() -> Home {
    let home = Home::new();
    home.write("notes.txt", words(200_000, 1));
    home.write("in.txt", words(50_000, 2));
    home.write("disk.img", words(100_000, 3));
    home.write("words.csv", "the,THE\nhe,she\n");
    home.write("photo.bmp", bmp());
    std::fs::create_dir(home.path("photos")).unwrap();
    home.write("photos/one.bmp", bmp());
    home.write("photos/two.bmp", bmp());
    home
}

/// A server of objects with a bucket, and one of web pages with a file.
fn servers() -> (Moto, Nginx, tempfile::TempDir) {
    let moto = Moto::start().unwrap();
    moto.create_bucket("bucket").unwrap();
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("file"), "from the web").unwrap();
    let nginx = Nginx::start(site.path()).unwrap();
    (moto, nginx, site)
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    peer("gzip", &["-dc"], packed)
}

/// That both photos were compressed.
fn check_packed(home: &Home) {
    for name in ["one.bmp", "two.bmp"] {
        assert_eq!(peer("gzip", &["-dc"], &home.read(&format!("packed/{name}.gz"))), bmp());
    }
}

/// That an archive holds both photos.
fn check_photos(home: &Home) {
    let list = peer("tar", &["-tzf", "-"], &home.read("photos.tar.gz"));
    let list = text(&list);
    let files: Vec<_> = list.lines().filter(|name| !name.ends_with('/')).collect();
    assert!(files.len() == 2 && files.iter().all(|name| name.starts_with("photos/")), "{list}");
    let one = peer("tar", &["-xzOf", "-", "photos/one.bmp"], &home.read("photos.tar.gz"));
    assert!(one == bmp());
}

/// That the words of `words.csv` were replaced in `in.txt`.
fn check_replaced(home: &Home) {
    let script = r"s/\<the\>/THE/g; s/\<he\>/she/g";
    assert!(home.read("out.txt") == peer("sed", &[script], &home.read("in.txt")));
}

fn sha3(kind: &str, data: &[u8]) -> String {
    let line = text(&peer("openssl", &["dgst", kind, "-r"], data));
    line.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn readme() {
    let home = home();
    let notes = home.read("notes.txt");
    let (moto, nginx, _site) = servers();
    home.write("object", "an object");
    let moto_is_s3 = [
        ("APYFAL__STORAGE__AWS__ENDPOINT", moto.url()),
        ("APYFAL__STORAGE__AWS__UNSECURE", "True".to_owned()),
        ("APYFAL__STORAGE__AWS__CLIENT_ID", "AKID".to_owned()),
        ("APYFAL__STORAGE__AWS__SECRET_ID", "hunter2".to_owned()),
    ];
    let mut put = home.apyfal(&["copy", "object", "s3://bucket/in"]);
    assert!(put.envs(moto_is_s3.clone()).output().unwrap().status.success());

    let mut page = Page::read("README.md");
    for (name, value) in moto_is_s3 {
        page = page.env(name, value);
    }
    page.replace("https://example.org/file", nginx.url("file"))
        // Run among the tests of Python.
        .program("program.py")
        // They build the project anew.
        .skip("cargo run --release -- run gzip README.md out.gz")
        .skip("cargo xtask test")
        .skip("sudo install target/release/apyfal /usr/local/bin/")
        // In a test of their own.
        .skip("cargo new digest && cd digest")
        .skip("cargo add apyfal --path ../apyfal/crates/apyfal")
        .skip("cargo add tokio --features macros,rt-multi-thread")
        .check("apyfal accelerators", |said| assert!(said.contains("hyperfire"), "{said}"))
        .check("apyfal accelerators gzip", |said| assert!(said.contains("--level"), "{said}"))
        .check("apyfal run gzip notes.txt notes.txt.gz --level best", |_| {
            assert!(unpacked(&home.read("notes.txt.gz")) == notes);
            std::fs::remove_file(home.path("notes.txt")).unwrap();
        })
        .check("apyfal run gunzip notes.txt.gz notes.txt", |_| {
            assert!(home.read("notes.txt") == notes);
        })
        .check("tar -c photos | apyfal run gzip - - > photos.tar.gz", |_| check_photos(&home))
        .check("apyfal run targz photos photos.tar.gz", |_| check_photos(&home))
        .check("apyfal run sha3 notes.txt --type sha3-512", |said| {
            assert_eq!(said.trim(), format!("digest: {}", sha3("-sha3-512", &notes)));
        })
        .check("apyfal run jpegenc photo.bmp photo.jpg --quality 90", |_| {
            assert!(peer("djpeg", &["-pnm"], &home.read("photo.jpg")).starts_with(b"P6\n33 21\n"));
        })
        .check("apyfal run sha3 notes.txt photo.bmp", |said| {
            assert!(said.ends_with("  photo.bmp\n") && said.lines().count() == 2, "{said}");
        })
        .check("apyfal run trng random.bin --nbBytes 1MB", |_| {
            assert_eq!(home.read("random.bin").len(), 1_000_000);
        })
        .check("apyfal run hyperfire --start-src words.csv in.txt out.txt", |_| {
            check_replaced(&home);
            std::fs::remove_file(home.path("out.txt")).unwrap();
        })
        .check("apyfal map gzip photos packed", |_| check_packed(&home))
        .check("apyfal run gzip s3://bucket/in s3://bucket/out.gz", |_| {
            assert!(moto.keys("bucket").unwrap().contains(&"out.gz".to_owned()));
        })
        .check("apyfal copy https://example.org/file s3://bucket/file", |_| {
            assert_eq!(moto.keys("bucket").unwrap(), ["file", "in", "out.gz"]);
        })
        .check("apyfal process --name words --src in.txt --dst out.txt", |_| {
            check_replaced(&home);
        })
        .check("apyfal run zstd notes.txt notes.txt.zst --level 9", |_| {
            assert!(peer("zstd", &["-dc"], &home.read("notes.txt.zst")) == notes);
        })
        .run(&home);
    home.fails(6, &["process", "--name", "words", "--src", "in.txt", "--dst", "out.txt"]);
}

/// The first block of a language in a section of the README.
fn block(section: &str, language: &str) -> String {
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_program_of_the_readme_runs_in_a_new_project() {
    let home = Home::new();
    let clone = root().canonicalize().unwrap();
    // Without network: the versions are those of this build, and so are the settings, so that what
    // was built is built.
    let target = Path::new(env!("CARGO_BIN_EXE_apyfal")).ancestors().nth(2).unwrap();
    let workspace = std::fs::read_to_string(clone.join("Cargo.toml")).unwrap();
    let profile = workspace.split_once("[profile.dev]").unwrap().1.split_once("[profile.release]");
    std::fs::create_dir(home.path(".cargo")).unwrap();
    home.write(
        ".cargo/config.toml",
        format!(
            "[net]\noffline = true\n[build]\ntarget-dir = {target:?}\n[profile.dev]{}",
            profile.unwrap().0
        ),
    );
    let cargo = |directory: &Path, script: &str| {
        let mut command = Command::new("bash");
        command.args(["-ec", script]).current_dir(directory);
        let output = apyfal_testkit::by_a_user(&mut command).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", text(&output.stderr));
        text(&output.stdout)
    };
    let begin = block("From Rust", "sh").replace("../apyfal/", &format!("{}/", clone.display()));
    let lock = format!("cp '{}' .", clone.join("Cargo.lock").display());
    let begin = begin.replacen("cd digest\n", &format!("cd digest\n{lock}\n"), 1);
    assert!(begin.contains(&lock));
    cargo(home.folder(), &begin);
    home.write("digest/src/main.rs", block("From Rust", "rust"));
    let digest = cargo(&home.path("digest"), "cargo run --quiet");
    let manifest = home.read("digest/Cargo.toml");
    assert_eq!(digest.trim(), format!("\"{}\"", sha3("-sha3-512", &manifest)));
}

#[test]
fn programs_of_ones_own() {
    let home = home();
    let notes = text(&home.read("notes.txt"));
    let loud = |from: char, to: u8| {
        let change = |c: char| match c {
            'a'..='z' if c <= from => (c as u8 - b'a' + to) as char,
            c => c,
        };
        notes.chars().map(change).collect::<String>()
    };
    Page::read("docs/guides/your-own-program.md")
        .program("reverse.py")
        .check("apyfal accelerators upper", |said| assert!(said.contains("--from"), "{said}"))
        .check("apyfal run upper notes.txt loud.txt", |_| {
            assert!(text(&home.read("loud.txt")) == loud('z', b'A'));
        })
        .check("apyfal run upper notes.txt loud.txt --from a-c --to x-z", |_| {
            assert!(text(&home.read("loud.txt")) == loud('c', b'x'));
        })
        .check("apyfal run reverse notes.txt backwards.txt", |_| {
            assert!(text(&home.read("backwards.txt")) == notes.chars().rev().collect::<String>());
        })
        .run(&home);
}

#[test]
fn configuration() {
    let home = home();
    let notes = home.read("notes.txt");
    let reference = Home::new();
    reference.write("notes.txt", &notes);
    let packed = |level: &str| {
        reference.ok(&["run", "gzip", "notes.txt", "out.gz", "--level", level]);
        reference.read("out.gz")
    };
    assert!(packed("fast") != packed("best") && packed("best") != packed("9"));
    Page::read("docs/reference/configuration.md").run(&home);
    assert!(home.read("fast.gz") == packed("fast"));
    assert!(home.read("nine.gz") == packed("9"));
    assert!(home.read("default.gz") == packed("default"));
    reference.ok(&["run", "targz", "notes.txt", "best.tar.gz", "--level", "best"]);
    let archive = |home: &Home| unpacked(&home.read("best.tar.gz")).len();
    assert_eq!(archive(&home), archive(&reference));
    assert_eq!(home.read("best.tar.gz").len(), reference.read("best.tar.gz").len());
}

#[test]
fn storage() {
    let home = home();
    let notes = home.read("notes.txt");
    let (cloud, nginx, _site) = servers();
    let lab = Moto::start().unwrap();
    lab.create_bucket("bucket").unwrap();
    std::fs::create_dir(home.path("shared")).unwrap();
    home.write("shared/data.csv", "a,b\n");
    let aws = format!("[storage.AWS]\nendpoint = {}\nunsecure = True\n", cloud.url());
    home.write("accelerator.conf", format!("{aws}client_id = AKID\nsecret_id = hunter2\n"));
    Page::read("docs/reference/storage.md")
        .replace("https://example.org/file", nginx.url("file"))
        .replace("[storage.AWS]\n", aws)
        .replace("http://127.0.0.1:9000", lab.url())
        .check(
            "apyfal run gzip s3://bucket/notes.txt s3://bucket/notes.txt.gz --level best",
            |_| {
                assert_eq!(cloud.keys("bucket").unwrap(), ["notes.txt", "notes.txt.gz"]);
            },
        )
        .check("apyfal run sha3 https://example.org/file", |said| {
            assert!(said.contains(&sha3("-sha3-256", b"from the web")), "{said}");
        })
        .check("apyfal copy archive://bucket/notes.txt.gz lab://bucket/copy.gz", |_| {
            assert_eq!(cloud.keys("bucket").unwrap(), ["file", "notes.txt", "notes.txt.gz"]);
            assert_eq!(lab.keys("bucket").unwrap(), ["copy.gz"]);
        })
        .check("apyfal run gunzip lab://bucket/copy.gz back.txt", |_| {
            assert!(home.read("back.txt") == notes);
        })
        .check("apyfal run gzip host://data.csv host://data.csv.gz", |_| {
            assert_eq!(unpacked(&home.read("shared/data.csv.gz")), b"a,b\n");
        })
        .run(&home);
}

#[test]
fn help() {
    let home = home();
    let help = home.ok(&["--help"]);
    let (_, lines) = help.split_once("\nExamples:\n").expect("examples");
    Page::of_lines("apyfal --help", lines.lines())
        .check("apyfal run gzip notes.txt notes.txt.gz --level best", |_| {
            assert!(unpacked(&home.read("notes.txt.gz")) == home.read("notes.txt"));
        })
        .check("tar -c photos | apyfal run gzip - - > photos.tar.gz", |_| check_photos(&home))
        .check("apyfal run sha3 disk.img --type sha3-512", |said| {
            assert!(said.contains(&sha3("-sha3-512", &home.read("disk.img"))), "{said}");
        })
        .check("apyfal run trng random.bin --nbBytes 1MB", |_| {
            assert_eq!(home.read("random.bin").len(), 1_000_000);
        })
        .check("apyfal map gzip photos packed", |_| check_packed(&home))
        .check("apyfal run hyperfire --start-src words.csv in.txt out.txt", |_| {
            check_replaced(&home);
        })
        .run(&home);
}
