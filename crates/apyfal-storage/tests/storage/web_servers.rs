use apyfal_core::{Error, ErrorKind};
use apyfal_testkit::{Answer, Body, FaultServer, Nginx, Request};
use tempfile::TempDir;

use super::*;

const LEN: usize = 2 * PART + 12_345;

fn server(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> FaultServer {
    FaultServer::start(answer).unwrap()
}

async fn get(server: &FaultServer) -> Result<Vec<u8>> {
    read(&Storage::new(), &format!("{}/a%20dir/file.bin?x=1&y=a%2Fb", server.url())).await
}

fn assert_kind(error: &Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains("/a%20dir/file.bin"), "{error}");
}

#[tokio::test]
async fn files_of_a_real_server_are_read() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("private")).unwrap();
    let nginx = Nginx::start(root.path()).unwrap();
    let storage = Storage::new();
    for len in [0, 1, PART - 1, PART, LEN] {
        let data = noise(len, len as u64);
        std::fs::write(root.path().join("a file.bin"), &data).unwrap();
        let url = nginx.url("a%20file.bin");
        let input = storage.open_input(&location(&url)).await.unwrap();
        assert_eq!((input.name(), input.len()), (Some("a file.bin"), Some(len as u64)));
        assert!(read_input(input).await.unwrap() == data, "{len} bytes differ");
        assert_eq!(storage.stat(&location(&url)).await.unwrap().len, Some(len as u64));
    }
    std::fs::write(root.path().join("private/file"), "private").unwrap();
    let error = read(&storage, &nginx.url("private/file")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageAuthentication, "{error}");
    let url = nginx.url_with_credentials("private/file");
    assert_eq!(read(&storage, &url).await.unwrap(), b"private");
    let error = read(&storage, &nginx.url_with_credentials("missing")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageNotFound);
    assert!(!format!("{error} {error:?}").contains("password"), "{error}");
    assert!(!storage.exists(&location(&nginx.url("missing"))).await.unwrap());
}

