use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use apyfal_core::{Cancel, ErrorKind};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::*;
use crate::{Digest, Manifest};

fn packed(folder: &Path) -> (File, Packed) {
    let manifest = Manifest::load(folder).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let packed = pack(folder, &manifest, &mut file, &Cancel::default()).unwrap();
    (file, packed)
}

fn bytes(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A directory with a program, a link and data, its files made in this order.
fn project(order: &[usize], mode: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let long = "long/".repeat(30) + "name";
    let files = [
        (Manifest::FILE, "name = 'a'\nversion = '1.0.0'\ncommand = ['./run']\n"),
        ("run", "#!/bin/sh\ncat\n"),
        ("data/words", "a b c"),
        (&long, "deep"),
    ];
    for index in order {
        let (name, content) = files[*index];
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let mode = if name == "run" { 0o700 | mode } else { mode | 0o600 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    symlink("../run", folder.path().join("data/link")).unwrap();
    folder
}

#[test]
fn the_same_files_give_the_same_bits() {
    let (first, second) = (project(&[0, 1, 2, 3], 0), project(&[3, 2, 1, 0], 0o066));
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    File::open(second.path().join("run")).unwrap().set_modified(old).unwrap();
    let (mut a, one) = packed(first.path());
    let (mut b, two) = packed(second.path());
    assert_eq!((one.digest, one.files, one.size), (two.digest, two.files, two.size));
    assert!(bytes(&mut a) == bytes(&mut b));
    assert_eq!(one.files, 5);
    let whole = Digest::of(&bytes(&mut a)[..], &Cancel::default()).unwrap();
    assert_eq!(one.digest, whole);
    assert_eq!(check(&mut a, &Cancel::default()).unwrap(), whole);
    fs::write(first.path().join("data/words"), "a b d").unwrap();
    assert_ne!(packed(first.path()).1.digest, whole);
}

#[test]
fn what_was_packed_comes_out_again() {
    let folder = project(&[0, 1, 2, 3], 0);
    let (mut file, _) = packed(folder.path());
    let to = tempfile::tempdir().unwrap();
    unpack(&mut file, to.path(), &Limits::default(), &Cancel::default()).unwrap();
    let status = std::process::Command::new("diff")
        .args(["-r", "--no-dereference"])
        .args([folder.path(), to.path()])
        .status();
    assert!(status.unwrap().success());
    let mode =
        |name: &str| fs::metadata(to.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("run"), mode("data/words")), (0o755, 0o644));
}

#[test]
fn tar_reads_it() {
    let folder = project(&[0, 1, 2, 3], 0);
    let (mut file, _) = packed(folder.path());
    let path = folder.path().join("archive");
    fs::write(&path, bytes(&mut file)).unwrap();
    let tar = std::process::Command::new("tar").arg("-tzf").arg(&path).output().unwrap();
    assert!(tar.status.success());
    let list = String::from_utf8(tar.stdout).unwrap();
    let mut names = list.lines();
    assert_eq!(names.next(), Some(Manifest::FILE));
    assert!(names.eq(["data/link", "data/words", &("long/".repeat(30) + "name"), "run"]), "{list}");
}

#[test]
fn every_changed_byte_is_found() {
    let folder = project(&[0, 1, 2, 3], 0);
    let (mut file, _) = packed(folder.path());
    let whole = bytes(&mut file);
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        let error = check(&mut file_of(&changed), &Cancel::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "byte {index}: {error}");
    }
    for length in [0, 5, 80, whole.len() / 2, whole.len() - 1] {
        check(&mut file_of(&whole[..length]), &Cancel::default()).unwrap_err();
    }
    let longer = [&whole[..], b"x"].concat();
    check(&mut file_of(&longer), &Cancel::default()).unwrap_err();
    let error = check(&mut file_of(b"some text"), &Cancel::default()).unwrap_err();
    assert_eq!(error.message(), "it is not a package");
}

/// An archive with these entries, sealed as ours are.
fn archive(add: impl FnOnce(&mut Builder<Vec<u8>>)) -> File {
    let mut builder = Builder::new(Vec::new());
    add(&mut builder);
    sealed(&builder.into_inner().unwrap())
}

fn sealed(tar: &[u8]) -> File {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    gzip.write_all(tar).unwrap();
    let rest = &gzip.finish().unwrap()[10..];
    let digest = Digest::of(rest, &Cancel::default()).unwrap();
    let mut file = file_of(&[&seal::header(&digest)[..], rest].concat());
    check(&mut file, &Cancel::default()).unwrap();
    file
}

/// Adds an entry whose name no honest tool would write.
fn add(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o6755);
    header.set_size(data.len() as u64);
    header.set_cksum();
    builder.append(&header, data).unwrap();
}

