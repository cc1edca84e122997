//! What a start does where its provider refuses, loses answers, or tells of things late.

use std::collections::VecDeque;

use apyfal_core::unix_time;
use apyfal_providers::{
    AtShutdown, Boot, InstanceDetails, InstanceState, Prepared, ProviderInfo, Request, Token,
};
use parking_lot::Mutex;

use super::coming_up::{OLD, is_refusal};
use super::*;
use crate::host_name;

/// The account of the machines.
const OURS: &str = "1";

/// A provider that does as it is told, and notes what it is asked.
#[derive(Debug)]
struct Scripted {
    info: ProviderInfo,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    machines: Vec<Instance>,
    /// What the next calls of `create` answer; what was asked for is made unless that is a refusal.
    create: VecDeque<ErrorKind>,
    /// How often a request is not taken yet.
    not_yet: usize,
    /// How often it is made, and the answer gets lost in a way that it is asked for again.
    lost: usize,
    /// How often a change is not heard.
    deaf: usize,
    /// How often a machine is not found yet.
    late: usize,
    /// Which state new machines are in.
    state: Option<InstanceState>,
    /// Where they are.
    url: Option<String>,
    /// Whether it makes what is asked for, and never answers.
    is_silent: bool,
    /// Whether nobody finds by its token what it made.
    is_unlisted: bool,
    /// What other hosts hold, as it was told last.
    held: Vec<String>,
    /// The account that its keys lead to, and the one that they lead to from the next look on.
    account: Option<String>,
    next_account: Option<String>,
    /// How many looks a machine takes to come up, and how many it still takes.
    slow: usize,
    coming: usize,
    /// What becomes of machines that shut themselves down, as far as that was said.
    at_shutdown: Option<AtShutdown>,
    /// Why machines ended.
    ended_by: Option<String>,
    /// How often a machine that runs has no address yet.
    no_address: usize,
    /// Whether it is told of a machine later than it comes up.
    told_late: bool,
    calls: Vec<String>,
}

impl Scripted {
    fn new(settles: Duration) -> Arc<Self> {
        let region = Some("here".into());
        let info = ProviderInfo { region, settles, ..ProviderInfo::new("scripted") };
        Arc::new(Self { info, inner: Mutex::default() })
    }

    fn set(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock());
    }

    fn living(&self) -> usize {
        let lives = |machine: &&Instance| machine.state != InstanceState::Ended;
        self.inner.lock().machines.iter().filter(lives).count()
    }

    fn count(&self, call: &str) -> usize {
        self.inner.lock().calls.iter().filter(|made| *made == call).count()
    }

    fn to(&self, id: &InstanceId, state: InstanceState, call: &str) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.calls.push(call.to_owned());
        if inner.late > 0 || inner.deaf > 0 {
            inner.deaf = inner.deaf.saturating_sub(1);
            return Ok(());
        }
        let found = inner.machines.iter_mut().find(|machine| machine.id == *id);
        if let Some(found) = found {
            found.state = state;
        }
        Ok(())
    }

    /// Makes what is asked for, unless that is refused.
    fn made(&self, request: &Request, token: &Token) -> Result<InstanceId> {
        let spec: HostSpec = request.read()?;
        let mut inner = self.inner.lock();
        inner.calls.push("create".to_owned());
        if inner.not_yet > 0 {
            inner.not_yet -= 1;
            return Err(Error::new(ErrorKind::Configuration, "what it needs is new").retryable());
        }
        let is_lost = inner.lost > 0;
        inner.lost = inner.lost.saturating_sub(1);
        let answer = if is_lost { None } else { inner.create.pop_front() };
        if let Some(kind) = answer.filter(|kind| is_refusal(*kind)) {
            return Err(Error::new(kind, "it is refused"));
        }
        if !inner.machines.iter().any(|machine| machine.token == *token) {
            let id = InstanceId(format!("i-{}", inner.machines.len()));
            let state = inner.state.unwrap_or(InstanceState::Running);
            let name = spec.name.clone();
            let token = token.clone();
            let (url, created) = (inner.url.clone(), unix_time().as_secs_f64());
            let ended_by = inner.ended_by.clone();
            let details = InstanceDetails::default();
            let machine = Instance { id, name, token, state, url, created, ended_by, details };
            inner.machines.push(machine);
        }
        match answer {
            None if is_lost => {
                Err(Error::new(ErrorKind::Unavailable, "the answer got lost").retryable())
            }
            Some(kind) => Err(Error::new(kind, "the answer got lost")),
            None => {
                let made = inner.machines.iter().find(|machine| machine.token == *token);
                Ok(made.map(|machine| machine.id.clone()).unwrap())
            }
        }
    }
}

#[async_trait]
impl Provider for Scripted {
    fn info(&self) -> &ProviderInfo {
        &self.info
    }