#[tokio::test]
async fn the_url_is_sent_as_it_is_and_nothing_compressed_is_asked_for() {
    let data = noise(LEN, 20);
    let expected = data.clone();
    let server = server(move |request| Answer::part_of(&data, request));
    assert!(get(&server).await.unwrap() == expected);
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "three parts");
    for request in requests {
        assert_eq!(request.path, "/a%20dir/file.bin?x=1&y=a%2Fb");
        assert_eq!(request.headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn servers_without_parts_or_lengths_are_read() {
    let data = noise(LEN, 21);
    for body in [Body::Whole, Body::Chunked] {
        let answer = data.clone();
        let server = server(move |_| Answer::new(200, answer.clone()).body(body));
        let url = location(&format!("{}/x", server.url()));
        let input = Storage::new().open_input(&url).await.unwrap();
        assert_eq!(input.len(), (body == Body::Whole).then_some(LEN as u64));
        assert!(read_input(input).await.unwrap() == data, "{body:?}");
        assert_eq!(server.requests().len(), 1);
    }
    // An empty file has no part to answer with.
    let server = server(|request| Answer::part_of(b"", request));
    assert_eq!(get(&server).await.unwrap(), b"");
}

#[tokio::test]
async fn broken_transfers_are_taken_up_where_they_broke() {
    let data = noise(LEN, 22);
    let expected = data.clone();
    // Each answer breaks off after 1 MB, so every one of the parts needs many.
    let server =
        server(move |request| Answer::part_of(&data, request).body(Body::CutAfter(4_000_000)));
    assert!(get(&server).await.unwrap() == expected);
    let starts: Vec<_> = server.requests().iter().filter_map(|r| Some(r.range()?.0)).collect();
    assert!(starts.contains(&4_000_000) && starts.contains(&(PART + 4_000_000)), "{starts:?}");
}

#[tokio::test]
async fn transient_failures_are_retried() {
    for status in [429, 500, 503] {
        let server = server(move |request| match request.number {
            0 => Answer::new(status, "<html>later</html>"),
            1 => Answer::new(200, "x").body(Body::Nothing),
            _ => Answer::part_of(b"data", request),
        });
        assert_eq!(get(&server).await.unwrap(), b"data", "{status}");
    }
}

#[tokio::test]
async fn lasting_failures_are_named() {
    let server = server(|_| Answer::new(503, ""));
    let error = get(&server).await.unwrap_err();
    assert_kind(&error, ErrorKind::Storage);
    assert!(error.is_retryable() && error.to_string().contains("503"), "{error}");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn permanent_failures_are_not_retried() {
    for (status, kind) in [
        (404, ErrorKind::StorageNotFound),
        (410, ErrorKind::StorageNotFound),
        (401, ErrorKind::StorageAuthentication),
        (403, ErrorKind::StorageAuthentication),
        (418, ErrorKind::Storage),
    ] {
        let server = server(move |_| Answer::new(status, "no"));
        assert_kind(&get(&server).await.unwrap_err(), kind);
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_file_without_parts_that_breaks_off_is_an_error() {
    for body in [Body::CutAfter(LEN - 1), Body::CutAfter(10)] {
        let server = server(move |_| Answer::new(200, noise(LEN, 23)).body(body));
        assert_kind(&get(&server).await.unwrap_err(), ErrorKind::Storage);
    }
}

#[tokio::test]
async fn wrong_parts_and_changed_files_are_errors() {
    let data = noise(LEN, 24);
    let wrong = server(move |request| {
        Answer::new(206, &data[..100])
            .header("Content-Range", format!("bytes {}-99/{LEN}", request.number))
    });
    assert_kind(&get(&wrong).await.unwrap_err(), ErrorKind::Storage);

    let data = noise(LEN, 24);
    let changing = server(move |request| match request.headers.get("if-match") {
        None => Answer::part_of(&data, request).header("ETag", "\"old\""),
        Some(etag) => {
            assert_eq!(etag, "\"old\"");
            Answer::new(412, "")
        }
    });
    let error = get(&changing).await.unwrap_err();
    assert_kind(&error, ErrorKind::Storage);
    assert!(error.to_string().contains("changed"), "{error}");

    // A weak tag says nothing about bytes; the date must do.
    let data = noise(LEN, 25);
    let expected = data.clone();
    let weak = server(move |request| {
        assert!(!request.headers.contains_key("if-match"));
        Answer::part_of(&data, request)
            .header("ETag", "W/\"1\"")
            .header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    assert!(get(&weak).await.unwrap() == expected);
    assert!(weak.requests()[1].headers.contains_key("if-unmodified-since"));
}

/// Servers that do not look at conditions, as most small ones.
#[tokio::test]
async fn versions_are_never_mixed_whatever_the_server_looks_at() {
    const MONDAY: &str = "Mon, 05 Jan 2026 00:00:00 GMT";
    const TUESDAY: &str = "Tue, 06 Jan 2026 00:00:00 GMT";
    let tag = |tag: &'static str| vec![("ETag", tag)];
    let date = |date: &'static str| vec![("Last-Modified", date)];
    let both = |tag, date| vec![("ETag", tag), ("Last-Modified", date)];
    let [old, new] = [26, 27].map(|seed| Arc::new(noise(PART + 1001, seed)));
    for (first, later, longer, is_same) in [
        (tag("\"a\""), tag("\"b\""), 0, false),
        (tag("\"a\""), tag("\"a\""), 1, false),
        (tag("\"a\""), vec![], 0, false),
        (vec![], tag("\"a\""), 0, false),
        (tag("W/\"a\""), tag("W/\"b\""), 0, false),
        (tag("\"a\""), tag("W/\"a\""), 0, false),
        (date(MONDAY), date(TUESDAY), 0, false),
        (date(MONDAY), date(MONDAY), 1, false),
        (both("W/\"a\"", MONDAY), both("W/\"a\"", TUESDAY), 0, false),
        (vec![], vec![], 1, false),
        (both("\"a\"", MONDAY), both("\"a\"", TUESDAY), 0, true),
        (both("W/\"a\"", MONDAY), both("W/\"a\"", MONDAY), 0, true),
        (vec![], vec![], 0, true),
    ] {
        // Of a file in parts, and of one whose only part breaks off and is taken up.
        for (len, cut) in [(PART + 1000, usize::MAX), (2000, 1000)] {
            let case = format!("{first:?} {later:?} +{longer}, {len} bytes");
            let (first, later) = (first.clone(), later.clone());
            let (old, new) = (old.clone(), new.clone());
            let expected = new[..len].to_vec();
            let server = server(move |request| {
                let (data, headers) = match request.number {
                    0 if !is_same => (&old[..len], &first),
                    0 => (&new[..len], &first),
                    _ => (&new[..len + longer], &later),
                };
                let answer = Answer::part_of(data, request);
                let answer = match request.number {
                    0 => answer.body(Body::CutAfter(cut)),
                    _ => answer,
                };
                headers.iter().fold(answer, |answer, (name, value)| answer.header(name, *value))
            });
            match (is_same, get(&server).await) {
                (true, read) => assert!(read.unwrap() == expected, "{case}"),
                (false, Ok(_)) => panic!("two versions were mixed: {case}"),
                (false, Err(error)) => {
                    assert_kind(&error, ErrorKind::Storage);
                    assert!(error.to_string().contains("changed"), "{case}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_becomes_shorter_has_changed() {
    let server = server(|request| match request.number {
        0 => Answer::part_of(&noise(LEN, 28), request),
        _ => Answer::part_of(&noise(100, 28), request),
    });
    let error = get(&server).await.unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
}

#[tokio::test]
async fn redirects_are_followed() {
    let target = server(|request| Answer::part_of(b"moved", request));
    let url = format!("{}/there", target.url());
    let first = server(move |_| Answer::new(302, "").header("Location", url.clone()));
    assert_eq!(get(&first).await.unwrap(), b"moved");
    let round = server(|request| Answer::new(302, "").header("Location", request.path.clone()));
    assert_kind(&get(&round).await.unwrap_err(), ErrorKind::Storage);
}

#[tokio::test]
async fn what_is_stored_compressed_stays_so() {
    let packed = b"\x1f\x8b\x08 not even valid";
    let server =
        server(|request| Answer::part_of(packed, request).header("Content-Encoding", "gzip"));
    assert_eq!(get(&server).await.unwrap(), packed);
}

#[tokio::test]
async fn slow_servers_can_be_given_up() {
    let server = server(|_| Answer::new(200, "x").body(Body::Slow(Duration::from_secs(60))));
    let input = Storage::new().open_input(&location(&server.url())).await.unwrap();
    let cancel = Cancel::default();
    let mut reader = context(&cancel).reader(input).unwrap();
    let reading = waiting(move || reader.fill(&mut [0; 8])).await;
    cancel.cancel();
    assert!(reading.await.unwrap().unwrap_err().is_cancelled());
}

#[tokio::test]
async fn nothing_is_written_to_web_servers() {
    let error = Storage::new().create_output(&location("http://127.0.0.1/x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageConfiguration);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let error =
        read(&Storage::new(), "http://me:hunter2@127.0.0.1:1/x?sig=hunter2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1/x") && text.contains("connection refused"), "{text}");
    assert!(!format!("{text} {error:?}").contains("hunter2"), "{error:?}");
}
