//! What every storage does that can be written.

use apyfal_core::ErrorKind;
use apyfal_storage::Storage;

use super::*;

/// A storage under test.
pub(crate) struct WritableStorage {
    pub(crate) storage: Storage,
    /// What a name is put behind to make a URL.
    pub(crate) prefix: String,
    /// The names that are there.
    pub(crate) names: Box<dyn Fn() -> Vec<String>>,
    /// What is under way and would stay if nobody cleared it.
    pub(crate) leftovers: Box<dyn Fn() -> usize>,
}

impl WritableStorage {
    fn url(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn is_clean(&self) -> bool {
        (self.names)().is_empty() && (self.leftovers)() == 0
    }
}

/// Checks all of it. It must be empty.
pub(crate) async fn check(tested: &WritableStorage) {
    nothing_is_left_of_what_is_not_committed(tested).await;
    what_is_missing_is_not_found(tested).await;
    what_is_written_is_read(tested).await;
    a_result_may_replace_its_source(tested).await;
    one_of_two_writers_wins(tested).await;
    small_data_is_read_at_once(tested).await;
    assert_eq!((tested.leftovers)(), 0);
}

async fn nothing_is_left_of_what_is_not_committed(tested: &WritableStorage) {
    let url = tested.url("aborted");
    for len in [0, 10, 2 * PART + PART / 2] {
        let (destination, output) = begin(&tested.storage, &url).await.unwrap();
        write_output(output, noise(len, 1)).await.unwrap();
        destination.abort().await;
        assert!(tested.is_clean(), "after {len} bytes were aborted");

        let (destination, output) = begin(&tested.storage, &url).await.unwrap();
        write_output(output, noise(len, 1)).await.unwrap();
        drop(destination);
        eventually("nothing is left after dropping", || tested.is_clean()).await;
    }
    // Given up in the middle of writing, with the writer still at work.
    let (destination, mut output) = begin(&tested.storage, &url).await.unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writing = tokio::task::spawn_blocking(move || {
        let mut writer = context(&Cancel::default())
            .writer(std::mem::replace(&mut output, Output::stream(std::io::sink())));
        let data = noise(1 << 20, 2);
        for _ in 0..64 {
            if stopped.try_recv().is_ok() || writer.write_all(&data).is_err() {
                break;
            }
        }
    });
    drop(destination);
    let _ = stop.send(());
    writing.await.unwrap();
    eventually("nothing is left after giving up", || tested.is_clean()).await;
}

async fn what_is_missing_is_not_found(tested: &WritableStorage) {
    let url = tested.url("missing");
    let error = read(&tested.storage, &url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound, "{error}");
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(!tested.storage.exists(&location(&url)).await.unwrap());
}

async fn what_is_written_is_read(tested: &WritableStorage) {
    let url = tested.url("data.bin");
    for len in [3 * PART + 1, PART, PART - 1, 1, 0] {
        let data = noise(len, len as u64);
        write(&tested.storage, &url, &data).await.unwrap();
        assert_eq!((tested.names)(), ["data.bin"]);
        let input = tested.storage.open_input(&location(&url)).await.unwrap();
        assert_eq!((input.name(), input.len()), (Some("data.bin"), Some(len as u64)));
        assert!(read_input(input).await.unwrap() == data, "{len} bytes differ");
        let metadata = tested.storage.stat(&location(&url)).await.unwrap();
        assert_eq!((metadata.len, metadata.is_directory), (Some(len as u64), false));
    }
    assert!(tested.storage.exists(&location(&url)).await.unwrap());
}

async fn a_result_may_replace_its_source(tested: &WritableStorage) {
    let url = tested.url("data.bin");
    let data = noise(PART + 7, 3);
    write(&tested.storage, &url, &data).await.unwrap();
    let input = tested.storage.open_input(&location(&url)).await.unwrap();
    let (destination, output) = begin(&tested.storage, &url).await.unwrap();
    let mut turned = read_input(input).await.unwrap();
    turned.reverse();
    write_output(output, turned).await.unwrap();
    assert!(read(&tested.storage, &url).await.unwrap() == data, "it changed before the commit");
    destination.commit(&Cancel::default()).await.unwrap();
    let back = read(&tested.storage, &url).await.unwrap();
    assert!(back.iter().rev().eq(&data));
}

async fn one_of_two_writers_wins(tested: &WritableStorage) {
    let url = tested.url("data.bin");
    let versions = [noise(2 * PART, 4), noise(PART, 5)];
    let [first, second] = &versions;
    let (one, other) =
        tokio::join!(write(&tested.storage, &url, first), write(&tested.storage, &url, second));
    one.and(other).unwrap();
    let winner = read(&tested.storage, &url).await.unwrap();
    assert!(versions.contains(&winner), "the winner is a mixture");
}

async fn small_data_is_read_at_once(tested: &WritableStorage) {
    let url = tested.url("data.bin");
    write(&tested.storage, &url, b"{}").await.unwrap();
    assert_eq!(tested.storage.read(&location(&url), 2).await.unwrap(), b"{}");
    let error = tested.storage.read(&location(&url), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