    async fn prepare(&self, spec: &HostSpec, held: &[String]) -> Result<Prepared> {
        // As one that is asked over a network.
        tokio::task::yield_now().await;
        let mut inner = self.inner.lock();
        inner.calls.push("prepare".to_owned());
        inner.held = held.to_vec();
        let holds = vec![format!("a door of {}", spec.name)];
        Request::of(spec).map(|request| Prepared { holds, ..request.into() })
    }

    async fn create(&self, request: &Request, token: &Token) -> Result<InstanceId> {
        let made = self.made(request, token);
        if self.inner.lock().is_silent {
            std::future::pending::<()>().await;
        }
        made
    }

    async fn account(&self) -> Result<Option<String>> {
        Ok(self.inner.lock().account.clone())
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let mut inner = self.inner.lock();
        if let Some(next) = inner.next_account.take() {
            inner.account = Some(next);
        }
        if inner.account.as_deref().is_some_and(|account| account != OURS) {
            return Ok(None);
        }
        if inner.late > 0 {
            inner.late -= 1;
            return Ok(None);
        }
        let is_coming = inner.coming > 0;
        inner.coming = inner.coming.saturating_sub(1);
        let mut found = inner.machines.iter().find(|machine| machine.id == *id).cloned();
        if let Some(found) = found.as_mut().filter(|_| inner.no_address > 0) {
            found.url = None;
        }
        inner.no_address = inner.no_address.saturating_sub(1);
        if let Some(found) = found.as_mut().filter(|_| is_coming) {
            found.state = match inner.told_late {
                true => InstanceState::Stopped,
                false => InstanceState::Pending,
            };
        }
        Ok(found)
    }

    async fn list(&self, filter: &HostFilter) -> Result<Vec<Instance>> {
        let mut inner = self.inner.lock();
        inner.calls.push("list".to_owned());
        let is_unlisted = inner.is_unlisted;
        let is_meant = |machine: &&Instance| {
            !is_unlisted && filter.token.as_ref().is_none_or(|token| machine.token == *token)
        };
        Ok(inner.machines.iter().filter(is_meant).cloned().collect())
    }

    async fn start(&self, id: &InstanceId) -> Result<()> {
        self.set(|inner| inner.coming = inner.slow);
        self.to(id, InstanceState::Running, "start")
    }

    async fn stop(&self, id: &InstanceId) -> Result<()> {
        if self.inner.lock().coming > 0 {
            return Err(Error::new(ErrorKind::Conflict, "it comes up"));
        }
        self.to(id, InstanceState::Stopped, "stop")
    }

    async fn withdraw(&self, _request: &Request, _token: &Token) -> Result<()> {
        self.set(|inner| inner.calls.push("withdraw".to_owned()));
        Ok(())
    }

    async fn terminate(&self, id: &InstanceId) -> Result<()> {
        self.to(id, InstanceState::Ended, "terminate")
    }

    async fn set_at_shutdown(&self, id: &InstanceId, mode: AtShutdown) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.calls.push("set_at_shutdown".to_owned());
        let found = inner.machines.iter().find(|machine| machine.id == *id);
        if found.is_none_or(|machine| machine.state == InstanceState::Ended) {
            return Err(Error::new(ErrorKind::Conflict, "it has ended"));
        }
        inner.at_shutdown = Some(mode);
        Ok(())
    }

    async fn console(&self, _id: &InstanceId) -> Result<Option<String>> {
        Ok(Some("booting\nkernel panic\n".to_owned()))
    }
}

struct New;

#[async_trait]
impl Wanted for New {
    async fn host(&self, _: &Lifecycle, _: &Cancel) -> Result<(HostSpec, FirstContact)> {
        Test::wanted()
    }
}

struct Test {
    provider: Arc<Scripted>,
    lifecycle: Lifecycle,
    usage: Usage,
    _home: tempfile::TempDir,
}

impl Test {
    fn new(settles: Duration) -> Self {
        let home = tempfile::tempdir().unwrap();
        let provider = Scripted::new(settles);
        let limits = Limits {
            provision: Duration::from_secs(60),
            address: Duration::from_millis(50),
            boot: Duration::from_secs(60),
            pause: Duration::from_millis(1),
        };
        let ledger = Ledger::at(home.path());
        let lifecycle = Lifecycle::new(provider.clone(), ledger, limits);
        Self { provider, lifecycle, usage: Usage::Named("it".into()), _home: home }
    }

    fn wanted() -> Result<(HostSpec, FirstContact)> {
        let spec = HostSpec {
            name: host_name(None, "gzip"),
            accelerator: "gzip".into(),
            installation: "here".into(),
            instance_type: None,
            image: None,
            fpga_image: None,
            at_shutdown: AtShutdown::Terminate,
            idle_timeout: None,
            max_lifetime: None,
            boot: Boot::Files(Vec::new()),
        };
        Ok((spec, FirstContact::new(None, None)?))
    }

