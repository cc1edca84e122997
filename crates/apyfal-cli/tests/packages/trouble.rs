//! Packages that must not be installed: each with its message, and nothing left behind.

use std::process::Command;

use crate::common::{Home, peer, text};
use crate::{left, packed, version};

#[test]
fn a_changed_or_cut_off_package_is_refused() {
    let home = Home::new();
    let name = version(&home, "1.0.0");
    let whole = home.read(&name);
    // In the headers, in the data, and in what gzip has behind it.
    for index in [0, 3, 4, 8, 9, 20, 81, 82, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[index] ^= 0x20;
        home.write("changed.apyfal", changed);
        home.fails(7, &["install", "changed.apyfal"]);
    }
    for length in [0, 1, 50, 82, whole.len() / 2, whole.len() - 1] {
        home.write("cut.apyfal", &whole[..length]);
        home.fails(7, &["install", "cut.apyfal"]);
    }
    home.write("longer.apyfal", [&whole[..], b"\0"].concat());
    let error = home.fails(7, &["install", "longer.apyfal"]);
    assert!(error.contains("it is not as it was made"), "{error}");
    assert!(left(&home).is_empty());
}

/// Makes archives that `apyfal pack` would not, sealed as it does.
const MAKER: &str = r#"
import gzip, hashlib, io, sys, tarfile

def sealed(name, tar):
    rest = gzip.compress(tar, mtime=0)[10:]
    head = b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + b"sha256:" + hashlib.sha256(rest).hexdigest().encode() + b"\0"
    open(name + ".apyfal", "wb").write(head + rest)

