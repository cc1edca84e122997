//! One accelerator over many files, and again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use apyfal::files::{Asked, FileMap, FileMapOptions, Outcome, Plan};
use apyfal::{Accelerator, Call, Cancel};
use serde_json::Map;

/// Maps what is below a directory, and ends once so many were done; how many were, and had been.
async fn mapped(folder: &Path, end: usize) -> (usize, usize) {
    let accelerator = Accelerator::builder("gzip").build().unwrap();
    let (info, storage) = (accelerator.info().await.unwrap(), accelerator.storage());
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let plan = Plan::of(&path("from"), &path("to"), None, info, storage).await.unwrap();
    let asked = Asked::of(&accelerator, &Map::new(), None, None).await.unwrap();
    let journal = plan.journal(None).unwrap();
    accelerator.start(Call::new()).await.unwrap();
    let parameters = accelerator.check(Call::new()).await.unwrap();
    let cancel = Cancel::default();
    let options = FileMapOptions { journal, asked, parameters, again: false, cancel };
    let mut files = FileMap::new(&accelerator, plan.items, options).await.unwrap();
    let (mut done, mut skipped) = (0, 0);
    while let Some((_, outcome)) = files.next().await {
        match outcome.unwrap() {
            Outcome::Done(_) => done += 1,
            Outcome::Skipped => skipped += 1,
        }
        if done == end {
            files.end().await;
            break;
        }
    }
    accelerator.stop().await.unwrap();
    (done, skipped)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    (0..400).for_each(|number| write(&format!("from/{}/{number}", number % 7), "text"));
    // Ended in the middle, then the rest, then nothing.
    assert_eq!(mapped(folder.path(), 50).await.0, 50);
    let (rest, before) = mapped(folder.path(), 1000).await;
    assert!(before >= 50 && rest + before == 400, "{rest} after {before}");
    assert_eq!(mapped(folder.path(), 1000).await, (0, 400));
    write("from/0/7", "other text");
    assert_eq!(mapped(folder.path(), 1000).await, (1, 399));
}
