//! `/metrics`, read as Prometheus reads it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use common::Home;
use common::server::{Server, until};

/// The values of an exposition by name with labels, and the types by name.
fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    };
    assert!(text.ends_with('\n'), "the last line has no end");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(is_name(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(
                rest.split_once(' ').is_some_and(|(name, help)| is_name(name) && help.len() > 5)
            );
        } else {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
                None => (series, ""),
            };
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (key, text) = label.split_once('=').expect(line);
                let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                assert!(is_name(key) && !text.expect(line).contains('"'), "{line}");
            }
            let parts = ["_bucket", "_sum", "_count"];
            let whole = parts.iter().find_map(|part| name.strip_suffix(part));
            let whole = whole.filter(|whole| types.get(*whole).is_some_and(|it| it == "histogram"));
            let name = whole.unwrap_or(name);
            assert!(is_name(name) && types.contains_key(name), "{line}");
            assert_eq!(name.ends_with("_total"), types[name] == "counter", "{line}");
            let value: f64 = value.parse().expect(line);
            assert!(values.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    (values, types)
}

#[test]
fn every_line_is_understood_and_counters_grow() {
    let host = Server::start();
    let read = || {
        let answer = host.get("/metrics");
        assert_eq!(answer.status, 200);
        let content_type = answer.header("content-type").unwrap();
        assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
        parse(&common::text(&answer.body)).0
    };
    let before = read();
    let done = "apyfal_jobs_total{accelerator=\"gzip\",outcome=\"done\"}";
    let failed = "apyfal_jobs_total{accelerator=\"gunzip\",outcome=\"failed\"}";
    let bytes = "apyfal_read_bytes_total{accelerator=\"gzip\"}";
    assert_eq!((before[done], before[failed], before[bytes]), (0.0, 0.0, 0.0));
    for _ in 0..3 {
        assert_eq!(host.run("gzip", &[7; 1000]).status, 200);
    }
    assert_eq!(host.run("gunzip", b"no gzip at all").status, 422);
    assert_eq!(host.get("/v2/jobs/none").status, 404);
    let after = read();
    assert_eq!((after[done], after[failed], after[bytes]), (3.0, 1.0, 3000.0));
    assert!(after["apyfal_written_bytes_total{accelerator=\"gzip\"}"] > 0.0);
    for times in ["wait", "duration"] {
        let of = |part: &str, labels: &str| {
            after[&format!("apyfal_job_{times}_seconds_{part}{{{labels}}}")]
        };
        let gzip = "accelerator=\"gzip\"";
        let counts = [of("count", gzip), of("bucket", &format!("{gzip},le=\"+Inf\""))];
        assert_eq!(counts, [3.0, 3.0], "{times}");
        assert!(of("bucket", &format!("{gzip},le=\"0.0005\"")) <= 3.0);
        assert!((0.0..60.0).contains(&of("sum", gzip)), "{times}");
    }
    assert_eq!(after["apyfal_failures_total{kind=\"invalid-data\"}"], 1.0);
    assert_eq!(after["apyfal_refusals_total{kind=\"not-found\"}"], 1.0);
    assert_eq!(after["apyfal_requests_total"], before["apyfal_requests_total"] + 6.0);
    assert!(after["apyfal_slots{accelerator=\"gzip\"}"] >= 1.0);
    assert!(after["process_resident_memory_bytes"] > 1e6);
    assert!(after["apyfal_connections"] >= 1.0 && after["apyfal_draining"] == 0.0);
    assert!(after["apyfal_uptime_seconds"] > before["apyfal_uptime_seconds"]);
    assert!(after.keys().any(|key| key.starts_with("apyfal_build_info{version=\"")));
    // The session of the last job ends behind its answer.
    until("no job runs", || read()["apyfal_jobs_running{accelerator=\"gzip\"}"] == 0.0);
}

#[test]
fn the_token_is_asked_for_where_the_protocol_asks_for_it() {
    let home = Home::new();
    let token = home.write("token", "an-example-of-a-token-that-is-long-enough-0123456789\n");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let words = ["--token-file", token.to_str().unwrap()];
    let host = Server::in_home(home, "", &words);
    assert_eq!(host.get("/metrics").status, 401);
    let bearer = "Authorization: Bearer an-example-of-a-token-that-is-long-enough-0123456789\r\n";
    assert_eq!(host.connect().bare("GET", "/metrics", bearer).status, 200);
}
