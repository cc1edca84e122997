//! Small jobs by other ways than one request after the other over plain HTTP/1.1.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::load::{Asking, latencies, percentile};
use super::measures::{median, median_ratio, over_tls, script, session_over_tls, small, wrk};
use super::{Bench, Row};

const AT_ONCE: usize = 64;

/// 64 streams of one connection of HTTP/2, by h2load on the same cores.
pub(super) fn http2(bench: &Bench) -> Result<Vec<Row>> {
    let (host, other) = (bench.host("", &[])?, bench.other()?);
    let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        ours.push(h2load(bench, &host.address, &path)?);
        theirs.push(h2load(bench, &other.address, &other.path)?);
    }
    Ok(vec![row("1 KiB jobs, HTTP/2, 64 streams", "jobs/s", ours, other.name, theirs)])
}

fn h2load(bench: &Bench, address: &str, path: &str) -> Result<f64> {
    let body = bench.folder.path().join("small");
    std::fs::write(&body, small())?;
    let seconds = (bench.time / 2).as_secs().max(1).to_string();
    let output = Command::new("h2load")
        .args(["-c1", "-m", &AT_ONCE.to_string(), "-D", &seconds, "-d"])
        .arg(&body)
        .arg(format!("http://{address}{path}"))
        .output()
        .context("missing: apt-get install nghttp2-client")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains(", 0 4xx, 0 5xx"), "some jobs failed: {text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("finished in "));
    let rate = rate.and_then(|line| line.split(", ").nth(1)?.strip_suffix(" req/s"));
    rate.and_then(|rate| rate.trim().parse().ok()).with_context(|| text.into_owned())
}

/// 64 connections over TLS, beside as many without.
pub(super) fn tls(bench: &Bench) -> Result<Vec<Row>> {
    let (configuration, _) = over_tls(bench)?;
    let (host, plain) = (bench.host(&configuration, &[])?, bench.host("", &[])?);
    let path = format!("/v2/sessions/{}/jobs", session_over_tls(&host)?);
    let plain_path = format!("/v2/sessions/{}/jobs", plain.session("null")?);
    let (script, time) = (script(bench)?, bench.time / 2);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let url = format!("https://{}{path}", host.address);
        ours.push(wrk(&script, &url, AT_ONCE, time)?);
        let url = format!("http://{}{plain_path}", plain.address);
        theirs.push(wrk(&script, &url, AT_ONCE, time)?);
    }
    Ok(vec![row("1 KiB jobs over TLS, 64 connections", "jobs/s", ours, "without TLS", theirs)])
}

/// The client of the library, beside requests without one; and its pool of two hosts, beside one host.
pub(super) fn client(bench: &Bench) -> Result<Vec<Row>> {
    let (host, second) = (bench.host("", &[])?, bench.host("", &[])?);
    let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
    let (script, time) = (script(bench)?, bench.time / 2);
    let (mut p50, mut bare) = (Vec::new(), Vec::new());
    let (mut rate, mut bare_rate, mut pooled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        p50.push(jobs(bench, 1, &[&host.address])?.0);
        let asking = Asking::new(&host.address, &path, &small())?;
        bare.push(percentile(&latencies(asking, time)?, 0.5) * 1e6);
        rate.push(jobs(bench, AT_ONCE, &[&host.address])?.1);
        bare_rate.push(wrk(&script, &format!("http://{}{path}", host.address), AT_ONCE, time)?);
        pooled.push(jobs(bench, AT_ONCE, &[&host.address, &second.address])?.1);
    }
    Ok(vec![
        row("1 KiB job by our client, p50", "us", p50, "a bare request", bare),
        row("1 KiB jobs by our client, 64 at once", "jobs/s", rate.clone(), "wrk", bare_rate),
        row("the same in a pool of two hosts", "jobs/s", pooled, "one host", rate),
    ])
}

/// What half of the jobs took at most, in microseconds, and how many there were in a second.
fn jobs(bench: &Bench, at_once: usize, addresses: &[&str]) -> Result<(f64, f64)> {
    let seconds = (bench.time / 2).as_secs().max(1).to_string();
    let output = Command::new(&bench.client)
        .args([seconds, at_once.to_string()])
        .args(addresses)
        .output()
        .with_context(|| format!("cannot run {}", bench.client.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let why = || String::from_utf8_lossy(&output.stderr).into_owned();
    let (p50, rate) = said.trim().split_once(' ').with_context(why)?;
    Ok((p50.parse()?, rate.parse()?))
}

fn row(
    name: &'static str,
    unit: &'static str,
    ours: Vec<f64>,
    peer: &'static str,
    theirs: Vec<f64>,
) -> Row {
    let ratio = median_ratio(&ours, &theirs);
    Row {
        name,
        unit,
        ours: median(ours),
        peer,
        theirs: median(theirs),
        ratio,
        goal: "",
        is_reached: true,
    }
}
