use apyfal_core::{Environment, ErrorKind};
use apyfal_storage::{AllowedNetworks, StorageType};
use apyfal_testkit::{Answer, FaultServer};
use tempfile::TempDir;

use super::*;

fn server(data: &'static [u8]) -> FaultServer {
    FaultServer::start(move |request| Answer::part_of(data, request)).unwrap()
}

fn allowed(items: &[&str]) -> AllowedNetworks {
    AllowedNetworks::parse(items.iter().copied()).unwrap()
}

#[tokio::test]
async fn a_guarded_storage_does_not_reach_this_machine() {
    let server = server(b"secret");
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let guarded = Storage::new().guarded(AllowedNetworks::none());
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "0",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "me:hunter2@localhost",
    ] {
        let url = location(&format!("http://{host}:{port}/x?token=hunter2"));
        let opened = guarded.open_input(&url).await.map(|_| ());
        let read = guarded.read(&url, 100).await.map(|_| ());
        let stat = guarded.stat(&url).await.map(|_| ());
        let exists = guarded.exists(&url).await.map(|_| ());
        let target = TempDir::new().unwrap();
        let target = Location::file(target.path().join("copy"));
        let copied =
            guarded.copy(&url, &target, &Cancel::default(), &Arc::default()).await.map(drop);
        for outcome in [opened, read, stat, exists, copied] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security, "{host}: {error}");
            let text = format!("{error} {error:?}");
            assert!(text.contains("loopback") || text.contains("unspecified"), "{text}");
            assert!(error.hints().concat().contains("allowed_networks"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    assert!(server.requests().is_empty());
    // The user's own command line reads it, and so does a host that was told to.
    let url = format!("http://127.0.0.1:{port}/");
    for storage in [
        Storage::new(),
        Storage::new().guarded(AllowedNetworks::all()),
        guarded.guarded(allowed(&["127.0.0.0/8"])),
    ] {
        assert_eq!(read(&storage, &url).await.unwrap(), b"secret");
    }
    let private = Storage::new().guarded(allowed(&["private"]));
    assert_eq!(read(&private, &url).await.unwrap_err().kind(), ErrorKind::Security);
}

/// What the next test runs in a network of its own, in which global addresses are the machine's.
#[tokio::test]
#[ignore = "is run by another test"]
async fn in_a_network_of_global_addresses() {
    for address in ["8.8.4.4:0", "[2a00:1::1]:0"] {
        let server =
            FaultServer::start_at(address, |request| Answer::part_of(b"secret", request)).unwrap();
        let url = format!("{}/", server.url());
        // On this network all addresses of a loopback device's prefixes lead here.
        let port = server.url().rsplit(':').next().unwrap().to_owned();
        let near = match url.contains('[') {
            true => format!("http://[2a00:1::2]:{port}/"),
            false => format!("http://8.8.4.5:{port}/"),
        };
        let routed = format!("http://9.9.9.9:{port}/");
        let guarded = Storage::new().guarded(AllowedNetworks::none());
        for (url, class) in [(&url, "own"), (&near, "neighbouring"), (&routed, "neighbouring")] {
            let error = read(&guarded, url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Security, "{url}: {error}");
            assert!(error.to_string().contains(class), "{url}: {error}");
        }
        let private = Storage::new().guarded(allowed(&["private"]));
        assert_eq!(read(&private, &url).await.unwrap_err().kind(), ErrorKind::Security);
        assert!(server.requests().is_empty());
        let listed = Storage::new().guarded(allowed(&["8.8.4.0/24", "2a00:1::/64"]));
        assert_eq!(read(&listed, &url).await.unwrap(), b"secret");
    }
    println!("checked");
}

#[test]
fn global_addresses_of_the_own_network_are_inside() {
    let lines = "set -e; ip link set lo up; ip addr add 8.8.4.4/24 dev lo; \
                 ip -6 addr add 2a00:1::1/64 dev lo nodad; ip route add 9.9.9.0/24 dev lo; \
                 exec \"$0\" guards::in_a_network_of_global_addresses --exact --ignored --nocapture";
    let kinds: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    let run = |words: &&[&str]| {
        let mut command = std::process::Command::new("unshare");
        let program = std::env::current_exe().unwrap();
        let output = command.args(*words).args(["sh", "-c", lines]).arg(program).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success() && said.contains("checked"), said, output.stderr)
    };
    let can = |words: &&&[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(**words).arg("true").status().is_ok_and(|status| status.success())
    };
    match kinds.iter().find(can) {
        Some(words) => {
            let (is_right, said, errors) = run(words);
            assert!(is_right, "{said}{}", String::from_utf8_lossy(&errors));
        }
        None => assert!(std::env::var_os("APYFAL_TEST_WITHOUT_NAMESPACES").is_some()),
    }
}

