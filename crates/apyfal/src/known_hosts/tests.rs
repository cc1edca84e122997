use std::os::unix::fs::PermissionsExt;

use apyfal_core::{Configuration, Secret};
use serde_json::json;

use super::*;
use crate::configuration::hosts;

const TOKEN: &str = "apyfal_a_token_that_nobody_guesses";

fn known() -> (tempfile::TempDir, KnownHosts) {
    let home = tempfile::tempdir().unwrap();
    let known = KnownHosts::below(home.path());
    (home, known)
}

fn with_token(url: &str) -> Pairing {
    Pairing { token: Some(Secret::new(TOKEN)), ..Pairing::new(url) }
}

fn add(known: &KnownHosts, name: &str, pairing: Pairing) -> Result<KnownHost> {
    known.add(name, pairing, &Cancel::default())
}

fn names(known: &KnownHosts) -> Vec<String> {
    known.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_host_is_found_by_its_name_and_its_address() {
    let (home, known) = known();
    assert!(known.find("gpu1").unwrap().is_none() && known.list().unwrap().is_empty());
    add(&known, "gpu1", with_token("192.0.2.7")).unwrap();
    for text in [
        "gpu1",
        "GPU1",
        " gpu1 ",
        "192.0.2.7",
        "192.0.2.7:8000",
        "https://192.0.2.7:8000",
        "https://192.0.2.7:8000/",
    ] {
        let found = known.find(text).unwrap().unwrap_or_else(|| panic!("{text}"));
        assert_eq!(found.name, "gpu1");
        assert_eq!(found.pairing.url, "https://192.0.2.7:8000");
        assert_eq!(found.pairing.token.unwrap().expose(), TOKEN);
    }
    for text in ["gpu2", "192.0.2.7:8001", "192.0.2.8", "http://192.0.2.7:8000", "a,b", "../x", ""]
    {
        assert!(known.find(text).unwrap().is_none(), "{text}");
    }
    add(&known, "cloud", with_token("https://192.0.2.9")).unwrap();
    assert_eq!(known.find("192.0.2.9").unwrap().unwrap().pairing.url, "https://192.0.2.9:443");
    assert!(known.find("192.0.2.9:8000").unwrap().is_none());
    known.remove("192.0.2.9", &Cancel::default()).unwrap();
    let kept = home.path().join(".apyfal/known_hosts");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(&kept.join("gpu1.json"))), (0o700, 0o600));
    known.remove("192.0.2.7", &Cancel::default()).unwrap();
    assert!(known.find("gpu1").unwrap().is_none());
}

