//! What a ledger remembers, and forgets.

use apyfal_providers::{AtShutdown, Boot, Login, Request};

use super::*;

fn spec() -> HostSpec {
    HostSpec {
        name: "accelize_gzip_261128000000".into(),
        accelerator: "gzip".into(),
        installation: "here".into(),
        instance_type: None,
        image: None,
        fpga_image: None,
        at_shutdown: AtShutdown::Terminate,
        idle_timeout: None,
        max_lifetime: None,
        boot: Boot::Files(Vec::new()),
    }
}

fn begin(ledger: &Ledger, usage: &Usage, contact: FirstContact) -> (HostRecord, Lock) {
    let sim = ProviderInfo::new("sim");
    let login = Login {
        user: "ubuntu".into(),
        key_pair: "key".into(),
        private_key: Some("/key.pem".into()),
    };
    let request = Request::of(&spec()).unwrap();
    let holds = vec!["a door".to_owned()];
    let prepared = Prepared { login: Some(login), holds, ..request.into() };
    ledger.begin(usage, &sim, StopMode::Stop, &spec(), prepared, contact).unwrap()
}

#[test]
fn what_is_asked_for_is_remembered_with_its_secrets_until_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::at(folder.path().join("hosts"));
    assert!(ledger.hosts().unwrap().is_empty() && !ledger.exists());
    let contact = FirstContact::new(None, None).unwrap();
    let secret = contact.token().expose().to_owned();
    let usage = Usage::Named("a b".into());
    let (mut host, lock) = begin(&ledger, &usage, contact);
    assert!(ledger.try_lock(&host.id).unwrap().is_none(), "it is worked on");
    drop(lock);
    assert!(ledger.try_lock(&host.id).unwrap().is_some());
    host.instance = Some(InstanceId("i-1".into()));
    host.state = HostState::Made;
    ledger.save(&host).unwrap();
    let found = ledger.of(&usage).unwrap().pop().unwrap();
    assert_eq!((found.state, found.stop_mode), (HostState::Made, StopMode::Stop));
    assert_eq!(found.request, Some(Request::of(&spec()).unwrap()));
    assert_eq!(found.token, host.token);
    assert_eq!(found.holds, ["a door"]);
    assert_eq!(found.login.unwrap().user, "ubuntu");
    assert_eq!(found.contact.unwrap().token().expose(), secret);
    assert!(ledger.of(&Usage::Unnamed("a b".into())).unwrap().is_empty());

    let files = || {
        let files = std::fs::read_dir(folder.path().join("hosts")).unwrap().flatten();
        files.map(|file| std::fs::read(file.path()).unwrap()).collect::<Vec<_>>().concat()
    };
    let has = |text: &str| files().windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has(&secret));
    host.state = HostState::Ended;
    ledger.save(&host).unwrap();
    assert!(!has(&secret), "no file of the ledger has it any more");
    assert!(ledger.hosts().unwrap().is_empty());
    let ended = ledger.read(&host.id).unwrap().unwrap();
    assert!(ended.state == HostState::Ended && ended.contact.is_none() && ended.request.is_none());
}

#[test]
fn many_use_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::at(folder.path());
    std::thread::scope(|scope| {
        for index in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                let usage = Usage::Named(index.to_string());
                let contact = FirstContact::new(None, None).unwrap();
                begin(ledger, &usage, contact);
            });
        }
    });
    assert_eq!(ledger.hosts().unwrap().len(), 8);
    let first = ledger.installation().unwrap();
    assert_eq!(ledger.installation().unwrap(), first);
}

#[test]
fn what_earlier_versions_wrote_is_read_and_ends() {
    let stopped = (HostState::Stopped, StopMode::Stop);
    let earlier = [
        (include_str!("earlier/1.sql"), stopped, false, 0),
        (include_str!("earlier/2.sql"), stopped, true, 0),
        (include_str!("earlier/3.sql"), (HostState::Ready, StopMode::Term), true, 1),
    ];
    for (text, is_so, has_login, pushed) in earlier {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(folder.path());
        Connection::open(ledger.path()).unwrap().execute_batch(text).unwrap();
        let usage = Usage::Named("default".into());
        let mut host = ledger.of(&usage).unwrap().pop().unwrap();
        assert_eq!((host.state, host.stop_mode), is_so);
        assert_eq!((host.provider.as_str(), host.accelerator.as_str()), ("sim", "gzip"));
        assert_eq!(host.request.as_ref().unwrap().read::<HostSpec>().unwrap().name, host.name);
        // What its clients need of it: where it is, and what proves each to the other.
        let options = host.options().unwrap();
        let (token, fingerprint) = host.proofs().unwrap();
        assert_eq!(options.url, "https://127.10.119.191:8000");
        assert_eq!(token.expose(), "apyfal_Dq9WcvVAbUpGK-LweQc0_2zYMoc89FQ2NQswMrmoT5t");
        assert_eq!(options.token.unwrap().expose(), token.expose());
        assert_eq!(
            fingerprint.to_string(),
            "sha256:1b3218b73c9333518abfd4e790c15a7bbfe5b2b2b3ca9b7292e303d7a48d17fd"
        );
        // What a version did not know is not known.
        assert_eq!((host.login.is_some(), host.account.is_some()), (has_login, has_login));
        assert_eq!((host.sent.is_some(), host.good_until.is_some()), (has_login, has_login));
        assert_eq!((host.pushed.len(), host.holds.len()), (pushed, 0));
        host.state = HostState::Ended;
        ledger.save(&host).unwrap();
        assert!(ledger.hosts().unwrap().is_empty());
    }
}
