use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use apyfal_core::{ErrorKind, Sink};
use tempfile::TempDir;

use super::behaviour::{WritableStorage, check};
use super::*;

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn fifo(directory: &Path) -> PathBuf {
    let path = directory.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[tokio::test]
async fn files_behave() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().to_owned();
    check(&WritableStorage {
        storage: Storage::new(),
        prefix: format!("{}/", root.display()),
        names: Box::new(move || names(&root)),
        leftovers: Box::new(|| 0),
    })
    .await;
}

#[tokio::test]
async fn what_is_on_the_way_has_a_path_of_its_own() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("result");
    let (destination, output) = begin(&Storage::new(), &text(&path)).await.unwrap();
    assert_eq!(output.name(), Some("result"));
    let Sink::File { path: place, .. } = output.sink() else { panic!("not a file") };
    // As a program that is given the path does.
    assert!(
        Command::new("sh")
            .args(["-c", "printf abc > \"$0\""])
            .arg(place)
            .status()
            .unwrap()
            .success()
    );
    assert!(!path.exists());
    destination.commit(&Cancel::default()).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abc");
}

#[tokio::test]
async fn modes_and_links_are_kept() {
    let directory = TempDir::new().unwrap();
    let storage = Storage::new();
    let at = |name: &str| directory.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;

    fs::write(at("plain"), "").unwrap();
    write(&storage, &text(&at("new")), b"a").await.unwrap();
    assert_eq!(mode("new"), mode("plain"), "the umask counts as for any file");

    fs::set_permissions(at("new"), fs::Permissions::from_mode(0o751)).unwrap();
    symlink("new", at("link")).unwrap();
    symlink("link", at("link to link")).unwrap();
    write(&storage, &text(&at("link to link")), b"b").await.unwrap();
    assert!(at("link").is_symlink() && at("link to link").is_symlink());
    assert_eq!((fs::read(at("new")).unwrap(), mode("new")), (b"b".to_vec(), 0o751));

    symlink("made", at("dangling")).unwrap();
    write(&storage, &text(&at("dangling")), b"c").await.unwrap();
    assert_eq!(fs::read(at("made")).unwrap(), b"c");
    assert_eq!(
        names(directory.path()),
        ["dangling", "link", "link to link", "made", "new", "plain"]
    );
}

#[tokio::test]
async fn directories_are_read_and_not_written() {
    let directory = TempDir::new().unwrap();
    let path = text(directory.path());
    let storage = Storage::new();
    assert!(is_directory(&storage.open_input(&location(&path)).await.unwrap()));
    assert!(storage.stat(&location(&path)).await.unwrap().is_directory);
    for name in [path.clone(), format!("{path}/new/"), "/".into()] {
        let error = storage.create_output(&location(&name)).await.unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
    }
    let error = storage.create_output(&location(&format!("{path}/a/b"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound);
    assert!(error.hints()[0].contains("mkdir"), "{error:?}");
}

#[tokio::test]
async fn files_of_proc_are_not_empty() {
    let data = read(&Storage::new(), "/proc/self/status").await.unwrap();
    assert!(data.starts_with(b"Name:"));
}

#[tokio::test]
async fn a_full_disk_is_named() {
    let storage = Storage::new();
    let error = write(&storage, "/dev/full", b"data").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().contains("/dev/full"), "{error}");
    write(&storage, "/dev/null", b"data").await.unwrap();
}

#[tokio::test]
async fn pipes_wait_for_their_other_end_and_can_be_given_up() {
    let directory = TempDir::new().unwrap();
    let path = fifo(directory.path());
    let (storage, url) = (Storage::new(), text(&path));

    // Nobody writes: reading ends when it is cancelled.
    let input = storage.open_input(&location(&url)).await.unwrap();
    let cancel = Cancel::default();
    let mut reader = context(&cancel).reader(input).unwrap();
    let reading = waiting(move || reader.fill(&mut [0; 8])).await;
    cancel.cancel();
    assert!(reading.await.unwrap().unwrap_err().is_cancelled());

    // Nobody reads: writing ends when it is cancelled.
    let (_destination, output) = begin(&storage, &url).await.unwrap();
    let cancel = Cancel::default();
    let mut writer = context(&cancel).writer(output);
    let writing = waiting(move || writer.write_all(b"data")).await;
    cancel.cancel();
    assert!(writing.await.unwrap().is_err());

    // Both ends: all of it arrives, however much a pipe holds.
    for len in [0, 300_000] {
        let data = noise(len, 6);
        let (written, read) = tokio::join!(write(&storage, &url, &data), read(&storage, &url));
        written.unwrap();
        assert!(read.unwrap() == data, "{len} bytes differ");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_an_error() {
    let directory = TempDir::new().unwrap();
    let path = fifo(directory.path());
    let mut head =
        Command::new("head").args(["-c1"]).arg(&path).stdout(Stdio::null()).spawn().unwrap();
    let error = write(&Storage::new(), &text(&path), &noise(1 << 20, 7)).await.unwrap_err();
    assert!(error.to_string().contains("broken pipe"), "{error}");
    head.wait().unwrap();
}

/// What the next test kills.
#[test]
#[ignore = "is run by another test"]
fn write_and_wait() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = std::env::var("APYFAL_TEST_DESTINATION").unwrap();
        let (_destination, output) = begin(&Storage::new(), &url).await.unwrap();
        write_output(output, noise(1 << 20, 8)).await.unwrap();
        println!("written");
        std::future::pending::<()>().await;
    });
}

#[test]
fn nothing_is_left_of_a_killed_process() {
    use std::io::BufRead;
    let directory = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["local::write_and_wait", "--exact", "--ignored", "--nocapture"])
        .env("APYFAL_TEST_DESTINATION", directory.path().join("result"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("written")));
    child.kill().unwrap();
    child.wait().unwrap();
    // A file system that has no unnamed files leaves a hidden one.
    assert!(names(directory.path()).iter().all(|name| name.starts_with(".apyfal-")));
}

#[tokio::test]
async fn a_protected_file_is_not_replaced() {
    // The superuser may write anything, so the mode alone shows nothing then.
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("protected");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let writable = fs::OpenOptions::new().write(true).open(&path).is_ok();
    let result = write(&Storage::new(), &text(&path), b"new").await;
    assert_eq!(result.is_ok(), writable);
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Security);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_can_be_given_up_at_the_end() {
    let directory = TempDir::new().unwrap();
    let (destination, output) =
        begin(&Storage::new(), &text(&fifo(directory.path()))).await.unwrap();
    drop(output);
    let cancel = Cancel::default();
    let mut committing = std::pin::pin!(destination.commit(&cancel));
    assert!(futures::poll!(&mut committing).is_pending(), "it waits for a reader");
    cancel.cancel();
    assert!(committing.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn open_files_are_written_in_place() {
    use std::os::fd::AsRawFd;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "head").unwrap();
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    for place in ["/dev/fd", "/proc/self/fd"] {
        write(&Storage::new(), &format!("{place}/{}", file.as_raw_fd()), b"-tail").await.unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"head-tail-tail");
    assert_eq!(names(directory.path()), ["file"]);
}
