use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use apyfal_core::{Cancel, Engine, Params};
use serde_json::Map;

use super::*;
use crate::archive::{Limits, pack};
use crate::signature::tests::keys;
use crate::signature::{PublicKey, Signer};
use crate::{Digest, MachineFacts, Packaged};

/// A program that shows its own version.
fn archive(version: &str, more: &str) -> File {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name = 'shown'\nversion = '{version}'\ncommand = ['./run']\n{more}");
    fs::write(folder.path().join(Manifest::FILE), manifest).unwrap();
    let run = folder.path().join("run");
    fs::write(&run, format!("#!/bin/sh\nprintf {version}\n")).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("expected"), "1.0.0").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let manifest = Manifest::load(folder.path()).unwrap();
    pack(folder.path(), &manifest, &mut file, &Cancel::default()).unwrap();
    file
}

fn terms() -> Terms {
    Terms {
        name: None,
        machine: MachineFacts::here("/usr/bin:/bin", Vec::new()),
        limits: Limits::default(),
        locks: std::env::temp_dir(),
        test: true,
        source: "a test".into(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("packages"));
    (folder, store)
}

fn install(store: &Store, mut archive: File) -> Result<Outcome> {
    std::io::Seek::rewind(&mut archive).unwrap();
    let none = Cancel::default();
    let incoming = store.receive(archive, &Limits::default(), None, &none)?;
    store.install(incoming, &terms(), &none)
}

fn installed(outcome: Result<Outcome>) -> Installed {
    match outcome.unwrap() {
        Outcome::Installed(installed) => installed,
        Outcome::Unchanged(_) => panic!("it was installed before"),
    }
}

/// The versions of the package that have a directory.
fn versions(store: &Store) -> Vec<String> {
    let Ok(entries) = fs::read_dir(store.root().join("shown")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut versions: Vec<_> =
        names.filter_map(|name| Some(name.split_once('-')?.0.to_owned())).collect();
    versions.sort();
    versions
}

/// That nothing is there but packages and the lock.
fn is_clean(store: &Store) -> bool {
    let names = fs::read_dir(store.root()).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().all(|name| name == "shown" || name == LOCK)
}

#[test]
fn an_upgrade_keeps_the_version_before() {
    let (_folder, store) = store();
    assert!(store.list().unwrap().is_empty());
    for (version, kept) in [
        ("1.0.0", vec!["1.0.0"]),
        ("2.0.0", vec!["1.0.0", "2.0.0"]),
        ("3.0.0", vec!["2.0.0", "3.0.0"]),
    ] {
        let found = installed(install(&store, archive(version, "")));
        assert_eq!(found.record.version.to_string(), version);
        assert_eq!(versions(&store), kept);
        assert!(is_clean(&store));
    }
    let found = store.find("shown").unwrap();
    assert_eq!(found.previous.unwrap().version.to_string(), "2.0.0");
    assert_eq!(fs::read_to_string(found.files.join("expected")).unwrap(), "1.0.0");
    assert_eq!(store.list().unwrap().len(), 1);
    let back = store.roll_back("shown", &Cancel::default()).unwrap();
    assert_eq!(back.record.version.to_string(), "2.0.0");
    assert_eq!(back.previous.unwrap().version.to_string(), "3.0.0");
    // What is the previous version can be installed too.
    let found = installed(install(&store, archive("3.0.0", "")));
    assert_eq!(found.previous.unwrap().version.to_string(), "2.0.0");
}

#[test]
fn the_same_archive_changes_nothing() {
    let (_folder, store) = store();
    installed(install(&store, archive("1.0.0", "")));
    let record = store.find("shown").unwrap().record;
    assert!(matches!(install(&store, archive("1.0.0", "")).unwrap(), Outcome::Unchanged(_)));
    assert_eq!(store.find("shown").unwrap().record, record);
}

/// Installs an archive whose signature was checked.
fn install_signed(store: &Store, mut archive: File, signer: &Signer, key: &PublicKey) -> Outcome {
    let signature = signer.sign(&mut archive, "shown.apyfal").unwrap();
    std::io::Seek::rewind(&mut archive).unwrap();
    let none = Cancel::default();
    let mut incoming = store.receive(archive, &Limits::default(), None, &none).unwrap();
    incoming.verify(&signature, std::slice::from_ref(key)).unwrap();
    store.install(incoming, &terms(), &none).unwrap()
}

#[test]
fn a_package_checks_values_as_any_program_does() {
    let (_folder, store) = store();
    let manifest = "parameters = { word = 'x' }\nenv = { WORD = '{word}' }\n";
    let found = installed(install(&store, archive("1.0.0", manifest)));
    let engine = Packaged::new(found, std::env::temp_dir()).unwrap();
    let check = |word: &str| {
        let given = Map::from_iter([("word".to_owned(), word.into())]);
        engine.check(&Params::check("it", &engine.accelerator().params, None, &given)?)
    };
    check("y").unwrap();
    assert_eq!(check("y\0").unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn who_signed_a_version_is_remembered() {
    let (_folder, store) = store();
    let ((ours, signer), (theirs, other)) = (keys(), keys());
    let trusted = std::slice::from_ref(&ours);
    let found = installed(install(&store, archive("1.0.0", "")));
    assert!(found.signed_by.is_empty() && found.must_be_signed(&[]).is_ok());
    let error = found.must_be_signed(trusted).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    assert!(error.hints()[0].contains("apyfal install 'a test'"), "{error:?}");
    // In use: its record keeps its lock.
    let found = installed(Ok(install_signed(&store, archive("1.0.0", ""), &other, &theirs)));
    assert!(found.must_be_signed(trusted).is_err());
    installed(Ok(install_signed(&store, archive("1.0.0", ""), &signer, &ours)));
    let again = install_signed(&store, archive("1.0.0", ""), &signer, &ours);
    assert!(matches!(again, Outcome::Unchanged(_)));
    let found = store.find("shown").unwrap();
    assert!(found.must_be_signed(trusted).is_ok());
    assert_eq!(found.signed_by, [theirs, ours.clone()]);
    let record = found.files.with_file_name(RECORD);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&record), mode(&record.with_file_name(SIGNED)), "who reads one reads both");
    // A new version is signed for itself.
    let found = installed(install(&store, archive("2.0.0", "")));
    assert!(found.must_be_signed(trusted).is_err());
    install_signed(&store, archive("3.0.0", ""), &signer, &ours);
    assert!(store.find("shown").unwrap().must_be_signed(trusted).is_ok());
    // What is the previous version, unsigned, is installed again with its signature.
    install_signed(&store, archive("2.0.0", ""), &signer, &ours);
    assert!(store.find("shown").unwrap().must_be_signed(trusted).is_ok());
    assert!(is_clean(&store));
}

#[test]
fn another_package_under_the_same_name_is_not_taken_for_it() {
    let (_folder, store) = store();
    let first = installed(install(&store, archive("1.0.0", "")));
    installed(install(&store, archive("2.0.0", "")));
    let path = first.files.with_file_name(RECORD);
    let record = fs::read_to_string(&path).unwrap();
    let digest = first.record.digest.to_string();
    // As if only the digits in its name agreed.
    let other = format!("{}{}", &digest[..8], "0".repeat(56));
    fs::write(&path, record.replace(&digest, &other)).unwrap();
    let error = install(&store, archive("1.0.0", "")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(store.find("shown").unwrap().record.version.to_string(), "2.0.0");
}

#[test]
fn a_failing_self_test_leaves_all_as_it_was() {
    let (_folder, store) = store();
    let test = "[test]\nexpect = 'expected'\n";
    let error = install(&store, archive("0.9.0", test)).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot install shown 0.9.0: its self-test fails"),
        "{error}"
    );
    assert!(error.to_string().contains("byte 0 differs"), "{error}");
    assert!(versions(&store).is_empty() && is_clean(&store));
    installed(install(&store, archive("1.0.0", test)));
    let error = install(&store, archive("2.0.0", test)).unwrap_err();
    assert!(error.hints().contains(&"shown 1.0.0 stays in use".to_owned()), "{error:?}");
    assert_eq!(store.find("shown").unwrap().record.version.to_string(), "1.0.0");
    assert_eq!(versions(&store), ["1.0.0"]);
    assert!(is_clean(&store));
}

#[test]
fn a_test_compares_what_the_manifest_says() {
    let (_folder, store) = store();
    let digest = Digest::of(&b"1.0.0"[..], &Cancel::default()).unwrap();
    for (test, told) in [
        (
            "[test.result]\noutput = '1.0.1'\n".to_owned(),
            "its 'output' is \"1.0.0\", not \"1.0.1\"",
        ),
        ("[test.result]\nother = 1\n".to_owned(), "it tells no 'other'"),
        (format!("[test]\nsha256 = '{}'\n", "0".repeat(64)), "its result has the SHA-256"),
        ("[test]\nparameters = {x = 1}\n".to_owned(), "shown has no parameter 'x'"),
    ] {
        let error = install(&store, archive("1.0.0", &test)).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    installed(install(&store, archive("1.0.0", &format!("[test]\nsha256 = '{digest}'\n"))));
    installed(install(&store, archive("1.0.0", "[test.result]\noutput = '1.0.0'\n")));
}

#[test]
fn a_test_that_hangs_ends() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "name = 'slow'\nversion = '1.0.0'\ncommand = ['sleep', '600']\n[test]\ntimeout = 1\n";
    fs::write(folder.path().join(Manifest::FILE), text).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let manifest = Manifest::load(folder.path()).unwrap();
    pack(folder.path(), &manifest, &mut file, &Cancel::default()).unwrap();
    let (_folder, store) = store();
    let error = install(&store, file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("takes longer than 1 s"), "{error}");
}

#[test]
fn what_an_interrupted_install_left_is_swept() {
    let (_folder, store) = store();
    installed(install(&store, archive("1.0.0", "")));
    let left = [".new-abc/files", "shown/9.0.0-00000000/files", "gone/1.0.0-00000000"];
    for path in left {
        fs::create_dir_all(store.root().join(path)).unwrap();
    }
    fs::write(store.root().join("shown/.new-current"), "").unwrap();
    assert_eq!(store.list().unwrap().len(), 1, "none of it is a package");
    installed(install(&store, archive("2.0.0", "")));
    assert_eq!(versions(&store), ["1.0.0", "2.0.0"]);
    assert!(is_clean(&store) && !store.root().join("shown/.new-current").exists());
}

#[test]
fn a_version_in_use_stays_until_it_is_not() {
    let (_folder, store) = store();
    let first = installed(install(&store, archive("1.0.0", "")));
    installed(install(&store, archive("2.0.0", "")));
    installed(install(&store, archive("3.0.0", "")));
    assert_eq!(versions(&store), ["1.0.0", "2.0.0", "3.0.0"]);
    assert!(first.files.join("run").exists());
    let none = Cancel::default();
    assert_eq!(store.uninstall("shown", &none).unwrap(), Uninstalled { is_used: false });
    assert_eq!(versions(&store), ["1.0.0"]);
    assert_eq!(store.find("shown").unwrap_err().kind(), ErrorKind::NotFound);
    drop(first);
    let second = installed(install(&store, archive("2.0.0", "")));
    assert_eq!(versions(&store), ["2.0.0"]);
    assert_eq!(store.uninstall("shown", &none).unwrap(), Uninstalled { is_used: true });
    assert!(second.files.join("run").exists());
    drop(second);
    let error = store.uninstall("shwon", &none).unwrap_err();
    assert_eq!(error.hints(), ["did you mean 'shown'?"]);
}

#[test]
fn an_archive_is_checked_as_it_comes() {
    let (_folder, store) = store();
    let none = Cancel::default();
    let mut bytes = Vec::new();
    let mut file = archive("1.0.0", "");
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    let digest = Digest::of(&bytes[..], &none).unwrap();
    let limits = Limits::default();
    assert_eq!(store.receive(&bytes[..], &limits, Some(&digest), &none).unwrap().digest(), digest);
    let wrong: Digest = "0".repeat(64).parse().unwrap();
    let error = store.receive(&bytes[..], &limits, Some(&wrong), &none).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    let small = Limits { archive: bytes.len() as u64 - 1, ..limits };
    let error = store.receive(&bytes[..], &small, None, &none).unwrap_err();
    assert!(error.to_string().contains("it is longer than"), "{error}");
    let error = store.receive(&bytes[..bytes.len() - 1], &limits, None, &none).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(fs::read_dir(store.root()).unwrap().count(), 0);
}

#[test]
fn a_damaged_package_is_told_of_and_can_be_replaced() {
    let (_folder, store) = store();
    let found = installed(install(&store, archive("1.0.0", "")));
    let path = found.files.parent().map(Path::to_owned).unwrap().join(RECORD);
    drop(found);
    fs::write(&path, "{}").unwrap();
    let error = store.find("shown").unwrap_err();
    assert!(error.to_string().contains("its record is damaged"), "{error}");
    assert!(store.list().unwrap()[0].1.is_err());
    let error = store.roll_back("shown", &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("there is no version before"), "{error}");
    let mut other = fs::File::create(path.with_file_name("x")).unwrap();
    other.write_all(b"x").unwrap();
    installed(install(&store, archive("2.0.0", "")));
    assert!(store.uninstall("shown", &Cancel::default()).is_ok());
    assert!(versions(&store).is_empty());
}
