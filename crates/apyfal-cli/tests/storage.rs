//! Object stores and web servers at both ends of a command.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write;
use std::process::Stdio;
use std::sync::{LazyLock, Mutex};

use apyfal_testkit::{Answer, Body, FaultServer, Moto, Nginx};
use common::{Home, peer, text, words};

/// One server for all tests; it ends with the process.
static MOTO: LazyLock<Mutex<Moto>> = LazyLock::new(|| Mutex::new(Moto::start().unwrap()));

fn moto<T>(ask: impl FnOnce(&Moto) -> std::io::Result<T>) -> T {
    ask(&MOTO.lock().unwrap()).unwrap()
}

fn configuration(endpoint: &str) -> String {
    format!(
        "[storage.AWS]\nclient_id = AKID\nsecret_id = hunter2\nunsecure = True\n\
         endpoint = {endpoint}\n[storage.AWS.archive]\nregion = eu-central-1\n"
    )
}

/// A home whose `s3://` and `archive://` are moto, with new buckets.
fn home(buckets: &[&str]) -> Home {
    let home = Home::new();
    for bucket in buckets {
        moto(|moto| moto.create_bucket(bucket));
    }
    home.write("accelerator.conf", configuration(&moto(|moto| Ok(moto.url()))));
    home
}

/// Data of several parts of an object, which no compressor makes smaller.
fn noise(seed: u8) -> Vec<u8> {
    let key = format!("{seed:02}").repeat(32);
    let options = ["enc", "-aes-256-ctr", "-K", &key, "-iv", &key[..32]];
    peer("openssl", &options, &vec![0; 20 << 20])
}

#[test]
fn a_job_reads_one_object_and_writes_another() {
    let home = home(&["jobs"]);
    let data = words(3_000_000, 1);
    home.write("in", &data);
    home.ok(&["copy", "in", "s3://jobs/in"]);
    home.ok(&["run", "gzip", "s3://jobs/in", "s3://jobs/folder/out.gz"]);
    home.ok(&["copy", "s3://jobs/folder/out.gz", "out.gz"]);
    assert!(peer("gzip", &["-dc"], &home.read("out.gz")) == data);
    home.ok(&["run", "gunzip", "s3://jobs/folder/out.gz", "out"]);
    assert!(home.read("out") == data);
    let theirs = text(&peer("openssl", &["dgst", "-sha3-256", "-r"], &data));
    let ours = home.ok(&["run", "sha3", "s3://jobs/in"]);
    assert_eq!(ours.trim().strip_prefix("digest: "), theirs.split(' ').next());
}

#[test]
fn copies_go_from_anywhere_to_anywhere() {
    let home = home(&["here", "there"]);
    let data = noise(1);
    home.write("in", &data);
    home.ok(&["copy", "in", "s3://here/a"]);
    home.ok(&["copy", "s3://here/a", "s3://here/b"]);
    home.ok(&["copy", "s3://here/b", "archive://there/c"]);
    home.ok(&["copy", "s3://there/c", "out"]);
    assert!(home.read("out") == data);
    let copied = home.piped(&["copy", "-", "s3://here/piped"], b"from a pipe");
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    assert_eq!(home.ok(&["copy", "s3://here/piped", "-"]), "from a pipe");
    assert_eq!(moto(|moto| moto.keys("here")), ["a", "b", "piped"]);
    assert_eq!(moto(|moto| moto.keys("there")), ["c"]);
}

#[test]
fn a_named_mount_serves_a_job() {
    let home = home(&["kept"]);
    home.write("in", "kept for years");
    home.ok(&["run", "gzip", "in", "archive://kept/in.gz"]);
    home.ok(&["run", "gunzip", "archive://kept/in.gz", "out"]);
    assert_eq!(home.read("out"), b"kept for years");
    let error = home.fails(22, &["run", "gzip", "in", "archve://kept/in.gz"]);
    assert!(error.contains("did you mean 'archive://'?"), "{error}");
}

#[test]
fn the_environment_mounts_as_well() {
    let home = home(&["variables"]);
    home.write("in", "data");
    let words = ["copy", "in", "s3://variables/key"];
    std::fs::remove_file(home.path("accelerator.conf")).unwrap();
    let output = home
        .apyfal(&words)
        .env("APYFAL__STORAGE__AWS__CLIENT_ID", "AKID")
        .env("APYFAL__STORAGE__AWS__SECRET_ID", "hunter2")
        .env("APYFAL__STORAGE__AWS__UNSECURE", "True")
        .env("APYFAL__STORAGE__AWS__ENDPOINT", moto(|moto| Ok(moto.url())))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(moto(|moto| moto.keys("variables")), ["key"]);
}

