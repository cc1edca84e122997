use std::fs;

use apyfal_core::ErrorKind;
use apyfal_testkit::{Answer, Body, FaultServer, Nginx};
use tempfile::TempDir;

use super::local::names;
use super::*;

#[tokio::test]
async fn copies_go_between_any_two() {
    moto(|moto| moto.create_bucket("copies"));
    moto(|moto| moto.create_bucket("copies-2"));
    let directory = TempDir::new().unwrap();
    let nginx = Nginx::start(directory.path()).unwrap();
    let root = directory.path().display();
    let storage = s3();
    let data = noise(PART + 99, 30);
    fs::write(directory.path().join("0"), &data).unwrap();
    let (web, file) = (nginx.url("0"), |name: &str| format!("file://{root}/{name}"));
    for (src, dst) in [
        (file("0"), file("1")),
        (file("1"), "s3://copies/1".into()),
        ("s3://copies/1".into(), "s3://copies/2".into()),
        ("s3://copies/2".into(), "s3://copies-2/3".into()),
        ("s3://copies-2/3".into(), file("4")),
        (web.clone(), file("5")),
        (web, "s3://copies/6".into()),
        (file("4"), file("1")),
    ] {
        let progress = copy(&storage, &src, &dst).await.unwrap();
        assert!(read(&storage, &dst).await.unwrap() == data, "{src} to {dst}");
        let len = data.len() as u64;
        assert_eq!(
            (progress.total(), progress.read(), progress.written()),
            (Some(len), len, len),
            "{src} to {dst}"
        );
    }
    assert_eq!(names(directory.path()), ["0", "1", "4", "5"]);
    assert!(moto(|moto| moto.unfinished_uploads("copies")).is_empty());
}

#[tokio::test]
async fn within_a_bucket_no_data_passes_through_here() {
    let server = FaultServer::start(|request| match request.method.as_str() {
        "HEAD" => Answer::new(200, "data").header("ETag", "\"1\""),
        _ => Answer::new(200, "<CopyObjectResult><ETag>\"1\"</ETag></CopyObjectResult>"),
    })
    .unwrap();
    let storage = Storage::new();
    storage.mount("s3", s3_options(&server.url())).unwrap();
    copy(&storage, "s3://b/a b", "s3://b/c").await.unwrap();
    let requests = server.requests();
    let put = requests.iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!((put.path.as_str(), put.headers["x-amz-copy-source"].as_str()), ("/b/c", "b/a%20b"));
    assert!(requests.iter().all(|request| request.method != "GET"));
}

#[tokio::test]
async fn empty_and_odd_sources_are_copied() {
    let directory = TempDir::new().unwrap();
    let storage = Storage::new();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("empty"), "").unwrap();
    copy(&storage, &at("empty"), &at("copy")).await.unwrap();
    assert_eq!(fs::read(at("copy")).unwrap(), b"");
    copy(&storage, "/proc/self/status", &at("status")).await.unwrap();
    assert!(fs::read(at("status")).unwrap().starts_with(b"Name:"));
    copy(&storage, &at("status"), "/dev/null").await.unwrap();
}

#[tokio::test]
async fn wrong_copies_are_refused_and_change_nothing() {
    let directory = TempDir::new().unwrap();
    let storage = Storage::new();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("a"), "a").unwrap();
    fs::hard_link(at("a"), at("hard")).unwrap();
    std::os::unix::fs::symlink("a", at("soft")).unwrap();
    for (src, dst) in [("a", "a"), ("a", "hard"), ("soft", "a"), ("hard", "soft")] {
        let error = copy(&storage, &at(src), &at(dst)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    let error = copy(&storage, "s3://b/k", "s3://b/k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    let error = copy(&storage, &at(""), &at("b")).await.unwrap_err();
    assert!(error.to_string().contains("it is a directory"), "{error}");
    let error = copy(&storage, &at("missing"), &at("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound);
    assert_eq!(names(directory.path()), ["a", "hard", "soft"]);
    assert_eq!(fs::read(at("a")).unwrap(), b"a");
}

#[tokio::test]
async fn a_copy_that_fails_or_is_cancelled_leaves_nothing() {
    moto(|moto| moto.create_bucket("cancelled"));
    let directory = TempDir::new().unwrap();
    let broken = FaultServer::start(|_| {
        Answer::new(200, noise(30 << 20, 31)).body(Body::CutAfter(20 << 20))
    })
    .unwrap();
    let slow = FaultServer::start(|_| {
        Answer::new(200, vec![0; 30 << 20]).body(Body::Slow(Duration::from_millis(5)))
    })
    .unwrap();
    let storage = s3();
    let file = directory.path().join("file").to_str().unwrap().to_owned();
    for dst in [file.as_str(), "s3://cancelled/key"] {
        let error = copy(&storage, &broken.url(), dst).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");

        let (cancel, progress) = (Cancel::default(), Arc::<Progress>::default());
        let (src, dst) = (location(&slow.url()), location(dst));
        let copying = storage.copy(&src, &dst, &cancel, &progress);
        let cancelling = async {
            eventually("some bytes are copied", || progress.read() > 1 << 20).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(copying, cancelling);
        assert!(result.unwrap_err().is_cancelled());
    }
    assert!(names(directory.path()).is_empty());
    assert!(moto(|moto| moto.keys("cancelled")).is_empty());
    assert!(moto(|moto| moto.unfinished_uploads("cancelled")).is_empty());
}
