//! Hosts that are known by a name: `apyfal host add`, `list` and `remove`.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use super::*;
use crate::common::text;
use crate::paired::{address, paired, value};

/// Pairs with a host under a name.
fn add(home: &Home, name: &str, line: &[String]) {
    let words: Vec<_> =
        line.iter().enumerate().map(|(at, word)| if at == 2 { name } else { word }).collect();
    let output = home.apyfal(&words).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    assert!(said.contains(&format!("is known as {name}")), "{said}");
    assert!(!said.contains(value(line, "--token")), "{said}");
}

#[test]
fn a_name_means_the_host_everywhere() {
    let (home, (server, line)) = (Home::new(), paired());
    home.write("in", "text");
    std::fs::create_dir(home.path("many")).unwrap();
    home.write("many/one", "text");
    let bare = address(&line).trim_start_matches("https://").to_owned();
    let unknown = home.fails(5, &["run", "null", "in", "out", "--host_ip", address(&line)]);
    assert!(unknown.contains("fingerprint"), "{unknown}");
    add(&home, "gpu1", &line);
    for host in ["gpu1", "GPU1", address(&line), &bare] {
        for words in [
            &["run", "null", "in", "out", "--host_ip", host][..],
            &["map", "-a", "null", "--again", "many", "results", "--host_ip", host],
            &["logs", host],
            &["logs", "--host_ip", host],
            &["host", "status", host],
            &["host", "status", "--host_ip", host],
            &["accelerators", "nap", "--host_ip", host],
            &["create", "-a", "null", "-n", "there", "--host_ip", host],
            &["start", "-n", "there"],
            &["process", "-n", "there", "-i", "in", "-o", "out2"],
            &["stop", "-n", "there"],
        ] {
            home.ok(words);
        }
        let said = home.fails(8, &["host", "extend", "1h", host]);
        assert!(said.contains("lives for ever"), "{said}");
        assert_eq!((home.read("out"), home.read("out2")), (home.read("in"), home.read("in")));
        home.write("accelerator.conf", format!("[host]\nhost_ip = {host}\n"));
        home.ok(&["run", "null", "in", "out3"]);
        home.ok(&["copy", "in", "out4"]);
        assert_eq!(home.read("out4"), b"text");
        std::fs::remove_file(home.path("accelerator.conf")).unwrap();
    }
    home.fails(2, &["host", "status", "gpu1", "--host_ip", "gpu1"]);
    assert_eq!(sessions_of(&server, &line), 0);
    home.ok(&["host", "remove", "gpu1"]);
    home.fails(5, &["run", "null", "in", "out", "--host_ip", address(&line)]);
    let said = home.fails(6, &["host", "remove", "gpu1"]);
    assert!(said.contains("no host is known as 'gpu1'"), "{said}");
}

/// How many sessions are open on a host that asks for a token.
fn sessions_of(server: &Server, line: &[String]) -> usize {
    let home = Home::new();
    home.write("token", value(line, "--token"));
    let curl = std::process::Command::new("curl")
        .args(["-sk", "-H", &format!("Authorization: Bearer {}", value(line, "--token"))])
        .arg(format!("https://{}/v2/sessions", server.address()))
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&curl.stdout).unwrap();
    answer["count"].as_u64().unwrap() as usize
}

