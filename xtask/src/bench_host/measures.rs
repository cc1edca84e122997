//! What is measured, and against what.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::load::{Asking, latencies, percentile};
use super::servers::{Host, Nginx};
use super::{Bench, Row};

const SMALL: usize = 1024;

pub(super) fn small() -> Vec<u8> {
    (0..SMALL).map(|index| (index * 31 % 251) as u8).collect()
}

/// A job of 1 KiB, one after the other: p50 and p99.
pub(super) fn latency(bench: &Bench) -> Result<Vec<Row>> {
    let (p50, tail) = latency_of(bench, "1 KiB job, p50", &small())?;
    Ok(vec![
        Row { goal: "at most 1.5", is_reached: p50.ratio <= 1.5, ..p50 },
        Row {
            name: "1 KiB job, p99",
            unit: "us",
            ours: tail,
            peer: "bound",
            theirs: 300.0,
            ratio: tail / 300.0,
            goal: "at most 1",
            is_reached: tail <= 300.0,
        },
    ])
}

/// The same of 64 KiB, the most that is taken in before its job begins.
pub(super) fn latency_of_64_kib(bench: &Bench) -> Result<Vec<Row>> {
    Ok(vec![latency_of(bench, "64 KiB job, p50", &small().repeat(64))?.0])
}

/// How long jobs with this data take, and what 99 of 100 take at most. Client and server share one core: to
/// wake another one that idles takes longer than all else, and whether it comes to that is the system's
/// choice.
fn latency_of(bench: &Bench, name: &'static str, data: &[u8]) -> Result<(Row, f64)> {
    bench.cores.pin(1)?;
    let (host, other) = (bench.host("", &[])?, bench.other()?);
    let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
    let (mut ours, mut theirs, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let time = bench.time / 4;
        let taken = latencies(Asking::new(&host.address, &path, data)?, time)?;
        ours.push(percentile(&taken, 0.5) * 1e6);
        tails.push(percentile(&taken, 0.99) * 1e6);
        let taken = latencies(Asking::new(&other.address, &other.path, data)?, time)?;
        theirs.push(percentile(&taken, 0.5) * 1e6);
    }
    let ratio = median_ratio(&ours, &theirs);
    let row = Row {
        name,
        unit: "us",
        ours: median(ours),
        peer: other.name,
        theirs: median(theirs),
        ratio,
        goal: "",
        is_reached: true,
    };
    Ok((row, median(tails)))
}

/// The same where each job has an id, so that it is on the disk before it runs, and its result is
/// kept: beside a host of another build, or as many syncs of a file as it takes.
pub(super) fn with_ids(bench: &Bench) -> Result<Vec<Row>> {
    let host = bench.host("", &[])?;
    let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
    let other = bench.against.is_some().then(|| bench.other()).transpose()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let time = bench.time / 4;
        let p50 = |address: &str, path: &str| {
            let asking = Asking::new(address, path, &small())?.with_ids(&format!("round-{round}"));
            latencies(asking, time).map(|taken| percentile(&taken, 0.5) * 1e6)
        };
        ours.push(p50(&host.address, &path)?);
        theirs.push(match &other {
            Some(other) => p50(&other.address, &other.path)?,
            None => SYNCS * percentile(&synced(bench, time)?, 0.5) * 1e6,
        });
    }
    let ratio = median_ratio(&ours, &theirs);
    Ok(vec![Row {
        name: "1 KiB job with an id, p50",
        unit: "us",
        ours: median(ours),
        peer: other.as_ref().map_or("3 syncs of a file", |other| other.name),
        theirs: median(theirs),
        ratio,
        goal: "",
        is_reached: true,
    }])
}

/// How often a job with an id waits for the disk: for its record, its result and its end.
const SYNCS: f64 = 3.0;