    /// None of its machines has an address, so that no start ends well.
    async fn start(&self) -> Error {
        self.start_in(StopMode::Term).await
    }

    async fn start_in(&self, mode: StopMode) -> Error {
        let never = Cancel::default();
        let started = self.lifecycle.start(&self.usage, "gzip", mode, &New, &never);
        started.await.map(drop).unwrap_err()
    }

    fn recorded(&self) -> Vec<HostRecord> {
        self.lifecycle.ledger().hosts().unwrap()
    }

    /// What a process leaves that is killed after it asked.
    fn asked_before(&self, age: f64) -> HostRecord {
        let (spec, contact) = Self::wanted().unwrap();
        let (ledger, request) = (self.lifecycle.ledger(), Request::of(&spec).unwrap().into());
        let info = self.provider.info();
        let mode = StopMode::Term;
        let begun = ledger.begin(&self.usage, info, mode, &spec, request, contact).unwrap();
        let host = HostRecord { asked: unix_time().as_secs_f64() - age, ..begun.0 };
        ledger.save(&host).unwrap();
        host
    }
}

#[tokio::test]
async fn what_is_refused_is_told_as_it_is_and_looked_for_no_further() {
    for kind in [ErrorKind::Quota, ErrorKind::Capacity, ErrorKind::Authentication] {
        let test = Test::new(Duration::from_secs(3600));
        test.provider.set(|inner| inner.create = [kind].into());
        assert_eq!(test.start().await.kind(), kind);
        assert!(test.recorded().is_empty());
        assert_eq!((test.provider.living(), test.provider.count("list")), (0, 0));
    }
}

#[tokio::test]
async fn what_was_made_though_the_answer_got_lost_is_found_and_ended() {
    let test = Test::new(Duration::from_secs(60));
    test.provider.set(|inner| inner.create = [ErrorKind::Unavailable].into());
    let error = test.start().await;
    assert_eq!(error.message(), "the answer got lost");
    assert_eq!((test.provider.living(), test.provider.count("create")), (0, 1));
    assert!(test.recorded().is_empty());
}

#[tokio::test]
async fn a_machine_that_cannot_be_used_is_ended_with_its_last_words() {
    let test = Test::new(Duration::ZERO);
    let error = test.start().await;
    assert_eq!(error.message(), "its machine has no address");
    assert!(error.facts().iter().any(|(_, said)| said == "kernel panic"), "{error:?}");
    assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));
}

#[tokio::test]
async fn not_found_means_not_yet_as_long_as_things_settle() {
    let test = Test::new(Duration::from_secs(60));
    test.provider.set(|inner| inner.late = 5);
    assert_eq!(test.start().await.message(), "its machine has no address", "it was waited for");
    assert_eq!(test.provider.count("create"), 1);
    // Later it means that it is gone: a token is spent, and another one is tried.
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| inner.late = 1);
    let _ = test.start().await;
    assert_eq!(test.provider.count("create"), 2);
}

#[tokio::test]
async fn what_is_not_found_yet_is_ended_once_it_is_found() {
    let test = Test::new(Duration::from_secs(60));
    let mut host = test.asked_before(0.0);
    let request = Request::of(&Test::wanted().unwrap().0).unwrap();
    host.instance = Some(test.provider.create(&request, &host.token).await.unwrap());
    host.state = HostState::Made;
    test.lifecycle.ledger().save(&host).unwrap();
    test.provider.set(|inner| inner.late = 3);
    test.lifecycle.stop(&mut host, StopMode::Term).await.unwrap();
    assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));
}

#[tokio::test]
async fn what_is_not_taken_yet_is_asked_for_again() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| inner.not_yet = 2);
    assert_eq!(test.start().await.message(), "its machine has no address");
    assert_eq!((test.provider.count("prepare"), test.provider.count("create")), (1, 3));
    assert_eq!(test.provider.inner.lock().machines.len(), 1);
}

