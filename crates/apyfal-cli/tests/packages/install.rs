//! From a directory to an accelerator that runs, and through its upgrades.

use std::process::{Child, Stdio};

use apyfal_testkit::Nginx;
use minisign::KeyPair;

use crate::common::server::until;
use crate::common::{Home, peer, text};
use crate::{left, packed, project, shown, version};

#[test]
fn a_new_project_works_as_it_is() {
    for (language, build) in [("python", false), ("c", true)] {
        let home = Home::new();
        home.ok(&["init", "loud", "--language", language]);
        if build {
            peer("make", &["-C", &home.path("loud").to_string_lossy()], b"");
        }
        let line = home.ok(&["pack", "loud"]);
        let sums = peer("sha256sum", &[&home.path("loud-0.1.0.apyfal").to_string_lossy()], b"");
        assert_eq!(line[..64], text(&sums)[..64]);
        home.ok(&["install", "loud-0.1.0.apyfal"]);
        home.write("in.txt", "Hello");
        home.ok(&["run", "loud", "in.txt", "out.txt"]);
        assert_eq!(home.read("out.txt"), b"HELLO");
        home.ok(&["run", "loud", "in.txt", "out.txt", "--case", "lower"]);
        assert_eq!(home.read("out.txt"), b"hello");
        let page = home.ok(&["accelerators", "loud"]);
        let source = home.path("loud-0.1.0.apyfal");
        assert!(page.contains(&format!("Package: 0.1.0 from {}", source.display())), "{page}");
        home.ok(&["uninstall", "loud"]);
        home.fails(6, &["run", "loud", "in.txt", "out.txt"]);
        assert!(left(&home).is_empty());
    }
}

#[test]
fn the_same_files_give_the_same_package_wherever_and_whenever() {
    let home = Home::new();
    let folder = project(&home, "1.0.0", "cat", "");
    std::fs::create_dir(folder.join("data")).unwrap();
    for name in ["b", "a", "c"] {
        std::fs::write(folder.join("data").join(name), name).unwrap();
    }
    let copy = "umask 077 && mkdir -p other/data && cd project-1.0.0 && \
                for f in data/c run expected data/a accelerator.toml data/b; do \
                cp $f ../other/$f; touch -d 1999-12-31 ../other/$f; done && chmod 700 ../other/run";
    let script = format!("cd '{}' && {copy}", home.folder().display());
    peer("bash", &["-ec", &script], b"");
    home.ok(&["pack", "project-1.0.0", "-o", "one"]);
    // From another directory, with another umask.
    let other = home.path("other");
    let line = format!("umask 002 && exec {} pack . -o ../two", env!("CARGO_BIN_EXE_apyfal"));
    let packed = std::process::Command::new("bash").args(["-c", &line]).current_dir(other).output();
    assert!(packed.unwrap().status.success());
    assert!(home.read("one") == home.read("two"));
}

#[test]
fn an_upgrade_keeps_the_version_before_and_goes_back() {
    let home = Home::new();
    let (one, two) = (version(&home, "1.0.0"), version(&home, "2.0.0"));
    home.ok(&["install", &one]);
    home.ok(&["install", &two]);
    assert_eq!(shown(&home), "2.0.0");
    home.ok(&["install", "--previous", "shown"]);
    assert_eq!(shown(&home), "1.0.0");
    home.ok(&["install", "--previous", "shown"]);
    assert_eq!(shown(&home), "2.0.0");
    let report = home.ok(&["install", &two, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["version"], &report["previous"]), (&"2.0.0".into(), &"1.0.0".into()));
}

#[test]
fn an_upgrade_whose_self_test_fails_changes_nothing() {
    let home = Home::new();
    let test = "[test]\nexpect = 'expected'";
    let good = packed(&home, "1.0.0", "printf 1.0.0", test);
    let bad = packed(&home, "2.0.0", "printf 1.0.1", test);
    home.ok(&["install", &good]);
    let before = home.ok(&["accelerators", "shown"]);
    let error = home.fails(10, &["install", &bad]);
    assert!(error.contains("cannot install shown 2.0.0: its self-test fails"), "{error}");
    assert!(error.contains("byte 4 differs"), "{error}");
    assert!(error.contains("hint: shown 1.0.0 stays in use"), "{error}");
    assert_eq!(home.ok(&["accelerators", "shown"]), before);
    assert_eq!(shown(&home), "1.0.0");
    assert_eq!(left(&home), ["shown"]);
    home.ok(&["install", &bad, "--skip_test"]);
    assert_eq!(shown(&home), "1.0.1");
}

