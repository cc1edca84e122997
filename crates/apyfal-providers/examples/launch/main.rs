//! From nothing to the answer of RunInstances, and the list of many machines, beside a program of
//! boto3 that makes the same calls: `cargo xtask bench-aws`.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

mod boto3;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use apyfal_core::{Configuration, Environment, Image};
use apyfal_providers::{
    AgentNeeds, Artifact, AtShutdown, Aws, Boot, HostFilter, HostSpec, Provider, Script, Token,
};
use apyfal_testkit::Cloud;
use data_encoding::HEXLOWER;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};

use boto3::Boto3;
use table::{Pair, Row};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const IMAGE: &str =
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
const INSTANCE_TYPE: &str = "t3.medium";
const INSTALLATION: &str = "here";
/// With rights, so that a role, a policy and a profile are needed too.
const CONFIGURATION: &str =
    "[host]\nhost_type = AWS\nallowed_cidr = 192.0.2.7\n[host.AWS]\ns3_buckets = all\n";
/// How long a call is under way, where one is.
const DISTANCE: Duration = Duration::from_millis(50);
const LISTED: usize = 1000;

/// What something took, in seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Spent {
    wall: f64,
    /// Of the process, which does nothing else.
    processor: f64,
}

impl Spent {
    async fn by<T>(work: impl Future<Output = apyfal_core::Result<T>>) -> Result<(T, Self)> {
        let processor = || {
            let spent = clock_gettime(ClockId::ProcessCPUTime);
            spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
        };
        let (since, before) = (Instant::now(), processor());
        let done = work.await?;
        let wall = since.elapsed().as_secs_f64();
        Ok((done, Self { wall, processor: processor() - before }))
    }
}

/// An account in which there is nothing yet, and the home of its owner.
#[derive(Debug)]
struct Account {
    cloud: Cloud,
    home: tempfile::TempDir,
}

impl Account {
    fn new() -> Result<Self> {
        Ok(Self { cloud: Cloud::start()?, home: tempfile::tempdir()? })
    }

    fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let home = self.home.path().display().to_string();
        self.cloud.environment().into_iter().chain([("HOME", home)])
    }

    fn aws(&self) -> apyfal_core::Result<Aws> {
        let variables = self.variables().map(|(name, value)| (name.to_owned(), value)).collect();
        let environment = Environment { variables, home: Some(self.home.path().to_owned()) };
        let configuration = Configuration::parse(CONFIGURATION.as_bytes(), "accelerator.conf")?;
        Aws::new(&configuration, &environment, None)
    }

    /// The calls since the first `seen` ones, in the order of their names.
    fn actions(&self, seen: usize) -> Vec<String> {
        let calls = self.cloud.calls().into_iter().skip(seen);
        let mut actions: Vec<_> = calls.map(|call| call.action).collect();
        actions.sort_unstable();
        actions
    }
}

async fn launch(account: &Account, spec: &HostSpec, token: &str) -> apyfal_core::Result<()> {
    let aws = account.aws()?;
    let prepared = aws.prepare(spec, &[]).await?;
    aws.create(&prepared.request, &Token(token.to_owned())).await.map(drop)
}

fn spec(artifact: Artifact) -> HostSpec {
    let text = format!("#!/bin/sh\ncurl -o /run/agent {}\n", artifact.place());
    HostSpec {
        name: "accelize_gzip_261128010203".to_owned(),
        accelerator: "gzip".to_owned(),
        installation: INSTALLATION.to_owned(),
        instance_type: Some(INSTANCE_TYPE.to_owned()),
        image: Some(Image::Parameter { ssm: IMAGE.to_owned() }),
        fpga_image: None,
        at_shutdown: AtShutdown::Terminate,
        idle_timeout: Some(Duration::from_secs(1800)),
        max_lifetime: Some(Duration::from_secs(43200)),
        boot: Boot::Script(Script {
            text,
            artifacts: vec![artifact],
            agent: AgentNeeds::default(),
        }),
    }
}

