//! The behaviour of storages, against real files and real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod behaviour;
mod copies;
mod guards;
mod hosts;
mod local;
mod object_stores;
mod streams;
mod web_servers;

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use apyfal_core::{Cancel, Input, JobContext, Output, Progress, Result, Source};
use apyfal_storage::{Destination, Location, MountOptions, Storage};
use apyfal_testkit::{Moto, Thread, eventually};

/// The size of the parts of large objects.
const PART: usize = 8 << 20;

fn location(url: &str) -> Location {
    Location::parse(url).unwrap()
}

/// Bytes that look random and are the same on every run.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut data: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    data.truncate(len);
    data
}

fn context(cancel: &Cancel) -> JobContext {
    JobContext::new(cancel.clone(), Arc::<Progress>::default(), "", NonZeroUsize::MIN)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn read_input(input: Input) -> Result<Vec<u8>> {
    blocking(move || {
        let mut data = Vec::new();
        let mut reader = context(&Cancel::default()).reader(input)?;
        std::io::Read::read_to_end(&mut reader, &mut data)?;
        Ok(data)
    })
    .await
}

async fn read(storage: &Storage, url: &str) -> Result<Vec<u8>> {
    read_input(storage.open_input(&location(url)).await?).await
}

async fn write_output(output: Output, data: Vec<u8>) -> Result<()> {
    blocking(move || {
        let mut writer = context(&Cancel::default()).writer(output);
        writer.write_all(&data)?;
        Ok(writer.flush()?)
    })
    .await
}

async fn begin(storage: &Storage, url: &str) -> Result<(Destination, Output)> {
    let mut destination = storage.create_output(&location(url)).await?;
    let output = destination.take_output().unwrap();
    assert!(destination.take_output().is_none(), "an output is there once");
    Ok((destination, output))
}

async fn write(storage: &Storage, url: &str, data: &[u8]) -> Result<()> {
    let (destination, output) = begin(storage, url).await?;
    write_output(output, data.to_vec()).await?;
    destination.commit(&Cancel::default()).await.map(drop)
}

async fn copy(storage: &Storage, src: &str, dst: &str) -> Result<Arc<Progress>> {
    let progress = Arc::default();
    storage.copy(&location(src), &location(dst), &Cancel::default(), &progress).await?;
    Ok(progress)
}

/// Begins what blocks, and waits until it does.
async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    let (sender, thread) = tokio::sync::oneshot::channel();
    let working = tokio::task::spawn_blocking(move || {
        sender.send(Thread::current().unwrap()).unwrap();
        work()
    });
    let thread = thread.await.unwrap();
    eventually("it waits", || thread.waits()).await;
    working
}

/// One server for all tests; it ends with the process.
static MOTO: LazyLock<Mutex<Moto>> = LazyLock::new(|| Mutex::new(Moto::start().unwrap()));

fn moto<T>(ask: impl FnOnce(&Moto) -> std::io::Result<T>) -> T {
    ask(&MOTO.lock().unwrap()).unwrap()
}

fn s3_options(endpoint: &str) -> MountOptions {
    let options: BTreeMap<_, _> = [
        ("storage_type", "AWS"),
        ("client_id", "AKID"),
        ("secret_id", "hunter2"),
        ("endpoint", endpoint),
        ("unsecure", "True"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    MountOptions::from_map(&options).unwrap()
}

/// A storage that reaches moto as `s3://`.
fn s3() -> Storage {
    let storage = Storage::new();
    storage.mount("s3", s3_options(&moto(|moto| Ok(moto.url())))).unwrap();
    storage
}

fn is_directory(input: &Input) -> bool {
    matches!(input.source(), Source::Directory(_))
}
