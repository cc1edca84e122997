//! The end of sessions that nobody uses any more: clients of this protocol do not end theirs, since
//! their stop must take nothing away from others.

use std::collections::HashSet;
use std::time::Duration;

use apyfal_core::Result;

use crate::host::Host;
use crate::journal::{Page, Protocol, SessionFilter, SessionRecord};

/// How often it is looked for them.
const SWEEP: Duration = Duration::from_secs(60);
/// How many are looked at at once.
const ITEMS: u64 = 100;

/// Ends sessions that were unused for as long as results are kept, again and again. The newest
/// of each accelerator stays, for clients that start nothing by themselves.
pub(crate) async fn expire_sessions(host: &Host) {
    loop {
        tokio::time::sleep(SWEEP.min(host.limits.result_ttl)).await;
        if let Err(error) = expire_unused(host).await {
            host.logs.host(&format!("cannot end unused sessions: {error}"));
        }
    }
}

async fn expire_unused(host: &Host) -> Result<()> {
    for record in unused(host).await? {
        host.sessions.stop(&record.id).await?;
        host.v1.unlearn(record.number);
        host.logs.host(&format!("configuration {} was not used, and is ended", record.number));
    }
    Ok(())
}

async fn unused(host: &Host) -> Result<Vec<SessionRecord>> {
    let filter =
        SessionFilter { open: Some(true), protocol: Some(Protocol::V1), accelerator: None };
    let busy: HashSet<_> = host.live.all().iter().map(|job| job.session.clone()).collect();
    let (mut unused, mut seen) = (Vec::new(), HashSet::new());
    let mut page = Page { offset: 0, limit: ITEMS };
    loop {
        let listed = host.journal.sessions(filter.clone(), page).await?;
        for record in listed.items {
            let is_newest = seen.insert(record.accelerator.clone());
            let idle = host.v1.last_use(record.number).elapsed();
            if !is_newest && !busy.contains(&record.id) && idle > host.limits.result_ttl {
                unused.push(record);
            }
        }
        page.offset += ITEMS;
        if page.offset >= listed.count {
            return Ok(unused);
        }
    }
}