#[test]
fn what_the_tools_of_aws_know_is_enough() {
    let home = home(&["tools"]);
    std::fs::remove_file(home.path("accelerator.conf")).unwrap();
    std::fs::create_dir(home.path(".aws")).unwrap();
    let url = moto(|moto| Ok(moto.url()));
    home.write(
        ".aws/config",
        format!("[profile lab] # of us all\nservices = lab\n[services lab]\ns3 =\n  endpoint_url = {url}\n"),
    );
    home.write(
        ".aws/credentials",
        "[lab]\naws_access_key_id = AKID\naws_secret_access_key = hunter2\n",
    );
    home.write("in", "data");
    let copied = home
        .apyfal(&["copy", "in", "s3://tools/key"])
        .env("AWS_PROFILE", "lab")
        .env("AWS_DEFAULT_REGION", "")
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_ENDPOINT_URL_S3", "")
        // Neither is asked for what is here.
        .env("all_proxy", "http://me:hunter2@127.0.0.1:1")
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    assert_eq!(moto(|moto| moto.keys("tools")), ["key"]);
}

#[test]
fn a_proxy_and_a_store_that_are_not_there_are_named() {
    let home = home(&[]);
    let fails = |words: &[&str], name: &str| {
        let output = home
            .apyfal(words)
            .env("https_proxy", "http://me:hunter2@127.0.0.1:1")
            .env("APYFAL__STORAGE__AWS__ENDPOINT", "http://127.0.0.1:2")
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(24), "{told}");
        assert!(told.contains(name) && !told.contains("hunter2"), "{told}");
    };
    fails(&["copy", "https://web.example/x", "-"], "proxy http://127.0.0.1:1)");
    fails(&["copy", "s3://bucket/key", "-"], "server http://127.0.0.1:2)");
}

#[test]
fn a_job_that_fails_leaves_no_object_and_no_parts() {
    let home = home(&["whole"]);
    home.ok(&["copy", "accelerator.conf", "s3://whole/old"]);
    let mut packed = peer("gzip", &["-1"], &noise(2));
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    home.write("corrupt.gz", packed);
    home.fails(7, &["run", "gunzip", "corrupt.gz", "s3://whole/new"]);
    home.fails(7, &["run", "gunzip", "corrupt.gz", "s3://whole/old"]);
    assert_eq!(moto(|moto| moto.keys("whole")), ["old"]);
    assert_eq!(moto(|moto| moto.unfinished_uploads("whole")), [] as [&str; 0]);
    assert_eq!(home.ok(&["copy", "s3://whole/old", "-"]), text(&home.read("accelerator.conf")));
}

