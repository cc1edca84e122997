//! Hosts that are made, used and given back, by the provider whose hosts are processes here.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod dropped;
mod existing;
mod kills;
mod trouble;
mod undone;

use std::path::PathBuf;
use std::process::Stdio;

use apyfal_providers::{AtShutdown, Boot, HostSpec, Sim};
use common::page::Page;
use common::server::until;
use common::{Home, peer, text, words};
use serde_json::Value;

/// A home whose hosts end with the test.
pub(crate) struct Cloud(pub(crate) Home);

impl Cloud {
    pub(crate) fn new() -> Self {
        let home = Home::new();
        home.write("notes.txt", words(200_000, 1));
        Self(home)
    }

    /// What the provider has of each machine.
    pub(crate) fn machines(&self) -> Vec<Value> {
        let instances = self.0.path(".apyfal/sim/instances");
        let Ok(found) = std::fs::read_dir(instances) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: PathBuf| std::fs::read(path.join("instance.json")).ok();
        let machines = paths.into_iter().filter_map(read);
        machines.map(|text| serde_json::from_slice(&text).unwrap()).collect()
    }

    /// How many of them are there still.
    pub(crate) fn living(&self) -> usize {
        self.machines().iter().filter(|machine| machine["wanted"] != "ended").count()
    }

