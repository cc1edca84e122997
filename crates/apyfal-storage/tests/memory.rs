//! Memory stays flat however large an object is. A process of its own, so that nothing else counts.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use apyfal_core::{Cancel, JobContext, Progress};
use apyfal_storage::{Location, MountOptions, Storage, StorageType};
use apyfal_testkit::Moto;

const LEN: usize = 256 << 20;
const BLOCK: usize = 1 << 20;

/// The most memory that this process ever had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn context() -> JobContext {
    JobContext::new(Cancel::default(), Arc::<Progress>::default(), "", NonZeroUsize::MIN)
}

fn block(number: usize) -> Vec<u8> {
    (0..BLOCK).map(|index| (index * 31 + number * 7) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_need_little_memory() {
    let moto = Moto::start().unwrap();
    moto.create_bucket("large").unwrap();
    let storage = Storage::new();
    let mut options = MountOptions::new(StorageType::S3);
    options.client_id = Some("id".into());
    options.secret_id = Some(apyfal_core::Secret::new("secret"));
    options.endpoint = Some(moto.url());
    options.unsecure = true;
    storage.mount("s3", options).unwrap();
    let location = Location::parse("s3://large/object").unwrap();
    let before = peak();

    let mut destination = storage.create_output(&location).await.unwrap();
    let mut writer = context().writer(destination.take_output().unwrap());
    tokio::task::spawn_blocking(move || {
        (0..LEN / BLOCK).for_each(|number| writer.write_all(&block(number)).unwrap());
    })
    .await
    .unwrap();
    destination.commit(&Default::default()).await.unwrap();

    let input = storage.open_input(&location).await.unwrap();
    assert_eq!(input.len(), Some(LEN as u64));
    let mut reader = context().reader(input).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; BLOCK];
        for number in 0..LEN / BLOCK {
            reader.read_exact(&mut buffer).unwrap();
            assert!(buffer == block(number), "block {number}");
        }
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    })
    .await
    .unwrap();
    let grown = peak() - before;
    println!("{} MiB for {} MiB", grown >> 20, LEN >> 20);
    assert!(grown < LEN / 2, "{} MiB", grown >> 20);
}