/// A file of 1 MiB that hosts fetch.
fn artifact(directory: &Path) -> Result<Artifact> {
    let (path, data) = (directory.join("agent"), vec![7; 1 << 20]);
    std::fs::write(&path, &data)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &data);
    Ok(Artifact { path, sha256: HEXLOWER.encode(digest.as_ref()) })
}

/// A machine where all is to be made first, and another one where it is there. Each side has an
/// account of its own.
async fn launches(
    boto3: &mut Boto3,
    spec: &HostSpec,
    job: &Value,
    distance: Duration,
) -> Result<[Pair; 2]> {
    let (here, there) = (Account::new()?, Account::new()?);
    for account in [&here, &there] {
        boto3.run("warm", account, job)?;
        account.cloud.set(&json!({ "distance": distance.as_secs_f64() }));
    }
    let mut seen = here.cloud.calls().len();
    let mut pairs = Vec::new();
    for token in ["first", "second"] {
        let ((), ours) = Spent::by(launch(&here, spec, token)).await?;
        let theirs = boto3.run("launch", &there, job)?;
        let (actions, others) = (here.actions(seen), there.actions(seen));
        if actions != others {
            return Err(format!("the calls are not the same:\n{actions:?}\n{others:?}").into());
        }
        seen += actions.len();
        pairs.push(Pair { ours, theirs, calls: actions.len() });
    }
    pairs.try_into().map_err(|_| "there are two of them".into())
}

/// All machines of the installation, listed `rounds` times by clients that are there.
async fn lists(boto3: &mut Boto3, job: &Value, rounds: usize) -> Result<Vec<Pair>> {
    let account = Account::new()?;
    boto3.run("fill", &account, job)?;
    let aws = account.aws()?;
    let filter =
        HostFilter { installation: Some(INSTALLATION.to_owned()), ..HostFilter::default() };
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let before = account.cloud.calls().len();
        let (found, ours) = Spent::by(aws.list(&filter)).await?;
        if found.len() != LISTED {
            return Err(format!("{} machines were listed", found.len()).into());
        }
        let calls = account.cloud.calls().len() - before;
        pairs.push(Pair { ours, theirs: boto3.run("list", &account, job)?, calls });
    }
    Ok(pairs)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let rounds: usize = std::env::args().nth(1).ok_or("usage: launch ROUNDS")?.parse()?;
    let directory = tempfile::tempdir()?;
    let artifact = artifact(directory.path())?;
    let job = json!({
        "parameter": IMAGE,
        "instance_type": INSTANCE_TYPE,
        "artifact": artifact.path,
        "sha256": artifact.sha256,
        "count": LISTED,
        // As hosts have them.
        "tags": {
            "Name": "accelize_gzip_261128010203", "Generated": "Generated by Apyfal",
            "Apyfal": "Apyfal", "apyfal:installation": INSTALLATION,
            "apyfal:owner": "arn:aws:iam::123456789012:user/me", "apyfal:accelerator": "gzip",
        },
    });
    let spec = spec(artifact);
    let mut boto3 = Boto3::start()?;
    let mut rows = Vec::new();
    for (distance, away) in [(Duration::ZERO, ""), (DISTANCE, ", 50 ms away")] {
        let mut pairs = [Vec::new(), Vec::new()];
        // The first round only warms.
        for round in 0..=rounds {
            for (pairs, pair) in
                pairs.iter_mut().zip(launches(&mut boto3, &spec, &job, distance).await?)
            {
                pairs.extend((round > 0).then_some(pair));
            }
        }
        let names = ["a machine, all to be made", "a machine, all there"];
        rows.extend(
            names
                .into_iter()
                .zip(pairs)
                .map(|(name, pairs)| Row { name: format!("{name}{away}"), pairs }),
        );
    }
    let mut pairs = lists(&mut boto3, &job, rounds + 1).await?;
    pairs.remove(0);
    rows.push(Row { name: format!("list of {LISTED} machines"), pairs });
    println!("{}", table::table(&rows));
    Ok(())
}