    /// What `apyfal list` says of hosts.
    pub(crate) fn listed(&self) -> Vec<Value> {
        let listed = self.0.ok(&["list", "--json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed["hosts"].as_array().unwrap().clone()
    }

    pub(crate) fn is_right(&self, packed: &str) -> bool {
        peer("gzip", &["-dc"], &self.0.read(packed)) == self.0.read("notes.txt")
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.0.apyfal(&["stop", "--all"]).output();
    }
}

#[tokio::test]
async fn processes_of_this_machine_are_a_provider() {
    apyfal_testkit::default_signals();
    let home = tempfile::tempdir().unwrap();
    let sim = Sim::new(home.path(), env!("CARGO_BIN_EXE_apyfal"));
    let contact = apyfal::FirstContact::new(None, None).unwrap();
    let spec = HostSpec {
        name: "accelize_gzip_261128010203".to_owned(),
        accelerator: "gzip".to_owned(),
        installation: "here".to_owned(),
        instance_type: None,
        image: None,
        fpga_image: None,
        at_shutdown: AtShutdown::Terminate,
        idle_timeout: None,
        max_lifetime: None,
        boot: Boot::Files(contact.files().map(|(name, text)| (name.to_owned(), text)).into()),
    };
    apyfal_testkit::provider_suite(&sim, &spec).await;
}

#[test]
fn a_host_is_made_used_and_given_back() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    home.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
    assert!(cloud.machines().is_empty(), "nothing is made before it is needed");
    let started = home.apyfal(&["start"]).output().unwrap();
    let said = text(&started.stderr);
    assert!(started.status.success(), "{said}");
    for phase in ["prepared", "requested", "its machine runs", "contacted", "ready"] {
        assert!(said.contains(&format!(": {phase}\n")), "{said}");
    }
    assert!(said.contains("Accelerator IP address: https://127."), "{said}");
    assert!(!said.contains("differs"), "{said}");
    assert_eq!(cloud.living(), 1);
    home.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
    assert!(cloud.is_right("notes.gz"));

    // Started again, it is the same host; and it is known by its address.
    home.ok(&["start"]);
    assert_eq!(cloud.machines().len(), 1);
    let listed = cloud.listed();
    let host = &listed[0];
    assert_eq!((listed.len(), host["state"].as_str()), (1, Some("running")), "{host}");
    assert_eq!(host["used_by"], "default");
    assert!(host["name"].as_str().unwrap().starts_with("accelize_gzip_"), "{host}");
    let address = host["url"].as_str().unwrap();
    home.ok(&["run", "gzip", "notes.txt", "again.gz", "--host_ip", address]);
    assert!(cloud.is_right("again.gz"));
    let table = home.ok(&["list"]);
    assert!(table.contains("accelize_gzip_") && table.contains(address), "{table}");

    // Names that are forgotten end nothing, which is said.
    let cleared = home.apyfal(&["clear"]).output().unwrap();
    assert!(cleared.status.success() && text(&cleared.stderr).contains("its name is kept"));
    home.ok(&["start"]);
    assert_eq!(cloud.machines().len(), 1, "it is the host of that name still");
    home.fails(8, &["clear", "--all"]);
    home.ok(&["stop"]);
    assert_eq!(cloud.living(), 0);
    assert!(cloud.listed().is_empty());
    home.fails(6, &["stop"]);
    // Neither what it was told nor what it held is there any more.
    let ledger = home.read(".apyfal/hosts/ledger.db");
    assert!(!text(&ledger).contains("PRIVATE KEY"));
    let id = cloud.machines()[0]["id"].as_str().unwrap().to_owned();
    assert!(!home.path(&format!(".apyfal/sim/instances/{id}/data")).exists());
}

#[test]
fn the_guide_runs_as_it_stands() {
    let cloud = Cloud::new();
    Page::read("docs/guides/made-hosts.md")
        .check("apyfal start", |_| assert_eq!(cloud.living(), 1))
        .check("apyfal process --src notes.txt --dst notes.txt.gz", |_| {
            assert!(cloud.is_right("notes.txt.gz"));
        })
        .check("apyfal stop", |_| assert_eq!(cloud.living(), 0))
        .check("apyfal run gzip notes.txt again.gz --host_type sim", |_| {
            assert!(cloud.is_right("again.gz"));
        })
        .run(&cloud.0);
    assert_eq!(cloud.living(), 0);
}

#[test]
fn what_runs_once_leaves_no_host_behind() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    home.ok(&["run", "gzip", "notes.txt", "notes.gz", "--host_type", "sim"]);
    assert!(cloud.is_right("notes.gz"));
    assert_eq!((cloud.machines().len(), cloud.living()), (1, 0));
    home.write("not.gz", "no gzip");
    home.fails(7, &["run", "gunzip", "not.gz", "out", "--host_type", "sim"]);
    assert_eq!((cloud.machines().len(), cloud.living()), (2, 0));
    // Many files are one host.
    home.write("accelerator.conf", "[host]\nhost_type = sim\n");
    std::fs::create_dir(home.path("many")).unwrap();
    for name in ["a", "b", "c"] {
        home.write(&format!("many/{name}"), name);
    }
    home.ok(&["map", "gzip", "many", "packed"]);
    assert_eq!(peer("gzip", &["-dc"], &home.read("packed/c.gz")), b"c");
    assert_eq!((cloud.machines().len(), cloud.living()), (3, 0));
    // Settings are read as the table of the configuration says: this one is text.
    let typed = ["--instance_type", "0123", "--name", "typed"];
    home.ok(&[&["create", "--accelerator", "gzip", "--host_type", "sim"], &typed[..]].concat());
    let record = home.read(".apyfal/command_line/accelerators/typed.json");
    assert!(text(&record).contains(r#""instance_type": "0123""#), "{}", text(&record));
    // What is wrong is told before anything is made.
    home.fails(2, &["create", "--accelerator", "gzip", "--host_type", "nowhere"]);
    home.fails(3, &["run", "gzip", "notes.txt", "x", "--host_type", "sim", "--stop_mode", "maybe"]);
    assert_eq!(cloud.machines().len(), 3);
}

#[test]
fn a_host_is_given_back_whatever_became_of_its_configuration() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    let (mine, none) = ("[host]\nhost_type = sim\n", "");
    let begin = || {
        home.write("mine.conf", mine);
        home.ok(&["create", "--accelerator", "gzip", "--config", "mine.conf"]);
        home.ok(&["start"]);
        assert_eq!(cloud.living(), 1);
    };
    begin();
    home.fails(2, &["stop", "--stop_mode", "trem"]);
    home.write("mine.conf", none);
    let stopped = home.apyfal(&["stop"]).output().unwrap();
    assert!(text(&stopped.stderr).contains("gave back the host accelize_gzip_"), "{stopped:?}");
    assert_eq!(cloud.living(), 0);

    begin();
    home.write("mine.conf", none);
    home.ok(&["create", "--accelerator", "sha3"]);
    assert_eq!(cloud.living(), 0, "the name stands for something else");
}

#[test]
fn what_is_wrong_with_a_start_is_told_before_a_host_is_made() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    home.ok(&["create", "--accelerator", "hyperfire", "--host_type", "sim"]);
    home.write("words.csv", "a,b\n");
    home.fails(2, &["start", "--src", "words.csv", "--nonsense", "5"]);
    assert!(cloud.machines().is_empty());
}

