//! From a request to a host that serves.

use apyfal_client::{Remote, RemoteOptions};
use apyfal_core::{Cancel, Error, ErrorKind, Result, unix_time};
use apyfal_providers::{HostFilter, Instance, InstanceId, InstanceState};
use tokio::time::{Instant, sleep};

use super::{GRACE, Lifecycle, Phase, SETTLING};
use crate::ledger::{HostRecord, HostState, StopMode};

/// An attempt that is older than this is looked up and never sent again, in seconds: the provider may
/// have forgotten its token.
pub(super) const OLD: f64 = 3600.0;
/// A host that was stopped is no good any more where its life has no more seconds than these.
const LIFE_LEFT: f64 = 60.0;

impl Lifecycle {
    /// Goes on from where a host is until it serves, from then on to be stopped as a mode says. None where it
    /// has ended.
    pub(super) async fn bring_up(
        &self,
        host: &mut HostRecord,
        mode: StopMode,
        cancel: &Cancel,
    ) -> Result<Option<RemoteOptions>> {
        if host.state == HostState::Requested {
            (self.watch)(host, Phase::Prepared);
            cancel.check()?;
            // Given up half way it is not known what was made: so not at once.
            let answered = tokio::select! {
                answered = self.request(host) => Some(answered?),
                () = late(cancel) => None,
            };
            match answered {
                Some(Some(id)) => host.instance = Some(id),
                Some(None) => return Ok(None),
                None => {
                    self.given_up.lock().insert(host.id.clone());
                    return Err(Error::cancelled());
                }
            }
            host.state = HostState::Made;
            self.ledger.save(host)?;
        }
        cancel.or_cancelled(self.bring_further(host, mode)).await
    }

    async fn bring_further(
        &self,
        host: &mut HostRecord,
        mode: StopMode,
    ) -> Result<Option<RemoteOptions>> {
        (self.watch)(host, Phase::Requested);
        let is_back = matches!(host.state, HostState::Ready | HostState::Stopped);
        let admitted = async {
            match is_back {
                // This machine may have another address than when the host was made.
                true => self.provider.admit(&self.ledger.installation()?).await,
                false => Ok(()),
            }
        };
        let (instance, admitted) = tokio::join!(self.running(host, mode), admitted);
        let Some(instance) = instance? else { return Ok(None) };
        self.settle_mode(host, &instance.id, mode).await?;
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
                let make = || contact.make(&url, self.limits.boot);
                tokio::select! {
                    biased;
                    pushed = self.push(host, &url) => pushed?,
                    // A process that was killed had sent all, and the machine takes nothing any more.
                    Ok(made) = make(), if !host.pushed.is_empty() => return Ok(Some(made)),
                }
                return make().await.map(Some);
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
        if let Some(before) = host.url.as_ref().filter(|before| **before != url) {
            (self.forget)(before);
        }
        (host.state, host.url) = (HostState::Ready, Some(url));
        self.ledger.save(host)?;
        (self.watch)(host, Phase::Ready);
        Ok(Some(options))
    }

    /// Asks for the machine of a host. None where it is known that there is none.
    async fn request(&self, host: &mut HostRecord) -> Result<Option<InstanceId>> {
        if unix_time().as_secs_f64() > host.good_until.unwrap_or(f64::MAX).min(host.asked + OLD) {
            return Ok(self.made_by(host).await?.map(|instance| instance.id));
        }
        let request = host.request.clone().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("of {} nothing is known any more", host.name))
        })?;
        let (end, mut is_unsure) = (Instant::now() + SETTLING, false);
        loop {
            // From here on, for a while, that nothing is found means nothing.
            host.sent = Some(unix_time().as_secs_f64());
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
    pub(super) async fn made_by(&self, host: &HostRecord) -> Result<Option<Instance>> {
        let filter = HostFilter::asked_by(&host.token);
        let settled = self.settled_by();
        loop {
            let found = living_first(self.provider.list(&filter).await?);
            if found.is_some() {
                return Ok(found);
            }
            // That there is none says who would know of it.
            self.check_is_ours(host).await?;
            if self.has_settled(host) || Instant::now() > settled {
                return Ok(None);
            }
            sleep(self.limits.pause).await;
        }
    }

    /// Has a provider do what a mode says with a machine that shuts itself down, unless it does so. It is not
    /// written down before: whoever comes after this is to see that it differs.
    async fn settle_mode(
        &self,
        host: &mut HostRecord,
        id: &InstanceId,
        mode: StopMode,
    ) -> Result<()> {
        if host.stop_mode == mode {
            return Ok(());
        }
        if host.stop_mode.at_shutdown() != mode.at_shutdown() {
            self.provider.set_at_shutdown(id, mode.at_shutdown()).await?;
        }
        host.stop_mode = mode;
        self.ledger.save(host)
    }

    /// Waits until the machine of a host runs, and starts it where it is stopped, from then on to be stopped as a
    /// mode says. None where it has ended.
    pub(super) async fn running(
        &self,
        host: &mut HostRecord,
        mode: StopMode,
    ) -> Result<Option<Instance>> {
        let Some(id) = &host.instance.clone() else { return Ok(None) };
        let (end, mut looks) = (Instant::now() + self.limits.provision, self.limits.looks());
        let mut runs_since = None;
        loop {
            let found = self.look(host, id).await?;
            match found.as_ref().map(|instance| instance.state) {
                Some(InstanceState::Running) => {
                    let since: Instant = *runs_since.get_or_insert_with(Instant::now);
                    let has_address = found.as_ref().is_some_and(|found| found.url.is_some());
                    if has_address || since.elapsed() >= self.limits.address {
                        return Ok(found);
                    }
                }
                Some(InstanceState::Ended | InstanceState::Ending) => return Ok(None),
                Some(InstanceState::Stopped) => {
                    if host.is_made() {
                        self.provider.set_at_shutdown(id, mode.at_shutdown()).await?;
                        host.stop_mode = mode;
                        // Its lease may have stopped it: where it does not come up it is stopped again.
                        if host.state == HostState::Ready {
                            host.state = HostState::Stopped;
                        }
                    }
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
            looks.pause().await;
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
            let Ok(found) = self.look(host, id).await else { continue };
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
}

/// Ready a while after a switch was thrown.
async fn late(cancel: &Cancel) {
    cancel.cancelled().await;
    sleep(GRACE).await;
}

/// Of the machines of one request the one that lives: another one may be made in place of one that has ended.
pub(super) fn living_first(found: Vec<Instance>) -> Option<Instance> {
    found.into_iter().max_by_key(|instance| instance.state.is_alive())
}

/// Whether nothing was made where a provider answers so.
pub(super) fn is_refusal(kind: ErrorKind) -> bool {
    use ErrorKind::{Authentication, Capacity, Configuration, Quota, Security, Usage};
    matches!(kind, Authentication | Capacity | Configuration | Quota | Security | Usage)
}