/// How long it takes to write 1 KiB behind a file and to have it on the disk, again and again.
fn synced(bench: &Bench, time: Duration) -> Result<Vec<Duration>> {
    let mut file = File::create(bench.folder.path().join("synced"))?;
    let begin = Instant::now();
    let mut taken = Vec::new();
    while begin.elapsed() < time {
        let start = Instant::now();
        file.write_all(&small())?;
        file.sync_data()?;
        taken.push(start.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}

/// Jobs of 1 KiB on 64 connections, by wrk on the same cores.
pub(super) fn throughput(bench: &Bench) -> Result<Vec<Row>> {
    let row = throughput_on(bench, "1 KiB jobs, 64 connections", 64)?;
    Ok(vec![Row { goal: "at least 0.8", is_reached: row.ratio >= 0.8, ..row }])
}

/// The same on 1,000 connections.
pub(super) fn throughput_of_many(bench: &Bench) -> Result<Vec<Row>> {
    Ok(vec![throughput_on(bench, "1 KiB jobs, 1,000 connections", 1000)?])
}

fn throughput_on(bench: &Bench, name: &'static str, connections: usize) -> Result<Row> {
    let (host, other) = (bench.host("", &[])?, bench.other()?);
    let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
    let script = script(bench)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let time = bench.time / 2;
        let wrk = |address: &str, path: &str| {
            wrk(&script, &format!("http://{address}{path}"), connections, time)
        };
        ours.push(wrk(&host.address, &path)?);
        theirs.push(wrk(&other.address, &other.path)?);
    }
    let ratio = median_ratio(&ours, &theirs);
    Ok(Row {
        name,
        unit: "jobs/s",
        ours: median(ours),
        peer: other.name,
        theirs: median(theirs),
        ratio,
        goal: "",
        is_reached: true,
    })
}

/// What wrk sends: a small job.
pub(super) fn script(bench: &Bench) -> Result<PathBuf> {
    let script = bench.folder.path().join("post.lua");
    let body = format!("wrk.body = string.rep(\"x\", {SMALL})\n");
    std::fs::write(&script, format!("wrk.method = \"POST\"\n{body}"))?;
    Ok(script)
}

/// How many requests wrk makes in a second.
pub(super) fn wrk(script: &Path, url: &str, connections: usize, time: Duration) -> Result<f64> {
    let seconds = format!("{}s", time.as_secs().max(1));
    let output = Command::new("wrk")
        .args(["-t1", "-c", &connections.to_string(), "-d", &seconds, "-s"])
        .arg(script)
        .arg(url)
        .output()
        .context("missing: apt-get install wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(!text.contains("Non-2xx"), "some jobs failed: {text}");
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).with_context(|| text.into_owned())
}

/// A gigabyte up and down again, by curl.
pub(super) fn stream(bench: &Bench) -> Result<Vec<Row>> {
    let (host, other) = (bench.host("", &[])?, bench.other()?);
    let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
    let file = large_file(bench)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        ours.push(upload(bench, &file, &format!("http://{}{path}", host.address))?);
        theirs.push(upload(bench, &file, &format!("http://{}{}", other.address, other.path))?);
    }
    let ratio = median_ratio(&ours, &theirs);
    let memory = host.peak_memory()? as f64 / (1 << 20) as f64;
    Ok(vec![
        Row {
            name: "null, up and down",
            unit: "MB/s",
            ours: median(ours),
            peer: other.name,
            theirs: median(theirs),
            ratio,
            goal: "at least 0.9",
            is_reached: ratio >= 0.9,
        },
        bounded_memory("null, memory", memory, 24.0),
    ])
}

/// A result fetched over TLS, beside nginx with the same certificate.
pub(super) fn tls(bench: &Bench) -> Result<Vec<Row>> {
    let folder = bench.folder.path();
    let (configuration, [certificate, key]) = over_tls(bench)?;
    let file = large_file(bench)?;
    let host = bench.host(&configuration, &[])?;
    let url = |path: &str| format!("https://{}{path}", host.address);
    let session = session_over_tls(&host)?;
    let status = Command::new("curl")
        .args(["-sfk", "-o", "/dev/null", "-H", r#"apyfal-request: {"id": "large"}"#, "-T"])
        .arg(&file)
        .arg(url(&format!("/v2/sessions/{session}/jobs")))
        .status()?;
    ensure!(status.success(), "the result was not made");
    let nginx = Nginx::start(folder, &certificate, &key)?;
    let name = file.file_name().context("no name")?.to_string_lossy().into_owned();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        ours.push(download(bench, &url("/v2/jobs/large/result"))?);
        theirs.push(download(bench, &format!("https://{}/{name}", nginx.address))?);
    }
    let ratio = median_ratio(&ours, &theirs);
    Ok(vec![Row {
        name: "a result over TLS 1.3",
        unit: "MB/s",
        ours: median(ours),
        peer: "nginx",
        theirs: median(theirs),
        ratio,
        goal: "at least 1.2",
        is_reached: ratio >= 1.2,
    }])
}

/// What has a host speak TLS, and the files of its certificate and key.
pub(super) fn over_tls(bench: &Bench) -> Result<(String, [PathBuf; 2])> {
    let files = ["host.crt", "host.key"].map(|name| bench.folder.path().join(name));
    let [certificate, key] = &files;
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null())
        .status()
        .context("missing: apt-get install openssl")?;
    ensure!(status.success(), "openssl made no certificate");
    let configuration = format!(
        "[serve]\nssl_cert_crt = {}\nssl_cert_key = {}\n",
        certificate.display(),
        key.display()
    );
    Ok((configuration, files))
}