#[test]
fn what_a_host_knows_in_another_way_is_told_before_a_job_fails_by_it() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    // Packages go before what is built in, and the host has what is built in alone.
    std::fs::create_dir(home.path("project")).unwrap();
    home.write(
        "project/accelerator.toml",
        "name = 'gzip'\nversion = '1.0.0'\ncommand = ['gzip']\n\
         [parameters]\nlevel = { type = 'integer', min = 1, max = 9, default = 6 }\n\
         rsyncable = { type = 'bool' }\n",
    );
    home.ok(&["pack", "project", "--quiet"]);
    home.ok(&["install", "gzip-1.0.0.apyfal", "--quiet"]);
    home.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
    let started = home.apyfal(&["start"]).output().unwrap();
    let said = text(&started.stderr);
    assert!(started.status.success(), "{said}");
    let told = "gzip on its host differs from what is known of it here: ";
    assert_eq!(said.matches(told).count(), 1, "{said}");
    assert!(said.contains("'level' takes ") && said.contains("no parameter 'rsyncable'"), "{said}");
    let said = home.fails(2, &["process", "-i", "notes.txt", "-o", "o", "--rsyncable", "true"]);
    assert!(said.contains("rsyncable") && !said.contains(told), "{said}");
    home.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
    assert!(cloud.is_right("notes.gz"));
    // Once it is there, what it says counts.
    let there = ["--level", "fast", "--engine", "cpu"];
    home.ok(&[&["process", "-i", "notes.txt", "-o", "fast.gz"], &there[..]].concat());
    assert!(cloud.is_right("fast.gz"));
    let said = home.fails(2, &["process", "-i", "notes.txt", "-o", "o", "--engine", "gzip"]);
    assert!(said.contains("cpu"), "{said}");
}

#[test]
fn a_host_is_given_back_though_it_cannot_be_remembered() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    std::fs::create_dir_all(home.path(".apyfal")).unwrap();
    home.write(".apyfal/known_hosts", "no directory");
    home.ok(&["run", "gzip", "notes.txt", "notes.gz", "--host_type", "sim"]);
    assert!(cloud.is_right("notes.gz"));
    assert_eq!((cloud.machines().len(), cloud.living()), (1, 0));
}

#[test]
fn a_host_may_be_stopped_or_kept() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    home.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
    home.ok(&["start"]);
    let kept = home.apyfal(&["stop", "--stop_mode", "keep"]).output().unwrap();
    let said = text(&kept.stderr);
    assert!(kept.status.success(), "{said}");
    assert!(said.contains("Instance 'sim-") && said.contains("is still running"), "{said}");
    assert_eq!(cloud.listed()[0]["state"], "running");
    // Its name is forgotten: a second stop deletes nothing that was kept.
    let again = home.apyfal(&["stop"]).output().unwrap();
    let said = text(&again.stderr);
    assert!(
        !again.status.success() && said.contains("stop --name default --stop_mode term"),
        "{said}"
    );
    assert_eq!(cloud.living(), 1);
    assert!(text(&home.apyfal(&["clear"]).output().unwrap().stderr).contains("--stop_mode term"));

    home.ok(&["create", "--accelerator", "gzip", "--host_type", "sim", "--stop_mode", "stop"]);
    home.ok(&["start"]);
    home.ok(&["stop"]);
    assert_eq!(cloud.listed()[0]["state"], "stopped");
    // Started again, it is the same machine, with what it had.
    home.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
    home.ok(&["start"]);
    home.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
    assert!(cloud.is_right("notes.gz"));
    assert_eq!(cloud.machines().len(), 1);
    // A name that is to stand for something else gives its host back.
    home.ok(&["create", "--accelerator", "gunzip", "--host_type", "sim"]);
    assert_eq!(cloud.living(), 0);
    home.ok(&["start"]);
    home.ok(&["stop", "--stop_mode", "stop"]);
    let login = home.apyfal(&["ssh"]).output().unwrap();
    assert!(text(&login.stderr).contains("it is stopped"), "{}", text(&login.stderr));
    home.ok(&["stop", "--stop_mode", "term"]);
    assert_eq!(cloud.living(), 0);
}

#[test]
fn a_host_whose_lease_ran_out_has_ended_and_another_is_made() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    let lease = ["--idle_timeout", "1s", "--max_lifetime", "none"];
    let create = ["create", "--accelerator", "gzip", "--host_type", "sim"];
    home.ok(&[&create[..], &lease].concat());
    home.ok(&["start"]);
    until("the host ends itself", || {
        cloud.listed().iter().all(|host| host["state"] == "ended") || cloud.listed().is_empty()
    });
    let again = home.apyfal(&["start"]).output().unwrap();
    let said = text(&again.stderr);
    assert!(again.status.success(), "{said}");
    assert!(said.contains("had ended by itself"), "{said}");
    assert_eq!(cloud.machines().len(), 2);
    home.ok(&["stop", "--all"]);
    assert_eq!(cloud.living(), 0);
}

#[test]
fn a_stopped_host_whose_life_is_over_gives_way_to_another() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    let create = ["create", "--accelerator", "gzip", "--host_type", "sim", "--max_lifetime", "50s"];
    home.ok(&[&create[..], &["--stop_mode", "stop"]].concat());
    home.ok(&["start"]);
    home.ok(&["stop"]);
    home.ok(&[&create[..], &["--stop_mode", "stop"]].concat());
    home.ok(&["start"]);
    home.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
    assert!(cloud.is_right("notes.gz"));
    assert_eq!((cloud.machines().len(), cloud.living()), (2, 1));
}

