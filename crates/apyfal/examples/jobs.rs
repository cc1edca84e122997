//! Jobs of 1 KiB on hosts, over and over: `jobs SECONDS AT_ONCE ADDRESS…`. Several hosts are used as one. It
//! prints how long half of the jobs took at most, in microseconds, and how many there were in a second.
//! `cargo xtask bench-host` measures the library's own client by it.

use std::io::Write;
use std::time::{Duration, Instant};

use apyfal::{Accelerator, Call, Input, Output, RemoteOptions, Result};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(1_u32);
    let (time, at_once) = (Duration::from_secs(number().into()), number());
    let hosts: Vec<_> =
        words.map(|address| RemoteOptions::new(format!("http://{address}"))).collect();
    tokio::runtime::Runtime::new()?.block_on(measured(hosts, time, at_once))
}

async fn measured(hosts: Vec<RemoteOptions>, time: Duration, at_once: u32) -> Result<()> {
    let null = Accelerator::builder("null").hosts(hosts).build()?;
    null.start(Call::new()).await?;
    let begin = Instant::now();
    let clients = (0..at_once).map(|_| {
        let null = null.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while begin.elapsed() < time {
                let start = Instant::now();
                let (src, dst) = (Input::memory(vec![b'x'; 1024]), Output::memory(Vec::new()));
                null.process(Call::new().input(src).output(dst)).await?;
                taken.push(start.elapsed());
            }
            Ok::<_, apyfal::Error>(taken)
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.extend(client.await.map_err(|error| {
            apyfal::Error::new(apyfal::ErrorKind::Internal, error.to_string())
        })??);
    }
    let seconds = begin.elapsed().as_secs_f64();
    all.sort_unstable();
    let p50 = all.get(all.len() / 2).copied().unwrap_or_default();
    let told = format!("{} {}\n", p50.as_secs_f64() * 1e6, all.len() as f64 / seconds);
    std::io::stdout().write_all(told.as_bytes())?;
    null.stop().await.map(drop)
}
