//! Starts that fail: what they made is given back, and what was there before stays as it was left.

use crate::Cloud;
use crate::common::server::until;
use crate::common::text;

const CREATE: [&str; 5] = ["create", "--accelerator", "hyperfire", "--host_type", "sim"];

impl Cloud {
    /// The host of a name, with a list of words that is right and one that its host refuses.
    fn of_words() -> Self {
        let cloud = Self::new();
        cloud.0.write("words.csv", "a,b\n");
        cloud.0.write("wrong.csv", "a,b,c\n");
        cloud.0.ok(&CREATE);
        cloud
    }

    /// Starts that fail before there is a host, and by what the host says of them.
    fn fails_to_start(&self, more: &[&str]) {
        self.0.fails(2, &[&["start", "--src", "words.csv", "--nonsense", "5"], more].concat());
        self.0.fails(7, &[&["start", "--src", "wrong.csv"], more].concat());
    }

    /// What is wanted of the one machine that there is.
    fn one(&self) -> String {
        let machines = self.machines();
        assert_eq!(machines.len(), 1, "{machines:?}");
        machines[0]["wanted"].as_str().unwrap().to_owned()
    }
}

#[test]
fn what_a_start_made_that_fails_is_given_back() {
    let cloud = Cloud::of_words();
    cloud.fails_to_start(&[]);
    assert_eq!(cloud.one(), "ended");
    // Also where an earlier host of the name had ended.
    cloud.0.ok(&[&CREATE[..], &["--idle_timeout", "1s"]].concat());
    cloud.0.ok(&["start", "--src", "words.csv"]);
    until("the host ends itself", || cloud.listed().iter().all(|host| host["state"] == "ended"));
    cloud.0.fails(7, &["start", "--src", "wrong.csv"]);
    assert_eq!((cloud.machines().len(), cloud.living()), (3, 0));
}

#[test]
fn one_that_was_stopped_or_kept_outlives_a_start_that_fails() {
    let cloud = Cloud::of_words();
    cloud.0.ok(&["start", "--src", "words.csv"]);
    for (mode, wanted) in [("stop", "stopped"), ("keep", "running"), ("stop", "stopped")] {
        cloud.0.ok(&["stop", "--stop_mode", mode]);
        // The name may be created twice, until it is right.
        cloud.0.ok(&CREATE);
        cloud.0.ok(&CREATE);
        cloud.fails_to_start(&[]);
        assert_eq!(cloud.one(), wanted);
        cloud.fails_to_start(&["--stop_mode", "term"]);
        assert_eq!(cloud.one(), wanted);
        cloud.0.ok(&["start", "--src", "words.csv"]);
        assert_eq!(cloud.one(), "running");
    }
    // One that is in use goes on.
    cloud.fails_to_start(&["--stop_mode", "stop"]);
    cloud.0.ok(&["process", "-i", "notes.txt", "-o", "out.txt"]);
    cloud.0.ok(&["stop", "--stop_mode", "term"]);
    assert_eq!(cloud.one(), "ended");
}

#[test]
fn a_machine_that_is_named_is_neither_stopped_nor_deleted_by_a_failure() {
    let cloud = Cloud::of_words();
    cloud.0.ok(&["start", "--src", "words.csv"]);
    let id = cloud.machines()[0]["id"].as_str().unwrap().to_owned();
    cloud.0.ok(&["stop", "--stop_mode", "keep"]);
    // Whether it was made here, or by somebody else.
    for is_ours in [true, false] {
        if !is_ours {
            std::fs::remove_dir_all(cloud.0.path(".apyfal/hosts")).unwrap();
        }
        for mode in ["stop", "term"] {
            let named = ["--instance_id", &id, "--stop_mode", mode];
            let run = ["run", "hyperfire", "notes.txt", "out.txt", "--host_type", "sim"];
            let words = [&run[..], &named, &["--start-src", "gone.csv"]].concat();
            let failed = cloud.0.apyfal(&words).output().unwrap();
            assert!(text(&failed.stderr).contains("gone.csv"), "{}", text(&failed.stderr));
            assert_eq!(cloud.one(), "running");
            cloud.0.ok(&[&CREATE[..], &named].concat());
            cloud.fails_to_start(&[]);
            assert_eq!(cloud.one(), "running");
        }
    }
    // Once it was taken up, it ends as was said.
    cloud.0.ok(&["start", "--src", "words.csv"]);
    cloud.0.ok(&["stop"]);
    assert_eq!(cloud.one(), "ended");
}
