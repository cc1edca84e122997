//! Names that lead where they should not, by resolvers that a test makes.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use apyfal_core::{Input, Source};
use apyfal_testkit::{Answer, FaultServer};

use super::*;
use crate::transport::Transport;
use crate::web;

/// The size of the parts in which files are read.
const PART: usize = 8 << 20;

/// Answers each name with a list of addresses, one list after the other; the last one stays.
#[derive(Default)]
struct Names {
    answers: BTreeMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<BTreeMap<String, usize>>,
    count: AtomicUsize,
}

impl Names {
    fn answer(mut self, name: &str, lists: &[&[&str]]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        self.answers.insert(name.to_owned(), lists.iter().map(parse).collect());
        self
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut asked = self.asked.lock().unwrap();
        let number = asked.entry(name.as_str().to_owned()).or_default();
        let list = self
            .answers
            .get(name.as_str())
            .map(|lists| lists[(*number).min(lists.len() - 1)].clone());
        *number += 1;
        Box::pin(async move {
            let list = list.ok_or("no such name")?;
            Ok(Box::new(list.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// A transport that may reach 127.0.0.2, which stands for the public network, and nothing else of
/// this machine.
fn transport(names: Names) -> (Transport, Arc<Names>) {
    let names = Arc::new(names);
    let allowed = AllowedNetworks::parse(["127.0.0.2"]).unwrap();
    (Transport::guarded(Guard::with_resolver(allowed, names.clone())).unwrap(), names)
}

/// A public server and one at the same port of the address that is forbidden.
fn servers(
    public: impl Fn(&apyfal_testkit::Request) -> Answer + Clone + Send + Sync + 'static,
) -> (FaultServer, FaultServer, String) {
    for _ in 0..100 {
        let public = FaultServer::start_at("127.0.0.2:0", public.clone()).unwrap();
        let port = public.url().rsplit(':').next().unwrap().to_owned();
        let inner = FaultServer::start_at(&format!("127.0.0.1:{port}"), |request| {
            Answer::part_of(b"secret", request)
        });
        if let Ok(inner) = inner {
            return (public, inner, port);
        }
    }
    panic!("no port is free at both addresses");
}

async fn read(transport: &Transport, url: &str) -> Result<Vec<u8>> {
    let input: Input = web::open(transport, &Url::parse(url).unwrap()).await?;
    tokio::task::spawn_blocking(move || {
        let Source::Stream(mut reader) = input.into_source() else { panic!("not a stream") };
        let (mut data, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(data),
                Ok(count) => data.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::from_io(error)),
            }
        }
    })
    .await
    .unwrap()
}

fn assert_refused(error: &Error, class: &str) {
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    let text = error.to_string();
    assert!(text.starts_with("cannot read 'http://") && text.contains(class), "{text}");
    assert!(error.hints().concat().contains("allowed_networks"), "{error:?}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn names_lead_only_where_it_is_allowed() {
    let (public, inner, port) = servers(|request| Answer::part_of(b"public", request));
    let (transport, names) = transport(
        Names::default()
            .answer("public.test", &[&["127.0.0.2"]])
            .answer("inner.test", &[&["127.0.0.1"]])
            .answer("inner.test.", &[&["127.0.0.1"]])
            .answer("both.test", &[&["127.0.0.1", "::1", "127.0.0.2"]])
            .answer("metadata.test", &[&["169.254.169.254", "fd00:ec2::254"]])
            .answer("mapped.test", &[&["::ffff:127.0.0.1"]])
            .answer("none.test", &[&[]]),
    );
    for name in ["public.test", "both.test"] {
        let url = format!("http://{name}:{port}/");
        assert_eq!(read(&transport, &url).await.unwrap(), b"public", "{name}");
    }
    for (name, class) in [
        ("inner.test", "loopback"),
        ("INNER.test.", "loopback"),
        ("metadata.test", "metadata"),
        ("mapped.test", "loopback"),
    ] {
        let error = read(&transport, &format!("http://{name}:{port}/")).await.unwrap_err();
        assert_refused(&error, class);
        assert!(error.to_string().contains(&name.to_lowercase()), "{error}");
        // What the host's resolver knows is not for its callers.
        assert!(!format!("{error:?}").contains("127.0.0.1"), "{error:?}");
    }
    assert_eq!(public.requests().len(), 2);
    assert!(inner.requests().is_empty());
    assert_eq!(names.count.load(Ordering::SeqCst), 6, "a refusal is not tried again");
    for name in ["none.test", "unknown.test"] {
        let error = read(&transport, &format!("http://{name}:{port}/")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    }
}

/// A name that is public when it is looked at first and not when it is connected to.
#[tokio::test]
async fn answers_that_change_are_checked_again() {
    let data: Vec<u8> = (0..3 * PART).map(|index| (index / 7) as u8).collect();
    let (public, inner, port) = servers(move |request| Answer::part_of(&data, request));
    let (transport, names) =
        transport(Names::default().answer("rebind.test", &[&["127.0.0.2"], &["127.0.0.1"]]));
    // The first part comes from the public server; it closes each connection, so that the second
    // needs another.
    let error = read(&transport, &format!("http://rebind.test:{port}/")).await.unwrap_err();
    assert_refused(&error, "loopback");
    assert_eq!(public.requests().len(), 1);
    assert!(inner.requests().is_empty());
    assert!(names.count.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn redirects_lead_only_where_it_is_allowed() {
    let (public, inner, port) = servers(|request| match request.path.strip_prefix("/to/") {
        Some(target) => Answer::new(302, "").header("Location", target),
        None => Answer::part_of(b"public", request),
    });
    let (transport, _) = transport(
        Names::default()
            .answer("public.test", &[&["127.0.0.2"]])
            .answer("inner.test", &[&["127.0.0.1"]])
            // As the system's resolver answers what it takes for a number.
            .answer("0x7f.1", &[&["127.0.0.1"]])
            .answer("2130706433", &[&["127.0.0.1"]]),
    );
    let to = |target: &str| format!("http://public.test:{port}/to/{target}");
    let allowed = format!("http://127.0.0.2:{port}/x");
    assert_eq!(read(&transport, &to(&allowed)).await.unwrap(), b"public");
    assert_eq!(read(&transport, &to("/x")).await.unwrap(), b"public");
    for host in [
        "127.0.0.1",
        "inner.test",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "user@127.0.0.1",
        "127.0.0.2@127.0.0.1",
    ] {
        for target in [
            format!("http://{host}:{port}/x"),
            // By way of a redirect that is allowed.
            format!("http://127.0.0.2:{port}/to/http://{host}:{port}/x"),
            format!("//{host}:{port}/x"),
        ] {
            let error = read(&transport, &to(&target)).await.unwrap_err();
            assert_refused(&error, "loopback");
        }
    }
    let seen = public.requests().len();
    let error = read(&transport, &to("http://169.254.169.254/latest/")).await.unwrap_err();
    assert_refused(&error, "metadata");
    assert_eq!(public.requests().len(), seen + 1, "a refusal is not tried again");
    // Whatever else it may be, it is not followed to where it must not lead.
    for target in [
        format!("http://127%2e0%2e0%2e1:{port}/x"),
        format!("http:\\\\127.0.0.1:{port}/x"),
        format!("http://127.0.0.2:{port}\\@127.0.0.1:{port}/x"),
        "file:///etc/passwd".to_owned(),
        format!("ftp://127.0.0.1:{port}/x"),
        format!("http://public.test:{port}/to//to//to/"),
    ] {
        let _ = read(&transport, &to(&target)).await;
    }
    assert!(inner.requests().is_empty(), "{:?}", inner.requests());
}

#[tokio::test]
async fn endless_redirects_end() {
    let (public, _, port) =
        servers(|request| Answer::new(302, "").header("Location", request.path.clone()));
    let (transport, _) = transport(Names::default());
    let error = read(&transport, &format!("http://127.0.0.2:{port}/")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert_eq!(public.requests().len(), REDIRECTS + 1);
}

#[test]
fn every_spelling_of_an_address_is_known() {
    let guard = Guard::new(AllowedNetworks::none());
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "2130706433",
        "0x7f000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "me:password@127.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
    ] {
        for url in [format!("http://{host}/"), format!("https://{host}:8080/x")] {
            let error = guard.check(&Url::parse(&url).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security, "{url}");
            assert!(error.message().contains("a loopback address"), "{url}: {error}");
            assert!(!format!("{error:?}").contains("password"), "{error:?}");
        }
    }
    for (host, class) in [
        ("0", "unspecified"),
        ("[::]", "unspecified"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("0xa9fea9fe", "metadata"),
        ("[fe80::1]", "link-local"),
        ("10.0.0.1", "private"),
        ("100.100.100.200", "metadata"),
        ("[fd00:ec2::254]", "metadata"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("4294967295", "broadcast"),
        ("192.0.2.1", "documentation"),
        ("168.63.129.16", "metadata"),
        ("250.0.0.1", "reserved"),
    ] {
        let error = guard.check(&Url::parse(&format!("http://{host}/")).unwrap()).unwrap_err();
        assert!(error.message().contains(class), "{host}: {error}");
    }
    for host in ["example.org", "8.8.8.8", "134744072", "[2600::1]", "127.0.0.1.example.org"] {
        guard.check(&Url::parse(&format!("http://{host}/")).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn nothing_is_reached_where_the_own_networks_are_not_known() {
    let mut guard = Guard::new(AllowedNetworks::none());
    guard.own = || Err(io::Error::from_raw_os_error(24));
    let error = guard.check(&Url::parse("http://8.8.8.8/").unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("cannot tell this host's networks"), "{error}");
    let resolved = guard.resolve("localhost".parse().unwrap()).await;
    assert!(resolved.is_err());
}