#[test]
fn a_name_is_that_of_one_host_and_a_host_has_one_name() {
    let (_home, known) = known();
    add(&known, "gpu1", with_token("192.0.2.7")).unwrap();
    let taken = add(&known, "GPU1", with_token("192.0.2.8")).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    assert!(taken.to_string().contains("https://192.0.2.7:8000"), "{taken}");
    let twice = add(&known, "gpu2", with_token("192.0.2.7")).unwrap_err();
    assert!(twice.to_string().contains("known as 'gpu1'"), "{twice}");
    assert!(twice.hints()[0].contains("apyfal host remove gpu1"));
    for name in ["192.0.2.7", "localhost", "a b", ""] {
        let error = add(&known, name, with_token("192.0.2.9")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
    }
    assert!(!format!("{taken:?} {twice:?}").contains(TOKEN));
    // Paired anew it is the same host, with what is known of it now.
    add(&known, "gpu1", Pairing::new("http://192.0.2.7:8000")).unwrap();
    assert!(known.find("gpu1").unwrap().unwrap().pairing.token.is_none());
    assert_eq!(names(&known), ["gpu1"]);
}

#[test]
fn a_host_without_a_name_is_called_by_its_address_until_it_gets_one() {
    let (_home, known) = known();
    let cancel = Cancel::default();
    assert_eq!(known.remember(with_token("a.example"), &cancel).unwrap().name, "a.example:8000");
    known.remember(with_token("https://a.example:8000"), &cancel).unwrap();
    assert_eq!(names(&known), ["a.example:8000"]);
    assert!(known.find("a.example").unwrap().is_some());
    add(&known, "a", with_token("a.example")).unwrap();
    assert_eq!(names(&known), ["a"]);
    // From then on it keeps its name.
    known.remember(Pairing::new("https://a.example:8000"), &cancel).unwrap();
    assert_eq!(names(&known), ["a"]);
    assert!(known.find("a").unwrap().unwrap().pairing.token.is_none());
}

#[test]
fn nothing_is_lost_that_several_add_at_once() {
    let (_home, known) = known();
    std::thread::scope(|scope| {
        for number in 0..32 {
            let known = &known;
            scope.spawn(move || {
                add(known, &format!("h{number}"), with_token(&format!("192.0.2.{number}")))
                    .unwrap();
            });
        }
    });
    assert_eq!(known.list().unwrap().len(), 32);
    // Of several with one name, or at one address, one is first.
    let won = std::thread::scope(|scope| {
        let race = |number: u8| {
            let known = &known;
            scope.spawn(move || {
                let same_name = add(known, "one", with_token(&format!("198.51.100.{number}")));
                let same_place = add(known, &format!("x{number}"), with_token("203.0.113.1"));
                (same_name.is_ok(), same_place.is_ok())
            })
        };
        let racing: Vec<_> = (0..8).map(race).collect();
        racing.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(won.iter().filter(|(name, _)| *name).count(), 1);
    assert_eq!(won.iter().filter(|(_, place)| *place).count(), 1);
}

#[test]
fn one_that_is_damaged_is_in_nobodys_way() {
    let (home, known) = known();
    add(&known, "good", with_token("192.0.2.1")).unwrap();
    add(&known, "bad", with_token("192.0.2.2")).unwrap();
    fs::write(home.path().join(".apyfal/known_hosts/bad.json"), format!("{{{TOKEN}")).unwrap();
    assert!(known.find("good").unwrap().is_some() && known.find("192.0.2.1").unwrap().is_some());
    let error = known.find("bad").unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
    assert_eq!(names(&known), ["bad", "good"]);
    add(&known, "bad", with_token("192.0.2.2")).unwrap();
    fs::write(home.path().join(".apyfal/known_hosts/bad.json"), "").unwrap();
    known.remove("bad", &Cancel::default()).unwrap();
    assert_eq!(names(&known), ["good"]);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let (_home, known) = known();
    assert!(known.unknown("gpu1").hints()[0].contains("apyfal serve"));
    add(&known, "gpu1", Pairing::new("192.0.2.1")).unwrap();
    let error = known.remove("gpu2", &Cancel::default()).unwrap_err();
    assert_eq!(error.hints(), ["did you mean the host 'gpu1'?"]);
    let error = known.remove("worker", &Cancel::default()).unwrap_err();
    assert_eq!(error.hints(), ["hosts that are known: gpu1"]);
}

#[test]
fn what_the_configuration_says_goes_before_what_is_known() {
    let (home, known) = known();
    let fingerprint = format!("sha256:{}", "ab".repeat(32));
    let pinned =
        Pairing { fingerprint: Some(fingerprint.parse().unwrap()), ..with_token("192.0.2.7") };
    add(&known, "gpu1", pinned).unwrap();
    add(&known, "gpu2", Pairing::new("192.0.2.8")).unwrap();
    let found = |section: &str| {
        let text = format!("[host]\n{section}");
        let configuration = Configuration::parse(text.as_bytes(), "c").unwrap();
        hosts(&configuration, Some(home.path())).unwrap()
    };
    let all = found("host_ip = gpu1, 192.0.2.8, 192.0.2.9\n");
    let urls: Vec<_> = all.iter().map(|host| host.url.as_str()).collect();
    assert_eq!(urls, ["https://192.0.2.7:8000", "http://192.0.2.8:8000", "192.0.2.9"]);
    let tokens: Vec<_> = all.iter().map(|host| host.token.is_some()).collect();
    assert_eq!(tokens, [true, false, false]);
    assert!(all[0].trust.is_some() && all[1].trust.is_none());
    let given = found("host_ip = gpu1\ntoken = another_token_of_the_host\n");
    assert_eq!(given[0].token.as_ref().unwrap().expose(), "another_token_of_the_host");
    assert!(given[0].trust.is_some(), "and it is known by its certificate still");
    let mistaken = found("host_ip = gpu3\n");
    assert_eq!(mistaken[0].advice.as_deref(), Some("did you mean the host 'gpu1'?"));
    assert_eq!(all[2].advice, None);
}

#[test]
fn a_thousand_hosts_are_found_by_name_and_by_address() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".apyfal/known_hosts");
    std::fs::create_dir_all(&folder).unwrap();
    let address = |host: usize| format!("10.0.{}.{}", host / 256, host % 256);
    for host in 0..1000 {
        let (url, name) = (format!("http://{}:8000", address(host)), format!("node{host}"));
        let kept =
            json!({"version": 1, "name": name, "url": url, "token": format!("token-{host}")});
        std::fs::write(folder.join(format!("{name}.json")), kept.to_string()).unwrap();
    }
    let names = (0..1000).map(|host| match host % 2 {
        0 => format!("node{host}"),
        _ => address(host),
    });
    let text = format!("[host]\nhost_ip = {}\n", names.collect::<Vec<_>>().join(","));
    let configuration = Configuration::parse(text.as_bytes(), "c").unwrap();
    let hosts = hosts(&configuration, Some(home.path())).unwrap();
    for (number, host) in hosts.iter().enumerate() {
        assert_eq!(host.url, format!("http://{}:8000", address(number)));
        assert_eq!(host.token.as_ref().unwrap().expose(), format!("token-{number}"));
    }
    assert_eq!(hosts.len(), 1000);
}

#[test]
fn what_earlier_versions_remembered_is_known() {
    let (home, known) = known();
    let folder = home.path().join(".apyfal/known_hosts");
    fs::create_dir_all(&folder).unwrap();
    for (file, name) in [("known_host", "gpu1"), ("paired_host", "gpu2")] {
        let file = format!("{}/tests/earlier/{file}.json", env!("CARGO_MANIFEST_DIR"));
        fs::copy(file, folder.join(name).with_extension("json")).unwrap();
    }
    let host = known.find("127.0.0.1:8001").unwrap().unwrap();
    assert_eq!((&*host.name, &*host.pairing.url), ("gpu1", "http://127.0.0.1:8001"));
    assert!(host.pairing.token.is_none() && host.pairing.fingerprint.is_none());
    let host = known.find("198.51.100.7").unwrap().unwrap();
    assert_eq!((&*host.name, &*host.pairing.url), ("gpu2", "https://198.51.100.7:8000"));
    assert_eq!(
        host.pairing.token.unwrap().expose(),
        "apyfal_Dq9WcvVAbUpGK-LweQc0_2zYMoc89FQ2NQswMrmoT5t"
    );
    assert_eq!(
        host.pairing.fingerprint.unwrap().to_string(),
        "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    );
}