#[test]
fn an_interrupt_leaves_no_object_and_no_parts() {
    let home = home(&["interrupted"]);
    let mut child = home
        .apyfal(&["run", "null", "-", "s3://interrupted/key"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(3)).unwrap();
    peer("kill", &["-INT", &child.id().to_string()], b"");
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(moto(|moto| moto.keys("interrupted")), [] as [&str; 0]);
    assert_eq!(moto(|moto| moto.unfinished_uploads("interrupted")), [] as [&str; 0]);
}

#[test]
fn a_missing_bucket_or_object_is_named() {
    let home = home(&["empty"]);
    for url in ["s3://missing-bucket/key", "s3://empty/missing-key"] {
        let error = home.fails(20, &["run", "null", url, "out"]);
        assert!(error.contains(url), "{error}");
    }
    home.write("in", "data");
    // The answer to a write says what is missing, that to a read does not.
    let error = home.fails(22, &["run", "null", "in", "s3://missing-bucket/key"]);
    assert!(error.contains("'s3://missing-bucket/key': The specified bucket"), "{error}");
    assert_eq!(home.files(), ["accelerator.conf", "in"]);
    for url in ["s3://empty", "s3://empty/folder/", "s3://AKID:hunter2@empty/key"] {
        let error = home.fails(22, &["copy", "in", url]);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn refused_credentials_end_with_a_code_of_their_own() {
    let home = Home::new();
    let denied = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
    let server = FaultServer::start(move |_| Answer::new(403, denied)).unwrap();
    home.write("accelerator.conf", configuration(&server.url()));
    let error = home.fails(21, &["run", "null", "accelerator.conf", "s3://bucket/key"]);
    assert!(error.contains("not you") && error.contains("client_id"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    home.write("accelerator.conf", "[storage.AWS]\nclient_id = AKID\n");
    let error = home.fails(22, &["copy", "s3://bucket/key", "out"]);
    assert!(error.contains("'secret_id' is not set"), "{error}");
}

#[test]
fn web_servers_are_read_and_not_written() {
    let home = home(&["fetched"]);
    let site = tempfile::tempdir().unwrap();
    let data = noise(4);
    std::fs::write(site.path().join("file"), &data).unwrap();
    std::fs::create_dir(site.path().join("private")).unwrap();
    std::fs::write(site.path().join("private/file"), "for you").unwrap();
    let server = Nginx::start(site.path()).unwrap();

    home.ok(&["copy", &server.url("file"), "file"]);
    assert!(home.read("file") == data);
    home.ok(&["copy", &server.url("file"), "s3://fetched/file"]);
    home.ok(&["run", "gzip", &server.url("file"), "file.gz"]);
    assert!(peer("gzip", &["-dc"], &home.read("file.gz")) == data);
    home.fails(20, &["copy", &server.url("missing"), "out"]);

    home.fails(21, &["copy", &server.url("private/file"), "out"]);
    let with_credentials = server.url_with_credentials("private/file");
    assert_eq!(home.ok(&["copy", &with_credentials, "-"]), "for you");
    let error = home.fails(20, &["copy", &server.url_with_credentials("private/no"), "out"]);
    assert!(!error.contains("password"), "{error}");

    let error = home.fails(22, &["copy", "file", &server.url("new")]);
    assert!(error.contains("web servers can only be read"), "{error}");
    assert_eq!(home.files(), ["accelerator.conf", "file", "file.gz"]);
}

#[test]
fn a_transfer_that_breaks_off_leaves_the_old_file() {
    let home = Home::new();
    let data = words(300_000, 2);
    let whole = data.clone();
    let server = FaultServer::start(move |request| match request.path.as_str() {
        "/chunked" => Answer::new(200, whole.clone()).body(Body::Chunked),
        _ => Answer::new(200, whole.clone()).body(Body::CutAfter(100_000)),
    })
    .unwrap();
    home.write("file", "the old one");
    let error = home.fails(24, &["copy", &format!("{}/cut", server.url()), "file"]);
    assert!(error.contains("start again"), "{error}");
    assert_eq!(home.read("file"), b"the old one");
    home.ok(&["copy", &format!("{}/chunked", server.url()), "file"]);
    assert!(home.read("file") == data);
    assert_eq!(home.files(), ["file"]);
}

#[test]
fn parameters_and_configuration_come_by_url() {
    let home = home(&["shared"]);
    let site = tempfile::tempdir().unwrap();
    let published = |name: &str, content: &str| {
        std::fs::write(site.path().join(name), content).unwrap();
    };
    published("best.json", r#"{"app": {"specific": {"level": "best"}}}"#);
    published("best.conf", "[process.gzip]\nlevel = best\n");
    published("broken.json", r#"{"app": "#);
    published("broken.conf", "level = best\n");
    let server = Nginx::start(site.path()).unwrap();
    home.write("in", words(200_000, 3));
    home.ok(&["run", "gzip", "in", "best.gz", "--level", "best"]);
    home.ok(&["run", "gzip", "in", "fast.gz", "--level", "fast"]);
    let best = home.read("best.gz");
    assert!(best != home.read("fast.gz"));

    home.ok(&["run", "gzip", "in", "out.gz", "-j", &server.url("best.json")]);
    assert!(home.read("out.gz") == best);
    home.ok(&["copy", &server.url("best.json"), "s3://shared/best.json"]);
    home.ok(&["run", "gzip", "in", "s3.gz", "-j", "s3://shared/best.json"]);
    assert!(home.read("s3.gz") == best);
    home.ok(&["run", "gzip", "in", "conf.gz", "-c", &server.url("best.conf")]);
    assert!(home.read("conf.gz") == best);

    home.fails(20, &["run", "gzip", "in", "no", "-j", &server.url("missing.json")]);
    home.fails(2, &["run", "gzip", "in", "no", "-j", &server.url("broken.json")]);
    home.fails(3, &["run", "gzip", "in", "no", "-c", &server.url("missing.conf")]);
    let error = home.fails(3, &["run", "gzip", "in", "no", "-c", &server.url("broken.conf")]);
    assert!(error.contains("broken.conf") && error.contains("line 1"), "{error}");
    assert!(!home.path("no").exists());
}

#[test]
fn files_of_a_host_stay_inside_its_directories() {
    let home = Home::new();
    std::fs::create_dir(home.path("shared")).unwrap();
    home.write("shared/in", "shared");
    home.write("own", "own");
    home.ok(&["run", "gzip", "host://in", "host://in.gz"]);
    assert_eq!(peer("gzip", &["-dc"], &home.read("shared/in.gz")), b"shared");
    let own = format!("host://{}", home.path("own").display());
    home.fails(5, &["run", "gzip", &own, "out.gz"]);
    home.write("accelerator.conf", "[security]\nauthorized_host_dirs = ~/shared\n  ~\n");
    home.ok(&["run", "gzip", &own, "out.gz"]);
}
