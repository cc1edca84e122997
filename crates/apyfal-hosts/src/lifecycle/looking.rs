//! What a provider says of a host, and whether it would know.

use apyfal_core::{Error, ErrorKind, Result, unix_time};
use apyfal_providers::{Instance, InstanceId};
use tokio::time::Instant;

use super::Lifecycle;
use crate::ledger::HostRecord;

impl Lifecycle {
    /// Checks that a host is one of this provider, region and account: elsewhere nobody knows of it, which
    /// says nothing about whether it is there.
    pub(super) async fn check_is_ours(&self, host: &HostRecord) -> Result<()> {
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

    /// The machine of a host. None where there is none, which somebody has to have said who would know of it:
    /// the keys may lead to another account by now.
    ///
    /// # Errors
    /// The provider does not tell, or is asked for another account.
    pub(super) async fn look(
        &self,
        host: &HostRecord,
        id: &InstanceId,
    ) -> Result<Option<Instance>> {
        match self.provider.get(id).await? {
            None => self.check_is_ours(host).await.map(|()| None),
            found => Ok(found),
        }
    }

    /// Whether what was made is found by everybody.
    pub(super) fn has_settled(&self, host: &HostRecord) -> bool {
        unix_time().as_secs_f64() - host.sent.unwrap_or(host.asked)
            > self.provider.info().settles.as_secs_f64()
    }

    /// When that is so at the latest, by the clock that does not jump.
    pub(super) fn settled_by(&self) -> Instant {
        Instant::now() + self.provider.info().settles
    }
}
