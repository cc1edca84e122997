//! What a small job costs: microseconds per `Agent::process`, by accelerator and size of the source.
//!
//! `cargo run --release -p apyfal-agent --example small_jobs`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use apyfal_agent::{Agent, AgentOptions, Root};
use apyfal_core::{Client, Input, Job, JobIo, JobParameters, Output, Result, Start};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let root = tempfile::tempdir()?;
        let agent = Agent::new(AgentOptions {
            root: Root::Kept {
                path: root.path().to_owned(),
                is_shared: true,
                room: Default::default(),
            },
            registry: Default::default(),
            storage: Default::default(),
            threads: None,
            max_waiting: None,
        });
        println!("{:<12}{:<28}{:>8}{:>12}{:>12}", "", "", "bytes", "median", "of 99 %");
        let corpus = "A,four\n";
        for (accelerator, parameters, corpus) in [
            ("null", json!({}), None),
            ("gzip", json!({"level": "1"}), None),
            ("gzip", json!({"level": "6"}), None),
            ("gzip", json!({"level": "9"}), None),
            ("sha3", json!({"type": "sha3-256"}), None),
            ("sha3", json!({"type": "sha3-512"}), None),
            ("hyperfire", json!({}), Some(corpus)),
        ] {
            let start = Start { accelerator: accelerator.into(), ..Start::default() };
            let src = corpus.map(Input::bytes);
            let session = agent.start(start, JobIo { src, ..JobIo::default() }).await?.id;
            for len in [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10] {
                let micros = measure(&agent, &session, &parameters, accelerator, len).await?;
                let [median, most] = [1, 2].map(|part| micros[micros.len() * (49 * part) / 99]);
                println!(
                    "{accelerator:<12}{:<28}{len:>8}{median:>9.1} µs{most:>9.1} µs",
                    parameters.to_string()
                );
            }
            agent.stop(&session).await?;
        }
        Ok(())
    })
}

/// Microseconds per job, in order.
async fn measure(
    agent: &Agent,
    session: &str,
    parameters: &Value,
    accelerator: &str,
    len: usize,
) -> Result<Vec<f64>> {
    let specific = parameters.as_object().cloned().unwrap_or_default();
    // Few symbols in no order: what compressors take longest for.
    let data: Vec<u8> = match accelerator {
        // Words are short, and all of them are replaced.
        "hyperfire" => b"A ".iter().copied().cycle().take(len).collect(),
        _ => (0..len as u64)
            .map(|at| b"ACGT"[((at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % 4])
            .collect(),
    };
    let mut micros = Vec::new();
    for _ in 0..2000 {
        let job = Job {
            session: session.to_owned(),
            parameters: JobParameters::specific(specific.clone()),
            ..Job::default()
        };
        let dst = (accelerator != "sha3").then(|| Output::memory(Vec::new()));
        let io = JobIo { src: Some(Input::bytes(data.clone())), dst, ..JobIo::default() };
        let begin = Instant::now();
        agent.process(job, io).await?;
        micros.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    Ok(micros)
}
