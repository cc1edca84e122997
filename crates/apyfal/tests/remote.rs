//! The client of a host, over real connections.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use apyfal::{Client, ErrorKind, Input, Output, Pool, Remote, RemoteOptions, Report, Result};
use apyfal_core::{Job, JobIo, JobParameters, Secret, Start};
use apyfal_testkit::{
    Answer as Faulty, Body, FaultServer, Kept, TrailerDropper, Unheard, client_suite,
    engines_suite, eventually, own_loopback,
};
use apyfal_tls::{Fingerprint, Identity, Trust, token};
use common::{Host, Proxy, answer, answers, data};
use serde_json::{Value, json};

fn remote(url: impl Into<String>) -> Remote {
    Remote::new(RemoteOptions::new(url)).unwrap()
}

async fn start(remote: &Remote, accelerator: &str) -> String {
    let request = Start { accelerator: accelerator.to_owned(), ..Start::default() };
    remote.start(request, JobIo::default()).await.unwrap().id
}

async fn process(
    remote: &Remote,
    session: &str,
    src: Option<Input>,
    dst: Option<Output>,
) -> Result<Report> {
    let job = Job { session: session.to_owned(), ..Job::default() };
    remote.process(job, JobIo { src, dst, ..JobIo::default() }).await
}

/// A stream of the caller's, which can be read once.
fn stream(data: Vec<u8>) -> Input {
    Input::stream(std::io::Cursor::new(data))
}

