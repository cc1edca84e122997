//! What befalls a client and its ledger: nothing is made that nobody remembers.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::Cloud;
use crate::common::server::until;
use crate::common::{namespaces, text};

const RUN: [&str; 6] = ["run", "gzip", "notes.txt", "notes.gz", "--host_type", "sim"];

impl Cloud {
    /// Runs it by a shell, whose first parameter is the command; how that failed.
    fn fails_in(&self, words: &[&str], script: &str) -> String {
        let mut command = std::process::Command::new(words[0]);
        command.args(&words[1..]).args(["sh", "-c", script, "sh"]);
        let apyfal = self.0.apyfal(&RUN);
        command.arg(apyfal.get_program()).args(apyfal.get_args());
        command.env_clear().envs(apyfal.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let output = command.current_dir(self.0.folder()).output().unwrap();
        assert!(!output.status.success(), "{}", text(&output.stdout));
        text(&output.stderr)
    }
}

#[test]
fn a_client_that_is_stopped_in_its_first_contact_goes_on() {
    let cloud = Cloud::new();
    cloud.0.ok(&["create", "--accelerator", "gzip", "--host_type", "sim"]);
    let mut child = cloud.0.apyfal(&["start"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.by_ref().any(|line| line.ends_with("its machine runs")));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::STOP).unwrap();
    // Others see what it is at, and do not wait for it.
    assert_eq!(cloud.listed().len(), 1);
    kill_process(pid, Signal::CONT).unwrap();
    let rest: Vec<_> = said.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    cloud.0.ok(&["process", "-i", "notes.txt", "-o", "notes.gz"]);
    assert!(cloud.is_right("notes.gz"));
    assert_eq!(cloud.machines().len(), 1);
}

#[test]
fn where_the_ledger_has_no_room_nothing_is_made() {
    let Some(unshare) = namespaces::mounts() else { return };
    let cloud = Cloud::new();
    std::fs::create_dir_all(cloud.0.path(".apyfal/hosts")).unwrap();
    let words = [&["unshare"], unshare].concat();
    // What has no room is another thing each time: the file, its pages, its log, the index of that.
    for left in [8, 16, 32, 48, 64, 80] {
        let said = cloud.fails_in(
            &words,
            &format!(
                "cd .apyfal/hosts && mount -t tmpfs -o size={left}k tmpfs . && cd ../.. \
                 && exec \"$@\""
            ),
        );
        let is_told = said.contains("no space left") && said.contains("make room on the disk of '");
        assert!(is_told && said.contains(".apyfal/hosts/ledger.db"), "{left} KiB: {said}");
        assert!(cloud.machines().is_empty(), "{said}");
    }
}

#[test]
fn where_the_ledger_is_another_users_nothing_is_made() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let cloud = Cloud::new();
    let home = cloud.0.folder().to_owned();
    std::fs::create_dir_all(cloud.0.path(".apyfal/hosts")).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    std::os::unix::fs::chown(cloud.0.path(".apyfal"), Some(65534), Some(65534)).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(cloud.0.path(".apyfal/hosts"), private).unwrap();
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let said = cloud.fails_in(&words, "exec \"$@\"");
    assert!(said.contains(".apyfal/hosts"), "{said}");
    assert!(cloud.machines().is_empty(), "{said}");
}

#[test]
fn a_long_job_keeps_no_host_of_others() {
    let cloud = Cloud::new();
    let Cloud(home) = &cloud;
    let [runs, go] = ["runs", "go"].map(|name| home.path(name));
    let wait =
        format!("touch {}; until [ -e {} ]; do sleep 0.05; done", runs.display(), go.display());
    let command = format!("[accelerator.slow]\ncommand = ['sh', '-c', 'cat; {wait}']\n");
    home.write("accelerator.conf", command);
    home.ok(&["create", "--name", "slow", "--accelerator", "slow"]);
    home.ok(&["start", "--name", "slow"]);
    home.ok(&["create", "--name", "made", "--accelerator", "gzip", "--host_type", "sim"]);
    home.ok(&["start", "--name", "made"]);
    let process = ["process", "--name", "slow", "-i", "notes.txt", "-o", "out"];
    let mut job = home.apyfal(&process).spawn().unwrap();
    until("it runs", || runs.exists());
    assert_eq!(cloud.living(), 1);
    let mut stopping = home.apyfal(&["stop", "--all"]).spawn().unwrap();
    until("the other one's host ends", || cloud.living() == 0);
    for child in [&mut job, &mut stopping] {
        assert!(child.try_wait().unwrap().is_none(), "it waits for the job");
    }
    home.write("go", "");
    for child in [&mut job, &mut stopping] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(home.read("out"), home.read("notes.txt"));
    assert!(!home.ok(&["list"]).contains("slow"));
}
