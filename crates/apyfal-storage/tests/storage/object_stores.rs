use apyfal_core::{Environment, ErrorKind};
use apyfal_storage::StorageType;
use apyfal_testkit::{Answer, FaultServer};

use super::behaviour::{WritableStorage, check};
use super::*;

#[tokio::test]
async fn s3_behaves() {
    moto(|moto| moto.create_bucket("behaviour"));
    check(&WritableStorage {
        storage: s3(),
        prefix: "s3://behaviour/".into(),
        names: Box::new(|| moto(|moto| moto.keys("behaviour"))),
        leftovers: Box::new(|| moto(|moto| moto.unfinished_uploads("behaviour")).len()),
    })
    .await;
}

#[tokio::test]
async fn keys_are_taken_as_they_are_written() {
    moto(|moto| moto.create_bucket("odd-keys"));
    let storage = s3();
    for key in ["a b", "a+b", "a%20b", "é/ü.txt", "a?b#c", "a&b=c", "~a;b,c@d:e", "dir/x"] {
        let url = format!("s3://odd-keys/{key}");
        write(&storage, &url, key.as_bytes()).await.unwrap();
        assert_eq!(read(&storage, &url).await.unwrap(), key.as_bytes(), "{key}");
    }
    assert_eq!(moto(|moto| moto.keys("odd-keys")).len(), 8);
}