/// The jobs that the host remembers with their results.
async fn kept_jobs(remote: &Remote) -> Vec<String> {
    let url = remote.url();
    let text = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        let request = "GET /v2/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let text = text.await.unwrap();
    let body = text.split("\r\n\r\n").nth(1).unwrap();
    let jobs: Value = serde_json::from_str(body).unwrap();
    let jobs = jobs["jobs"].as_array().unwrap().iter();
    let ids = jobs.map(|job| job["id"].as_str().unwrap().to_owned());
    ids.filter(|id| !id.starts_with("job-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_client() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    let client: Arc<dyn Client> = Arc::new(remote.clone());
    client_suite(&client).await;
    engines_suite(&client).await;
    assert_eq!(kept_jobs(&remote).await, Vec::<String>::new());
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_client_over_tls() {
    let (root, identity) = (tempfile::tempdir().unwrap(), Identity::generate().unwrap());
    let (token, fingerprint) = (token::generate().unwrap(), identity.fingerprint());
    let address = ([127, 0, 0, 1], 0).into();
    let host = Host::start_at(root.path(), address, Some((token.clone(), identity))).await;
    let options = |token: Option<&Secret>, fingerprint: Fingerprint| RemoteOptions {
        token: token.cloned(),
        trust: Some(Trust::Pinned(fingerprint)),
        ..RemoteOptions::new(host.address.to_string())
    };
    let client: Arc<dyn Client> =
        Arc::new(Remote::new(options(Some(&token), fingerprint)).unwrap());
    client_suite(&client).await;

    let wrong = Secret::new("x".repeat(50));
    for token in [Some(&wrong), None] {
        let refused = Remote::new(options(token, fingerprint)).unwrap();
        let error = refused.host().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert!(error.hints().concat().contains("--token"));
    }
    let other = Identity::generate().unwrap().fingerprint();
    let error = Remote::new(options(Some(&token), other)).unwrap().host().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    let text = error.to_string();
    assert!(text.contains(&other.to_string()) && text.contains(&fingerprint.to_string()), "{text}");

    let plain = remote(format!("http://{}", host.address));
    let error = plain.host().await.unwrap_err();
    assert!(error.to_string().contains("speaks https"), "{error}");
    assert!(error.hints()[0].contains("https://"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_are_a_client() {
    let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let hosts = [Host::start(roots[0].path()).await, Host::start(roots[1].path()).await];
    let options = hosts.iter().map(|host| RemoteOptions::new(host.url()));
    let client: Arc<dyn Client> = Arc::new(Pool::new(options).unwrap());
    client_suite(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_are_one_and_are_taken_up_by_another_process() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    // That they are one machine they do not know.
    let hosts = || (0..1000).map(|_| RemoteOptions::new(host.url()));
    let pool = Pool::new(hosts()).unwrap();
    let request = Start { accelerator: "null".to_owned(), ..Start::default() };
    let session = pool.start(request, JobIo::default()).await.unwrap().id;
    let remembered = pool.remembered(&session).unwrap();
    let sent = data(1000);
    let run = async |pool: &Pool, session: &str| {
        let (kept, job) = (Kept::default(), Job { session: session.to_owned(), ..Job::default() });
        let (src, dst) = (Some(Input::bytes(sent.clone())), Some(kept.output()));
        pool.process(job, JobIo { src, dst, ..JobIo::default() }).await.unwrap();
        assert!(kept.bytes() == sent);
    };
    futures::future::join_all((0..200).map(|_| run(&pool, &session))).await;
    let used = pool.load().iter().filter(|load| load.done > 0).count();
    assert!(used > 100, "only {used} hosts were used");

    let other = Pool::new(hosts()).unwrap();
    let taken_up = other.take_up(&remembered).unwrap();
    other.accelerator("null").await.unwrap();
    run(&other, &taken_up).await;
    other.stop(&taken_up).await.unwrap();
    // Its parts are gone from all of them.
    let job = Job { session, ..Job::default() };
    let error = pool.process(job, JobIo::default()).await.unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("no host can be used: there is no session"), "{told}");
    assert!(told.ends_with("; and 992 more"), "{told}");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_to_a_host_that_speaks_http_is_told() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(format!("https://{}", host.address));
    let error = remote.host().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hints().concat().contains("http://"), "{error:?}");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_soon() {
    let unheard = Unheard::new();
    let address = unheard.address();
    let begin = std::time::Instant::now();
    let error = remote(address.to_string()).host().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(error.hints().concat().contains("apyfal serve"));
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_token_is_not_sent_in_the_open() {
    let options = |url: &str, plain| RemoteOptions {
        token: Some(Secret::new("t".repeat(30))),
        plain,
        ..RemoteOptions::new(url)
    };
    let error = Remote::new(options("http://192.0.2.1", false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    assert_eq!(Remote::new(options("192.0.2.1", false)).unwrap().url(), "https://192.0.2.1:8000");
    assert_eq!(Remote::new(options("192.0.2.1", true)).unwrap().url(), "http://192.0.2.1:8000");
    assert_eq!(Remote::new(options("[::1]:1", false)).unwrap().url(), "http://[::1]:1");
    assert!(!format!("{:?}", options("a", false)).contains("ttt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_of_the_host() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    let about = remote.host().await.unwrap();
    assert_eq!(about.protocols, [2]);
    let all = remote.accelerators().await.unwrap();
    assert_eq!(all.len(), about.accelerators.len());
    let gzip = remote.accelerator("gzip").await.unwrap();
    assert!(gzip.rerun_safe && gzip.params.iter().any(|spec| spec.name == "level"));
    let error = remote.accelerator("gzipp").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let logs = remote.logs(None, None, Duration::ZERO).await.unwrap();
    assert!(
        remote.logs(Some(&logs), Some("no job"), Duration::ZERO).await.unwrap().lines.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_and_kind_of_data_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    let session = start(&remote, "null").await;
    let folder = tempfile::tempdir().unwrap();
    for len in [0, 1, 65_536, 65_537, 262_144, 1_048_577, 30_000_001] {
        let data = data(len);
        let path = folder.path().join("in");
        std::fs::write(&path, &data).unwrap();
        let file = || Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
        for src in [Input::bytes(data.clone()), stream(data.clone()), file()] {
            let (what, kept) = (format!("{src:?}"), Kept::default());
            let report = process(&remote, &session, Some(src), Some(kept.output())).await.unwrap();
            assert_eq!(report.profiling.bytes_written, len as u64);
            assert!(kept.bytes() == data, "{len} bytes of {what} came back changed");
            let target = folder.path().join("out");
            let out = std::fs::File::create(&target).unwrap();
            process(&remote, &session, Some(file()), Some(Output::file(out, &target)))
                .await
                .unwrap();
            assert!(std::fs::read(&target).unwrap() == data, "{len} bytes to a file changed");
        }
    }
    assert_eq!(kept_jobs(&remote).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn long_requests_travel_in_forms() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    let session = start(&remote, "gzip").await;
    let name = "n".repeat(20_000);
    let specific = json!({"name": name}).as_object().unwrap().clone();
    let kept = Kept::default();
    let job = Job { session, parameters: JobParameters::specific(specific), ..Job::default() };
    let src = Some(stream(b"text".to_vec()));
    remote.process(job, JobIo { src, dst: Some(kept.output()), ..JobIo::default() }).await.unwrap();
    let bytes = kept.bytes();
    assert!(bytes.windows(20_000).any(|window| window == name.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    let session = start(&remote, "null").await;
    let jobs = (0..64_usize).map(|number| {
        let (remote, session) = (remote.clone(), session.clone());
        tokio::spawn(async move {
            let data = data(1 << (number % 22));
            let kept = Kept::default();
            let src = match number % 2 {
                0 => Input::bytes(data.clone()),
                _ => stream(data.clone()),
            };
            process(&remote, &session, Some(src), Some(kept.output())).await.unwrap();
            assert!(kept.bytes() == data, "job {number}");
        })
    });
    for job in jobs.collect::<Vec<_>>() {
        job.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_restarts_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start_at(root.path(), (own_loopback(), 0).into(), None).await;
    let (address, remote) = (host.address, remote(host.url()));
    let session = start(&remote, "null").await;
    let run = |input: Input| {
        let (remote, session) = (remote.clone(), session.clone());
        async move {
            let kept = Kept::default();
            process(&remote, &session, Some(input), Some(kept.output())).await.unwrap();
            assert_eq!(kept.bytes(), b"text");
        }
    };
    run(Input::bytes(*b"text")).await;
    host.end().await;
    let waiting: Vec<_> = (0..4)
        .map(|number| {
            let text = b"text".to_vec();
            tokio::spawn(run(if number % 2 == 0 { Input::bytes(text) } else { stream(text) }))
        })
        .collect();
    // Until one was refused, at least.
    eventually("one is refused", || remote.lost().is_some()).await;
    let host = Host::start_at(root.path(), address, None).await;
    for job in waiting {
        job.await.unwrap();
    }
    run(Input::bytes(*b"text")).await;
    drop(host);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_costs_no_byte() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let proxy = Proxy::to(host.address).await;
    let remote = remote(proxy.address.to_string());
    let session = start(&remote, "null").await;
    let data = data(5_000_000);
    let folder = tempfile::tempdir().unwrap();

    // Run again, since nothing was handed on yet, or to a file that can be written anew.
    for cut in [0, 100] {
        proxy.cut_after(cut);
        let kept = Kept::default();
        let src = Some(Input::bytes(data.clone()));
        process(&remote, &session, src, Some(kept.output())).await.unwrap();
        assert!(proxy.has_cut() && kept.bytes() == data, "cut after {cut}");
    }
    proxy.cut_after(2_000_000);
    let target = folder.path().join("out");
    let out = Output::file(std::fs::File::create(&target).unwrap(), &target);
    process(&remote, &session, Some(Input::bytes(data.clone())), Some(out)).await.unwrap();
    assert!(proxy.has_cut() && std::fs::read(&target).unwrap() == data);

    // A short stream too.
    let short = &data[..1_000_000];
    for cut in [0, 100] {
        proxy.cut_after(cut);
        let kept = Kept::default();
        process(&remote, &session, Some(stream(short.to_vec())), Some(kept.output()))
            .await
            .unwrap();
        assert!(proxy.has_cut() && kept.bytes() == short, "stream cut after {cut}");
    }

    // Neither is possible: that is told, and nothing is sent twice. It is more than may wait on its way, so
    // some was handed on.
    let long = self::data(40_000_000);
    proxy.cut_after(30_000_000);
    let kept = Kept::default();
    let src = Some(Input::bytes(long.clone()));
    let error = process(&remote, &session, src, Some(kept.output())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hints().concat().contains("begin anew"), "{error:?}");
    assert!(kept.bytes().len() < 30_000_000 && long.starts_with(&kept.bytes()));

    // What must not be run twice is resumed.
    let session = start(&remote, "once").await;
    for cut in [0, 100, 1_234_567, 4_999_999] {
        for src in [Input::bytes(data.clone()), stream(data.clone())] {
            proxy.cut_after(cut);
            let kept = Kept::default();
            process(&remote, &session, Some(src), Some(kept.output())).await.unwrap();
            assert!(proxy.has_cut() && kept.bytes() == data, "once cut after {cut}");
        }
    }
    remote.stop(&session).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_while_data_is_sent() {
    /// A stream whose second half waits for the result of the first.
    struct Patient(Kept, usize);
    impl Read for Patient {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.1 == 1_000_000 && self.0.bytes().is_empty() {
                std::thread::sleep(Duration::from_millis(5));
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            let end = if self.1 < 1_000_000 { 1_000_000 } else { 2_000_000 };
            let count = buffer.len().min(end - self.1);
            buffer[..count].fill(7);
            self.1 += count;
            Ok(count)
        }
    }
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    let session = start(&remote, "null").await;
    let kept = Kept::default();
    let src = Input::stream(Patient(kept.clone(), 0));
    let job = process(&remote, &session, Some(src), Some(kept.output()));
    tokio::time::timeout(Duration::from_secs(60), job).await.expect("it goes on").unwrap();
    assert!(kept.bytes() == [7; 2_000_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_dropped_frees_its_slot() {
    /// A stream that neither gives nor ends.
    struct Silent;
    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(Duration::from_millis(5));
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    for accelerator in ["one", "one_once"] {
        let remote = remote(host.url());
        let session = start(&remote, accelerator).await;
        let src = Some(Input::stream(Silent));
        let dst = Some(Kept::default().output());
        let job = process(&remote, &session, src, dst);
        // It runs by then, or comes before the next one.
        let gave_up = tokio::time::timeout(Duration::from_millis(500), job).await;
        assert!(gave_up.is_err(), "{accelerator}: {gave_up:?}");
        let kept = Kept::default();
        let next = process(&remote, &session, Some(stream(b"next".to_vec())), Some(kept.output()));
        tokio::time::timeout(Duration::from_secs(60), next).await.expect("it is free").unwrap();
        assert_eq!(kept.bytes(), b"next", "{accelerator}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_has_its_id() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let remote = remote(host.url());
    for (accelerator, kind) in [("gunzip", ErrorKind::InvalidData), ("fail", ErrorKind::Engine)] {
        let session = start(&remote, accelerator).await;
        for len in [100, 3_000_000] {
            let src = Some(Input::bytes(vec![1; len]));
            let error =
                process(&remote, &session, src, Some(Kept::default().output())).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.details().job.is_some(), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_host_is_asked_again_when_it_says() {
    let busy = r#"{"error": {"kind": "busy", "message": "too many wait", "retryable": true}}"#;
    let about =
        r#"{"version": "2", "protocols": [2], "accelerators": [], "cores": 1, "uptime": 1}"#;
    let busy = answer("429 Too Many Requests", "Retry-After: 1\r\n", busy);
    let address = answers(vec![busy.clone(), busy, answer("200 OK", "", about)]).await;
    let begin = std::time::Instant::now();
    assert_eq!(remote(address.to_string()).host().await.unwrap().cores, 1);
    assert!(begin.elapsed() >= Duration::from_secs(2), "it was asked before it said");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told() {
    let newer = r#"{"error": {"kind": "usage", "message": "it is not version '2'",
        "operation": "speak the client's protocol", "hints": ["this host speaks version 3"]}}"#;
    for (told, meant) in [
        (answer("400 Bad Request", "", newer), "this host speaks version 3"),
        (answer("404 Not Found", "", "<html>nothing</html>"), "REST v1.0"),
        (answer("200 OK", "", "<html>welcome</html>"), "same version of Apyfal"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "port"),
    ] {
        let address = answers(vec![told; 9]).await;
        let error = remote(address.to_string()).host().await.unwrap_err();
        let text = format!("{error} {}", error.hints().join(" "));
        assert!(text.contains(meant), "{text}");
    }
}

/// A host that is there again whenever it is asked, and lost with each job that it is given.
fn lost_with_each_job() -> FaultServer {
    starting_with(None)
}

/// The same, which refuses each start so.
fn starting_with(refusal: Option<(u16, Value)>) -> FaultServer {
    let about =
        json!({"version": "2", "protocols": [2], "accelerators": [], "cores": 1, "uptime": 1});
    let null = json!({"name": "null", "rerun_safe": true, "summary": "", "engine": "null",
        "parameters": [], "start_source": "none", "source": "required", "destination": "required"});
    let profiling = json!({"wall-clock-time": 1.0, "total-bytes-read": 0,
        "total-bytes-written": 0, "input-bandwidth": 1.0});
    let report = json!({"accelerator": "null", "engine": "null", "profiling": profiling});
    let session = json!({"id": "session-1", "accelerator": "null", "created": 1, "report": report});
    FaultServer::start(move |request| match &*request.path {
        "/v2/host" => Faulty::new(200, about.to_string()),
        "/v2/accelerators/null" => Faulty::new(200, null.to_string()),
        "/v2/sessions" if refusal.is_some() => {
            let (status, error) = refusal.clone().unwrap();
            Faulty::new(status, error.to_string())
        }
        "/v2/sessions" | "/v2/sessions/session-1" => Faulty::new(200, session.to_string()),
        // What a proxy says whose host broke off, and one that is not there.
        _ => Faulty::new(502, "<html>"),
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_each_host_is_given_up() {
    let hosts = [lost_with_each_job(), lost_with_each_job()];
    let pool = Pool::new(hosts.iter().map(|host| RemoteOptions::new(host.url()))).unwrap();
    let request = Start { accelerator: "null".to_owned(), ..Start::default() };
    let session = pool.start(request, JobIo::default()).await.unwrap().id;
    let io = JobIo { src: Some(Input::memory(data(9))), ..JobIo::default() };
    let job = pool.process(Job { session, ..Job::default() }, io);
    let job = tokio::time::timeout(Duration::from_secs(240), job).await;
    let error = job.expect("it does not go on for ever").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("it failed 3 times"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_no_room_is_done_without() {
    let full = || {
        let error = json!({"kind": "storage-full", "message": "no space left on device"});
        starting_with(Some((507, json!({ "error": error }))))
    };
    let pool = |hosts: &[FaultServer]| {
        Pool::new(hosts.iter().map(|host| RemoteOptions::new(host.url()))).unwrap()
    };
    let request = || Start { accelerator: "null".to_owned(), ..Start::default() };
    let hosts = [full(), lost_with_each_job()];
    let used = pool(&hosts);
    used.start(request(), JobIo::default()).await.unwrap();
    let troubles: Vec<_> = used.load().into_iter().map(|load| load.trouble.is_some()).collect();
    assert_eq!(troubles, [true, false]);
    // Where none has, that is why.
    let hosts = [full(), full()];
    let error = pool(&hosts).start(request(), JobIo::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
}

/// A host that answers a job with 100,000 bytes and no report, and when asked for the job with what
/// is given.
fn without_report(asked: impl Fn() -> (u16, Value) + Send + Sync + 'static) -> FaultServer {
    let about = json!({"id": "session-1", "accelerator": "null", "created": 1});
    let null = json!({"name": "null", "rerun_safe": true, "summary": "", "engine": "null",
        "parameters": [], "start_source": "none", "source": "required", "destination": "required"});
    FaultServer::start(move |request| {
        let told = |status, value: &Value| Faulty::new(status, value.to_string());
        match &*request.path {
            "/v2/sessions/session-1" => told(200, &about),
            "/v2/accelerators/null" => told(200, &null),
            "/v2/sessions/session-1/jobs" => {
                Faulty::new(200, vec![7; 100_000]).body(Body::Chunked).header("apyfal-job", "job-7")
            }
            _ => {
                let (status, value) = asked();
                told(status, &value)
            }
        }
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_a_report_is_none() {
    let job = |state: &str, more: Value| {
        let mut job = json!({"id": "job-7", "session": "session-1", "accelerator": "null",
            "state": state, "created": 1, "ended": 2});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (200, job)
    };
    let report = |len: u64| {
        let profiling = json!({"wall-clock-time": 1.0, "total-bytes-read": 1,
            "total-bytes-written": len, "input-bandwidth": 1.0});
        json!({"report": {"accelerator": "null", "engine": "null", "profiling": profiling}})
    };
    let error = |kind: &str| json!({"error": {"kind": kind, "message": "the reason"}});
    let mut of_another = job("done", report(100_000));
    of_another.1["session"] = "session-2".into();
    let unavailable = ErrorKind::Unavailable;
    for (asked, meant) in [
        (job("done", report(100_000)), None),
        (job("done", report(100_001)), Some((unavailable, "100000 of 100001 bytes"))),
        (job("done", json!({})), Some((unavailable, "trailer"))),
        (of_another, Some((unavailable, "trailer"))),
        ((404, error("not-found")), Some((unavailable, "trailer"))),
        (job("failed", error("invalid-data")), Some((ErrorKind::InvalidData, "the reason"))),
        (job("failed", json!({})), Some((ErrorKind::Engine, "the job is failed"))),
        (job("cancelled", json!({})), Some((unavailable, "after 100000 bytes"))),
        (job("interrupted", json!({})), Some((unavailable, "after 100000 bytes"))),
    ] {
        let told = format!("{asked:?}");
        let host = without_report(move || asked.clone());
        let options = RemoteOptions { patience: Duration::ZERO, ..RemoteOptions::new(host.url()) };
        let remote = Remote::new(options).unwrap();
        let kept = Kept::default();
        let src = Some(Input::bytes(*b"x"));
        let ended = process(&remote, "session-1", src, Some(kept.output())).await;
        match (ended, meant) {
            (Ok(report), None) => assert_eq!(report.profiling.bytes_written, 100_000),
            (Err(error), Some((kind, why))) => {
                assert_eq!(error.kind(), kind, "{told}: {error}");
                assert!(error.to_string().contains(why), "{told}: {error}");
                assert!(!error.hints().is_empty() || kind != unavailable, "{told}");
            }
            (ended, _) => panic!("{told}: {ended:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_are_dropped_are_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::start(root.path()).await;
    let proxy = TrailerDropper::before(&host.address.to_string()).unwrap();
    let remote = remote(proxy.address());
    let session = start(&remote, "null").await;
    let sent = data(70_000);
    let jobs = (0..16).map(|_| {
        let (remote, session, sent) = (remote.clone(), session.clone(), sent.clone());
        tokio::spawn(async move {
            for _ in 0..40 {
                let (kept, src) = (Kept::default(), Some(Input::bytes(sent.clone())));
                process(&remote, &session, src, Some(kept.output())).await.unwrap();
                assert!(kept.bytes() == sent);
            }
        })
    });
    for job in jobs.collect::<Vec<_>>() {
        job.await.unwrap();
    }
    assert!(proxy.dropped() > 0, "no trailer was dropped");
}

/// A host that answers a look as it is told to, and never ends a session.
fn never_ends(look: Faulty) -> FaultServer {
    FaultServer::start(move |request| match (&*request.method, &*request.path) {
        ("DELETE", _) => loop {
            std::thread::park();
        },
        (_, "/healthz") => look.clone(),
        (_, path) => panic!("{path} was asked for"),
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_says_is_no_answer_of_its_host() {
    for look in [Faulty::new(502, "<html>"), Faulty::new(200, "").body(Body::Nothing)] {
        let host = never_ends(look);
        let hangs_after = Duration::from_secs(1);
        let options = RemoteOptions { hangs_after, ..RemoteOptions::new(host.url()) };
        let remote = Remote::new(options).unwrap();
        let stopped = tokio::time::timeout(Duration::from_secs(120), remote.stop("session-1"));
        let error = stopped.await.expect("it is given up").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("it has not answered for"), "{error}");
    }
}

#[tokio::test]
async fn a_source_that_is_cut_off_is_no_whole_result() {
    let home = tempfile::tempdir().unwrap();
    let host = Host::start(&home.path().join("host")).await;
    let remote = remote(host.url());
    let session = start(&remote, "gzip").await;
    // One that is sent at once, and one that streams.
    for (len, left) in [(1000, 0), (1000, 999), (3 << 20, 1000), (3 << 20, (3 << 20) - 1)] {
        let path = home.path().join("source");
        std::fs::write(&path, data(len)).unwrap();
        let input = Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(left as u64).unwrap();
        let short = stream(data(left)).with_len(len as u64);
        for (input, name) in [(input, "/source'"), (short, "the source")] {
            let output = Kept::default().output();
            let error = process(&remote, &session, Some(input), Some(output)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            let text = error.to_string();
            assert!(text.contains(&format!("it ended after {left} of {len} bytes")), "{text}");
            assert!(text.contains(name), "{text}");
        }
    }
    host.end().await;
}
