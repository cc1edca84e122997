//! What every storage does that can be written.

use apyfal_core::ErrorKind;
use apyfal_storage::Storage;

use super::*;

/// A storage under test.
pub(crate) struct Place {
    pub(crate) storage: Storage,
    /// What a name is put behind to make a URL.
    pub(crate) prefix: String,
    /// The names that are there.
    pub(crate) names: Box<dyn Fn() -> Vec<String>>,
    /// What is under way and would stay if nobody cleared it.
    pub(crate) leftovers: Box<dyn Fn() -> usize>,
}

impl Place {
    fn url(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn is_clean(&self) -> bool {
        (self.names)().is_empty() && (self.leftovers)() == 0
    }
}

/// Checks all of it. The place must be empty.
pub(crate) async fn check(place: &Place) {
    nothing_is_left_of_what_is_not_committed(place).await;
    what_is_missing_is_not_found(place).await;
    what_is_written_is_read(place).await;
    a_result_may_replace_its_source(place).await;
    one_of_two_writers_wins(place).await;
    small_data_is_read_at_once(place).await;
    assert_eq!((place.leftovers)(), 0);
}

async fn nothing_is_left_of_what_is_not_committed(place: &Place) {
    let url = place.url("aborted");
    for len in [0, 10, 2 * PART + PART / 2] {
        let (destination, output) = begin(&place.storage, &url).await.unwrap();
        write_output(output, noise(len, 1)).await.unwrap();
        destination.abort().await;
        assert!(place.is_clean(), "after {len} bytes were aborted");

        let (destination, output) = begin(&place.storage, &url).await.unwrap();
        write_output(output, noise(len, 1)).await.unwrap();
        drop(destination);
        eventually("nothing is left after dropping", || place.is_clean()).await;
    }
    // Given up in the middle of writing, with the writer still at work.
    let (destination, mut output) = begin(&place.storage, &url).await.unwrap();
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
    eventually("nothing is left after giving up", || place.is_clean()).await;
}

async fn what_is_missing_is_not_found(place: &Place) {
    let url = place.url("missing");
    let error = read(&place.storage, &url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound, "{error}");
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(!place.storage.exists(&location(&url)).await.unwrap());
}

async fn what_is_written_is_read(place: &Place) {
    let url = place.url("data.bin");
    for len in [3 * PART + 1, PART, PART - 1, 1, 0] {
        let data = noise(len, len as u64);
        write(&place.storage, &url, &data).await.unwrap();
        assert_eq!((place.names)(), ["data.bin"]);
        let input = place.storage.open_input(&location(&url)).await.unwrap();
        assert_eq!((input.name(), input.len()), (Some("data.bin"), Some(len as u64)));
        assert!(read_input(input).await.unwrap() == data, "{len} bytes differ");
        let metadata = place.storage.stat(&location(&url)).await.unwrap();
        assert_eq!((metadata.len, metadata.is_directory), (Some(len as u64), false));
    }
    assert!(place.storage.exists(&location(&url)).await.unwrap());
}

async fn a_result_may_replace_its_source(place: &Place) {
    let url = place.url("data.bin");
    let data = noise(PART + 7, 3);
    write(&place.storage, &url, &data).await.unwrap();
    let input = place.storage.open_input(&location(&url)).await.unwrap();
    let (destination, output) = begin(&place.storage, &url).await.unwrap();
    let mut turned = read_input(input).await.unwrap();
    turned.reverse();
    write_output(output, turned).await.unwrap();
    assert!(read(&place.storage, &url).await.unwrap() == data, "it changed before the commit");
    destination.commit(&Cancel::default()).await.unwrap();
    let back = read(&place.storage, &url).await.unwrap();
    assert!(back.iter().rev().eq(&data));
}

async fn one_of_two_writers_wins(place: &Place) {
    let url = place.url("data.bin");
    let versions = [noise(2 * PART, 4), noise(PART, 5)];
    let [first, second] = &versions;
    let (one, other) =
        tokio::join!(write(&place.storage, &url, first), write(&place.storage, &url, second));
    one.and(other).unwrap();
    let winner = read(&place.storage, &url).await.unwrap();
    assert!(versions.contains(&winner), "the winner is a mixture");
}

async fn small_data_is_read_at_once(place: &Place) {
    let url = place.url("data.bin");
    write(&place.storage, &url, b"{}").await.unwrap();
    assert_eq!(place.storage.read(&location(&url), 2).await.unwrap(), b"{}");
    let error = place.storage.read(&location(&url), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
