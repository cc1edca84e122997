//! The life of a host that a provider makes: asked for, made, contacted, used, given back.
//!
//! This alone waits, tries again and cleans up. Each step is written down in the ledger before it is
//! taken, so that whoever comes after a process that died goes on from there: the request is in the
//! ledger, with its token, before the provider has it, which makes the same machine of it however
//! often it is sent. What failed before the host was contacted is undone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apyfal_client::{Remote, RemoteOptions};
use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_machine::lock::Lock;
use apyfal_providers::{
    AtShutdown, HostFilter, HostSpec, Instance, InstanceId, InstanceState, Prepared, Provider,
    ProviderInfo,
};
use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use crate::FirstContact;
use crate::ledger::{HostRecord, HostState, Ledger, StopMode, Usage, now};

/// An attempt that is older than this is looked up and never sent again, in seconds: the provider may
/// have forgotten its token.
const OLD: f64 = 3600.0;
/// A host that was stopped is no good any more where its life has no more seconds than these.
const LIFE_LEFT: f64 = 60.0;
/// How long is tried again what a provider does not take yet, since what it made is not known to all of
/// it, and a request whose answer got lost.
const SETTLING: Duration = Duration::from_secs(120);
/// How often a token may turn out to be spent in one start.
const ATTEMPTS: u32 = 3;

/// How long the steps may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a machine runs, or has ended.
    pub provision: Duration,
    /// From then until its host answers.
    pub boot: Duration,
    /// Between two looks at a machine.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            provision: Duration::from_secs(420),
            boot: Duration::from_secs(420),
            pause: Duration::from_secs(1),
        }
    }
}

/// How far a start is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// All that it needs is settled, and written down.
    Prepared,
    /// The provider was asked for it.
    Requested,
    /// Its machine runs.
    Running,
    /// Its host was contacted.
    Reachable,
    /// Its host serves.
    Ready,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "prepared",
            Self::Requested => "requested",
            Self::Running => "its machine runs",
            Self::Reachable => "contacted",
            Self::Ready => "ready",
        })
    }
}

/// Is told how far the start of a host is.
pub type Watch = Arc<dyn Fn(&HostRecord, Phase) + Send + Sync>;

/// A host that serves.
#[derive(Debug)]
pub struct Ready {
    /// As the ledger has it.
    pub host: HostRecord,
    /// How to use it.
    pub options: RemoteOptions,
    /// What the user should know: of the host that is new, and what became of the one before, where that
    /// had ended by itself.
    pub notes: Vec<String>,
    /// Keeps others from the host, as long as this is held.
    pub lock: Lock,
}

/// Knows what a new host is to be.
#[async_trait]
pub trait Wanted: Send + Sync {
    /// One that is new, and how it is contacted first.
    ///
    /// # Errors
    /// What it needs cannot be had.
    async fn host(
        &self,
        lifecycle: &Lifecycle,
        cancel: &Cancel,
    ) -> Result<(HostSpec, FirstContact)>;
}

/// Starts and ends the hosts of one provider.
#[derive(Clone)]
pub struct Lifecycle {
    provider: Arc<dyn Provider>,
    ledger: Ledger,
    limits: Limits,
    watch: Watch,
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// The hosts of a provider that a ledger has.
    pub fn new(provider: Arc<dyn Provider>, ledger: Ledger, limits: Limits) -> Self {
        Self { provider, ledger, limits, watch: Arc::new(|_, _| {}) }
    }

