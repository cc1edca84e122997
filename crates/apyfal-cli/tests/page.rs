//! The page of a host, in a real browser.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use common::Home;
use common::browser::Browser;
use common::serve::{Request, Serve, eventually};

/// A job under way: of the bytes that it is promised it has got the first ones.
struct Unfinished(TcpStream);

impl Unfinished {
    fn begin(host: &Serve, promised: usize, sent: usize) -> Self {
        let mut stream = TcpStream::connect(host.address).unwrap();
        let head = format!(
            "POST /v2/run/null HTTP/1.1\r\nHost: {}\r\nContent-Length: {promised}\r\n\r\n",
            host.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![7; sent]).unwrap();
        Self(stream)
    }

    /// Sends a little more, so that it is not taken for one that has vanished.
    fn go_on(&mut self) {
        self.0.write_all(&[7; 1000]).unwrap();
    }
}

/// The text of each cell of a table's row that begins with a name.
fn cells(browser: &Browser, table: &str, name: &str) -> Vec<String> {
    let rows = browser.value(&format!(
        "[...document.querySelectorAll('#{table} tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    ));
    let rows = rows.as_array().unwrap().iter().map(|row| {
        let cells = row.as_array().unwrap().iter();
        cells.map(|cell| cell.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    rows.filter(|row| row[0] == name).last().unwrap_or_default()
}

#[test]
fn it_shows_what_the_host_does() {
    let home = Home::new();
    let host = Serve::start(&home, &[]);
    for _ in 0..3 {
        assert_eq!(host.post("/v2/run/gzip", &common::words(300_000, 1)).status, 200);
    }
    assert_eq!(host.post("/v2/run/gunzip", b"no gzip at all").status, 422);
    let mut job = Unfinished::begin(&host, 40_000_000, 10_000_000);
    let browser = Browser::start(&home);
    browser.open(&host.url("/"));
    let state = "document.getElementById('state').textContent";
    eventually("the first look", || (browser.text(state) == "up").then_some(()));

    let gzip = cells(&browser, "accelerators", "gzip");
    assert_eq!((&*gzip[3], &*gzip[4]), ("3", "0"), "{gzip:?}");
    assert_eq!(cells(&browser, "accelerators", "gunzip")[4], "1");
    let errors = browser.text("document.getElementById('errors').textContent");
    assert_eq!(errors, "invalid-data × 1");

    let running = cells(&browser, "jobs", "null");
    assert_eq!(running[1], "running", "{running:?}");
    eventually("a quarter of the job", || {
        job.go_on();
        let bar = "document.querySelector('#jobs progress')";
        let part = browser.value(&format!("{bar} && {bar}.value / {bar}.max")).as_f64()?;
        assert!(part < 0.3, "{part}");
        (part > 0.25).then_some(())
    });
    let queue = browser.text("document.getElementById('queue').textContent");
    assert!(queue.starts_with("1 running · 0 in the queue"), "{queue}");

    // The line rises where the jobs were, and the axes say what of.
    eventually("throughput in the plot", || {
        job.go_on();
        let line =
            browser.text("document.querySelector('#plot polyline.read').getAttribute('points')");
        let heights: std::collections::BTreeSet<_> = line
            .split(' ')
            .filter_map(|point| point.split_once(','))
            .map(|(_, y)| y.to_owned())
            .collect();
        (heights.len() > 1).then_some(())
    });
    let labels = browser.text("document.getElementById('plot').textContent");
    assert!(["B/s", "now", "time"].iter().all(|label| labels.contains(label)), "{labels}");

    // A job that ends leaves the list.
    drop(job);
    eventually("the end of the job", || cells(&browser, "jobs", "null").is_empty().then_some(()));
    assert!(browser.value("!document.getElementById('no-jobs').hidden").as_bool().unwrap());
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn it_fits_phones_and_dark_rooms() {
    let home = Home::new();
    let host = Serve::start(&home, &[]);
    assert_eq!(host.post("/v2/run/gunzip", b"no gzip at all").status, 422);
    let mut job = Unfinished::begin(&host, 40_000_000, 10_000_000);
    let browser = Browser::start(&home);
    let mut backgrounds = Vec::new();
    for (width, dark) in [(320, false), (320, true), (1280, false)] {
        browser.device(width, 640, dark);
        browser.open(&host.url("/"));
        eventually("the job in the list", || {
            job.go_on();
            (!cells(&browser, "jobs", "null").is_empty()).then_some(())
        });
        let wide = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "{wide} at {width}");
        // Nothing is cut off either.
        let over = browser.value(
            "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)",
        );
        assert_eq!(over.as_array().unwrap().len(), 0, "{over}");
        backgrounds.push(browser.text("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    assert_eq!(backgrounds[0], backgrounds[2]);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn it_tells_when_the_host_is_away_and_comes_back() {
    let home = Home::new();
    let host = Serve::start(&home, &[]);
    let address = host.address.to_string();
    let browser = Browser::start(&home);
    browser.open(&host.url("/"));
    let state = "document.getElementById('state').textContent";
    eventually("the first look", || (browser.text(state) == "up").then_some(()));
    drop(host);
    eventually("the notice", || (browser.text(state) == "no answer").then_some(()));
    let notice = browser.text("document.getElementById('notice').textContent");
    assert!(notice.contains("no answer since"), "{notice}");
    let _host = Serve::spawn(&home, &address, &[], &[]);
    eventually("the host's return", || (browser.text(state) == "up").then_some(()));
    assert!(browser.value("document.getElementById('notice').hidden").as_bool().unwrap());
}

#[test]
fn it_needs_no_token_and_shows_nothing_private() {
    let home = Home::new();
    let text = "an-example-of-a-token-that-is-long-enough-0123456789";
    let token = home.write("token", text);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let host = Serve::start(&home, &["--token-file", token.to_str().unwrap()]);
    let bearer = format!("Bearer {text}");
    let request = r#"{"id": "my-private-id", "parameters": {"app": {"specific": {"level": "fast"}}}, "src": "host:///etc/private-name"}"#;
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
    let start = Request {
        method: "POST",
        path: "/v2/sessions",
        headers: &headers,
        body: br#"{"accelerator": "gzip"}"#,
    };
    let session = host.send(start).json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/sessions/{session}/jobs");
    let job = Request { path: &path, body: request.as_bytes(), ..start };
    assert!(host.send(job).status >= 400);

    for method in ["GET", "HEAD"] {
        let answer = host.send(Request { method, ..Request::default() });
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.is_empty(), method == "HEAD");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    let status = host.get("/status");
    assert_eq!((status.status, status.header("cache-control")), (200, Some("no-store")));
    assert_eq!(status.json()["errors"].as_object().unwrap().len(), 1);
    for private in ["my-private-id", "private-name", "fast", text, &*session, "127.0.0.1"] {
        assert!(!status.text().contains(private), "{private}: {}", status.text());
    }
    assert_eq!(host.get("/v2/jobs").status, 401);
}