#[tokio::test]
async fn mounts_have_names_and_forget_what_they_replace() {
    moto(|moto| moto.create_bucket("named"));
    let storage = Storage::new();
    storage.mount("my_Archive", s3_options(&moto(|moto| Ok(moto.url())))).unwrap();
    write(&storage, "MY_ARCHIVE://named/key", b"data").await.unwrap();
    assert_eq!(storage.mounts(), ["my_archive", "oss", "s3", "swift"]);
    storage.mount("my_archive", s3_options("http://127.0.0.1:1")).unwrap();
    storage.mount("AWS", s3_options(&moto(|moto| Ok(moto.url())))).unwrap();
    assert_eq!(read(&storage, "s3://named/key").await.unwrap(), b"data");
    assert_eq!(read(&storage, "aws://named/key").await.unwrap(), b"data");
    let error = read(&storage, "my_archive://named/key").await.unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn unknown_schemes_name_the_nearest() {
    let storage = Storage::new();
    for (url, nearest) in [("s4://b/k", "s3"), ("htps://h/x", "https"), ("swfit://c/o", "swift")] {
        let error = read(&storage, url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageConfiguration);
        assert!(error.hints()[0].contains(&format!("'{nearest}://'")), "{error:?}");
    }
    assert!(storage.mount("https", MountOptions::new(StorageType::S3)).is_err());
}

/// A store that answers as a function says, with its URL as the endpoint of `s3://`.
fn faulty(
    answer: impl Fn(&apyfal_testkit::Request) -> Answer + Send + Sync + 'static,
) -> (Storage, FaultServer) {
    let server = FaultServer::start(answer).unwrap();
    let storage = Storage::new();
    storage.mount("s3", s3_options(&server.url())).unwrap();
    (storage, server)
}

const DENIED: &str = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>You shall not pass.\
                      </Message><Resource>/b/k</Resource><RequestId>1</RequestId></Error>";

#[tokio::test]
async fn refused_credentials_are_named_without_showing_them() {
    let (storage, server) = faulty(|_| Answer::new(403, DENIED));
    let read_error = read(&storage, "s3://b/k").await.unwrap_err();
    let write_error = write(&storage, "s3://b/k", b"data").await.unwrap_err();
    assert!(write_error.to_string().contains("You shall not pass"), "{write_error}");
    for error in [read_error, write_error] {
        assert_eq!(error.kind(), ErrorKind::StorageAuthentication, "{error}");
        assert!(error.to_string().contains("s3://b/k"), "{error}");
        assert!(error.hints()[0].contains("[storage.s3]"), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    let authorization = &server.requests()[0].headers["authorization"];
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "requests are signed");
}

#[tokio::test]
async fn transient_failures_are_retried() {
    let data = noise(PART + 100, 9);
    let expected = data.clone();
    let (storage, _server) =
        faulty(move |request| match (request.number % 2, request.method.as_str()) {
            (0, _) => Answer::new(503, "slow down"),
            (_, "HEAD") => Answer::new(200, data.clone()).header("ETag", "\"1\""),
            _ => Answer::part_of(&data, request).header("ETag", "\"1\""),
        });
    assert!(read(&storage, "s3://b/k").await.unwrap() == expected);
}

#[tokio::test]
async fn a_failed_upload_tells_its_reason_to_the_writer() {
    let (storage, _server) =
        faulty(|_| Answer::new(400, DENIED.replace("AccessDenied", "InvalidRequest")));
    let (destination, output) = begin(&storage, "s3://b/k").await.unwrap();
    let error = write_output(output, noise(64 << 20, 10)).await.unwrap_err();
    assert!(error.to_string().contains("You shall not pass"), "{error}");
    assert!(destination.commit(&Cancel::default()).await.is_err());
}

#[tokio::test]
async fn lasting_failures_are_named() {
    let (storage, server) = faulty(|_| Answer::new(503, "<html>busy</html>"));
    let error = read(&storage, "s3://b/k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    let expected = format!(
        "cannot read 's3://b/k': the server failed and gave no reason (server {})",
        server.url()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn versions_are_never_mixed() {
    let data = noise(2 * PART, 11);
    let (storage, _server) = faulty(move |request| match request.method.as_str() {
        "HEAD" => Answer::new(200, data.clone()).header("ETag", "\"old\""),
        _ if request.headers.get("if-match").is_some_and(|etag| etag == "\"old\"") => {
            Answer::new(412, "").header("ETag", "\"new\"")
        }
        _ => Answer::part_of(&data, request),
    });
    let error = read(&storage, "s3://b/k").await.unwrap_err();
    assert!(error.to_string().contains("changed while it was being read"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_not_there_is_named() {
    let storage = Storage::new();
    storage.mount("s3", s3_options("http://127.0.0.1:1")).unwrap();
    let copied = copy(&storage, "s3://b/k", "s3://b/l").await.map(drop);
    let listed = storage.list("s3://b/").await.map(drop);
    let stat = storage.stat(&location("s3://b/k")).await.map(drop);
    let written = write(&storage, "s3://b/k", b"data").await;
    for result in [read(&storage, "s3://b/k").await.map(drop), copied, listed, stat, written] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        let text = error.to_string();
        assert!(text.contains("connection refused (server http://127.0.0.1:1)"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// What the tools of AWS know is enough, and no more is needed.
#[tokio::test]
async fn an_account_is_found_as_the_tools_of_aws_find_it() {
    let server = FaultServer::start(|request| Answer::part_of(b"data", request)).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let given = |config: String, anonymous: bool| {
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        let mut options = MountOptions::new(StorageType::S3);
        options.anonymous = anonymous;
        let environment = Environment {
            variables: vec![("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned())],
            home: Some(home.path().to_owned()),
        };
        let storage = Storage::new().with_environment(environment);
        storage.mount("s3", options).unwrap();
        storage
    };
    let place = format!("[default] # mine\nregion = eu-west-3\nendpoint_url = {}\n", server.url());
    let process = |printed: &str| format!("{place}credential_process = {printed}\n");
    let storage = given(
        process(
            "echo '{\"Version\": 1, \"AccessKeyId\": \"AKIDP\", \"SecretAccessKey\": \"hunter2\"}'",
        ),
        false,
    );
    assert_eq!(read(&storage, "s3://b/k").await.unwrap(), b"data");
    let signed = server.requests().last().unwrap().headers["authorization"].clone();
    assert!(signed.contains("Credential=AKIDP/") && signed.contains("/eu-west-3/s3/"), "{signed}");

    assert_eq!(read(&given(place.clone(), true), "s3://b/k").await.unwrap(), b"data");
    assert!(!server.requests().last().unwrap().headers.contains_key("authorization"));

    let broken = process("sh -c 'echo the token is stale >&2; exit 4'");
    let error = read(&given(broken, false), "s3://b/k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageAuthentication, "{error}");
    assert!(error.to_string().contains("'sh': it failed"), "{error}");
    assert!(error.to_string().contains("the token is stale"), "{error}");
    let error = read(&given(place.clone(), false), "s3://b/k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageAuthentication, "{error}");
    assert!(error.hints().concat().contains("[storage.AWS]"), "{error:?}");
    let error = read(&given("[default\n".to_owned(), false), "s3://b/k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageConfiguration, "{error}");
    assert!(error.to_string().contains(".aws/config'"), "{error}");
}

/// Stores that do not look at conditions, as some that speak the protocol of S3.
#[tokio::test]
async fn versions_are_never_mixed_whatever_the_store_looks_at() {
    const OLD: &str = "Mon, 05 Jan 2026 00:00:00 GMT";
    const NEW: &str = "Tue, 06 Jan 2026 00:00:00 GMT";
    let [before, after] = [12, 13].map(|seed| Arc::new(noise(PART + 101, seed)));
    for (len, now) in [(100, 1), (100, 2), (PART + 100, 1), (PART + 100, 2)] {
        for (name, old, new, longer) in [
            ("ETag", "\"old\"", "\"new\"", 0),
            ("ETag", "old", "new", 0),
            ("ETag", "\"one\"", "\"one\"", 1),
            ("Last-Modified", OLD, NEW, 0),
            ("X-Nothing", "", "", 1),
        ] {
            let data = (before.clone(), after.clone());
            let (storage, _server) = faulty(move |request| {
                let (data, told) = match request.number < now {
                    true => (&data.0[..len], old),
                    false => (&data.1[..len + longer], new),
                };
                match request.method.as_str() {
                    "HEAD" => Answer::new(200, data).header(name, told),
                    _ => Answer::part_of(data, request).header(name, told),
                }
            });
            let read = read(&storage, "s3://b/k").await;
            // With one part, all is read before the object changes.
            if len == 100 && now == 2 {
                assert!(read.unwrap() == before[..len]);
                continue;
            }
            let error = read.map(drop).expect_err(&format!("{len} {now} {name} {new} +{longer}"));
            assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
            assert!(error.to_string().contains("'s3://b/k': it changed"), "{error}");
        }
    }
}

#[tokio::test]
async fn swift_fetches_a_token_and_uses_it() {
    let server = FaultServer::start(|request| match request.path.as_str() {
        "/identity/v3/auth/tokens" => {
            let catalog = format!(
                r#"{{"token": {{"catalog": [{{"type": "object-store", "endpoints": [
                    {{"interface": "public", "region": "R", "url": "http://{}/v1/AUTH_p"}}]}}]}}}}"#,
                request.headers["host"]
            );
            Answer::new(201, catalog).header("X-Subject-Token", "the token")
        }
        "/v1/AUTH_p/container/a/key" if request.headers["x-auth-token"] == "the token" => {
            match request.method.as_str() {
                "HEAD" => Answer::new(200, "object"),
                _ => Answer::part_of(b"object", request),
            }
        }
        _ => Answer::new(404, ""),
    })
    .unwrap();
    let storage = Storage::new();
    let mut options = MountOptions::new(StorageType::Swift);
    options.client_id = Some("me".into());
    options.secret_id = Some(apyfal_core::Secret::new("hunter2"));
    options.project_id = Some("p".into());
    options.auth_url = Some(format!("{}/identity/v3", server.url()));
    options.region = Some("R".into());
    options.unsecure = true;
    storage.mount("swift", options.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(read(&storage, "swift://container/a/key").await.unwrap(), b"object");
    }
    let tokens = server.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(tokens, 1, "a token is used more than once");
    let asked = String::from_utf8(server.requests()[0].body.clone()).unwrap();
    assert!(asked.contains(r#""name":"me""#) && asked.contains(r#""id":"p""#), "{asked}");

    options.auth_url = Some(format!("{}/wrong", server.url()));
    storage.mount("other", options).unwrap();
    let error = read(&storage, "other://container/a/key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageConfiguration, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let error = read(&Storage::new(), "swift://container/key").await.unwrap_err();
    assert!(error.to_string().contains("auth_url"), "{error}");
}

#[tokio::test]
async fn reading_ends_when_it_is_cancelled() {
    let (storage, server) = faulty(|request| match request.method.as_str() {
        "HEAD" => Answer::new(200, vec![0; 1000]),
        _ => Answer::part_of(&[0; 1000], request)
            .body(apyfal_testkit::Body::Slow(Duration::from_secs(60))),
    });
    let input = storage.open_input(&location("s3://b/k")).await.unwrap();
    let cancel = Cancel::default();
    let mut reader = context(&cancel).reader(input).unwrap();
    let reading = tokio::task::spawn_blocking(move || reader.fill(&mut [0; 8]));
    let is_read = || server.requests().iter().any(|request| request.method == "GET");
    eventually("it is read", is_read).await;
    let start = Instant::now();
    cancel.cancel();
    assert!(reading.await.unwrap().unwrap_err().is_cancelled());
    assert!(start.elapsed() < Duration::from_secs(30));
}

/// A server that begins uploads and then never answers, with how many parts it was sent.
fn stalled() -> (Storage, FaultServer) {
    faulty(|request| match (request.method.as_str(), request.path.ends_with("?uploads")) {
        ("POST", true) => Answer::new(
            200,
            "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
        ),
        ("HEAD", _) => Answer::new(200, "data").header("ETag", "\"1\""),
        _ => {
            std::thread::sleep(Duration::from_secs(60));
            Answer::new(200, "")
        }
    })
}

#[tokio::test]
async fn a_store_that_stalls_is_given_up() {
    for len in [10, 8 * PART] {
        let (storage, server) = stalled();
        let (destination, output) = begin(&storage, "s3://b/k").await.unwrap();
        let cancel = Cancel::default();
        let mut writer = context(&cancel).writer(output);
        let writing = tokio::task::spawn_blocking(move || writer.write_all(&noise(len, 12)));
        let settling = async {
            let worked = writing.await.unwrap().map_err(apyfal_core::Error::from_io);
            destination.settle(worked, &cancel).await
        };
        let cancelling = async {
            eventually("a part is sent", || !server.requests().is_empty()).await;
            cancel.cancel();
            Instant::now()
        };
        let (result, cancelled) = tokio::join!(settling, cancelling);
        assert!(result.unwrap_err().is_cancelled(), "{len} bytes");
        assert!(cancelled.elapsed() < Duration::from_secs(30), "{len} bytes");
    }
}

#[tokio::test]
async fn a_copy_in_a_store_that_stalls_is_given_up() {
    let (storage, server) = stalled();
    let (cancel, progress) = (Cancel::default(), Arc::default());
    let (src, dst) = (location("s3://b/a"), location("s3://b/c"));
    let copying = storage.copy(&src, &dst, &cancel, &progress);
    let cancelling = async {
        eventually("it is asked for", || !server.requests().is_empty()).await;
        cancel.cancel();
        Instant::now()
    };
    let (result, cancelled) = tokio::join!(copying, cancelling);
    assert!(result.unwrap_err().is_cancelled());
    assert!(cancelled.elapsed() < Duration::from_secs(30));
}