    /// Tells how far a start is.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self { watch, ..self }
    }

    /// Gives a machine this long to run, and its host as long again to answer.
    #[must_use]
    pub fn patient(self, time: Duration) -> Self {
        Self { limits: Limits { provision: time, boot: time, ..self.limits }, ..self }
    }

    /// Who makes them.
    pub fn provider(&self) -> &ProviderInfo {
        self.provider.info()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Has a host serve: the one of this use, wherever it is on its way, or a new one, which is asked
    /// for as `wanted` says.
    ///
    /// # Errors
    /// It cannot be had. One that was made for it has ended by then, or is in the ledger still, which
    /// the error says.
    pub async fn start(
        &self,
        usage: &Usage,
        accelerator: &str,
        stop_mode: StopMode,
        wanted: &dyn Wanted,
        cancel: &Cancel,
    ) -> Result<Ready> {
        let (mut notes, mut last) = (Vec::new(), None);
        for _ in 0..ATTEMPTS {
            let found = self.take(usage, cancel).await?;
            let is_new = found.is_none();
            let (mut host, lock) = match found {
                Some(found) => found,
                None => {
                    let prepare = async {
                        let (spec, contact) = wanted.host(self, cancel).await?;
                        let prepared = self.prepare(&spec).await?;
                        Ok((spec, prepared, contact))
                    };
                    let (spec, mut prepared, contact) = cancel.or_cancelled(prepare).await?;
                    notes.append(&mut prepared.warnings);
                    let (ledger, info) = (&self.ledger, self.provider.info());
                    ledger.begin(usage, info, stop_mode, &spec, prepared, contact)?
                }
            };
            // A name stands for one accelerator, and what it was started for before ends.
            if host.state == HostState::Ending || host.accelerator != accelerator {
                self.finish(&mut host).await?;
                continue;
            }
            let before = host.state;
            let was_ready = matches!(before, HostState::Ready | HostState::Stopped);
            if before == HostState::Ready
                && at_shutdown(host.stop_mode) != at_shutdown(stop_mode)
                && let Some(id) = &host.instance
            {
                self.provider.set_at_shutdown(id, at_shutdown(stop_mode)).await?;
            }
            host.stop_mode = stop_mode;
            match self.bring_up(&mut host, cancel).await {
                Ok(Some(options)) => return Ok(Ready { host, options, notes, lock }),
                Ok(None) => {
                    if was_ready {
                        notes.push(self.ended_by(&host).await);
                    }
                    self.ended(&mut host)?;
                    last = Some(host);
                }
                // What was there before stays, as whoever left it there wanted it.
                Err(error) if before == HostState::Stopped => {
                    return Err(self.stopped_again(error, host).await);
                }
                Err(error) if was_ready => return Err(self.told(error, &host).await),
                Err(error) => return Err(self.undone(error, host, is_new).await),
            }
        }
        let error = Error::new(ErrorKind::Unavailable, "each host that is made ends at once")
            .operation("make a host");
        match last {
            Some(host) => Err(self.told(error, &host).await),
            None => Err(error),
        }
    }

    /// Has the provider settle the request, again where what it has just made is not known to all of it.
    async fn prepare(&self, spec: &HostSpec) -> Result<Prepared> {
        let end = Instant::now() + SETTLING;
        loop {
            match self.provider.prepare(spec).await {
                // A provider that nobody reaches was tried often enough.
                Err(error)
                    if error.is_retryable()
                        && error.kind() != ErrorKind::Unavailable
                        && Instant::now() < end =>
                {
                    sleep(self.limits.pause).await;
                }
                settled => return settled,
            }
        }
    }

    /// Has a host serve that is there, whoever it was made for: the one whose machine its provider
    /// calls so.
    ///
    /// # Errors
    /// The ledger has none, another process works on it, it has ended, or it does not come up.
    pub async fn resume(
        &self,
        id: &InstanceId,
        stop_mode: StopMode,
        cancel: &Cancel,
    ) -> Result<Ready> {
        let (mut host, lock) = self.ledger.take(id)?;
        let (info, before) = (self.provider.info(), host.state);
        // Elsewhere it is not found, and would be taken for one that has ended.
        if host.provider != info.name || host.region != info.region {
            let there = [Some(host.provider), host.region].into_iter().flatten();
            let there = there.collect::<Vec<_>>().join(", ");
            return Err(Error::new(ErrorKind::Configuration, format!("it is of {there}"))
                .operation(format!("use the instance '{id}'"))
                .hint("name its host_type and region"));
        }
        let gone = || {
            Error::new(ErrorKind::Conflict, format!("the host {} has ended", host.name))
                .operation(format!("use the instance '{id}'"))
                .hint("leave out instance_id: another host is made")
        };
        if before == HostState::Ending {
            return Err(gone());
        }
        let gone = gone();
        host.stop_mode = stop_mode;
        match self.bring_up(&mut host, cancel).await {
            Ok(Some(options)) => Ok(Ready { host, options, notes: Vec::new(), lock }),
            Ok(None) => self.ended(&mut host).and(Err(gone)),
            Err(error) if before == HostState::Stopped => {
                Err(self.stopped_again(error, host).await)
            }
            Err(error) => Err(self.told(error, &host).await),
        }
    }

    /// The host of a use that this process may work on.
    async fn take(&self, usage: &Usage, cancel: &Cancel) -> Result<Option<(HostRecord, Lock)>> {
        for found in self.ledger.of(usage)? {
            let lock = match usage {
                Usage::Named(_) => Some(self.ledger.lock(&found.id, cancel).await?),
                Usage::Unnamed(_) => self.ledger.try_lock(&found.id)?,
            };
            // Whoever had it may have ended it.
            if let (Some(lock), Some(host)) = (lock, self.ledger.read(&found.id)?)
                && host.state != HostState::Ended
            {
                match (self.check_is_ours(&host).await, usage) {
                    (Ok(()), _) => return Ok(Some((host, lock))),
                    (Err(error), Usage::Named(_)) => return Err(error),
                    (Err(_), Usage::Unnamed(_)) => {}
                }
            }
        }
        Ok(None)
    }

    /// Checks that a host is one of this provider, region and account: elsewhere nobody knows of it, which
    /// says nothing about whether it is there.
    async fn check_is_ours(&self, host: &HostRecord) -> Result<()> {
        let info = self.provider.info();
        let elsewhere = |what: &str, its: &str, ours: &str| {
            let its = format!("it is in the {what} {its}, and this is {ours}");
            Err(Error::new(ErrorKind::Conflict, its)
                .operation(format!("find the host {}", host.name))
                .hint("end it there first, or go on there"))
        };
        if host.provider != info.name {
            return elsewhere("host type", &host.provider, info.name);
        }
        if let (Some(its), Some(ours)) = (&host.region, &info.region)
            && its != ours
        {
            return elsewhere("region", its, ours);
        }
        let Some(its) = &host.account else { return Ok(()) };
        match self.provider.account().await? {
            Some(ours) if ours != *its => elsewhere("account", its, &ours),
            _ => Ok(()),
        }
    }

    /// Goes on from where a host is until it serves. None where it has ended.
    async fn bring_up(
        &self,
        host: &mut HostRecord,
        cancel: &Cancel,
    ) -> Result<Option<RemoteOptions>> {
        if host.state == HostState::Requested {
            cancel.check()?;
            (self.watch)(host, Phase::Prepared);
            // Not given up half way: what it made would not be known.
            match self.request(host).await? {
                Some(id) => host.instance = Some(id),
                None => return Ok(None),
            }
            host.state = HostState::Made;
            self.ledger.save(host)?;
        }
        cancel.or_cancelled(self.bring_further(host)).await
    }

    async fn bring_further(&self, host: &mut HostRecord) -> Result<Option<RemoteOptions>> {
        (self.watch)(host, Phase::Requested);
        let is_back = matches!(host.state, HostState::Ready | HostState::Stopped);
        let admitted = async {
            match is_back {
                // This machine may have another address than when the host was made.
                true => self.provider.admit(&self.ledger.installation()?).await,
                false => Ok(()),
            }
        };
        let (instance, admitted) = tokio::join!(self.running(host), admitted);
        let Some(instance) = instance? else { return Ok(None) };
        (self.watch)(host, Phase::Running);
        let contact = host.contact.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("of {} nothing is known any more", host.name))
        })?;
        let url = instance.url.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "its machine has no address")
                .operation(format!("reach the host {}", host.name))
        })?;
        let answers = async {
            if host.state == HostState::Made {
                return contact.make(&url, self.limits.boot).await.map(Some);
            }
            let options = RemoteOptions { patience: self.limits.boot, ..contact.host(&url) };
            let lease = Remote::new(options)?.host().await?.lease;
            let left = lease.and_then(|lease| lease.life_left);
            let is_over = host.state == HostState::Stopped && left.is_some_and(|s| s < LIFE_LEFT);
            Ok((!is_over).then(|| contact.host(&url)))
        };
        let options = tokio::select! {
            answered = answers => answered.map_err(|error| match admitted {
                Ok(()) => error,
                Err(why) => error.context("its firewall", why),
            })?,
            ended = self.goes_down(host, &instance.id) => return ended.map(|()| None),
        };
        let Some(options) = options else {
            self.terminated(host, &instance.id).await?;
            return Ok(None);
        };
        (self.watch)(host, Phase::Reachable);
        (host.state, host.url) = (HostState::Ready, Some(url));
        self.ledger.save(host)?;
        (self.watch)(host, Phase::Ready);
        Ok(Some(options))
    }

    /// Asks for the machine of a host. None where it is known that there is none.
    async fn request(&self, host: &mut HostRecord) -> Result<Option<InstanceId>> {
        if now() > host.good_until.unwrap_or(f64::MAX).min(host.asked + OLD) {
            return Ok(self.made_by(host).await?.map(|instance| instance.id));
        }
        let request = host.request.clone().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("of {} nothing is known any more", host.name))
        })?;
        let (end, mut is_unsure) = (Instant::now() + SETTLING, false);
        loop {
            // From here on, for a while, that nothing is found means nothing.
            host.sent = Some(now());
            self.ledger.save(host)?;
            match self.provider.create(&request, &host.token).await {
                Ok(id) => return Ok(Some(id)),
                // The token is spent.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    is_unsure |= !is_refusal(error.kind());
                    sleep(self.limits.pause).await;
                }
                // An earlier answer got lost, so that this refusal says nothing about the request before.
                Err(error) if is_unsure => return Err(error.with_kind(ErrorKind::Unavailable)),
                Err(error) => return Err(error),
            }
        }
    }

    /// The machine that was made for an attempt, looked up by its token.
    async fn made_by(&self, host: &HostRecord) -> Result<Option<Instance>> {
        let filter = HostFilter { token: Some(host.token.clone()), ..HostFilter::default() };
        loop {
            let found = self.provider.list(&filter).await?.into_iter().next();
            if found.is_some() || self.has_settled(host) {
                return Ok(found);
            }
            sleep(self.limits.pause).await;
        }
    }

    /// Waits until the machine of a host runs, and starts it where it is stopped. None where it has
    /// ended.
    async fn running(&self, host: &HostRecord) -> Result<Option<Instance>> {
        let Some(id) = &host.instance else { return Ok(None) };
        let end = Instant::now() + self.limits.provision;
        loop {
            let found = self.provider.get(id).await?;
            match found.as_ref().map(|instance| instance.state) {
                Some(InstanceState::Running) => return Ok(found),
                Some(InstanceState::Ended | InstanceState::Ending) => return Ok(None),
                Some(InstanceState::Stopped) => {
                    self.provider.set_at_shutdown(id, at_shutdown(host.stop_mode)).await?;
                    self.provider.start(id).await?;
                }
                // What was made just now is not found by everybody yet.
                None if self.has_settled(host) => return Ok(None),
                None | Some(InstanceState::Pending | InstanceState::Stopping) => {}
            }
            if Instant::now() > end {
                let limit = self.limits.provision.as_secs();
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("its machine '{id}' did not run within {limit} s"),
                )
                .operation(format!("start the host {}", host.name)));
            }
            sleep(self.limits.pause).await;
        }
    }

    /// Returns once the machine of a host that comes up has ended.
    ///
    /// # Errors
    /// It has stopped, and is there still.
    async fn goes_down(&self, host: &HostRecord, id: &InstanceId) -> Result<()> {
        loop {
            sleep(self.limits.pause).await;
            // Who is told nothing now is told later.
            let Ok(found) = self.provider.get(id).await else { continue };
            match found.map(|instance| instance.state) {
                Some(InstanceState::Ended | InstanceState::Ending) => return Ok(()),
                None if self.has_settled(host) => return Ok(()),
                Some(InstanceState::Stopped | InstanceState::Stopping) => {
                    return Err(Error::new(ErrorKind::Unavailable, "its machine has stopped")
                        .operation(format!("reach the host {}", host.name)));
                }
                None | Some(InstanceState::Pending | InstanceState::Running) => {}
            }
        }
    }

    /// Whether what was made is found by everybody.
    fn has_settled(&self, host: &HostRecord) -> bool {
        now() - host.sent.unwrap_or(host.asked) > self.provider.info().settles.as_secs_f64()
    }

    /// Ends a host, or leaves it, as a mode says. The caller has its lock.
    ///
    /// # Errors
    /// It has not ended as far as the provider tells; it is in the ledger still.
    pub async fn stop(&self, host: &mut HostRecord, mode: StopMode) -> Result<()> {
        // Another one may have ended it since this was read.
        match self.ledger.read(&host.id)? {
            Some(found) if found.state != HostState::Ended => *host = found,
            _ => {
                host.state = HostState::Ended;
                return Ok(());
            }
        }
        self.check_is_ours(host).await?;
        if host.state == HostState::Ending || mode == StopMode::Term {
            return self.finish(host).await;
        }
        host.stop_mode = mode;
        self.ledger.save(host)?;
        // One that is on its way up is no host yet that could be left for later.
        let Some(id) = host.instance.clone().filter(|_| host.state != HostState::Made) else {
            return self.finish(host).await;
        };
        match self.provider.get(&id).await?.map(|instance| instance.state) {
            // It has ended by itself, or is about to.
            Some(InstanceState::Ended | InstanceState::Ending) => return self.finish(host).await,
            None if self.has_settled(host) => return self.ended(host),
            _ => {}
        }
        if mode == StopMode::Keep {
            return self.provider.set_at_shutdown(&id, at_shutdown(mode)).await;
        }
        // First: one that cannot be stopped is to be deleted with its lease as before.
        self.provider.stop(&id).await?;
        self.provider.set_at_shutdown(&id, at_shutdown(mode)).await?;
        self.stopped(host, &id).await?;
        host.state = HostState::Stopped;
        self.ledger.save(host)
    }

    /// Ends a host for good, which is looked at until it is so.
    async fn finish(&self, host: &mut HostRecord) -> Result<()> {
        // Where that cannot be written down it ends all the same, as it costs meanwhile, and whoever looks
        // again finds that it has.
        let noted = match host.state {
            HostState::Ending => Ok(()),
            _ => {
                host.state = HostState::Ending;
                self.ledger.save(host)
            }
        };
        if host.instance.is_none() {
            host.instance = self.made_by(host).await?.map(|instance| instance.id);
        }
        if let Some(id) = host.instance.clone() {
            self.terminated(host, &id).await?;
        }
        noted.and_then(|()| self.ended(host))
    }

    /// Deletes a machine, until it has ended for everybody. One that was asked for just now may not be
    /// found yet, and is deleted once it is.
    async fn terminated(&self, host: &HostRecord, id: &InstanceId) -> Result<()> {
        let end = Instant::now() + self.limits.provision;
        self.provider.terminate(id).await?;
        loop {
            match self.provider.get(id).await?.map(|instance| instance.state) {
                Some(InstanceState::Ended) => return Ok(()),
                None if self.has_settled(host) => return Ok(()),
                None => self.provider.terminate(id).await?,
                Some(state) if Instant::now() > end => return Err(still(host, id, state)),
                Some(_) => {}
            }
            sleep(self.limits.pause).await;
        }
    }

    /// Waits until a machine is down.
    async fn stopped(&self, host: &HostRecord, id: &InstanceId) -> Result<()> {
        let end = Instant::now() + self.limits.provision;
        loop {
            match self.provider.get(id).await?.map(|instance| instance.state) {
                // One that has ended by itself meanwhile is stopped for good.
                Some(InstanceState::Stopped | InstanceState::Ended) => return Ok(()),
                None if self.has_settled(host) => return Ok(()),
                Some(state) if Instant::now() > end => return Err(still(host, id, state)),
                _ => sleep(self.limits.pause).await,
            }
        }
    }

    fn ended(&self, host: &mut HostRecord) -> Result<()> {
        host.state = HostState::Ended;
        self.ledger.save(host)
    }

    /// Stops a host again that was stopped before it was to come up, and says so.
    async fn stopped_again(&self, error: Error, mut host: HostRecord) -> Error {
        let error = self.told(error, &host).await;
        match self.stop(&mut host, StopMode::Stop).await {
            Ok(()) => error,
            Err(left) => error
                .context("left over", left)
                .hint(format!("the host {} may run still: apyfal stop --all", host.name)),
        }
    }

    /// Ends what a start that failed has made, and says so. Of one that is not `is_new` an earlier
    /// process may have made something, whatever the provider answered to this one.
    async fn undone(&self, error: Error, mut host: HostRecord, is_new: bool) -> Error {
        let error = self.told(error, &host).await;
        if is_new && host.instance.is_none() && is_refusal(error.kind()) {
            return self.ended(&mut host).err().unwrap_or(error);
        }
        match self.finish(&mut host).await {
            Ok(()) => error,
            Err(left) => error
                .context("left over", left)
                .hint(format!("the host {} may be there still: apyfal stop --all", host.name)),
        }
    }

    /// That a host has ended by itself, and why where its provider says so.
    async fn ended_by(&self, host: &HostRecord) -> String {
        let instance = self.instance(host).await.ok().flatten();
        let why = instance.and_then(|instance| instance.ended_by);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        format!("the host {} had ended by itself{why}", host.name)
    }

    /// Whether the machine of a host is there no more, as far as its provider tells.
    ///
    /// # Errors
    /// The provider does not tell.
    pub async fn is_gone(&self, host: &HostRecord) -> Result<bool> {
        match self.instance(host).await? {
            Some(instance) => Ok(instance.url.is_none()),
            None => Ok(self.has_settled(host)),
        }
    }

    /// An error with what the machine said last.
    async fn told(&self, error: Error, host: &HostRecord) -> Error {
        if error.is_cancelled() {
            return error;
        }
        let said = match &host.instance {
            Some(id) => self.provider.console(id).await.ok().flatten(),
            None => None,
        };
        let last = said.as_deref().and_then(|said| said.trim().lines().last());
        match last {
            Some(last) => error.context("its console", last),
            None => error,
        }
    }

    /// The machine of a host, as the provider tells of it.
    ///
    /// # Errors
    /// The provider does not tell.
    pub async fn instance(&self, host: &HostRecord) -> Result<Option<Instance>> {
        match &host.instance {
            Some(id) => self.provider.get(id).await,
            None => Ok(None),
        }
    }

    /// All machines of this installation, those that ended lately included.
    ///
    /// # Errors
    /// The provider does not tell.
    pub async fn machines(&self) -> Result<Vec<Instance>> {
        let installation = Some(self.ledger.installation()?);
        self.provider.list(&HostFilter { installation, ..HostFilter::default() }).await
    }

    /// Those of them that the ledger does not know, and which have not ended.
    ///
    /// # Errors
    /// The provider does not tell, or the ledger cannot be read.
    pub async fn strays(&self) -> Result<Vec<Instance>> {
        let found = self.machines().await?;
        // What is asked for meanwhile is in the ledger before it is there.
        let known = self.ledger.hosts()?;
        let is_known = |instance: &Instance| known.iter().any(|host| host.token == instance.token);
        let is_stray = |found: &Instance| found.state.is_alive() && !is_known(found);
        Ok(found.into_iter().filter(is_stray).collect())
    }

    /// Ends a machine that the ledger does not know.
    ///
    /// # Errors
    /// It is refused, or it has not ended.
    pub async fn end_stray(&self, stray: &Instance) -> Result<()> {
        let end = Instant::now() + self.limits.provision;
        self.provider.terminate(&stray.id).await?;
        while let Some(found) = self.provider.get(&stray.id).await?
            && found.state != InstanceState::Ended
        {
            if Instant::now() > end {
                let why = format!("its machine '{}' is {} still", stray.id, found.state);
                return Err(Error::new(ErrorKind::Timeout, why)
                    .operation(format!("end the host {}", stray.name)));
            }
            sleep(self.limits.pause).await;
        }
        Ok(())
    }
}

