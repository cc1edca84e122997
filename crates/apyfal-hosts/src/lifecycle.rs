//! The life of a host that a provider makes: asked for, made, contacted, used, given back.
//!
//! This alone waits, tries again and cleans up. Each step is written down in the ledger before it is
//! taken, so that whoever comes after a process that died goes on from there: the request is in the
//! ledger, with its token, before the provider has it, which makes the same machine of it however
//! often it is sent. What failed before the host was contacted is undone.

mod coming_up;
mod ending;
mod existing;
mod looking;
mod phase;
mod push;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apyfal_client::RemoteOptions;
use apyfal_core::{Cancel, Error, ErrorKind, Image, Result};
use apyfal_machine::lock::Lock;
use apyfal_providers::{
    HostFilter, HostSpec, Instance, InstanceId, Prepared, Provider, ProviderInfo,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

pub use phase::{Forget, Limits, Phase, Watch};

use crate::FirstContact;
use crate::ledger::{HostRecord, HostState, Ledger, StopMode, Usage};

/// How long is tried again what a provider does not take yet, since what it made is not known to all of
/// it, and a request whose answer got lost.
const SETTLING: Duration = Duration::from_secs(120);
/// How long a provider may take to answer once nobody waits for the host any more: it tells within that
/// what it made, unless it is in trouble.
const GRACE: Duration = Duration::from_secs(5);
/// How often a token may turn out to be spent in one start.
const ATTEMPTS: u32 = 3;

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
    /// What was to become of it where it was there before this start, so that one that fails can leave it as it
    /// was. None where this start has made it.
    pub found: Option<StopMode>,
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
    forget: Forget,
    /// The hosts, by their ids in the ledger, whose start was given up before it was known whether they were
    /// made.
    given_up: Arc<Mutex<HashSet<String>>>,
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// The hosts of a provider that a ledger has.
    pub fn new(provider: Arc<dyn Provider>, ledger: Ledger, limits: Limits) -> Self {
        let (given_up, forget) = (Arc::default(), Arc::new(|_: &str| {}));
        Self { provider, ledger, limits, watch: Arc::new(|_, _| {}), forget, given_up }
    }

    /// Tells at which address there is no host of ours any more: another machine may have it.
    #[must_use]
    pub fn forgetting(self, forget: Forget) -> Self {
        Self { forget, ..self }
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

    /// For which architecture a program has to be that runs on a new machine, such as `x86_64`.
    ///
    /// # Errors
    /// There is no such type or image.
    pub async fn architecture(
        &self,
        instance_type: Option<&str>,
        image: Option<&Image>,
    ) -> Result<String> {
        let told = self.provider.architecture(instance_type, image).await?;
        Ok(told.unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
    }

    /// What the provider calls an image, however that is named.
    ///
    /// # Errors
    /// There is none, or the provider does not tell.
    pub async fn image_id(&self, image: &Image) -> Result<String> {
        self.provider.image_id(image).await
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
            let alone = self.ledger.lock_usage(usage, cancel).await?;
            let found = self.take(usage, cancel).await?;
            let goes_on = |host: &HostRecord| {
                host.state != HostState::Ending && host.accelerator == accelerator
            };
            let is_new = !found.as_ref().is_some_and(|(host, _)| goes_on(host));
            let (mut host, lock) = match found {
                Some(found) if !is_new => found,
                mut earlier => {
                    if let Some((host, _)) = &mut earlier
                        && host.state == HostState::Ending
                    {
                        self.finish(host).await?;
                    }
                    let prepare = async {
                        let (spec, contact) = wanted.host(self, cancel).await?;
                        let prepared = self.prepare(&spec).await?;
                        push::check(&prepared).await?;
                        Ok((spec, prepared, contact))
                    };
                    let (spec, mut prepared, contact) = cancel.or_cancelled(prepare).await?;
                    notes.append(&mut prepared.warnings);
                    // A name stands for one accelerator: what it was started for before ends, once it is
                    // known that the other one can be asked for.
                    if let Some((host, _)) = &mut earlier
                        && host.state != HostState::Ended
                    {
                        self.finish(host).await?;
                    }
                    let (ledger, info) = (&self.ledger, self.provider.info());
                    ledger.begin(usage, info, stop_mode, &spec, prepared, contact)?
                }
            };
            drop(alone);
            let before = host.state;
            let was_ready = matches!(before, HostState::Ready | HostState::Stopped);
            let found = was_ready.then_some(host.stop_mode);
            // What a process left that was killed nobody else wants.
            let is_abandoned =
                matches!(usage, Usage::Unnamed(_)) && host.stop_mode == StopMode::Term;
            match self.bring_up(&mut host, stop_mode, cancel).await {
                Ok(Some(options)) => return Ok(Ready { host, options, notes, found, lock }),
                Ok(None) => {
                    let ended = self.instance(&host).await.ok().flatten();
                    let ended = ended.filter(|machine| !machine.state.is_alive());
                    // It was made, and the next one would end as well; else its token was spent.
                    let is_in_vain = is_new && ended.is_some();
                    let why = ended.and_then(|machine| machine.ended_by);
                    let why = why.map_or_else(String::new, |why| format!(": {why}"));
                    self.end_dead(&mut host).await?;
                    if is_in_vain {
                        let why = format!("its machine ended at once{why}");
                        let error = Error::new(ErrorKind::Unavailable, why);
                        let error = error.operation(format!("make the host {}", host.name));
                        return Err(self.told(error, &host).await);
                    }
                    if was_ready {
                        notes.push(format!("the host {} had ended by itself{why}", host.name));
                    }
                    last = Some(host);
                }
                // What was there before stays, as whoever left it there wanted it. Its lease may have stopped it.
                Err(error)
                    if before == HostState::Stopped
                        || (host.state == HostState::Stopped && !is_abandoned) =>
                {
                    return Err(self.stopped_again(error, host).await);
                }
                Err(error) if was_ready && !is_abandoned => {
                    return Err(self.told(error, &host).await);
                }
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
        let is_ours = |host: &HostRecord| host.provider == self.provider.info().name;
        let living = self.ledger.hosts()?.into_iter().filter(is_ours);
        let held: Vec<String> = living.flat_map(|host| host.holds).collect();
        let end = Instant::now() + SETTLING;
        loop {
            match self.provider.prepare(spec, &held).await {
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
        let ours = self.check_is_ours(&host).await;
        ours.map_err(|error| error.hint("name its host_type and region"))?;
        let before = host.state;
        let gone = || {
            Error::new(ErrorKind::Conflict, format!("the host {} has ended", host.name))
                .operation(format!("use the instance '{id}'"))
                .hint("leave out instance_id: another host is made")
        };
        if before == HostState::Ending {
            return Err(gone());
        }
        let gone = gone();
        // Who leaves it changes nothing of what is to become of it.
        let mode = match stop_mode {
            StopMode::Keep => host.stop_mode,
            mode => mode,
        };
        // Who names it has not made it: it goes on, or is stopped again.
        let found = match before {
            HostState::Stopped => StopMode::Stop,
            _ => StopMode::Keep,
        };
        match self.bring_up(&mut host, mode, cancel).await {
            Ok(Some(options)) => {
                Ok(Ready { host, options, notes: Vec::new(), found: Some(found), lock })
            }
            Ok(None) => self.end_dead(&mut host).await.and(Err(gone)),
            Err(error) if before == HostState::Stopped || host.state == HostState::Stopped => {
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
            Some(id) => self.look(host, id).await,
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
}

#[cfg(test)]
mod tests;
