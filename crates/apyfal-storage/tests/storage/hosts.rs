use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use apyfal_core::ErrorKind;
use apyfal_storage::AuthorizedDirs;
use tempfile::TempDir;

use super::behaviour::{WritableStorage, check};
use super::local::names;
use super::*;

fn storage(directories: &[&Path]) -> Storage {
    Storage::for_host(AuthorizedDirs::new(directories.iter().map(|path| path.to_path_buf())))
}

#[tokio::test]
async fn authorized_directories_behave() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().to_owned();
    check(&WritableStorage {
        storage: storage(&[&root]),
        prefix: format!("host://{}/", root.display()),
        names: Box::new(move || names(&root)),
        leftovers: Box::new(|| 0),
    })
    .await;
}

#[tokio::test]
async fn any_of_several_directories_will_do() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let gone = one.path().join("gone");
    let storage = storage(&[&gone, one.path(), two.path()]);
    fs::write(one.path().join("first"), "1").unwrap();
    fs::create_dir(two.path().join("sub")).unwrap();
    fs::write(two.path().join("sub/second"), "2").unwrap();
    assert_eq!(
        read(&storage, &format!("host://{}/first", one.path().display())).await.unwrap(),
        b"1"
    );
    assert_eq!(read(&storage, "host://first").await.unwrap(), b"1");
    assert_eq!(read(&storage, "host://sub/second").await.unwrap(), b"2");
    write(&storage, "host://sub/third", b"3").await.unwrap();
    assert_eq!(fs::read(two.path().join("sub/third")).unwrap(), b"3");
    let url = format!("host://{}", two.path().display());
    let error = storage.open_input(&location(&url)).await.unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");
}

#[tokio::test]
async fn a_result_does_not_run_with_the_rights_of_what_it_replaces() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tool");
    let storage = storage(&[directory.path()]);
    for url in ["host://tool".to_owned(), path.to_str().unwrap().to_owned()] {
        for (before, after) in [(0o4755, 0o755), (0o2751, 0o751), (0o7640, 0o640)] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            write(&storage, &url, b"new").await.unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
            assert_eq!(mode, after, "{url}: {mode:o} of {before:o}");
        }
    }
}