#[tokio::test]
async fn what_is_not_found_yet_is_ended_once_it_is() {
    let test = Test::new(Duration::from_secs(3600));
    let cancel = Cancel::default();
    test.provider.set(|inner| {
        inner.late = 5;
        inner.state = Some(InstanceState::Running);
    });
    let starting = test.lifecycle.start(&test.usage, "gzip", StopMode::Term, &New, &cancel);
    let given_up = async {
        while test.provider.count("create") == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (started, ()) = tokio::join!(starting, given_up);
    assert!(started.unwrap_err().is_cancelled());
    assert_eq!(test.provider.living(), 0, "not found was not taken for ended");
    assert!(test.recorded().is_empty());
}

#[tokio::test]
async fn what_was_told_to_end_before_it_was_there_is_told_again() {
    let test = Test::new(Duration::from_secs(3600));
    let mut host = test.asked_before(0.0);
    let request = Request::of(&Test::wanted().unwrap().0).unwrap();
    host.instance = Some(test.provider.create(&request, &host.token).await.unwrap());
    host.state = HostState::Made;
    test.lifecycle.ledger().save(&host).unwrap();
    // It is there as soon as the first look comes, and was not when it was told to end.
    test.provider.set(|inner| inner.deaf = 1);
    test.lifecycle.stop(&mut host, StopMode::Term).await.unwrap();
    assert_eq!((test.provider.living(), test.provider.count("terminate")), (0, 2));
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_says_nothing_about_what_was_made() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| {
        inner.lost = 1;
        inner.create = [ErrorKind::Security].into();
    });
    assert_eq!(test.start().await.kind(), ErrorKind::Unavailable);
    assert_eq!(test.provider.inner.lock().machines.len(), 1);
    assert_eq!(test.provider.living(), 0, "it was looked up and ended");
}

#[tokio::test]
async fn one_of_another_region_is_neither_ended_nor_replaced() {
    let test = Test::new(Duration::ZERO);
    let host = test.left(HostState::Ready, InstanceState::Running).await;
    let mut elsewhere = HostRecord { region: Some("there".into()), ..host };
    test.lifecycle.ledger().save(&elsewhere).unwrap();
    let error = test.start().await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("region there, and this is here"), "{error}");
    let error = test.lifecycle.stop(&mut elsewhere, StopMode::Term).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!((test.provider.living(), test.recorded().len()), (1, 1));
}

#[tokio::test]
async fn one_of_another_account_is_not_taken_for_one_that_has_ended() {
    let never = Cancel::default();
    // The keys are others before, or turn out to be at the first look.
    for (now, next) in [(Some("2"), None), (Some(OURS), Some("2"))] {
        let test = Test::new(Duration::ZERO);
        let host = test.left(HostState::Ready, InstanceState::Running).await;
        let mut host = HostRecord { account: Some(OURS.into()), ..host };
        test.lifecycle.ledger().save(&host).unwrap();
        let id = host.instance.clone().unwrap();
        let lead = || {
            test.provider.set(|inner| {
                inner.account = now.map(str::to_owned);
                inner.next_account = next.map(str::to_owned);
            });
        };
        lead();
        let resumed = test.lifecycle.resume(&id, StopMode::Keep, &never).await;
        lead();
        let stopped = test.lifecycle.stop(&mut host.clone(), StopMode::Stop).await;
        lead();
        let ended = test.lifecycle.stop(&mut host, StopMode::Term).await;
        lead();
        let started = test.start().await;
        let errors = [resumed.map(drop).unwrap_err(), stopped.unwrap_err(), ended.unwrap_err()];
        for error in errors.into_iter().chain([started]) {
            assert!(error.to_string().contains("account 1, and this is 2"), "{error}");
        }
        assert_eq!(test.recorded().len(), 1);
        assert_eq!(test.provider.count("create"), 1, "none was made in its place");
    }
}

#[tokio::test]
async fn an_attempt_goes_on_after_a_kill_and_an_old_one_is_not_sent_again() {
    let test = Test::new(Duration::ZERO);
    let host = test.asked_before(10.0);
    let _ = test.provider.create(host.request.as_ref().unwrap(), &host.token).await.unwrap();
    assert_eq!(test.start().await.message(), "its machine has no address");
    let all = test.provider.inner.lock().machines.len();
    assert_eq!((all, test.provider.living()), (1, 0), "it was the same one");

    let test = Test::new(Duration::ZERO);
    let host = test.asked_before(OLD + 1.0);
    let _ = test.start().await;
    let asked: Vec<_> = test.provider.inner.lock().machines.clone();
    assert!(asked.iter().all(|machine| machine.token != host.token), "it was only looked up");
    assert_eq!((asked.len(), test.provider.living()), (1, 0));
}

#[tokio::test]
async fn machines_that_end_at_once_are_not_made_for_ever() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| {
        inner.state = Some(InstanceState::Ended);
        inner.ended_by = Some("AWS had no room".to_owned());
    });
    let error = test.start().await;
    assert_eq!(error.message(), "its machine ended at once: AWS had no room");
    assert!(error.facts().iter().any(|(_, said)| said == "kernel panic"), "{error:?}");
    assert_eq!(test.provider.count("create"), 1);
    assert!(test.recorded().is_empty());
}

#[tokio::test]
async fn tokens_that_are_spent_are_not_made_for_ever() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| inner.create = [ErrorKind::NotFound; 9].into());
    let error = test.start().await;
    assert_eq!(error.message(), "each host that is made ends at once");
    assert_eq!((test.provider.count("create"), test.provider.living()), (3, 0));
    assert!(test.recorded().is_empty());
}