/// Who runs the host has chosen its stores; who uses it has not.
#[tokio::test]
async fn stores_of_the_host_stay_reachable() {
    let unguarded = s3();
    moto(|moto| moto.create_bucket("guarded"));
    let guarded = unguarded.guarded(AllowedNetworks::none());
    assert_eq!(guarded.mounts(), unguarded.mounts());
    write(&guarded, "s3://guarded/key", b"data").await.unwrap();
    assert_eq!(read(&guarded, "s3://guarded/key").await.unwrap(), b"data");
    // The same server by its address is another matter.
    let url = moto(|moto| Ok(moto.url()));
    let error = read(&guarded, &url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
}

/// Some stores answer what is missing by a redirect that the owner of a bucket sets.
#[tokio::test]
async fn stores_do_not_redirect_to_other_servers() {
    let inner = server(b"secret");
    let target = inner.url();
    let store = FaultServer::start(move |request| match request.path.as_str() {
        "/bucket/moved" => Answer::new(307, "").header("Location", "/bucket/here"),
        "/bucket/here" => Answer::part_of(b"data", request),
        _ => Answer::new(307, "").header("Location", format!("{target}/x")),
    })
    .unwrap();
    let storage = Storage::new();
    storage.mount("s3", s3_options(&store.url())).unwrap();
    let guarded = storage.guarded(AllowedNetworks::none());
    let error = read(&guarded, "s3://bucket/key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    assert!(error.to_string().contains("another server"), "{error}");
    write(&guarded, "s3://bucket/key", b"x").await.unwrap_err();
    assert!(inner.requests().is_empty());
    guarded.stat(&location("s3://bucket/moved")).await.unwrap();
}

fn behind(proxy: &str) -> Storage {
    let variables = ["http_proxy", "all_proxy"].map(|name| (name.to_owned(), proxy.to_owned()));
    Storage::new().with_environment(Environment { variables: variables.into(), home: None })
}

#[tokio::test]
async fn a_guard_uses_no_proxy() {
    let (proxy, direct) = (server(b"by proxy"), server(b"direct"));
    let (storage, url) = (behind(&proxy.url()), format!("{}/x", direct.url()));
    assert_eq!(read(&storage, &url).await.unwrap(), b"by proxy");
    let guarded = storage.guarded(allowed(&["127.0.0.1"]));
    assert_eq!(read(&guarded, &url).await.unwrap(), b"direct");
    let guarded = storage.guarded(AllowedNetworks::none());
    for url in [&url, "http://localhost:1/"] {
        let error = read(&guarded, url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    }
    assert_eq!((proxy.requests().len(), direct.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let storage = behind("http://me:hunter2@127.0.0.1:1/");
    storage.mount("s3", s3_options("http://store.example:9000")).unwrap();
    let mut swift = MountOptions::new(StorageType::Swift);
    swift.client_id = Some("me".into());
    swift.secret_id = Some(apyfal_core::Secret::new("hunter2"));
    swift.project_id = Some("p".into());
    swift.auth_url = Some("HTTP://id.example".into());
    swift.unsecure = true;
    storage.mount("swift", swift).unwrap();
    for url in ["http://web.example/x", "s3://bucket/key", "swift://container/key"] {
        let error = read(&storage, url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        let text = error.to_string();
        assert!(text.contains("connection refused"), "{text}");
        assert!(text.contains("proxy http://127.0.0.1:1)"), "{text}");
        assert!(!format!("{text} {error:?} {storage:?}").contains("hunter2"), "{error:?}");
    }
    let odd = behind("ftp://me:hunter2@proxy.example");
    odd.mount("s3", s3_options("http://store.example:9000")).unwrap();
    for url in ["http://web.example/x", "s3://bucket/key"] {
        let error = read(&odd, url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageConfiguration, "{error}");
        assert!(error.to_string().contains("the proxy of http_proxy"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password_is_named() {
    let proxy = FaultServer::start(|_| Answer::new(407, "")).unwrap();
    let error = read(&behind(&proxy.url()), "http://web.example/x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageAuthentication, "{error}");
    assert!(error.to_string().contains(&format!("proxy {}", proxy.url())), "{error}");
    assert!(error.hints()[0].contains("http://user:password@proxy"), "{error:?}");
}

/// `*` and addresses, which are no names.
#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let direct = server(b"direct");
    for no_proxy in ["*", "127.0.0.1", "127.0.0.0/8", "10.0.0.0/8, 127.0.0.1"] {
        let variables = [("all_proxy", "http://127.0.0.1:1"), ("no_proxy", no_proxy)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let storage = Storage::new().with_environment(Environment { variables, home: None });
        assert_eq!(read(&storage, &direct.url()).await.unwrap(), b"direct", "{no_proxy}");
    }
}