/// Starts to install a package whose self-test says that it runs, and then waits.
fn installing(home: &Home, package: &str) -> Child {
    let mut command = home.apyfal(&["install", package]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the self-test runs", || home.path("running").exists());
    std::fs::remove_file(home.path("running")).unwrap();
    child
}

#[test]
fn an_install_that_is_killed_leaves_nothing_half_installed() {
    let home = Home::new();
    let hang = format!("touch '{}'; exec sleep 600", home.path("running").display());
    let hanging = packed(&home, "2.0.0", &hang, "[test]\ntimeout = 600");
    let (one, three) = (version(&home, "1.0.0"), version(&home, "3.0.0"));
    let kill = || {
        let mut child = installing(&home, &hanging);
        child.kill().unwrap();
        child.wait().unwrap();
    };
    kill();
    home.fails(6, &["accelerators", "shown"]);
    home.ok(&["install", &one]);
    assert_eq!(left(&home), ["shown"], "what was left is swept");
    kill();
    assert_eq!(shown(&home), "1.0.0");
    assert!(!home.ok(&["accelerators", "shown"]).contains("Version before"));
    home.ok(&["install", &three]);
    assert_eq!((shown(&home).as_str(), left(&home)), ("3.0.0", vec!["shown".to_owned()]));
}

#[test]
fn an_interrupted_install_ends_at_once_and_leaves_nothing() {
    let home = Home::new();
    let hang = format!("touch '{}'; exec sleep 600", home.path("running").display());
    let hanging = packed(&home, "2.0.0", &hang, "[test]\ntimeout = 600");
    let mut child = installing(&home, &hanging);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(left(&home).is_empty());
}

#[test]
fn installs_at_once_take_turns() {
    let home = Home::new();
    let packages: Vec<_> = (1..=4).map(|n| version(&home, &format!("{n}.0.0"))).collect();
    let children: Vec<_> = packages
        .iter()
        .chain(&packages)
        .map(|package| home.apyfal(&["install", package]).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let page = home.ok(&["accelerators", "shown"]);
    assert!(page.contains(&format!("Package: {} from", shown(&home))), "{page}");
    assert!(page.contains("Version before: "), "{page}");
    assert_eq!(left(&home), ["shown"]);
    let entries = std::fs::read_dir(home.path(".apyfal/packages/shown")).unwrap();
    assert_eq!(entries.count(), 4, "two versions, and the links to them");
}

#[test]
fn packages_come_from_the_web_with_their_digest() {
    let home = Home::new();
    let package = version(&home, "1.0.0");
    let nginx = Nginx::start(home.folder()).unwrap();
    let sums = text(&peer("sha256sum", &[&home.path(&package).to_string_lossy()], b""));
    let wrong = "0".repeat(64);
    let error = home.fails(5, &["install", &nginx.url(&package), "--sha256", &wrong]);
    assert!(error.contains(&format!("its SHA-256 is {}, not 000", &sums[..64])), "{error}");
    assert!(left(&home).is_empty());
    home.ok(&["install", &nginx.url(&package), "--sha256", &sums[..64]]);
    assert_eq!(shown(&home), "1.0.0");
    assert!(home.ok(&["accelerators", "shown"]).contains(&nginx.url(&package)));
    home.fails(20, &["install", &nginx.url("nothing.apyfal")]);
}

#[test]
fn only_what_a_trusted_key_signed_is_installed() {
    let home = Home::new();
    for name in ["ours", "theirs"] {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        home.write(&format!("{name}.pub"), pair.pk.to_box().unwrap().into_string());
        home.write(&format!("{name}.key"), pair.sk.to_box(None).unwrap().into_string());
    }
    let folder = project(&home, "1.0.0", "printf 1.0.0", "");
    let folder = folder.to_string_lossy();
    let install = ["install", "shown-1.0.0.apyfal", "--public_key", "ours.pub"];
    home.ok(&["pack", &folder]);
    assert!(home.fails(5, &install).contains("it is not signed"));
    home.ok(&["pack", &folder, "--sign", "theirs.key"]);
    assert!(home.fails(5, &install).contains("which is not trusted"));
    home.ok(&["pack", &folder, "--sign", "ours.key"]);
    // Another package under the signature.
    let signature = home.read("shown-1.0.0.apyfal.minisig");
    let signed = home.read("shown-1.0.0.apyfal");
    packed(&home, "1.0.1", "printf 1.0.1", "");
    home.write("shown-1.0.0.apyfal", home.read("shown-1.0.1.apyfal"));
    assert!(home.fails(5, &install).contains("its signature is not of these bytes"));
    assert!(left(&home).is_empty());
    home.write("shown-1.0.0.apyfal", signed);
    home.ok(&install);
    home.ok(&["uninstall", "shown"]);
    // The configuration asks for it too.
    home.write("accelerator.conf", "[security]\npackage_keys =\n    ours.pub\n    theirs.pub\n");
    home.fails(5, &["install", "shown-1.0.1.apyfal"]);
    home.ok(&["install", "shown-1.0.0.apyfal"]);
    let nginx = Nginx::start(home.folder()).unwrap();
    home.write("shown-1.0.1.apyfal.minisig", signature);
    home.fails(5, &["install", &nginx.url("shown-1.0.1.apyfal")]);
    home.ok(&["install", &nginx.url("shown-1.0.0.apyfal")]);
}

#[test]
fn what_no_trusted_key_signed_is_not_used_either() {
    let home = Home::new();
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    std::fs::create_dir(home.path("keys")).unwrap();
    home.write("keys/ours.pub", pair.pk.to_box().unwrap().into_string());
    home.write("ours.key", pair.sk.to_box(None).unwrap().into_string());
    let folder = project(&home, "1.0.0", "printf 1.0.0", "");
    home.ok(&["pack", &folder.to_string_lossy()]);
    home.ok(&["install", "shown-1.0.0.apyfal"]);
    assert_eq!(shown(&home), "1.0.0");
    home.write("accelerator.conf", "[security]\npackage_keys = ~/keys/ours.pub\n");
    let anew = format!("apyfal install '{}'", home.path("shown-1.0.0.apyfal").display());
    for words in [&["run", "shown"][..], &["accelerators", "shown"], &["create", "-a", "shown"]] {
        let error = home.fails(5, words);
        assert!(
            error.contains("cannot use the package 'shown': it was installed without"),
            "{error}"
        );
        assert!(error.contains(&anew), "{error}");
    }
    let output = home.apyfal(&["accelerators"]).output().unwrap();
    assert!(!text(&output.stdout).contains("shown"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("installed without a signature"));
    // The same archive, whose signature is there now.
    home.ok(&["pack", &folder.to_string_lossy(), "--sign", "ours.key"]);
    home.ok(&["install", "shown-1.0.0.apyfal"]);
    assert_eq!(shown(&home), "1.0.0");
    assert!(home.ok(&["accelerators", "shown"]).contains("Signed with: RW"));
    // Nobody is trusted where it cannot be told who is.
    std::fs::remove_file(home.path("keys/ours.pub")).unwrap();
    let error = home.fails(3, &["run", "shown"]);
    assert!(error.contains("cannot read the public key '~/keys/ours.pub'"), "{error}");
    home.write("in.txt", "x");
    home.ok(&["run", "gzip", "in.txt", "out.gz"]);
}

#[test]
fn an_alias_takes_no_name_away() {
    let home = Home::new();
    let package = packed(&home, "1.0.0", "printf 1.0.0", "aliases = ['gzip', 'mine']");
    home.ok(&["install", &package]);
    home.write("in.txt", "x");
    home.ok(&["run", "gzip", "in.txt", "out.gz"]);
    assert_eq!(home.read("out.gz")[..2], [0x1f, 0x8b]);
    home.ok(&["run", "mine", "--dst", "out.txt"]);
    assert_eq!(home.read("out.txt"), b"1.0.0");
}

#[test]
fn versions_of_one_number_are_told_apart() {
    let home = Home::new();
    for script in ["printf one", "printf two"] {
        let package = packed(&home, "1.0.0", script, "");
        let sums = text(&peer("sha256sum", &[&home.path(&package).to_string_lossy()], b""));
        let output = home.apyfal(&["install", &package]).output().unwrap();
        let told = text(&output.stderr);
        let digits = &sums[..8];
        let is_second = script.ends_with("two");
        assert_eq!(
            told.contains(&format!("installed shown 1.0.0 ({digits})")),
            is_second,
            "{told}"
        );
        assert_eq!(
            told.contains(") stays: 'apyfal install --previous shown'"),
            is_second,
            "{told}"
        );
    }
}

#[test]
fn the_next_command_of_a_new_project_can_be_pasted() {
    let home = Home::new();
    let output = home.apyfal(&["init", "zz", "with space"]).output().unwrap();
    assert!(text(&output.stderr).contains("apyfal pack 'with space'"), "{}", text(&output.stderr));
}

#[test]
fn the_configuration_goes_before_packages() {
    let home = Home::new();
    let package = version(&home, "1.0.0");
    home.ok(&["install", &package]);
    home.write("accelerator.conf", "[accelerator.Shown]\ncommand = ['printf', 'configured']\n");
    assert_eq!(shown(&home), "configured");
    assert!(!home.ok(&["accelerators", "shown"]).contains("Package:"));
}
