//! Hosts behind proxies: nginx as the guide has it, over HTTP/1.0 and HTTP/1.1, and one that drops
//! trailers. What comes through is right, or it is an error.

use std::fs;

use apyfal_testkit::{Nginx, TrailerDropper};
use serde_json::Value;

use super::*;
use crate::common::page::root;
use crate::common::server::{until, until_some};
use crate::common::{peer, text, words};

/// The two configurations of the guide, before this host.
fn of_the_guide(server: &Server) -> [Nginx; 2] {
    let guide = fs::read_to_string(root().join("docs/guides/host.md")).unwrap();
    let blocks = guide.split("```nginx\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    std::array::from_fn(|_| {
        let block = blocks.next().expect("the guide has two");
        assert!(block.contains("http://127.0.0.1:8000;"), "{block}");
        Nginx::proxy(&block.replace("127.0.0.1:8000", server.address())).unwrap()
    })
}

/// A file of this length, and it compressed; both stay the same.
fn packed(home: &Home, len: usize) -> Vec<u8> {
    let data = words(len, len as u64);
    home.write("in", &data);
    home.ok(&["run", "gzip", "in", "in.gz", "--level", "fast"]);
    data
}

/// The compressed file with a wrong checksum, which is noticed at the end of the result.
fn damage(home: &Home) {
    let mut bytes = home.read("in.gz");
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    home.write("bad.gz", bytes);
}

/// Runs curl; its status, output and what it said.
fn curl(home: &Home, words: &[&str]) -> (Option<i32>, Vec<u8>, String) {
    let mut curl = std::process::Command::new("curl");
    let output = curl.arg("-sS").args(words).current_dir(home.folder()).output().unwrap();
    (output.status.code(), output.stdout, text(&output.stderr))
}

/// All that goes through a proxy at an address.
fn everything_comes_through(home: &Home, server: &Server, proxy: &str) {
    // Through curl, at lengths that fit into no buffer.
    let url = |accelerator: &str| format!("http://{proxy}/v2/run/{accelerator}");
    for len in [100, 5_000_000, 40_000_000] {
        let data = packed(home, len);
        for (words, what) in [(["-T", "in"], "a file"), (["-T", "-"], "a stream")] {
            let mut curl = std::process::Command::new("curl");
            curl.arg("-sS").args(words).arg(url("null")).current_dir(home.folder());
            curl.stdin(fs::File::open(home.path("in")).unwrap());
            let output = curl.output().unwrap();
            assert!(output.status.success(), "{what}: {}", text(&output.stderr));
            assert!(output.stdout == data, "{what} of {len} bytes: {}", output.stdout.len());
        }
        let (status, result, said) = curl(home, &["-T", "in.gz", &url("gunzip")]);
        assert!(status == Some(0) && result == data, "{len}: {} {said}", result.len());
    }
    // A job that fails at its end is no success, and no shorter result.
    damage(home);
    let (status, result, said) = curl(home, &["--fail", "-T", "bad.gz", &url("gunzip")]);
    assert_ne!(status, Some(0), "{} bytes: {said}", result.len());

    // One that is refused while its data still comes is told why.
    home.write("long", vec![1; 30_000_000]);
    for _ in 0..5 {
        let (status, told, said) = curl(home, &["-H", "Expect:", "-T", "long", &url("gunzip")]);
        assert!(
            status == Some(0) && text(&told).contains("invalid-data"),
            "{} {said}",
            text(&told)
        );
    }

    // Through this client.
    let at = |words: &[&str]| home.ok(&[words, &["--host_ip", proxy]].concat());
    let data = packed(home, 20_000_000);
    at(&["run", "gunzip", "in.gz", "out"]);
    assert!(home.read("out") == data);
    let output = home.piped(&["run", "gzip", "-", "-", "--host_ip", proxy], &data);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(peer("gzip", &["-dc"], &output.stdout) == data);
    damage(home);
    let error = home.fails(7, &["run", "gunzip", "bad.gz", "out", "--host_ip", proxy]);
    assert!(error.contains("job job-"), "{error}");
    assert!(home.read("out") == data, "what was there stays");
    at(&["run", "trng", "random", "--nbBytes", "7000000"]);
    assert_eq!(home.read("random").len(), 7_000_000);
    // One that must not run twice is recorded.
    fs::remove_file(home.path("out")).unwrap();
    at(&["run", "targz", "in", "out"]);
    assert!(peer("tar", &["-xzOf", "-"], &home.read("out")) == data);

    // Many files, each longer than what is sent with its report before it.
    fs::create_dir_all(home.path("many")).unwrap();
    for number in 0..40 {
        home.write(&format!("many/{number}"), words(70_000 + number, number as u64 + 1));
    }
    let _ = fs::remove_dir_all(home.path("mapped"));
    at(&["map", "--accelerator", "null", "many", "mapped"]);
    for number in 0..40 {
        assert!(home.read(&format!("mapped/{number}")) == home.read(&format!("many/{number}")));
    }
    until("all ended", || live(server) == 0 && sessions(server) == 0);
    original(home, proxy, &data);
}

/// A start, a job and its result over REST v1.0.
fn original(home: &Home, proxy: &str, data: &[u8]) {
    let ask = |words: &[&str]| {
        let (status, told, said) = curl(home, words);
        assert_eq!(status, Some(0), "{said}");
        serde_json::from_slice::<Value>(&told).unwrap_or_else(|_| panic!("{}", text(&told)))
    };
    let base = format!("http://{proxy}/null/v1.0");
    let none = "parameters={\"app\": {\"specific\": {}}}";
    let started = ask(&["-F", none, &format!("{base}/configuration/")]);
    let configuration = format!("configuration={}", started["url"].as_str().unwrap());
    let form = ["-F", none, "-F", &configuration, "-F", "datafile=@in"];
    let job = ask(&[&form[..], &[&format!("{base}/process/")]].concat());
    let about = format!("{base}/process/{}", job["id"]);
    let ended = until_some("it is processed", || {
        let job = ask(&[&about]);
        (job["processed"] == true).then_some(job)
    });
    assert_eq!(ended["inerror"], false, "{ended}");
    let (_, result, _) = curl(home, &[&format!("{about}/datafileresult")]);
    assert!(result == data, "{} bytes", result.len());
    ask(&[&format!("http://{proxy}/null/v1.0/stop/")]);
}

#[test]
fn nginx_by_its_defaults() {
    let (home, server) = (Home::new(), Server::start());
    let [proxy, _] = of_the_guide(&server);
    everything_comes_through(&home, &server, proxy.address());
}

#[test]
fn nginx_over_http_1_1() {
    let (home, server) = (Home::new(), Server::start());
    let [_, proxy] = of_the_guide(&server);
    everything_comes_through(&home, &server, proxy.address());
}

#[test]
fn a_proxy_that_drops_trailers() {
    let (home, server) = (Home::new(), Server::start());
    let proxy = TrailerDropper::before(server.address()).unwrap();
    everything_comes_through(&home, &server, proxy.address());
    assert!(proxy.dropped() > 0, "there was nothing to drop");
}

#[test]
fn a_proxy_that_refuses_is_told() {
    let (home, server) = (Home::new(), Server::start());
    home.write("in", words(2_000_000, 1));
    let proxy = Nginx::proxy(&format!("location / {{ proxy_pass http://{}; }}", server.address()));
    let proxy = proxy.unwrap();
    let error = home.fails(11, &["run", "null", "in", "out", "--host_ip", proxy.address()]);
    assert!(error.contains("413") && error.contains("client_max_body_size"), "{error}");
}