def entry(name, kind=tarfile.REGTYPE, link="", data=b""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info, data

def archive(name, *entries):
    out = io.BytesIO()
    manifest = b"name = 'bad'\nversion = '1.0.0'\ncommand = ['cat']\n"
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in [entry("accelerator.toml", data=manifest), *entries]:
            tar.addfile(info, io.BytesIO(data))
    sealed(name, out.getvalue())

archive("good")
archive("up", entry("../escaped", data=b"x"))
archive("deep_up", entry("a/../../../escaped", data=b"x"))
archive("absolute", entry(os.getcwd() + "/escaped", data=b"x"))
archive("link_up", entry("link", tarfile.SYMTYPE, "../.."), entry("link/escaped", data=b"x"))
archive("link_absolute", entry("link", tarfile.SYMTYPE, "/etc"))
archive("through_link", entry("link", tarfile.SYMTYPE, "."), entry("link/x", data=b"x"))
archive("hard", entry("hard", tarfile.LNKTYPE, "/etc/passwd"))
archive("fifo", entry("fifo", tarfile.FIFOTYPE))
archive("device", entry("device", tarfile.CHRTYPE))
archive("twice", entry("x", data=b"1"), entry("x", data=b"2"))
huge = tarfile.TarInfo("huge")
huge.size = 1 << 45
sealed("huge", huge.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
many = tarfile.TarInfo("x")
sealed("many", b"".join(entry("f%d" % n)[0].tobuf(tarfile.GNU_FORMAT) for n in range(100001)))
"#;

#[test]
fn hostile_archives_write_nothing_anywhere() {
    let home = Home::new();
    let script = format!("import os; os.chdir({:?})\n{MAKER}", home.folder());
    peer("python3", &["-c", &script], b"");
    home.ok(&["install", "good.apyfal"]);
    home.ok(&["uninstall", "bad"]);
    let before = home.files();
    for (name, told) in [
        ("up", "leads out of it"),
        ("deep_up", "leads out of it"),
        ("absolute", "is absolute"),
        ("link_up", "is a link out of it"),
        ("link_absolute", "is a link out of it"),
        ("through_link", "is in it twice"),
        ("hard", "is a hard link"),
        ("fifo", "is neither file"),
        ("device", "is neither file"),
        ("twice", "is in it twice"),
        ("huge", "it holds more than"),
        ("many", "it has more than 100000 entries"),
    ] {
        let error = home.fails(5, &["install", &format!("{name}.apyfal")]);
        assert!(error.contains(told), "{name}: {error}");
        assert!(left(&home).is_empty(), "{name}");
    }
    assert_eq!(home.files(), before);
}

#[test]
fn a_machine_that_cannot_run_it_is_told_why() {
    let home = Home::new();
    let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    let package = packed(&home, "1.0.0", "cat", &format!("architectures = ['{other}']"));
    let error = home.fails(10, &["install", &package]);
    assert!(error.contains(&format!("cannot install shown 1.0.0: it is for {other}")), "{error}");
    let needs = "[requires]\nsystem = ['sh', 'no-such-program']\npackages = { apt = ['lame'] }";
    let package = packed(&home, "2.0.0", "cat", needs);
    let error = home.fails(10, &["install", &package]);
    assert!(error.contains("a program that this machine lacks: 'no-such-program'"), "{error}");
    assert!(error.contains("hint: install it: sudo apt install lame"), "{error}");
    assert!(left(&home).is_empty());
    // Its own program and its device, whatever its test says.
    home.ok(&["install", &version(&home, "3.0.0")]);
    let device = "[requires]\ndevice = true\n[[image]]\ndevice = 'opae'\nfile = 'expected'\n";
    for (number, program, more, told) in [
        ("4.0.0", "no-such-program", "", "a program that this machine lacks: 'no-such-program'"),
        ("5.0.0", "./run", device, "it needs a device that this machine lacks: opae"),
    ] {
        let folder = crate::project(&home, number, "cat", more);
        let path = folder.join("accelerator.toml");
        let manifest = std::fs::read_to_string(&path).unwrap().replace("./run", program);
        std::fs::write(path, manifest).unwrap();
        home.ok(&["pack", &folder.to_string_lossy()]);
        let package = format!("shown-{number}.apyfal");
        let error = home.fails(10, &["install", &package, "--skip_test"]);
        assert!(error.contains(&format!("cannot install shown {number}: ")), "{error}");
        assert!(error.contains(told) && error.contains("shown 3.0.0 stays in use"), "{error}");
    }
    assert_eq!(crate::shown(&home), "3.0.0");
}

#[test]
fn what_is_no_package_is_refused_before_it_is_taken_in() {
    let home = Home::new();
    let zeros = std::fs::File::create(home.path("zeros")).unwrap();
    // All of it would not fit, and takes no room here.
    zeros.set_len(15 << 30).unwrap();
    let error = home.fails(7, &["install", "zeros"]);
    assert!(error.contains("it is not a package"), "{error}");
    assert!(left(&home).is_empty());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let home = Home::new();
    let folder = crate::project(&home, "1.0.0", "cat", "");
    // Small as an archive, and larger than a file may be below.
    std::fs::write(folder.join("zeros"), vec![0; 4 << 20]).unwrap();
    home.ok(&["pack", &folder.to_string_lossy()]);
    let line = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" install shown-1.0.0.apyfal";
    let output = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_apyfal")])
        .current_dir(home.folder())
        .env("HOME", home.folder())
        .output()
        .unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{error}");
    assert!(error.contains("cannot unpack '") && error.contains("zeros'"), "{error}");
    assert!(left(&home).is_empty());
    home.ok(&["install", "shown-1.0.0.apyfal"]);
}

#[test]
fn a_full_disk_names_the_package_that_is_not_written() {
    let home = Home::new();
    let folder = crate::project(&home, "1.0.0", "cat", "");
    std::fs::write(folder.join("noise"), peer("head", &["-c", "4194304", "/dev/urandom"], b""))
        .unwrap();
    let line = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" pack project-1.0.0 -o out.apyfal";
    let output = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_apyfal")])
        .current_dir(home.folder())
        .env("HOME", home.folder())
        .output()
        .unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{error}");
    assert!(error.contains("cannot write 'out.apyfal': "), "{error}");
    assert_eq!(home.files(), ["project-1.0.0"]);
}

#[test]
fn a_wrong_manifest_is_told_of_with_its_line() {
    let home = Home::new();
    let error = home.fails(3, &["pack"]);
    assert!(error.contains("accelerator.toml': there is no such file"), "{error}");
    let folder = crate::project(&home, "1.0.0", "cat", "rerun_save = true");
    let folder = folder.to_string_lossy();
    let error = home.fails(3, &["pack", &folder]);
    assert!(error.contains("there is no key 'rerun_save' (line 4, key rerun_save)"), "{error}");
    assert!(error.contains("did you mean 'rerun_safe'?"), "{error}");
    home.fails(8, &["init", "shown", &folder]);
    home.fails(2, &["init", "a b"]);
    home.fails(6, &["uninstall", "shown"]);
    assert_eq!(home.files(), ["project-1.0.0"]);
}
