//! A machine that another installation made, or its owner: `instance_id` names it.

use std::path::Path;

use serde_json::Value;

use crate::Cloud;
use crate::common::text;

impl Cloud {
    /// A host that runs, of which this user knows the address and what proves it, and no more.
    fn of_somebody_else(&self) -> String {
        self.0.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
        self.0.ok(&["start"]);
        let id = self.machines()[0]["id"].as_str().unwrap().to_owned();
        self.0.ok(&["stop", "--stop_mode", "keep"]);
        std::fs::remove_dir_all(self.0.path(".apyfal/hosts")).unwrap();
        id
    }

    fn create(&self, id: &str, more: &[&str]) {
        let words = ["create", "--accelerator", "gzip", "--host_type", "sim", "--instance_id", id];
        self.0.ok(&[&words[..], more].concat());
    }

    fn wanted(&self) -> String {
        self.machines()[0]["wanted"].as_str().unwrap().to_owned()
    }

    fn works(&self) {
        self.0.ok(&["start"]);
        self.0.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
        assert!(self.is_right("notes.gz"));
        assert_eq!(self.machines().len(), 1, "none is made");
    }
}

#[test]
fn it_is_used_and_left_unless_something_else_is_said() {
    let cloud = Cloud::new();
    let id = cloud.of_somebody_else();
    let at_shutdown = cloud.machines()[0]["at_shutdown"].clone();
    cloud.create(&id, &[]);
    cloud.works();
    let stopped = cloud.0.apyfal(&["stop"]).output().unwrap();
    assert!(text(&stopped.stderr).contains("is still running"), "{stopped:?}");
    assert_eq!(cloud.wanted(), "running");

    cloud.create(&id, &["--stop_mode", "stop"]);
    cloud.works();
    // What is to end all that was made here does not end what was not.
    cloud.0.ok(&["stop", "--all"]);
    assert_eq!(cloud.wanted(), "stopped");
    cloud.create(&id, &[]);
    cloud.works();
    assert_eq!(cloud.machines()[0]["at_shutdown"], at_shutdown, "that stays as it was");
    cloud.0.ok(&["stop", "--stop_mode", "term"]);
    assert_eq!(cloud.wanted(), "ended");
    cloud.create(&id, &[]);
    assert!(cloud.0.fails(8, &["start"]).contains("it has ended"));
}

#[test]
fn it_is_known_by_its_id_at_whatever_address_it_has() {
    let cloud = Cloud::new();
    let id = cloud.of_somebody_else();
    let folder = cloud.0.path(".apyfal/known_hosts");
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap());
    let files = std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path());
    let mut known = files.filter_map(|path| Some((read(&path).ok()?, path)));
    let (mut pairing, path) = known.find(|(pairing, _)| pairing["url"].is_string()).unwrap();
    std::fs::remove_file(path).unwrap();
    cloud.create(&id, &[]);
    let said = cloud.0.apyfal(&["start"]).output().unwrap();
    assert!(!said.status.success(), "nothing proves it: {}", text(&said.stderr));

    let port = pairing["url"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    pairing["url"] = format!("https://127.9.9.9:{port}").into();
    let named = format!("{}.json", id.to_lowercase());
    std::fs::write(folder.join(named), pairing.to_string()).unwrap();
    cloud.works();
    // Nobody else would end it.
    cloud.0.ok(&["stop", "--stop_mode", "term"]);
    assert_eq!(cloud.wanted(), "ended");
}

#[test]
fn a_machine_of_nobody_is_refused() {
    let cloud = Cloud::new();
    let said = cloud.0.fails(2, &["create", "-a", "gzip", "--instance_id", "i-1"]);
    assert!(said.contains("no host_type is named"), "{said}");
    cloud.0.write("mine.conf", "[host]\nhost_type = sim\n");
    cloud.0.ok(&["create", "-a", "gzip", "--config", "mine.conf", "--instance_id", "sim-1"]);
    assert!(cloud.0.fails(3, &["start"]).contains("there is none in sim"));
}
