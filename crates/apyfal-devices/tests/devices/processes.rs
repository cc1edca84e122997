//! Several processes at one device, some of which are killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use apyfal_core::Cancel;
use apyfal_devices::{Access, Kind};

use crate::stand::{Stand, each, group_runs, until};

const ROLE: &str = "APYFAL_TEST_ROLE";
const FOLDER: &str = "APYFAL_TEST_FOLDER";
const KIND: &str = "APYFAL_TEST_KIND";

/// What another process does: this test in a process of its own, else nothing.
#[test]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let kind = std::env::var(KIND).unwrap();
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).unwrap();
    let stand = Stand::at(&folder, kind);
    match role.as_str() {
        "hold" => {
            let guard = stand.acquire("a").unwrap();
            fs::write(folder.join("held"), guard.slot()).unwrap();
            loop {
                std::thread::park();
            }
        }
        "share" => share(&stand),
        other => panic!("{other}"),
    }
}

/// Uses the one slot several times, and notices whether anybody else does meanwhile.
fn share(stand: &Stand) {
    let inside = stand.path("inside");
    for round in 0..6 {
        let name = if round % 2 == 0 { "a" } else { "b" };
        let guard = stand.acquire(name).unwrap();
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).open(&inside).expect("nobody else in the slot");
        assert_eq!(stand.loaded(guard.slot()).as_deref(), Some(stand.image(name).id()));
        fs::remove_file(&inside).unwrap();
        guard.finish().unwrap();
    }
}

fn start(role: &str, stand: &Stand) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::another_process", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, stand.folder())
        .env(KIND, stand.kind.name())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn exists(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| !text.is_empty())
}

#[test]
fn the_slot_of_a_process_that_was_killed_is_cleared_and_loaded() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let slot = Stand::names(kind)[0];
        let mut child = start("hold", &stand);
        until("it holds the slot", || exists(&stand.path("held")));
        let seen = &stand.pool().look(&Cancel::default()).unwrap()[0];
        assert!(seen.in_use);
        assert_eq!(seen.holder.as_ref().unwrap().pid, child.id());
        stand.tell(&format!("used-{slot}"), "");
        stand.changes();
        // With SIGKILL, which nobody can answer.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(stand.pool().look(&Cancel::default()).unwrap()[0].is_left_over());
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());
        assert!(!stand.path(&format!("state/used-{slot}")).exists());
    });
}

#[test]
fn a_tool_dies_with_the_process_that_runs_it() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        stand.tell("hang-load", "");
        let mut child = start("hold", &stand);
        until("the tool hangs", || !stand.hanging().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        until("the tool is gone", || !group_runs(stand.hanging()[0]));
        stand.untell("hang-load");
        stand.changes();
        stand.acquire("a").unwrap().finish().unwrap();
        assert_eq!(stand.changes(), stand.clear_and_load());
    });
}

#[test]
fn a_slot_is_one_processs_at_a_time() {
    each(|kind| {
        let stand = Stand::new(kind, 1);
        let children: Vec<_> = (0..3).map(|_| start("share", &stand)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let pool = stand.pool_by(&Access::Direct, std::time::Duration::ZERO);
        pool.acquire(&stand.image("a"), &Cancel::default()).unwrap().finish().unwrap();
    });
}
