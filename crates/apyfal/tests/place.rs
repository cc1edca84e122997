//! Where an accelerator runs: here, on a host, or on several.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use apyfal::configuration::Environment;
use apyfal::package::{self, InstallOptions, Manifest};
use apyfal::{
    Accelerator, AcceleratorBuilder, Call, Cancel, Configuration, ErrorKind, KnownHosts, Machine,
    Pairing, Remote, RemoteOptions, Storage, Surroundings,
};
use apyfal_testkit::Unheard;
use common::Host;

fn configured(accelerator: &str, text: &str) -> AcceleratorBuilder {
    let configuration = Configuration::parse(text.as_bytes(), "a test").unwrap();
    Accelerator::builder(accelerator).configuration(configuration)
}

/// Those of a user on a machine whose root directory this is.
fn at(home: &Path, root: &Path) -> Surroundings {
    let environment = Environment { home: Some(home.to_owned()), ..Environment::default() };
    let machine = Some(Machine::at(root));
    Surroundings { environment, machine, ..Surroundings::default() }
}

#[tokio::test]
async fn nobody_is_contacted_before_the_first_call() {
    let unheard = Unheard::new();
    let options = || RemoteOptions::new(unheard.address().to_string());
    let meant = Remote::new(options()).unwrap().accelerator("gzip").await.unwrap_err();
    for hosts in [vec![options()], vec![options(), options()]] {
        let accelerator = Accelerator::builder("gzip").hosts(hosts).build().unwrap();
        let error = accelerator.start(Call::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!((error.to_string(), error.hints()), (meant.to_string(), meant.hints()));
    }
    // What is known without anybody is told at once.
    let error = Accelerator::builder("gzpi").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn a_machine_that_is_meant_runs_it_and_any_other_warns() {
    let (home, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let made =
        |text: &str| configured("gzip", text).surroundings(at(home.path(), root.path())).build();
    let other = "[host]\nhost_type = OpenStack\n";
    let warnings = made(other).unwrap().warnings().to_vec();
    let warning = "host_type is OpenStack, but without host_ip this version runs everything here";
    assert_eq!(warnings, [warning]);
    let aws = "[host]\nhost_type = AWS\n";
    let error = made(aws).unwrap_err();
    assert!(error.hints()[0].contains("region = us-east-1"), "nothing is made by guess: {error:?}");
    assert!(made("[host]\nhost_type = localhost\n").unwrap().warnings().is_empty());
    file("sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
    assert_eq!(made(aws).unwrap_err().kind(), ErrorKind::Conflict);
    let elsewhere = made(&format!("{aws}region = us-east-1\nprefer_self_hosted = False\n"));
    assert!(elsewhere.unwrap().has_host_of_its_own());
    file("etc/apyfal/host", "");
    assert!(made(aws).unwrap().warnings().is_empty());
    let slip = made("[process.gzpi]\nlevel = 1\n").unwrap();
    assert!(slip.warnings()[0].contains("did you mean 'gzip'"), "{:?}", slip.warnings());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_found_by_the_names_they_were_paired_with() {
    let home = tempfile::tempdir().unwrap();
    let hosts =
        [Host::start(&home.path().join("1")).await, Host::start(&home.path().join("2")).await];
    let known = KnownHosts::below(home.path());
    for (name, host) in ["gpu1", "gpu2"].into_iter().zip(&hosts) {
        known.add(name, Pairing::new(host.url()), &Cancel::default()).unwrap();
    }
    for (named, count) in [("gpu1", 1), ("gpu1, gpu2", 2)] {
        let accelerator = configured("sha3", &format!("[host]\nhost_ip = {named}\n"));
        let accelerator = accelerator.surroundings(at(home.path(), home.path())).build().unwrap();
        let urls: Vec<_> = accelerator.hosts().iter().map(Remote::url).collect();
        assert_eq!(urls, hosts.iter().take(count).map(Host::url).collect::<Vec<_>>());
        accelerator.start(Call::new()).await.unwrap();
        let source = home.path().join("source");
        fs::write(&source, "text").unwrap();
        let source = source.to_string_lossy();
        let report = accelerator.process(Call::new().src(source)).await.unwrap();
        assert!(report.specific["digest"].is_string());
        accelerator.stop().await.unwrap();
    }
}

/// Installs the package of an accelerator `shout` for a user.
async fn install(home: &Path) {
    let folder = home.join("project");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join(Manifest::FILE),
        "name = 'shout'\nversion = '1.0.0'\ncommand = ['./run']\n",
    )
    .unwrap();
    fs::write(folder.join("run"), "#!/bin/sh\ntr a-z A-Z\n").unwrap();
    fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let (archive, cancel) = (home.join("shout.apyfal"), Cancel::default());
    let manifest = Manifest::load(&folder).unwrap();
    let mut file = File::options().read(true).write(true).create_new(true).open(&archive).unwrap();
    package::pack(&folder, &manifest, &mut file, &cancel).unwrap();
    let machine = package::MachineFacts::here("/usr/bin:/bin", Vec::new());
    let options = InstallOptions { test: false, ..InstallOptions::new(machine) };
    let (store, storage) = (package::store(home), Storage::new());
    let url = archive.to_string_lossy();
    package::install_from(&url, options, &store, &storage, &cancel, &Arc::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_packages_are_found() {
    let (home, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    install(home.path()).await;
    assert!(Accelerator::builder("shout").build().is_err(), "nobody told where to look");
    let builder = Accelerator::builder("shout").surroundings(at(home.path(), root.path()));
    let accelerator = builder.build().unwrap();
    let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    fs::write(path("in"), "loud").unwrap();
    accelerator.start(Call::new()).await.unwrap();
    accelerator.process(Call::new().src(path("in")).dst(path("out"))).await.unwrap();
    accelerator.stop().await.unwrap();
    assert_eq!(fs::read_to_string(path("out")).unwrap(), "LOUD");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_does_what_five_command_lines_do() {
    let home = tempfile::tempdir().unwrap();
    let host = Host::start(&home.path().join("host")).await;
    let known = KnownHosts::below(home.path());
    known.add("gpu1", Pairing::new(host.url()), &Cancel::default()).unwrap();
    let tests = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples/compress");
    let run = || {
        let mut command = Command::new(&example);
        command.current_dir(home.path()).env_clear().env("HOME", home.path());
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    for configuration in ["", "[host]\nhost_ip = gpu1\n"] {
        fs::write(home.path().join("accelerator.conf"), configuration).unwrap();
        for name in ["a", "b", "c"] {
            fs::write(home.path().join(format!("{name}.txt")), name.repeat(1000)).unwrap();
            let _ = fs::remove_file(home.path().join(format!("{name}.txt.gz")));
        }
        let output = run();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for name in ["a", "b", "c"] {
            let unzipped = Command::new("gzip")
                .arg("-dc")
                .arg(home.path().join(format!("{name}.txt.gz")))
                .output()
                .unwrap();
            assert_eq!(unzipped.stdout, name.repeat(1000).as_bytes());
        }
    }
    host.end().await;
    assert!(!run().status.success(), "it did so on the host");
}