#[test]
fn a_start_that_is_interrupted_leaves_nothing() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    // Its job never ends by itself.
    let mut child = home
        .apyfal(&["run", "gzip", "-", "out.gz", "--host_type", "sim"])
        .stdin(Stdio::piped())
        .stderr(Stdio::from(std::fs::File::create(home.path("said")).unwrap()))
        .spawn()
        .unwrap();
    // Who waits for it would close what it reads.
    let _input = child.stdin.take();
    until("the host serves", || cloud.listed().first().is_some_and(|host| !host["url"].is_null()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130), "{}", text(&home.read("said")));
    assert_eq!((cloud.machines().len(), cloud.living()), (1, 0));
    assert!(cloud.listed().is_empty());
}

#[test]
fn two_at_once_have_a_host_each() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    std::thread::scope(|scope| {
        for name in ["one", "other"] {
            scope.spawn(move || {
                home.ok(&["create", "--name", name, "-a", "gzip", "--host_type", "sim"]);
                home.ok(&["start", "--name", name]);
            });
            let packed = format!("{name}.gz");
            scope.spawn(move || {
                home.ok(&["run", "gzip", "notes.txt", &packed, "--host_type", "sim"]);
            });
        }
    });
    assert!(cloud.is_right("one.gz") && cloud.is_right("other.gz"));
    assert_eq!((cloud.machines().len(), cloud.living()), (4, 2));
    home.ok(&["stop", "--all"]);
    assert_eq!(cloud.living(), 0);
    assert!(home.ok(&["list"]).is_empty());
}

#[test]
fn one_that_is_kept_is_told_by_its_name_and_ended_by_any() {
    let cloud = Cloud::new();
    let create = ["create", "-a", "gzip", "-n", "it", "--host_type", "sim", "--stop_mode", "keep"];
    cloud.0.ok(&create);
    cloud.0.ok(&["start", "-n", "it"]);
    let host = cloud.listed()[0]["name"].as_str().unwrap().to_owned();
    cloud.0.ok(&["stop", "-n", "it"]);
    let said = cloud.0.fails(6, &["start", "-n", "it"]);
    assert!(said.contains(&host) && said.contains("--host_type sim"), "{said}");
    let said = cloud.0.fails(6, &["stop", "-n", &host]);
    assert!(said.contains("--stop_mode term"), "{said}");
    assert_eq!(cloud.living(), 1);
    cloud.0.ok(&["stop", "-n", &host, "--stop_mode", "term"]);
    assert_eq!(cloud.living(), 0);
    assert!(!cloud.0.ok(&["host", "list"]).contains("127."), "another may have its address");
}

#[test]
fn a_host_that_has_ended_by_itself_is_known_no_more() {
    let cloud = Cloud::new();
    let create = ["create", "-a", "gzip", "--host_type", "sim"];
    cloud.0.ok(&create);
    cloud.0.ok(&["start"]);
    let url = cloud.listed()[0]["url"].as_str().unwrap().to_owned();
    let address = url.rsplit_once("//").unwrap().1.trim_end_matches('/').to_owned();
    assert!(cloud.0.ok(&["host", "list"]).contains(&address));
    let pid = cloud.0.read(&format!(
        ".apyfal/sim/instances/{}/pid",
        cloud.listed()[0]["instance_id"].as_str().unwrap()
    ));
    let pid = text(&pid).trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("it has ended", || cloud.listed()[0]["state"] != "running");
    cloud.0.ok(&["start"]);
    let known = cloud.0.ok(&["host", "list"]);
    assert!(!known.contains(&address) || cloud.listed()[0]["url"] == url, "{known}");
    cloud.0.ok(&["stop"]);
    assert!(!cloud.0.ok(&["host", "list"]).contains("127."));
}

#[test]
fn parameters_of_jobs_are_checked_before_a_host_is_made() {
    let cloud = Cloud::new();
    let run = ["run", "gzip", "notes.txt", "notes.gz", "--host_type", "sim", "--level", "nosuch"];
    let said = cloud.0.fails(2, &run);
    assert!(said.contains("'level' of gzip"), "{said}");
    std::fs::create_dir(cloud.0.path("in")).unwrap();
    cloud.0.write("in/a", "a");
    let said =
        cloud.0.fails(2, &["map", "gzip", "in", "out", "--host_type", "sim", "--level", "nosuch"]);
    assert!(said.contains("'level' of gzip"), "{said}");
    assert!(cloud.machines().is_empty(), "{:?}", cloud.machines());
}