fn still(host: &HostRecord, id: &InstanceId, state: InstanceState) -> Error {
    Error::new(ErrorKind::Timeout, format!("its machine '{id}' is {state} still"))
        .operation(format!("stop the host {}", host.name))
        .hint("look at it at its provider, and run 'apyfal stop --all' again")
}

/// Whether nothing was made where a provider answers so.
fn is_refusal(kind: ErrorKind) -> bool {
    use ErrorKind::{Authentication, Capacity, Configuration, Quota, Security, Usage};
    matches!(kind, Authentication | Capacity | Configuration | Quota | Security | Usage)
}

/// What becomes of a machine that shuts itself down. One that is kept is to be deleted then: nobody
/// asked for it to be there for ever.
fn at_shutdown(mode: StopMode) -> AtShutdown {
    match mode {
        StopMode::Term | StopMode::Keep => AtShutdown::Terminate,
        StopMode::Stop => AtShutdown::Stop,
    }
}

/// What a new host is called, by which its accelerator is known:
/// `[PREFIX_]accelize_ACCELERATOR_yymmddHHMMSS`.
pub fn host_name(prefix: Option<&str>, accelerator: &str) -> String {
    let prefix = prefix.filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map(|prefix| format!("{prefix}_")).unwrap_or_default();
    let (accelerator, at) = (accelerator.replace('@', "_"), OffsetDateTime::now_utc());
    let (date, clock) = (at.date(), at.time());
    format!(
        "{prefix}accelize_{accelerator}_{:02}{:02}{:02}{:02}{:02}{:02}",
        date.year() % 100,
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

#[cfg(test)]
mod tests;
