//! A machine that is there and that nobody here asked for: its owner names it, and it is started, stopped and
//! deleted as that says. It is in no ledger, what becomes of it when it shuts down stays as it is, and what makes it a
//! host is its owner's to do.

use apyfal_client::{Remote, RemoteOptions};
use apyfal_core::{Cancel, Error, ErrorKind, Result};
use apyfal_providers::{Instance, InstanceId, InstanceState};

use super::{Lifecycle, Phase};
use crate::ledger::{HostRecord, StopMode};

impl Lifecycle {
    /// Has a machine run that is there, and its host answer; how to use that is told by its address. One that was
    /// stopped is stopped again where no host answers. It is left as it was found by the mode that comes with it.
    ///
    /// # Errors
    /// There is no such machine, it does not come up, or is no host.
    pub async fn take_up(
        &self,
        id: &InstanceId,
        accelerator: &str,
        mode: StopMode,
        options: impl Fn(&str) -> Result<RemoteOptions>,
        cancel: &Cancel,
    ) -> Result<(HostRecord, RemoteOptions, StopMode)> {
        let found = cancel.or_cancelled(self.existing(id)).await?;
        let was_down = found.state == InstanceState::Stopped;
        let host = HostRecord::of_existing(found, self.provider(), accelerator, mode);
        let answered = cancel.or_cancelled(self.answering(host.clone(), was_down, options)).await;
        match answered {
            Err(error) if was_down => match self.leave(id, StopMode::Stop).await {
                Ok(()) => Err(error),
                Err(left) => Err(error
                    .context("left over", left)
                    .hint(format!("the instance '{id}' may run still: stop it at its provider"))),
            },
            answered => answered.map(|(host, options)| {
                let found = if was_down { StopMode::Stop } else { StopMode::Keep };
                (host, options, found)
            }),
        }
    }

    /// The same, where it is known to run and to be a host.
    ///
    /// # Errors
    /// There is no such machine, or it does not run.
    pub async fn found(
        &self,
        id: &InstanceId,
        accelerator: &str,
        mode: StopMode,
        options: impl Fn(&str) -> Result<RemoteOptions>,
    ) -> Result<(HostRecord, RemoteOptions)> {
        let found = self.existing(id).await?;
        let options = options(&address(&found)?)?;
        let mut host = HostRecord::of_existing(found, self.provider(), accelerator, mode);
        host.url = Some(Remote::new(options.clone())?.url());
        Ok((host, options))
    }

    async fn answering(
        &self,
        mut host: HostRecord,
        was_down: bool,
        options: impl Fn(&str) -> Result<RemoteOptions>,
    ) -> Result<(HostRecord, RemoteOptions)> {
        let mode = host.stop_mode;
        let Some(instance) = self.running(&mut host, mode).await? else {
            return Err(Error::new(ErrorKind::Conflict, "it has ended")
                .operation(format!("use the instance '{}'", host.name)));
        };
        (self.watch)(&host, Phase::Running);
        let options = options(&address(&instance)?)?;
        // One that comes up is waited for.
        let waiting = RemoteOptions {
            is_known: was_down,
            patience: if was_down { self.limits.boot } else { options.patience },
            ..options.clone()
        };
        let remote = Remote::new(waiting)?;
        remote.host().await.map_err(|error| match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout => error
                .hint(format!("is '{}' a host? on it: sudo apyfal host install", instance.id))
                .hint("that prints what makes it known here: apyfal host add")
                .hint("its firewall has to let this machine in, at the port where it listens")
                .hint("a new machine is made a host by its user data: apyfal user-data"),
            _ => error,
        })?;
        host.url = Some(remote.url());
        (self.watch)(&host, Phase::Ready);
        Ok((host, options))
    }

    /// A machine that is there, whoever made it.
    ///
    /// # Errors
    /// There is none, or it has ended.
    async fn existing(&self, id: &InstanceId) -> Result<Instance> {
        let info = self.provider();
        let refused =
            |kind, why: String| Error::new(kind, why).operation(format!("use the instance '{id}'"));
        match self.provider.get(id).await? {
            None => {
                let place = [Some(info.name), info.region.as_deref()].into_iter().flatten();
                let place = place.collect::<Vec<_>>().join(", ");
                Err(refused(ErrorKind::Configuration, format!("there is none in {place}"))
                    .hint("name its host_type and region")
                    .hint("'apyfal list' shows those that this installation has made"))
            }
            Some(found) if !found.state.is_alive() => {
                Err(refused(ErrorKind::Conflict, "it has ended".to_owned())
                    .hint("leave out instance_id: another host is made"))
            }
            Some(found) => Ok(found),
        }
    }

    /// Stops or deletes a machine that was named, or leaves it, as a mode says.
    ///
    /// # Errors
    /// It is refused, or it is there still.
    pub async fn leave(&self, id: &InstanceId, mode: StopMode) -> Result<()> {
        if mode == StopMode::Keep {
            return Ok(());
        }
        let Some(found) = self.provider.get(id).await?.filter(|found| found.state.is_alive())
        else {
            return Ok(());
        };
        let host = HostRecord::of_existing(found, self.provider(), "", mode);
        if mode == StopMode::Term {
            return self.terminated(&host, id).await;
        }
        self.told_to_stop(&host, id).await?;
        self.stopped(&host, id).await
    }
}

/// Where a machine is: at which port its host listens is known with what proves it.
fn address(instance: &Instance) -> Result<String> {
    let url = instance.url.as_deref().ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, format!("it is {}, and has no address", instance.state))
            .operation(format!("use the instance '{}'", instance.id))
            .hint("start it, by 'apyfal start' or at its provider")
    })?;
    Ok(url.split_once("://").map_or(url, |(_, address)| address).to_owned())
}