#[test]
fn several_hosts_have_each_their_own_token() {
    let (home, (_one, first), (_two, second)) = (Home::new(), paired(), paired());
    add(&home, "one", &first);
    add(&home, "two", &second);
    std::fs::create_dir(home.path("in")).unwrap();
    for number in 0..20 {
        home.write(&format!("in/{number}"), "x");
    }
    let bare = |line: &[String]| address(line).trim_start_matches("https://").to_owned();
    let addresses = format!("{},{}", bare(&first), bare(&second));
    for (out, hosts) in [("a", "one,two"), ("b", addresses.as_str()), ("c", "one,two,one")] {
        let words = ["map", "-a", "null", "in", out, "--host_ip", hosts, "--json"];
        let told: Value = serde_json::from_str(&home.ok(&words)).unwrap();
        assert!(home.path(out).join("19").exists(), "{told}");
    }
    // What all have in common may come through a pipe.
    home.ok(&["host", "remove", "two"]);
    let twice = format!("{0},{0}", bare(&second));
    let words = [
        &["map", "-a", "null", "in", "d", "--host_ip", &twice][..],
        &["--token_file", "/dev/stdin", "--fingerprint", value(&second, "--fingerprint")],
    ];
    let output = home.piped(&words.concat(), value(&second, "--token").as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    add(&home, "two", &second);
    for target in ["one,two", "two"] {
        home.ok(&["logs", target]);
        home.ok(&["host", "status", target]);
    }
}

#[test]
fn what_create_is_given_makes_a_host_known() {
    let (home, (_server, line)) = (Home::new(), paired());
    home.write("in", "x");
    let words = ["create", "-a", "null", "--host_ip", address(&line)];
    let proofs =
        ["--token", value(&line, "--token"), "--fingerprint", value(&line, "--fingerprint")];
    home.ok(&[&words[..], &proofs[..]].concat());
    home.ok(&["start"]);
    // The token is in one place.
    let record = text(&home.read(".apyfal/command_line/accelerators/default.json"));
    assert!(!record.contains(value(&line, "--token")), "{record}");
    let bare = address(&line).trim_start_matches("https://");
    let hosts: Value = serde_json::from_str(&home.ok(&["host", "list", "--json"])).unwrap();
    assert_eq!(hosts["hosts"][0]["name"], bare, "{hosts}");
    assert_eq!(hosts["hosts"][0]["accelerators"][0], "default", "{hosts}");
    // It gets a name, and what is on it goes on.
    add(&home, "gpu1", &line);
    home.ok(&["process", "-i", "in", "-o", "out"]);
    let listed = home.ok(&["host", "list"]);
    assert!(listed.contains("gpu1") && listed.contains("default"), "{listed}");
    assert!(!listed.contains(value(&line, "--token")), "{listed}");
    let open = home.ok(&["list"]);
    assert!(open.contains("default") && open.contains("started") && open.contains(bare), "{open}");
    // One that an accelerator is on is not removed; stop forgets the accelerator alone.
    let said = home.fails(8, &["host", "remove", "gpu1"]);
    assert!(said.contains("'default'") && said.contains("apyfal stop --name default"), "{said}");
    home.ok(&["stop"]);
    home.ok(&["run", "null", "in", "out2", "--host_ip", "gpu1"]);
    home.ok(&["clear"]);
    home.ok(&["run", "null", "in", "out3", "--host_ip", address(&line)]);
    home.ok(&["host", "remove", address(&line)]);
    assert_eq!(home.ok(&["host", "list"]), "");
    assert_eq!(home.ok(&["list"]), "");
}

#[test]
fn a_pairing_is_private() {
    let (home, (_server, line)) = (Home::new(), paired());
    let token = value(&line, "--token").to_owned();
    add(&home, "gpu1", &line);
    let mut all = home.ok(&["host", "list"]) + &home.ok(&["host", "list", "--json"]);
    all += &home.fails(8, &["host", "add", "gpu1", "127.0.0.1:9", "--token", &token]);
    all += &home.fails(
        8,
        &[
            "host",
            "add",
            "gpu2",
            address(&line),
            "--token",
            &token,
            "--fingerprint",
            value(&line, "--fingerprint"),
        ],
    );
    assert!(!all.contains(&token) && all.contains("gpu1"), "{all}");
    let kept = home.path(".apyfal/known_hosts/gpu1.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    // A token that is in a file stays there, also for who asks from elsewhere; one that comes
    // through a pipe is kept.
    home.ok(&["host", "remove", "gpu1"]);
    home.write("token", &token);
    std::fs::set_permissions(home.path("token"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let pinned = ["--fingerprint", value(&line, "--fingerprint")];
    let words = ["host", "add", "gpu1", address(&line), "--token_file", "token"];
    home.ok(&[&words[..], &pinned].concat());
    assert!(!text(&std::fs::read(&kept).unwrap()).contains(&token));
    home.write("in", "x");
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    let output = home
        .apyfal(&["run", "null", "../in", "../out", "--host_ip", "gpu1"])
        .current_dir(home.path("elsewhere"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let words = ["host", "add", "gpu1", address(&line), "--token_file", "/dev/stdin"];
    let output = home.piped(&[&words[..], &pinned].concat(), format!("{token}\n").as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    home.ok(&["run", "null", "in", "out2", "--host_ip", "gpu1"]);
}

#[test]
fn a_host_is_added_only_as_what_it_is() {
    let (home, (_server, line)) = (Home::new(), paired());
    let wrong = |code: i32, words: &[&str]| {
        let said = home.fails(code, words);
        assert!(said.contains("hint"), "{said}");
        said
    };
    for name in ["192.0.2.7", "gpu:1", "localhost", "8000"] {
        let said = wrong(2, &["host", "add", name, "127.0.0.1:9"]);
        assert!(said.contains("looks like an address"), "{said}");
    }
    wrong(2, &["host", "add", "two words", "127.0.0.1:9"]);
    wrong(2, &["host", "add", "gpu1", "ftp://127.0.0.1"]);
    wrong(2, &["host", "add", "gpu1", "127.0.0.1:9,127.0.0.1:10"]);
    let pinned = ["--fingerprint", value(&line, "--fingerprint")];
    let words = ["host", "add", "gpu1", address(&line), "--token", "not_the_one_that_was_printed"];
    wrong(4, &[&words[..], &pinned].concat());
    assert_eq!(home.ok(&["host", "list"]), "", "nothing of that is kept");
    // One that does not answer may not be up yet.
    let output = home.apyfal(&["host", "add", "gpu1", "127.0.0.1:9"]).output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("warning: cannot reach"), "{}", text(&output.stderr));
    home.write("in", "x");
    let said = home.fails(11, &["run", "null", "in", "out", "--host_ip", "gpu1"]);
    assert!(said.contains("127.0.0.1:9"), "{said}");
    let said = home.fails(11, &["run", "null", "in", "out", "--host_ip", "gpu2"]);
    assert!(said.contains("did you mean the host 'gpu1'?"), "{said}");
}

#[test]
fn hosts_that_are_added_at_once_are_all_known() {
    let home = Home::new();
    let add = |number: usize| {
        let (name, at) = (format!("h{number}"), format!("127.0.0.{number}:9"));
        home.apyfal(&["host", "add", &name, &at]).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (1..13).map(add).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let hosts: Value = serde_json::from_str(&home.ok(&["host", "list", "--json"])).unwrap();
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 12, "{hosts}");
}
