//! `apyfal run --host_ip`: what comes back is what this machine would have made.

use super::*;
use crate::common::{bmp, peer, text, words};

#[test]
fn every_accelerator_gives_the_same_bytes() {
    let (home, server) = (Home::new(), Server::start());
    for len in [0, 1000, 3_000_000] {
        home.write("in.txt", words(len, 4));
        home.write("words.csv", "the,THE\nof,OF\n");
        home.ok(&["run", "gzip", "in.txt", "in.txt.gz"]);
        for job in [
            &["null", "in.txt", "OUT"][..],
            &["gzip", "in.txt", "OUT"],
            &["gzip", "in.txt", "OUT", "--store_name", "1", "--level", "best"],
            &["gunzip", "in.txt.gz", "OUT"],
            &["targz", "in.txt", "OUT", "--set", "mode=1"],
            &["hyperfire", "in.txt", "OUT", "--start-src", "words.csv"],
        ] {
            let to = |name: &str| {
                let mut words = vec!["run", "-q"];
                words.extend(job.iter().map(|word| if *word == "OUT" { name } else { word }));
                words.into_iter().map(str::to_owned).collect::<Vec<_>>()
            };
            let (here, there) = (to("here"), to("there"));
            home.ok(&here.iter().map(String::as_str).collect::<Vec<_>>());
            ok_at(&home, &server, &there.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(home.read("here") == home.read("there"), "{job:?} of {len} bytes");
        }
        let here = home.ok(&["run", "-q", "sha3", "in.txt", "--type", "sha3-512"]);
        let there = ok_at(&home, &server, &["run", "-q", "sha3", "in.txt", "--type", "sha3-512"]);
        assert!(here.contains("digest") && here == there, "{there}");
    }
    home.write("in.bmp", bmp());
    home.ok(&["run", "jpegenc", "in.bmp", "here.jpg"]);
    ok_at(&home, &server, &["run", "jpegenc", "in.bmp", "there.jpg"]);
    assert!(home.read("here.jpg") == home.read("there.jpg"));
    ok_at(&home, &server, &["run", "trng", "random", "--nbBytes", "100000"]);
    assert_eq!(home.read("random").len(), 100_000);
    ok_at(&home, &server, &["run", "trng", "random", "--nbBytes", "64KiB"]);
    assert_eq!(home.read("random").len(), 65_536);
    let answer = server.connect().post("/v2/run/trng?nbBytes=2kB", "application/octet-stream", b"");
    assert_eq!((answer.status, answer.body.len()), (200, 2000));
    let lines = ok_at(&home, &server, &["run", "sha3", "in.txt", "words.csv", "in.txt"]);
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(lines, home.ok(&["run", "sha3", "in.txt", "words.csv", "in.txt"]));
    assert_eq!((sessions(&server), live(&server)), (0, 0));
}

#[test]
fn archives_keep_the_names_of_files() {
    let (home, server) = (Home::new(), Server::start());
    home.write("notes.txt", "text");
    ok_at(&home, &server, &["run", "targz", "notes.txt", "out.tgz"]);
    assert_eq!(text(&peer("tar", &["-tzf", "-"], &home.read("out.tgz"))), "notes.txt\n");
    assert_eq!(text(&peer("tar", &["-xOzf", "-"], &home.read("out.tgz"))), "text");
    std::fs::create_dir(home.path("folder")).unwrap();
    let error =
        home.fails(2, &["run", "targz", "folder", "out.tgz", "--host_ip", server.address()]);
    assert!(error.contains("is a directory") && error.contains("hint"), "{error}");
}

#[test]
fn standard_streams_travel() {
    let (home, server) = (Home::new(), Server::start());
    let data = words(6_000_000, 5);
    let words = ["run", "gzip", "-", "-", "--host_ip", server.address()];
    let output = home.piped(&words, &data);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(peer("gzip", &["-dc"], &output.stdout) == data);
    let output = home.piped(&["run", "sha3", "--host_ip", server.address(), "--json"], b"x");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["accelerator"], "sha3", "{report}");
    // Whoever reads the output may end first.
    let mut child = home
        .apyfal(&["run", "trng", "-", "--nbBytes", "50000000", "--host_ip", server.address()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert_eq!(sessions(&server), 0);
}

#[test]
fn the_host_reads_and_writes_what_is_not_ours() {
    let there = Home::new();
    std::fs::create_dir(there.path("shared")).unwrap();
    there.write("shared/in.txt", "from the host");
    let (home, server) = (Home::new(), Server::in_home(there, "", &[]));
    ok_at(
        &home,
        &server,
        &["run", "gzip", "host:///IN", "out.gz"].map(|word| match word {
            "host:///IN" => Box::leak(
                format!("host://{}", server.home().path("shared/in.txt").display())
                    .into_boxed_str(),
            ),
            word => word,
        }),
    );
    assert_eq!(peer("gzip", &["-dc"], &home.read("out.gz")), b"from the host");
    home.write("in.txt", "to the host");
    let out = format!("host://{}", server.home().path("shared/out.gz").display());
    ok_at(&home, &server, &["run", "gzip", "in.txt", &out]);
    assert_eq!(peer("gzip", &["-dc"], &server.home().read("shared/out.gz")), b"to the host");
    let outside = format!("host://{}", server.home().path("accelerator.conf").display());
    let error = home.fails(5, &["run", "null", &outside, "out", "--host_ip", server.address()]);
    assert!(error.contains("authorized_host_dirs"), "{error}");
    assert!(!home.path("out").exists());
}

#[test]
fn accelerators_are_those_of_the_host() {
    let (home, server) = (Home::new(), Server::start());
    let all = ok_at(&home, &server, &["accelerators"]);
    assert!(all.contains("gzip") && all.contains("nap"), "{all}");
    let told = ok_at(&home, &server, &["accelerators", "told"]);
    assert!(told.contains("--word"), "{told}");
    let here = home.ok(&["accelerators"]);
    assert!(!here.contains("nap"), "{here}");
    home.fails(6, &["accelerators", "nothing", "--host_ip", server.address()]);
    // One that is away is done without.
    let both = format!("127.0.0.1:9,{}", server.address());
    assert!(home.ok(&["accelerators", "--host_ip", &both]).contains("nap"));
}

#[test]
fn memory_does_not_grow_with_the_data() {
    let (home, server) = (Home::new(), Server::start());
    let file = std::fs::File::create(home.path("in")).unwrap();
    file.set_len(300_000_000).unwrap();
    let mut child =
        home.apyfal(&["run", "null", "in", "out", "--host_ip", server.address()]).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(found.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::metadata(home.path("out")).unwrap().len(), 300_000_000);
    assert!((1..64_000).contains(&peak), "the client had {peak} kB");
    assert!(server.peak_memory() < 100 << 20, "the host had {}", server.peak_memory());
}