#[tokio::test]
async fn links_inside_are_followed_and_links_outside_are_refused() {
    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let at = |name: &str| inside.path().join(name);
    fs::write(outside.path().join("secret"), "s").unwrap();
    fs::write(at("real"), "r").unwrap();
    symlink(at("real"), at("link")).unwrap();
    symlink(outside.path(), at("away")).unwrap();
    symlink(outside.path().join("secret"), at("secret")).unwrap();
    symlink(outside.path().join("missing"), at("dangling")).unwrap();
    let storage = storage(&[inside.path()]);
    let url = |name: &str| format!("host://{}/{name}", inside.path().display());

    assert_eq!(read(&storage, &url("link")).await.unwrap(), b"r");
    write(&storage, &url("link"), b"new").await.unwrap();
    assert!(at("link").is_symlink());
    assert_eq!(fs::read(at("real")).unwrap(), b"new");

    let outside_name = outside.path().file_name().unwrap().to_str().unwrap();
    for name in [
        "secret",
        "away/secret",
        "away/missing",
        "dangling",
        &format!("../{outside_name}/secret"),
        "../missing",
    ] {
        let error = read(&storage, &url(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{name}: {error}");
        let error = storage.create_output(&location(&url(name))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{name}: {error}");
    }
    for url in ["host:///etc/passwd", "host:///nonexistent", "host://../x", "host://x/../../x"] {
        let error = read(&storage, url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{url}: {error}");
    }
    assert_eq!(names(outside.path()), ["secret"]);
}

/// Who opens the path of an input again gets what was opened, whatever its name is now.
#[tokio::test]
async fn paths_of_inputs_lead_nowhere_else() {
    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("file"), "secret").unwrap();
    fs::write(inside.path().join("file"), "public").unwrap();
    let storage = storage(&[inside.path()]);
    let input = storage.open_input(&location("host://file")).await.unwrap();
    assert_eq!(input.name(), Some("file"));
    fs::remove_file(inside.path().join("file")).unwrap();
    symlink(outside.path().join("file"), inside.path().join("file")).unwrap();
    let Source::File { path, .. } = input.source() else { panic!("not a file") };
    assert_eq!(fs::read(path).unwrap(), b"public");
}

#[tokio::test]
async fn without_directories_it_is_said_where_to_set_them() {
    for storage in [Storage::new(), storage(&[])] {
        let error = read(&storage, "host://file").await.unwrap_err();
        let hints = error.hints().concat();
        assert!(hints.contains("authorized_host_dirs"), "{error:?}");
        assert!(hints.contains("[security]"), "{error:?}");
    }
}

/// A name that changes between a file inside and a link outside must never lead outside.
#[tokio::test]
async fn no_race_leads_outside() {
    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("file"), "secret").unwrap();
    let at = |name: &str| inside.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/file"), "public").unwrap();
    symlink(outside.path(), at("evil")).unwrap();
    let storage = storage(&[inside.path()]);
    let stop = Cancel::default();
    let swapper = {
        let (stop, inside) = (stop.clone(), inside.path().to_owned());
        std::thread::spawn(move || {
            // "dir" is in turn the real directory and the link.
            while !stop.is_cancelled() {
                for name in ["real", "evil"] {
                    fs::rename(inside.join(name), inside.join("dir")).unwrap();
                    fs::rename(inside.join("dir"), inside.join(name)).unwrap();
                }
            }
        })
    };
    let mut public = 0;
    for turn in 0..3000 {
        match read(&storage, "host://dir/file").await {
            Ok(data) => {
                assert_eq!(data, b"public");
                public += 1;
            }
            Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
        }
        if let Ok((destination, output)) =
            begin(&storage, &format!("host://dir/new{}", turn % 3)).await
        {
            drop(output);
            let _ = destination.commit(&Cancel::default()).await;
        }
    }
    stop.cancel();
    swapper.join().unwrap();
    assert!(public > 0, "the name was never there");
    assert_eq!(names(outside.path()), ["file"]);
}

/// The same for the last part of a path: a file that turns into a link and back.
#[tokio::test]
async fn no_race_of_files_leads_outside() {
    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("secret"), "secret").unwrap();
    fs::write(inside.path().join("real"), "public").unwrap();
    symlink(outside.path().join("secret"), inside.path().join("evil")).unwrap();
    let storage = storage(&[inside.path()]);
    let stop = Cancel::default();
    let swapper = {
        let (stop, inside) = (stop.clone(), inside.path().to_owned());
        std::thread::spawn(move || {
            let mut swaps = 0_u64;
            while !stop.is_cancelled() {
                for name in ["real", "evil"] {
                    fs::rename(inside.join(name), inside.join("file")).unwrap();
                    fs::rename(inside.join("file"), inside.join(name)).unwrap();
                    swaps += 1;
                }
            }
            swaps
        })
    };
    let mut public = 0;
    for _ in 0..3000 {
        let opened = storage.open_input(&location("host://file")).await;
        match opened {
            Ok(input) => {
                // Whoever takes the path instead of the open file gets the same.
                let Source::File { path, .. } = input.source() else { panic!("not a file") };
                assert_eq!(fs::read(path).unwrap(), b"public");
                assert_eq!(read_input(input).await.unwrap(), b"public");
                public += 1;
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Security | ErrorKind::StorageNotFound),
                "{error}"
            ),
        }
    }
    stop.cancel();
    assert!(swapper.join().unwrap() > 1, "the name never changed");
    assert!(public > 0, "the name was never there");
}

#[tokio::test]
async fn elsewhere_host_paths_are_refused() {
    let error = read(&Storage::new(), "host:///tmp/x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageConfiguration);
}
