//! The page of a host, in a real browser.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::browser::Browser;
use common::http::Connection;
use common::server::{Server, until};
use common::{Home, namespaces};

const STATE: &str = "document.getElementById('state').textContent";

/// A job under way: of the bytes that it is promised it has got the first ones.
struct Unfinished(Connection);

impl Unfinished {
    fn begin(server: &Server, accelerator: &str, promised: usize, sent: usize) -> Self {
        let mut connection = server.connect();
        let head = connection.head("POST", &format!("/v2/run/{accelerator}"));
        connection.write(format!("{head}Content-Length: {promised}\r\n\r\n").as_bytes());
        connection.write(&common::words(sent, 1));
        Self(connection)
    }

    /// Sends a little more.
    fn go_on(&mut self) {
        self.0.write(&[7; 1000]);
    }
}

/// The text of each cell of a table's row that begins with a name.
fn cells(browser: &Browser, table: &str, name: &str) -> Vec<String> {
    let rows = browser.value(&format!(
        "[...document.querySelectorAll('#{table} tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    ));
    let mut rows = rows.as_array().unwrap().iter().map(|row| {
        let cells = row.as_array().unwrap().iter();
        cells.map(|cell| cell.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    rows.rfind(|row| row[0] == name).unwrap_or_default()
}

/// A server that waits for slow clients, so that a test may stand still.
fn patient() -> Server {
    Server::configured("[serve]\nclient_timeout = 5m\n", &[])
}

#[test]
fn it_shows_what_the_host_does() {
    let server = patient();
    for _ in 0..3 {
        assert_eq!(server.run("gzip", &common::words(300_000, 1)).status, 200);
    }
    assert_eq!(server.run("gunzip", b"no gzip at all").status, 422);
    let mut job = Unfinished::begin(&server, "null", 40_000_000, 10_000_000);
    let browser = Browser::start(server.home());
    browser.open(&server.url("/"));
    until("the page has looked", || browser.text(STATE) == "up");

    let gzip = cells(&browser, "accelerators", "gzip");
    assert_eq!((&*gzip[3], &*gzip[4]), ("3", "0"), "{gzip:?}");
    assert_eq!(cells(&browser, "accelerators", "gunzip")[4], "1");
    let errors = browser.text("document.getElementById('errors').textContent");
    assert!(errors.starts_with("1 × invalid-data"), "{errors}");

    until("the job runs", || {
        cells(&browser, "jobs", "null").get(1).is_some_and(|is| is == "running")
    });
    until("the bar shows a quarter of the job", || {
        job.go_on();
        let bar = "document.querySelector('#jobs progress')";
        let part = browser.value(&format!("{bar} && {bar}.value / {bar}.max")).as_f64();
        assert!(part.is_none_or(|part| part < 0.3), "{part:?}");
        part.is_some_and(|part| part > 0.25)
    });
    let queue = browser.text("document.getElementById('queue').textContent");
    assert!(queue.starts_with("1 running · 0 in the queue"), "{queue}");

    // The line rises where the jobs were, and the axes say what of.
    for (range, mark) in [("minutes", "−5 min"), ("hour", "−60 min"), ("week", "−7 d")] {
        browser.value(&format!("document.getElementById('{range}').click()"));
        until("the plot shows throughput", || {
            let line = "document.querySelector('#plot polyline.read').getAttribute('points')";
            let line = browser.text(line);
            let heights = line.split(' ').filter_map(|point| point.split_once(','));
            heights.map(|(_, y)| y.to_owned()).collect::<BTreeSet<_>>().len() > 1
        });
        let labels = browser.text("document.getElementById('plot').textContent");
        assert!(["B/s", "now", mark].iter().all(|label| labels.contains(label)), "{labels}");
        browser.until("a failed job is marked", "document.querySelector('#plot circle') !== null");
    }

    // A job that ends leaves the list.
    drop(job);
    until("the job left", || cells(&browser, "jobs", "null").is_empty());
    browser.until("it is said so", "!document.getElementById('no-jobs').hidden");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn it_fits_phones_and_dark_rooms() {
    let server = patient();
    let browser = Browser::start(server.home());
    let open = |width, dark| {
        browser.device(width, 740, dark);
        browser.open(&server.url("/"));
        until("the page has looked", || browser.text(STATE) == "up");
    };
    open(1280, false);
    browser.shot("desktop-idle");
    open(360, true);
    browser.shot("phone-dark-idle");

    assert_eq!(server.run("gunzip", b"no gzip at all").status, 422);
    assert_eq!(server.run("fail", b"x").status, 502);
    for _ in 0..5 {
        assert_eq!(server.run("gzip", &common::words(3_000_000, 1)).status, 200);
        assert_eq!(server.run("sha3", &common::words(3_000_000, 1)).status, 200);
    }
    let mut jobs = vec![
        Unfinished::begin(&server, "null", 190_000_000, 120_000_000),
        Unfinished::begin(&server, "gzip", 40_000_000, 12_000_000),
    ];
    jobs.extend((0..3).map(|_| Unfinished::begin(&server, "one_long", 10, 10)));
    let mut backgrounds = Vec::new();
    for (width, dark, name) in [
        (360, false, "phone"),
        (360, true, "phone-dark"),
        (320, false, "small-phone"),
        (1280, true, "desktop-dark"),
        (1280, false, "desktop"),
    ] {
        open(width, dark);
        until("the jobs are listed", || {
            jobs.iter_mut().take(2).for_each(Unfinished::go_on);
            let queue = browser.text("document.getElementById('queue').textContent");
            queue.contains("2 in the queue") && !cells(&browser, "jobs", "null").is_empty()
        });
        browser.shot(name);
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
    assert_eq!(backgrounds[0], backgrounds[4]);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn it_tells_when_the_host_is_away_and_comes_back() {
    let server = Server::at_own_address("");
    let home = Home::new();
    let browser = Browser::start(&home);
    browser.device(1280, 740, false);
    browser.open(&server.url("/"));
    until("the page has looked", || browser.text(STATE) == "up");
    let killed = server.killed();
    until("it is noticed", || browser.text(STATE) == "no answer");
    let notice = browser.text("document.getElementById('notice').textContent");
    assert!(notice.contains("no answer since"), "{notice}");
    browser.shot("gone");
    let _server = killed.started();
    until("the host is back", || browser.text(STATE) == "up");
    browser.until("the notice goes", "document.getElementById('notice').hidden");
}

#[test]
fn it_needs_no_token_and_shows_nothing_private() {
    let home = Home::new();
    let text = "an-example-of-a-token-that-is-long-enough-0123456789";
    let token = home.write("token", text);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["--token-file", token.to_str().unwrap()];
    let server = Server::in_home(home, "", &words);
    let post = |path: &str, body: &str| {
        let mut connection = server.connect();
        let head = connection.head("POST", path);
        let more = format!("Authorization: Bearer {text}\r\nContent-Type: application/json\r\n");
        let more = format!("{more}Content-Length: {}\r\n\r\n{body}", body.len());
        connection.write(format!("{head}{more}").as_bytes());
        connection.answer()
    };
    let session = post("/v2/sessions", r#"{"accelerator": "gzip"}"#).json();
    let session = session["id"].as_str().unwrap();
    let job = post(
        &format!("/v2/sessions/{session}/jobs"),
        r#"{"id": "my-private-id", "parameters": {"app": {"specific": {"level": "fast"}}}, "src": "host:///etc/private-name"}"#,
    );
    assert!(job.status >= 400, "{job:?}");

    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(common::text(&page.body).starts_with("<!doctype html>"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let mut connection = server.connect();
    let head = connection.head("HEAD", "/");
    connection.write(format!("{head}\r\n").as_bytes());
    assert_eq!(connection.answer_head().status, 200);

    let status = server.get("/status");
    assert_eq!((status.status, status.header("cache-control")), (200, Some("no-store")));
    assert_eq!(status.json()["errors"].as_object().unwrap().len(), 1);
    let shown = common::text(&status.body);
    for private in ["my-private-id", "private-name", "fast", text, session, "127.0.0.1"] {
        assert!(!shown.contains(private), "{private}: {shown}");
    }
    assert_eq!(server.get("/v2/jobs").status, 401);
}

/// Set where a test runs for a second time, in a network of its own.
const INSIDE: &str = "APYFAL_TEST_INSIDE";

/// Runs a test of this file again, where names are resolved by what this test itself answers, after
/// a search domain was added.
fn again_inside(test: &str) {
    let Some(words) = namespaces::network() else { return };
    let home = Home::new();
    let resolver = home.write("resolv.conf", "nameserver 127.0.0.1\nsearch evil.example\n");
    let line = "ip link set lo up && mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let output = Command::new("unshare")
        .args(words)
        .args(["--mount", "sh", "-c", line])
        .arg(resolver)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = common::text(&output.stdout) + &common::text(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Answers every question for the address of a name: it is this machine.
///
/// Source: RFC 1035, section 4.
fn mislead(socket: &UdpSocket) {
    let mut question = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut question) {
        // The name ends with an empty label; behind it are type and class.
        let Some(name) = question[12..len].iter().position(|byte| *byte == 0) else { continue };
        let end = 12 + name + 5;
        let is_address = question[end - 4..end - 2] == [0, 1];
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
        answer.extend(&question[12..end]);
        if is_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(Ipv4Addr::LOCALHOST.octets());
        }
        let _ = socket.send_to(&answer, from);
    }
}

#[test]
fn a_name_of_somebody_elses_leads_no_browser_to_the_host() {
    if std::env::var_os(INSIDE).is_none() {
        return again_inside("a_name_of_somebody_elses_leads_no_browser_to_the_host");
    }
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || mislead(&socket));
    // Where `localhost` leads.
    let home = Home::new();
    home.write("accelerator.conf", "[serve]\nnames = accelerator.example\naccelerator = null\n");
    let server = Server::of_command(home, &["serve", "--listen", "127.0.0.1:0"], Vec::new());
    let port = server.address().rsplit(':').next().unwrap();
    let browser = Browser::start(server.home());
    let ask = |method: &str, path: &str| {
        let request = format!(
            "(r => {{ r.open('{method}', '{path}', false); r.send(); return r.status; }})(new XMLHttpRequest())"
        );
        browser.value(&request).as_u64().unwrap()
    };
    for (name, jobs, run) in [
        ("localhost", 200, 200),
        ("accelerator.example", 200, 200),
        // With the search domain these are of whoever has it.
        ("intranet", 403, 403),
        ("apyfal", 403, 403),
        ("intranet.evil.example", 403, 403),
    ] {
        browser.open(&format!("http://{name}:{port}/"));
        // The page is for everybody: what it shows is nothing private.
        assert_eq!(browser.text("document.title"), "Apyfal host", "{name} leads here");
        assert_eq!(ask("GET", "/v2/jobs"), jobs, "{name}");
        assert_eq!(ask("POST", "/v2/run/null"), run, "{name}");
        assert_eq!(ask("GET", "/v1.0/configuration/"), jobs, "{name}");
    }
}

/// A server of somebody else's, whose one page is empty; its port.
fn foreign() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let page = "<!doctype html><title>foreign</title>";
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
        for stream in listener.incoming() {
            // A browser may connect before it knows what to ask for.
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

#[test]
fn a_foreign_page_gets_no_result_and_keeps_no_host_alive() {
    let server = Server::configured("[serve]\nidle_timeout = 1h\n", &["--accelerator", "null"]);
    let mut connection = server.connect();
    let session = connection.post("/v2/sessions", "application/json", b"{}");
    let path = format!("/v2/sessions/{}/jobs", session.json()["id"].as_str().unwrap());
    // What it is that is kept, a browser would run.
    let result = "window.stolen = 'the result'";
    let head = connection.head("POST", &path);
    let more = format!("apyfal-request: {{\"id\": \"kept\"}}\r\nContent-Length: {}", result.len());
    connection.write(format!("{head}{more}\r\n\r\n{result}").as_bytes());
    assert_eq!(connection.answer().status, 200);
    let left = || server.get("/v2/lease").json()["idle_left"].as_f64().unwrap();
    until("some time passed", || left() < 3599.0);
    let before = left();

    let port = foreign();
    let browser = Browser::start(server.home());
    let element = |kind: &str, source: &str, url: &str| {
        format!(
            "(e => (e.onload = () => window.told = 'loaded', e.onerror = () => window.told = 'refused', \
             Object.assign(e, {{ {source}: '{url}' }}), document.head.append(e)))\
             (document.createElement('{kind}'))"
        )
    };
    // To a browser 127.0.0.1 is another site than localhost, and the same one at another port.
    for name in ["localhost", "127.0.0.1"] {
        browser.open(&format!("http://{name}:{port}/"));
        assert_eq!(browser.text("document.title"), "foreign");
        let result = server.url("/v2/jobs/kept/result");
        for way in [
            element("script", "src", &result),
            element("link", "rel: 'stylesheet', href", &result),
            format!(
                "fetch('{result}', {{ mode: 'no-cors' }})\
                 .then(() => window.told = 'loaded', () => window.told = 'refused')"
            ),
        ] {
            browser.value(&format!("(window.told = undefined, {way}, 0)"));
            browser.until("it is told", "window.told !== undefined");
            assert_eq!(browser.text("window.told"), "refused", "{name}: {way}");
        }
        assert_eq!(browser.text("typeof window.stolen"), "undefined", "{name}");
        assert!(left() <= before, "{name}: it was a use");
        // A link leads to the page, which works.
        browser.value(&format!("(location.href = '{}', 0)", server.url("/")));
        until("the page has looked", || browser.text(STATE) == "up");
    }
    assert_eq!(server.get("/v2/jobs/kept/result").body, result.as_bytes());
}
