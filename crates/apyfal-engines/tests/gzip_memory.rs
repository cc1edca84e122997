//! Memory of `gzip` and `gunzip` stays flat. In a process of its own, for it is measured.

#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apyfal_core::{Cancel, EngineJob, Input, JobContext, Output, Params, Progress};
use apyfal_engines::Registry;
use flate2::{Compress, Compression, FlushCompress};
use libdeflater::Crc;

const MIB: u64 = 1 << 20;

/// The most memory that this process ever had.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

/// Counts what is written to it.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

impl Write for Counter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(data.len() as u64, Ordering::Relaxed);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much a job on two threads writes.
fn run(engine: &str, src: impl Read + Send + 'static) -> u64 {
    let threads = NonZeroUsize::new(2).unwrap();
    let ctx = JobContext::new(Cancel::default(), Arc::<Progress>::default(), "/tmp", threads);
    let engine = Registry::default().find(engine).unwrap().best().clone();
    let params =
        Params::check("it", &engine.accelerator().params, None, &Default::default()).unwrap();
    let session = engine.open(None, &params, &Path::new("/nonexistent"), &ctx).unwrap();
    let counter = Counter::default();
    let dst = Some(Output::stream(counter.clone()));
    session.process(EngineJob { src: Some(Input::stream(src)), dst, params }, &ctx).unwrap();
    counter.0.load(Ordering::Relaxed)
}

/// One member of `mib` MiB of zeros: a block of deflate data that refers to nothing before it,
/// again and again.
fn zeros_in_one_member(mib: u64) -> Vec<u8> {
    let zeros = vec![0; MIB as usize];
    let mut compress = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(MIB as usize);
    compress.compress_vec(&zeros, &mut block, FlushCompress::Full).unwrap();
    let mut crc = Crc::new();
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for _ in 0..mib {
        crc.update(&zeros);
        member.extend(&block);
    }
    member.extend([3, 0]);
    member.extend(crc.sum().to_le_bytes());
    member.extend(((mib * MIB) as u32).to_le_bytes());
    member
}

#[test]
fn memory_stays_flat() {
    let bomb = zeros_in_one_member(1024);
    let noise: Vec<u8> =
        (0u32..MIB as u32).map(|n| (n.wrapping_mul(n ^ 0x9e37_79b9) >> 13) as u8).collect();
    let before = peak_memory();

    let endless = noise.into_iter().cycle();
    let source = io::BufReader::new(Cycle(endless)).take(256 * MIB);
    assert!(run("gzip", source) > MIB);
    assert_eq!(run("gunzip", io::Cursor::new(bomb)), 1024 * MIB);

    let grown = peak_memory() - before;
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
}

struct Cycle<I>(I);

impl<I: Iterator<Item = u8>> Read for Cycle<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill_with(|| self.0.next().unwrap_or_default());
        Ok(buffer.len())
    }
}
