//! What a script says, and what it does not.

use super::*;

fn artifact(url: &str) -> Artifact {
    Artifact { url: url.to_owned(), sha256: "0".repeat(64) }
}

fn user_data() -> UserData {
    UserData {
        accelerator: "mine".into(),
        agent: artifact("https://example.org/apyfal"),
        package: Some(artifact("https://example.org/it's mine.apyfal")),
        first_contact: FirstContact::new(None, None).unwrap(),
        listen: "0.0.0.0:8000".into(),
        idle_timeout: Some(Duration::from_secs(1800)),
        max_lifetime: None,
        shutdown_command: vec!["shutdown".into(), "-P".into(), "now".into()],
        has_role: false,
        fpgaimage: None,
        init_scripts: Vec::new(),
    }
}

fn is_bash(script: &str) {
    let mut child = std::process::Command::new("bash")
        .arg("-n")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
}

#[test]
fn what_cannot_be_fetched_is_told_without_its_signature() {
    let fetch = SCRIPT.split("# fetch URL").nth(1).unwrap();
    let fetch = &fetch[fetch.find('\n').unwrap()..fetch.find("\n}\n").unwrap() + 3];
    let script = format!(
        "fail() {{ echo \"$*\"; }}\nsleep() {{ :; }}\ncurl() {{ return 22; }}\n{fetch}\n\
         fetch 'https://b.example/sha256/1?X-Amz-Signature=s3cret' 1 /nonexistent/agent 2>&1"
    );
    let said = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "cannot get https://b.example/sha256/1 with the SHA-256 1\n"
    );
}

#[test]
fn what_is_sent_is_waited_for_and_the_machine_says_what_it_is_known_by() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("ssh_host_x_key.pub", "ssh-x AAAA root@here\n");
    let pushed = SCRIPT.split("# pushed SHA256").nth(1).unwrap();
    let pushed = &pushed[pushed.find("\npushed").unwrap()..pushed.find("\n}\n").unwrap() + 3];
    let there = folder.path().display().to_string();
    let pushed = pushed.replace("/var/lib/apyfal-push", &format!("{there}/push"));
    let pushed = pushed.replace("/etc/ssh", &there);
    let pushed = pushed.replace("/dev/console", &format!("{there}/console"));
    // It is sent once the machine has said what it is known by.
    let script = format!(
        "sleep() {{ grep -q AAAA {there}/console && touch {there}/push/12; }}\n{pushed}\n\
         pushed 12"
    );
    let said = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{there}/push/12\n"));
    let console = std::fs::read_to_string(folder.path().join("console")).unwrap();
    assert_eq!(console, "apyfal: ssh host key ssh-x AAAA\n");
}

#[test]
fn it_is_a_script_that_says_all() {
    let mut data = user_data();
    data.fpgaimage = Some("agfi-0123456789abcdef0".into());
    data.init_scripts =
        vec![b"#!/bin/bash -x\necho own\n".to_vec(), b"#!/bin/sh\necho also\n".to_vec()];
    let script = data.script().unwrap();
    is_bash(&script);
    let is_name = |part: &&str| {
        let is_of_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        !part.is_empty() && part.bytes().all(is_of_name)
    };
    let names: Vec<_> = SCRIPT.split('@').filter(is_name).collect();
    assert!(names.contains(&"AGENT_URL") && names.contains(&"ARM"), "{names:?}");
    // No value of these has an '@'.
    for name in names {
        assert!(!script.contains(&format!("@{name}@")), "{name}: {script}");
    }
    assert!(script.contains(r"'https://example.org/it'\''s mine.apyfal'"), "{script}");
    assert!(script.contains("idle_timeout = 1800s"));
    assert!(script.contains("aws-fpga.git"));
    assert!(script.contains("fpgaimage = agfi-0123456789abcdef0"), "{script}");
    assert!(script.contains("\n#!/bin/bash -x\necho own\n"), "{script}");
    assert!(script.ends_with("fail \"init_script ended with status $?\"\n"), "{script}");
    assert!(script.contains("\n#!/bin/sh\necho also\n"), "{script}");
    assert!(script.len() < LONGEST_USER_DATA * 2 / 3, "{}", script.len());
}

#[test]
fn what_a_machine_is_told_is_not_for_jobs_unless_it_has_rights() {
    let script = user_data().script().unwrap();
    assert!(script.contains("IPAddressDeny=169.254.169.254 fd00:ec2::254"), "{script}");
    let script = UserData { has_role: true, ..user_data() }.script().unwrap();
    assert!(!script.contains("IPAddressDeny"), "{script}");
}

#[test]
fn no_file_breaks_out_of_the_script() {
    let mut data = user_data();
    data.accelerator = format!("a\n{END}\nreboot");
    let script = data.script().unwrap();
    assert!(!script.contains("\nreboot\n"), "a value goes on behind spaces: {script}");
    is_bash(&script);
    data.accelerator = "$(reboot) @PACKAGE@ <<'".into();
    let script = data.script().unwrap();
    assert!(script.contains("accelerator = $(reboot) @PACKAGE@ <<'\n"), "{script}");
    is_bash(&script);
}

#[test]
fn what_ends_the_machine_is_named() {
    let mut data = user_data();
    data.shutdown_command = vec!["@DEVICE@".into()];
    assert!(data.script().unwrap().contains("\n@DEVICE@\n"));
    data.shutdown_command.clear();
    assert!(data.script().is_err());
}

#[test]
fn without_a_lease_only_what_becomes_no_host_ends() {
    let data = UserData { idle_timeout: None, ..user_data() };
    let script = data.script().unwrap();
    assert!(!script.contains("idle_timeout =") && !script.contains("max_lifetime ="), "{script}");
    assert!(script.contains("apyfal-end.timer <<"), "{script}");
    // As a host starts without a lease it takes this one away.
    assert!(script.contains("put /var/lib/apyfal/lease <<"), "{script}");
    assert!(script.contains("max_lifetime 1200000\n"), "{script}");
    is_bash(&script);
}

#[test]
fn what_is_too_long_is_refused() {
    let mut data = user_data();
    data.init_scripts = vec![b"# long\n".repeat(3000)];
    let error = data.script().unwrap_err();
    assert!(error.to_string().contains("clouds take 16384"), "{error}");
}

#[test]
fn no_host_needs_the_keys_of_its_cloud() {
    let text = "[host]\nregion = r\nsecret_id = s1\n[host.AWS]\nclient_id = c\n\
                boto3_session_kwargs = {'aws_secret_access_key': 's2'}\n\
                [accelize]\nclient_id = c\nsecret_id = s3\n[storage.AWS]\nsecret_id = needed\n";
    let configuration = Configuration::parse(text.as_bytes(), "c").unwrap();
    let mut named = secrets(&configuration);
    named.sort_unstable();
    let secrets_of_all = ["[accelize] secret_id", "[host.AWS] boto3_session_kwargs"];
    assert!(secrets_of_all.iter().all(|name| named.contains(&(*name).to_owned())), "{named:?}");
    let safe = without_secrets(&configuration);
    assert!(secrets(&safe).is_empty());
    let written = safe.write().unwrap();
    for secret in ["s1", "s2", "s3"] {
        assert!(!written.contains(secret), "{written}");
    }
    assert!(written.contains("region = r") && written.contains("needed"), "{written}");
}