#[tokio::test]
async fn what_was_made_in_place_of_a_machine_ends_with_its_host() {
    for state in [InstanceState::Ended, InstanceState::Running] {
        for is_listed in [true, false] {
            let test = Test::new(Duration::ZERO);
            let mut host = test.left(HostState::Ready, state).await;
            test.provider.set(|inner| {
                let before = inner.machines[0].clone();
                let (id, state) = (InstanceId("i-other".into()), InstanceState::Running);
                inner.machines.push(Instance { id, state, ..before });
                if !is_listed {
                    // AWS forgets what has ended.
                    inner.machines.remove(0);
                }
            });
            test.lifecycle.stop(&mut host, StopMode::Keep).await.unwrap();
            test.lifecycle.stop(&mut host, StopMode::Term).await.unwrap();
            assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));
            assert!(test.provider.count("withdraw") > 0);
        }
    }
}

#[tokio::test]
async fn an_address_may_come_later_than_its_machine() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| {
        (inner.url, inner.no_address) = (Some("http://127.0.0.1:9".to_owned()), 2);
    });
    let cancel = Cancel::default();
    let starting = test.lifecycle.start(&test.usage, "gzip", StopMode::Term, &New, &cancel);
    // It is contacted then, and nobody answers there.
    assert!(tokio::time::timeout(Duration::from_millis(500), starting).await.is_err());
    assert_eq!(test.provider.living(), 1);
}

#[tokio::test]
async fn a_start_that_is_cancelled_gives_back_what_it_made() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| inner.state = Some(InstanceState::Pending));
    let cancel = Cancel::default();
    let starting = test.lifecycle.start(&test.usage, "gzip", StopMode::Keep, &New, &cancel);
    let cancelling = async {
        while test.provider.count("create") == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (started, ()) = tokio::join!(starting, cancelling);
    assert!(started.unwrap_err().is_cancelled());
    assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));
}

#[tokio::test]
async fn what_an_earlier_process_made_is_ended_though_this_one_is_refused() {
    let test = Test::new(Duration::ZERO);
    let host = test.asked_before(10.0);
    let _ = test.provider.create(host.request.as_ref().unwrap(), &host.token).await.unwrap();
    test.provider.set(|inner| inner.create = [ErrorKind::Authentication].into());
    assert_eq!(test.start().await.kind(), ErrorKind::Authentication);
    assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));
}

impl Test {
    /// A host that an earlier process left so.
    async fn left(&self, state: HostState, machine: InstanceState) -> HostRecord {
        let host = self.asked_before(10.0);
        let id = self.provider.create(host.request.as_ref().unwrap(), &host.token).await.unwrap();
        self.provider.to(&id, machine, "left").unwrap();
        let host = HostRecord { instance: Some(id), state, ..host };
        self.lifecycle.ledger().save(&host).unwrap();
        host
    }
}

#[tokio::test]
async fn a_stopped_machine_that_does_not_come_up_is_stopped_again() {
    let test = Test::new(Duration::ZERO);
    test.left(HostState::Stopped, InstanceState::Stopped).await;
    assert_eq!(test.start().await.message(), "its machine has no address");
    assert_eq!(test.recorded()[0].state, HostState::Stopped);
    assert_eq!(test.provider.inner.lock().machines[0].state, InstanceState::Stopped);
    assert_eq!((test.provider.count("start"), test.provider.count("stop")), (1, 1));
}