fn refused(file: &mut File) -> String {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let error = unpack(file, &inner, &Limits::default(), &Cancel::default()).unwrap_err();
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "nothing is written elsewhere");
    error.to_string()
}

#[test]
fn hostile_archives_are_refused() {
    use EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
    for (told, entries) in [
        ("'../x' leads out of it", vec![(Regular, "../x", "")]),
        ("'a/../../x' leads out of it", vec![(Regular, "a/../../x", "")]),
        ("'/x' is absolute", vec![(Regular, "/x", "")]),
        ("'l' is a link out of it, to '..'", vec![(Symlink, "l", "..")]),
        ("'l' is a link out of it, to '/etc/passwd'", vec![(Symlink, "l", "/etc/passwd")]),
        ("'d/l' is a link out of it, to 'x/../../..'", vec![(Symlink, "d/l", "x/../../..")]),
        ("'l' is in it twice", vec![(Symlink, "l", "."), (Regular, "l/x", "")]),
        ("'l' is in it twice", vec![(Symlink, "l", "x"), (Regular, "l", "")]),
        ("'x' is in it twice", vec![(Regular, "x", ""), (Regular, "./x", "")]),
        ("'x' is in it twice", vec![(Regular, "x/y", ""), (Regular, "x", "")]),
        ("'h' is a hard link", vec![(Link, "h", "/etc/passwd")]),
        ("'p' is neither file", vec![(Fifo, "p", "")]),
        ("'c' is neither file", vec![(Char, "c", "")]),
        ("'b' is neither file", vec![(Block, "b", "")]),
    ] {
        let mut file = archive(|builder| {
            entries.iter().for_each(|(kind, name, to)| add(builder, *kind, name, to, b""));
        });
        let error = refused(&mut file);
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn archives_that_hold_too_much_are_refused_before_they_are_unpacked() {
    let mut header = Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    let error = refused(&mut sealed(header.as_bytes()));
    assert!(error.contains("it holds more than"), "{error}");
    let mut header = Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let error = refused(&mut sealed(header.as_bytes()));
    assert!(error.contains("a name in it is too long"), "{error}");

    let mut many = archive(|builder| {
        (0..11).for_each(|n| add(builder, EntryType::Regular, &n.to_string(), "", b"0123456789"));
    });
    let to = || tempfile::tempdir().unwrap();
    let none = Cancel::default();
    let limits = Limits { entries: 10, ..Limits::default() };
    assert!(unpack(&mut many, to().path(), &limits, &none).is_err());
    let limits = Limits { unpacked: 109, ..Limits::default() };
    assert!(unpack(&mut many, to().path(), &limits, &none).is_err());
    let limits = Limits { unpacked: 110, entries: 11, ..limits };
    unpack(&mut many, to().path(), &limits, &none).unwrap();
}

#[test]
fn special_modes_are_not_taken() {
    let mut file = archive(|builder| add(builder, EntryType::Regular, "a/x", "", b"1"));
    let to = tempfile::tempdir().unwrap();
    unpack(&mut file, to.path(), &Limits::default(), &Cancel::default()).unwrap();
    let mode = fs::metadata(to.path().join("a/x")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn a_cut_off_archive_is_corrupt() {
    let mut header = Header::new_gnu();
    header.set_path("a").unwrap();
    header.set_size(1000);
    header.set_cksum();
    let error = refused(&mut sealed(header.as_bytes()));
    assert!(error.contains("the archive is corrupt"), "{error}");
}

#[test]
fn a_cancelled_pack_ends() {
    let folder = project(&[0, 1, 2, 3], 0);
    let manifest = Manifest::load(folder.path()).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let mut file = tempfile::tempfile().unwrap();
    assert!(pack(folder.path(), &manifest, &mut file, &cancel).unwrap_err().is_cancelled());
}

#[test]
fn any_archive_is_unpacked_inside_or_refused() {
    let outer = tempfile::tempdir().unwrap();
    bolero::check!().with_iterations(300).with_max_len(4096).for_each(|bytes: &[u8]| {
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
        let _ = unpack(&mut sealed(bytes), &inner, &limits, &Cancel::default());
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "nothing is written elsewhere");
        fs::remove_dir_all(&inner).unwrap();
    });
}

#[test]
fn what_nobody_sealed_is_no_package() {
    bolero::check!().with_iterations(2_000).with_max_len(512).for_each(|bytes: &[u8]| {
        if let Ok(digest) = check(&mut file_of(bytes), &Cancel::default()) {
            assert_eq!(Digest::of(bytes, &Cancel::default()).unwrap(), digest);
        }
    });
}