/// Opens a session of `null` on a host that speaks TLS; its id.
pub(super) fn session_over_tls(host: &Host) -> Result<String> {
    let made = Command::new("curl")
        .args(["-sfk", "-X", "POST", "-H", "content-type: application/json"])
        .args(["-d", r#"{"accelerator": "null"}"#])
        .arg(format!("https://{}/v2/sessions", host.address))
        .output()
        .context("missing: apt-get install curl")?;
    let session: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    Ok(session["id"].as_str().context("no session")?.to_owned())
}

/// 64 clients that compress at the same time.
pub(super) fn memory(bench: &Bench) -> Result<Vec<Row>> {
    let host = bench.host("", &[])?;
    let path = format!("/v2/sessions/{}/jobs", host.session("gzip")?);
    let file = bench.folder.path().join("part");
    let mut data = Vec::new();
    while data.len() < (bench.bytes / 64) as usize {
        data.extend_from_slice(format!("line {} of some text\n", data.len()).as_bytes());
    }
    std::fs::write(&file, data)?;
    let url = format!("http://{}{path}", host.address);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let mut curl = Command::new("curl");
            curl.args(["-sf", "-o", "/dev/null", "-T"]).arg(&file).arg(&url).spawn()
        })
        .collect::<std::io::Result<_>>()?;
    for mut client in clients {
        ensure!(client.wait()?.success(), "a client failed");
    }
    let memory = host.peak_memory()? as f64 / (1 << 20) as f64;
    Ok(vec![bounded_memory("gzip, 64 clients, memory", memory, 40.0)])
}

/// Jobs for stand-ins of a device that is busy for 100 ms with each.
pub(super) fn slots(bench: &Bench) -> Result<Vec<Row>> {
    const WORK: f64 = 0.1;
    let configuration =
        format!("[accelerator.idle]\ncommand = [\"sleep\", \"{WORK}\"]\nslots = 8\n");
    let host = bench.host(&configuration, &[])?;
    let path = format!("/v2/sessions/{}/jobs", host.session("idle")?);
    let begin = Instant::now();
    let time = bench.time / 2;
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let asking = Asking::new(&host.address, &path, b"");
            std::thread::spawn(move || -> Result<u64> {
                let mut asking = asking?;
                let mut jobs = 0;
                while begin.elapsed() < time {
                    asking.ask()?;
                    jobs += 1;
                }
                Ok(jobs)
            })
        })
        .collect();
    let mut jobs = 0;
    for client in clients {
        jobs += client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let busy = jobs as f64 * WORK / (8.0 * begin.elapsed().as_secs_f64());
    Ok(vec![Row {
        name: "eight slots, share of time busy",
        unit: "",
        ours: busy,
        peer: "always",
        theirs: 1.0,
        ratio: busy,
        goal: "at least 0.95",
        is_reached: busy >= 0.95,
    }])
}

fn bounded_memory(name: &'static str, ours: f64, bound: f64) -> Row {
    Row {
        name,
        unit: "MiB",
        ours,
        peer: "bound",
        theirs: bound,
        ratio: ours / bound,
        goal: "at most 1",
        is_reached: ours <= bound,
    }
}

fn large_file(bench: &Bench) -> Result<PathBuf> {
    let path = bench.folder.path().join("large");
    if !path.exists() {
        let mut file = File::create(&path)?;
        let block: Vec<u8> = (0..1 << 20).map(|index: u64| (index * index % 251) as u8).collect();
        for _ in 0..bench.bytes >> 20 {
            file.write_all(&block)?;
        }
    }
    Ok(path)
}

/// Sends a file and takes the answer, which must have its length; in MB per second.
fn upload(bench: &Bench, file: &Path, url: &str) -> Result<f64> {
    curl(bench, Command::new("curl").args(["-sf", "-T"]).arg(file).arg(url))
}

fn download(bench: &Bench, url: &str) -> Result<f64> {
    curl(bench, Command::new("curl").args(["-sfk", "--http1.1"]).arg(url))
}

fn curl(bench: &Bench, command: &mut Command) -> Result<f64> {
    let begin = Instant::now();
    let output = command
        .args(["-o", "/dev/null", "-w", "%{size_download}"])
        .output()
        .context("missing: apt-get install curl")?;
    let seconds = begin.elapsed().as_secs_f64();
    let size = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().unwrap_or(0);
    if !output.status.success() || size != bench.bytes {
        bail!("{} bytes came back instead of {}", size, bench.bytes);
    }
    Ok(bench.bytes as f64 / 1e6 / seconds)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = ((values.len() - 1) / 2, values.len() / 2);
    (values[lower] + values[upper]) / 2.0
}

/// The median of the ratios of measures that followed one another.
pub(super) fn median_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}