#[tokio::test]
async fn a_start_of_a_stopped_machine_that_is_cancelled_stops_it_once_that_can_be() {
    // The provider may tell that it comes up, or of what it was before.
    for told_late in [false, true] {
        let test = Test::new(Duration::ZERO);
        test.left(HostState::Stopped, InstanceState::Stopped).await;
        test.provider.set(|inner| (inner.slow, inner.told_late) = (5, told_late));
        let cancel = Cancel::default();
        let starting = test.lifecycle.start(&test.usage, "gzip", StopMode::Stop, &New, &cancel);
        let cancelling = async {
            while test.provider.count("start") == 0 {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
        };
        let (started, ()) = tokio::join!(starting, cancelling);
        let error = started.unwrap_err();
        assert!(error.is_cancelled() && error.facts().is_empty(), "{error:?}");
        assert_eq!(
            (test.state(), test.recorded()[0].state),
            (InstanceState::Stopped, HostState::Stopped)
        );
    }
    // The same of one that somebody else made.
    let test = Test::new(Duration::ZERO);
    let id = test.foreign(InstanceState::Stopped).await;
    test.provider.set(|inner| inner.slow = 5);
    test.provider.start(&id).await.unwrap();
    test.lifecycle.leave(&id, StopMode::Stop).await.unwrap();
    assert_eq!(test.state(), InstanceState::Stopped);
}

#[tokio::test]
async fn one_that_its_lease_has_stopped_is_stopped_again() {
    let test = Test::new(Duration::ZERO);
    let host = test.left(HostState::Ready, InstanceState::Stopped).await;
    let host = HostRecord { stop_mode: StopMode::Stop, ..host };
    test.lifecycle.ledger().save(&host).unwrap();
    assert_eq!(test.start().await.message(), "its machine has no address");
    assert_eq!(
        (test.state(), test.recorded()[0].state),
        (InstanceState::Stopped, HostState::Stopped)
    );
}

#[tokio::test]
async fn a_machine_that_shuts_itself_down_does_what_the_last_start_said() {
    use AtShutdown::{Stop, Terminate};
    for (state, was, is, said) in [
        (HostState::Made, StopMode::Stop, StopMode::Term, Some(Terminate)),
        (HostState::Made, StopMode::Term, StopMode::Stop, Some(Stop)),
        (HostState::Ready, StopMode::Stop, StopMode::Keep, Some(Terminate)),
        (HostState::Ready, StopMode::Term, StopMode::Keep, None),
    ] {
        let test = Test::new(Duration::ZERO);
        let host = test.left(state, InstanceState::Running).await;
        test.lifecycle.ledger().save(&HostRecord { stop_mode: was, ..host }).unwrap();
        test.start_in(is).await;
        assert_eq!(test.provider.inner.lock().at_shutdown, said, "{state:?}: {was:?} {is:?}");
        assert!(test.recorded().iter().all(|host| host.stop_mode == is));
    }
    // Who names it and leaves it changes nothing, and who says so does.
    let never = Cancel::default();
    for (mode, said) in [(StopMode::Keep, None), (StopMode::Term, Some(Terminate))] {
        let test = Test::new(Duration::ZERO);
        let host = test.left(HostState::Ready, InstanceState::Running).await;
        let host = HostRecord { stop_mode: StopMode::Stop, ..host };
        test.lifecycle.ledger().save(&host).unwrap();
        let id = host.instance.unwrap();
        let resumed = test.lifecycle.resume(&id, mode, &never).await;
        assert_eq!(resumed.map(drop).unwrap_err().message(), "its machine has no address");
        assert_eq!(test.provider.inner.lock().at_shutdown, said);
        let expected = if said.is_some() { mode } else { StopMode::Stop };
        assert_eq!(test.recorded()[0].stop_mode, expected);
    }
}

#[tokio::test]
async fn one_that_its_lease_has_ended_gives_way_whatever_is_to_become_of_the_next() {
    let test = Test::new(Duration::ZERO);
    let host = test.left(HostState::Ready, InstanceState::Ended).await;
    assert_eq!(test.start_in(StopMode::Stop).await.message(), "its machine has no address");
    assert_eq!(test.provider.count("create"), 2, "another one was made");
    assert!(test.recorded().iter().all(|other| other.id != host.id));
    // What would make another one in its place was told to end with it.
    let calls = test.provider.inner.lock().calls.clone();
    let made = calls.iter().rposition(|call| call == "create").unwrap();
    assert!(calls[..made].iter().any(|call| call == "terminate"), "{calls:?}");
}

#[tokio::test]
async fn of_two_machines_of_one_request_the_one_that_lives_is_ended() {
    for at in [0, 1] {
        let test = Test::new(Duration::ZERO);
        let host = test.left(HostState::Requested, InstanceState::Ended).await;
        let mut host = HostRecord { instance: None, ..host };
        test.lifecycle.ledger().save(&host).unwrap();
        test.provider.set(|inner| {
            let dead = inner.machines[0].clone();
            let (id, state) = (InstanceId("i-other".into()), InstanceState::Running);
            inner.machines.insert(at, Instance { id, state, ..dead });
        });
        test.lifecycle.stop(&mut host, StopMode::Term).await.unwrap();
        assert_eq!(test.provider.living(), 0);
    }
}

#[tokio::test]
async fn one_that_has_ended_by_itself_needs_no_stop() {
    let test = Test::new(Duration::ZERO);
    for mode in [StopMode::Term, StopMode::Stop, StopMode::Keep] {
        let mut host = test.left(HostState::Ready, InstanceState::Ended).await;
        test.lifecycle.stop(&mut host, mode).await.unwrap();
        assert_eq!((host.state, test.recorded().len()), (HostState::Ended, 0));
    }
    assert_eq!(test.provider.count("stop"), 0);
}

#[tokio::test]
async fn a_machine_is_used_by_its_id_where_it_is_known_free_and_alive() {
    let test = Test::new(Duration::ZERO);
    let (id, never) = (InstanceId("m-1".into()), Cancel::default());
    let resume = || test.lifecycle.resume(&id, StopMode::Keep, &never);
    assert_eq!(resume().await.unwrap_err().kind(), ErrorKind::Configuration);
    let (asked, state) = (test.asked_before(0.0), HostState::Ready);
    let host = HostRecord { instance: Some(id.clone()), state, ..asked };
    let ledger = test.lifecycle.ledger();
    ledger.save(&host).unwrap();
    let lock = ledger.try_lock(&host.id).unwrap().unwrap();
    let error = resume().await.unwrap_err();
    assert!(error.message().starts_with("a process uses the host"), "{error}");
    drop(lock);
    let error = resume().await.unwrap_err();
    assert!(error.message().ends_with("has ended"), "{error}");
    assert!(test.recorded().is_empty());
}

impl Test {
    /// A machine that somebody else made, where nobody listens.
    async fn foreign(&self, state: InstanceState) -> InstanceId {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        drop(listener);
        self.provider.set(|inner| (inner.url, inner.state) = (Some(url), Some(state)));
        let request = Request::of(&Self::wanted().unwrap().0).unwrap();
        self.provider.create(&request, &Token("theirs".into())).await.unwrap()
    }

    fn state(&self) -> InstanceState {
        self.provider.inner.lock().machines[0].state
    }
}

#[tokio::test]
async fn a_machine_that_is_no_host_is_left_as_it_was_with_advice() {
    let mut test = Test::new(Duration::ZERO);
    test.lifecycle.limits.boot = Duration::from_millis(1);
    for state in [InstanceState::Running, InstanceState::Stopped] {
        test.provider.set(|inner| inner.machines.clear());
        let (id, never) = (test.foreign(state).await, Cancel::default());
        let options = |address: &str| Ok(RemoteOptions::new(address));
        let taken = test.lifecycle.take_up(&id, "gzip", StopMode::Keep, options, &never);
        let error = taken.await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let is_advice = |hint: &String| hint.ends_with("sudo apyfal host install");
        assert!(error.hints().iter().any(is_advice), "{error:?}");
        assert_eq!(test.state(), state);
    }
    assert_eq!((test.provider.count("start"), test.provider.count("stop")), (1, 1));
    let id = InstanceId("i-none".into());
    let (options, never) = (|address: &str| Ok(RemoteOptions::new(address)), Cancel::default());
    let taken = test.lifecycle.take_up(&id, "gzip", StopMode::Keep, options, &never);
    assert_eq!(taken.await.map(drop).unwrap_err().message(), "there is none in scripted, here");
    assert_eq!(test.provider.count("set_at_shutdown"), 0, "that is its owner's to say");
    assert!(test.recorded().is_empty());
}

#[tokio::test]
async fn a_machine_that_somebody_else_made_ends_as_it_is_said() {
    let test = Test::new(Duration::ZERO);
    let id = test.foreign(InstanceState::Running).await;
    for (mode, state) in [
        (StopMode::Keep, InstanceState::Running),
        (StopMode::Stop, InstanceState::Stopped),
        (StopMode::Term, InstanceState::Ended),
        (StopMode::Stop, InstanceState::Ended),
    ] {
        test.lifecycle.leave(&id, mode).await.unwrap();
        assert_eq!(test.state(), state);
    }
    assert_eq!(test.provider.count("set_at_shutdown"), 0);
}

#[tokio::test]
async fn two_starts_of_one_name_make_one_host_after_the_other() {
    let test = Test::new(Duration::ZERO);
    let _ = tokio::join!(test.start(), test.start());
    let calls = test.provider.inner.lock().calls.clone();
    let mut living = 0;
    for call in &calls {
        match &**call {
            "create" => living += 1,
            "terminate" => living = 0,
            _ => {}
        }
        assert!(living < 2, "{calls:?}");
    }
    assert_eq!((test.provider.count("create"), test.provider.living()), (2, 0));
}

#[tokio::test]
async fn what_a_killed_process_left_ends_where_nobody_can_use_it() {
    for (usage, mode, living) in [
        (Usage::Unnamed("a".into()), StopMode::Term, 0),
        (Usage::Unnamed("a".into()), StopMode::Keep, 1),
        (Usage::Named("it".into()), StopMode::Term, 1),
    ] {
        let test = Test { usage, ..Test::new(Duration::ZERO) };
        let host = test.left(HostState::Ready, InstanceState::Running).await;
        test.lifecycle.ledger().save(&HostRecord { stop_mode: mode, ..host }).unwrap();
        assert_eq!(test.start().await.message(), "its machine has no address");
        assert_eq!((test.provider.living(), test.recorded().len()), (living, living), "{mode:?}");
    }
}

#[tokio::test]
async fn a_provider_knows_what_the_hosts_that_live_need() {
    let test = Test::new(Duration::ZERO);
    test.provider.set(|inner| inner.create = [ErrorKind::Quota].into());
    test.start().await;
    assert!(test.provider.inner.lock().held.is_empty(), "what has ended needs nothing");
    let host = test.left(HostState::Ready, InstanceState::Running).await;
    let elsewhere = HostRecord {
        id: "another".into(),
        provider: "another".into(),
        usage: Usage::Named("another".into()),
        holds: vec!["its own".into()],
        ..host.clone()
    };
    let living = HostRecord { holds: vec!["a door".into()], ..host };
    for host in [living, elsewhere] {
        test.lifecycle.ledger().save(&host).unwrap();
    }
    let other = Usage::Named("other".into());
    let never = Cancel::default();
    let started = test.lifecycle.start(&other, "gzip", StopMode::Term, &New, &never);
    started.await.map(drop).unwrap_err();
    assert_eq!(test.provider.inner.lock().held, ["a door"]);
}

/// A start that is interrupted while its provider does not answer.
async fn interrupted(test: &Test) -> Error {
    test.provider.set(|inner| inner.is_silent = true);
    let cancel = Cancel::default();
    let starting = test.lifecycle.start(&test.usage, "gzip", StopMode::Term, &New, &cancel);
    let interrupting = async {
        while test.provider.count("create") == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (started, ()) = tokio::join!(starting, interrupting);
    test.provider.set(|inner| inner.is_silent = false);
    started.map(drop).unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn who_is_interrupted_waits_for_no_answer_and_is_told_what_may_be_there() {
    // What is found by its token ends.
    let test = Test::new(Duration::from_secs(3600));
    assert!(interrupted(&test).await.is_cancelled());
    assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));

    let test = Test::new(Duration::from_secs(3600));
    test.provider.set(|inner| inner.is_unlisted = true);
    let since = Instant::now();
    let error = interrupted(&test).await;
    assert!(error.is_cancelled() && since.elapsed() <= 2 * GRACE, "{error}");
    assert!(error.hints()[0].ends_with("may be there, and cost: apyfal stop --all"), "{error:?}");
    let left = test.recorded().remove(0);
    assert_eq!((left.state, test.provider.living()), (HostState::Requested, 1));
    // The same process tries no longer.
    let mut again = left.clone();
    let error = test.lifecycle.stop(&mut again, StopMode::Term).await.unwrap_err();
    assert!(error.message().ends_with("whether it made its machine"), "{error}");
    assert!(since.elapsed() <= 3 * GRACE);
    // Another one finds it.
    let Lifecycle { provider, ledger, limits, .. } = test.lifecycle.clone();
    let other = Lifecycle::new(provider, ledger, limits);
    test.provider.set(|inner| inner.is_unlisted = false);
    other.stop(&mut again, StopMode::Term).await.unwrap();
    assert_eq!((test.provider.living(), test.recorded().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_asked_for_is_not_looked_for() {
    let test = Test::new(Duration::from_secs(3600));
    let (cancel, since) = (Cancel::default(), Instant::now());
    let thrown = cancel.clone();
    let watch: Watch = Arc::new(move |_, _| thrown.cancel());
    let lifecycle = test.lifecycle.clone().watched(watch);
    // The switch is thrown once all is settled, before the provider is asked.
    let started = lifecycle.start(&test.usage, "gzip", StopMode::Term, &New, &cancel).await;
    assert!(started.unwrap_err().is_cancelled());
    assert_eq!((test.provider.count("list"), test.recorded().len()), (0, 0));
    assert_eq!(since.elapsed(), Duration::ZERO);
}

/// One that is not to be had.
struct Refused;

#[async_trait]
impl Wanted for Refused {
    async fn host(&self, _: &Lifecycle, _: &Cancel) -> Result<(HostSpec, FirstContact)> {
        Err(Error::new(ErrorKind::Quota, "there are too many"))
    }
}

#[tokio::test]
async fn a_host_stays_where_none_of_another_accelerator_can_take_its_place() {
    let test = Test::new(Duration::ZERO);
    test.left(HostState::Ready, InstanceState::Running).await;
    let cancel = Cancel::default();
    let started = test.lifecycle.start(&test.usage, "sha3", StopMode::Term, &Refused, &cancel);
    assert_eq!(started.await.unwrap_err().kind(), ErrorKind::Quota);
    assert_eq!((test.provider.living(), test.recorded().len()), (1, 1));
    // Where one can, it ends first.
    let started = test.lifecycle.start(&test.usage, "sha3", StopMode::Term, &New, &cancel);
    assert_eq!(started.await.unwrap_err().message(), "its machine has no address");
    assert_eq!((test.provider.count("create"), test.provider.living()), (2, 0));
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_nothing_up() {
    let test = Test::new(Duration::from_millis(20));
    let mut host = test.asked_before(-86_400.0);
    test.lifecycle.stop(&mut host, StopMode::Term).await.unwrap();
    assert!(test.recorded().is_empty());
}
