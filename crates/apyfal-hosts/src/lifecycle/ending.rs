//! The end of a host, or its rest.

use apyfal_core::{Error, ErrorKind, Result};
use apyfal_providers::{HostFilter, Instance, InstanceId, InstanceState};
use tokio::time::{Instant, sleep, timeout};

use super::coming_up::{is_refusal, living_first};
use super::{GRACE, Lifecycle};
use crate::ledger::{HostRecord, HostState, StopMode};

impl Lifecycle {
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
        match self.look(host, &id).await?.map(|instance| instance.state) {
            // It has ended by itself, or is about to.
            Some(InstanceState::Ended | InstanceState::Ending) => return self.finish(host).await,
            None if self.has_settled(host) => return self.finish(host).await,
            _ => {}
        }
        if mode == StopMode::Keep {
            return self.provider.set_at_shutdown(&id, mode.at_shutdown()).await;
        }
        // First: one that cannot be stopped is to be deleted with its lease as before.
        if !self.told_to_stop(host, &id).await? {
            return self.finish(host).await;
        }
        self.provider.set_at_shutdown(&id, mode.at_shutdown()).await?;
        self.stopped(host, &id).await?;
        host.state = HostState::Stopped;
        self.ledger.save(host)
    }

    /// Ends a host for good, which is looked at until it is so.
    pub(super) async fn finish(&self, host: &mut HostRecord) -> Result<()> {
        if host.instance.is_none() && self.given_up.lock().contains(&host.id) {
            // Nobody waits until it is found: who comes after this goes on with what was asked for.
            let found = self.found_now(host).await;
            match found {
                Some(found) => host.instance = Some(found.id),
                None if self.has_settled(host) => {}
                None => return Err(may_be_there(host)),
            }
        }
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
        self.withdrawn(host).await?;
        if let Some(id) = host.instance.clone() {
            self.terminated(host, &id).await?;
        }
        self.others_terminated(host).await?;
        noted.and_then(|()| self.ended(host))
    }

    /// Takes back the request of a host, which may make further machines.
    async fn withdrawn(&self, host: &HostRecord) -> Result<()> {
        match &host.request {
            Some(request) => self.provider.withdraw(request, &host.token).await,
            None => Ok(()),
        }
    }

    /// Deletes what else the request of a host has made, in place of its machine when somebody ended that.
    async fn others_terminated(&self, host: &HostRecord) -> Result<()> {
        let filter = HostFilter::asked_by(&host.token);
        for other in self.provider.list(&filter).await? {
            if other.state.is_alive() && host.instance.as_ref() != Some(&other.id) {
                self.terminated(host, &other.id).await?;
            }
        }
        Ok(())
    }

    /// The machine that was made for an attempt, where its provider says at once that there is one.
    async fn found_now(&self, host: &HostRecord) -> Option<Instance> {
        let filter = HostFilter::asked_by(&host.token);
        living_first(timeout(GRACE, self.provider.list(&filter)).await.ok()?.ok()?)
    }

    /// Deletes a machine, until it has ended for everybody. One that was asked for just now may not be
    /// found yet, and is deleted once it is.
    pub(super) async fn terminated(&self, host: &HostRecord, id: &InstanceId) -> Result<()> {
        let (end, settled) = (Instant::now() + self.limits.provision, self.settled_by());
        let mut looks = self.limits.looks();
        self.provider.terminate(id).await?;
        loop {
            match self.look(host, id).await?.map(|instance| instance.state) {
                Some(InstanceState::Ended) => return Ok(()),
                None if self.has_settled(host) || Instant::now() > settled => return Ok(()),
                Some(state) if Instant::now() > end => return Err(still(host, id, state)),
                // It was not there yet when it was told to end.
                None => self.provider.terminate(id).await?,
                Some(state) if state.is_alive() => self.provider.terminate(id).await?,
                Some(_) => {}
            }
            looks.pause().await;
        }
    }

    /// Tells a machine to stop, once it can be: not everybody stops one that comes up. Whether it had not ended.
    pub(super) async fn told_to_stop(&self, host: &HostRecord, id: &InstanceId) -> Result<bool> {
        let (end, mut looks) = (Instant::now() + self.limits.provision, self.limits.looks());
        loop {
            match self.look(host, id).await?.map(|instance| instance.state) {
                Some(InstanceState::Ending | InstanceState::Ended) => return Ok(false),
                Some(state @ InstanceState::Pending) if Instant::now() > end => {
                    return Err(still(host, id, state));
                }
                Some(InstanceState::Pending) => {}
                // What is told of its state may be older than what it is in.
                _ => match self.provider.stop(id).await {
                    Err(error) if error.kind() == ErrorKind::Conflict && Instant::now() <= end => {}
                    told => return told.map(|()| true),
                },
            }
            looks.pause().await;
        }
    }

    /// Waits until a machine is down.
    pub(super) async fn stopped(&self, host: &HostRecord, id: &InstanceId) -> Result<()> {
        let (end, mut looks) = (Instant::now() + self.limits.provision, self.limits.looks());
        loop {
            match self.look(host, id).await?.map(|instance| instance.state) {
                // One that has ended by itself meanwhile is stopped for good.
                Some(InstanceState::Stopped | InstanceState::Ended) => return Ok(()),
                None if self.has_settled(host) => return Ok(()),
                Some(state) if Instant::now() > end => return Err(still(host, id, state)),
                _ => looks.pause().await,
            }
        }
    }

    /// Ends a host whose machine has ended, and with it what would make another machine in its place.
    pub(super) async fn end_dead(&self, host: &mut HostRecord) -> Result<()> {
        if host.instance.is_none() {
            let filter = HostFilter::asked_by(&host.token);
            let found = self.provider.list(&filter).await?;
            host.instance = living_first(found).map(|instance| instance.id);
        }
        self.withdrawn(host).await?;
        if let Some(id) = &host.instance {
            self.provider.terminate(id).await?;
        }
        self.others_terminated(host).await?;
        self.ended(host)
    }

    pub(super) fn ended(&self, host: &mut HostRecord) -> Result<()> {
        if let Some(url) = &host.url {
            (self.forget)(url);
        }
        host.state = HostState::Ended;
        self.ledger.save(host)
    }

    /// Stops a host again that was stopped before it was to come up, and says so.
    pub(super) async fn stopped_again(&self, error: Error, mut host: HostRecord) -> Error {
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
    pub(super) async fn undone(&self, error: Error, mut host: HostRecord, is_new: bool) -> Error {
        let error = self.told(error, &host).await;
        let is_unasked = host.sent.is_none() && error.is_cancelled();
        if is_new && host.instance.is_none() && (is_unasked || is_refusal(error.kind())) {
            return self.ended(&mut host).err().unwrap_or(error);
        }
        match self.finish(&mut host).await {
            Ok(()) => error,
            Err(left) => error
                .context("left over", left)
                .hint(format!("the host {} may be there, and cost: apyfal stop --all", host.name)),
        }
    }

    /// Ends a machine that the ledger does not know.
    ///
    /// # Errors
    /// It is refused, or it has not ended.
    pub async fn end_stray(&self, stray: &Instance) -> Result<()> {
        let (end, settled) = (Instant::now() + self.limits.provision, self.settled_by());
        loop {
            self.provider.terminate(&stray.id).await?;
            match self.provider.get(&stray.id).await?.map(|found| found.state) {
                Some(InstanceState::Ended) => return Ok(()),
                // It was seen: as long as it may be too new to be found, it is no end.
                None if Instant::now() > settled => return Ok(()),
                Some(state) if Instant::now() > end => {
                    let why = format!("its machine '{}' is {state} still", stray.id);
                    return Err(Error::new(ErrorKind::Timeout, why)
                        .operation(format!("end the host {}", stray.name)));
                }
                _ => sleep(self.limits.pause).await,
            }
        }
    }
}

fn may_be_there(host: &HostRecord) -> Error {
    let why = format!("{} has not said yet whether it made its machine", host.provider);
    Error::new(ErrorKind::Unavailable, why)
        .operation(format!("end the host {}", host.name))
        .hint("what it made ends by 'apyfal stop --all'; the same start goes on with it")
}

fn still(host: &HostRecord, id: &InstanceId, state: InstanceState) -> Error {
    Error::new(ErrorKind::Timeout, format!("its machine '{id}' is {state} still"))
        .operation(format!("stop the host {}", host.name))
        .hint("look at it at its provider, and run 'apyfal stop --all' again")
}
