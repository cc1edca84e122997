//! What a host keeps of a job for us, until it is told to forget it.

use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v2;
use http::Method;

use super::Inner;
use super::connection::Ask;

/// How long ending a job on the host may take, and asking why it broke off.
pub(super) const ENDING: Duration = Duration::from_secs(2);

/// A job that the host keeps for us, until it is told to forget it.
pub(super) struct Kept {
    host: Arc<Inner>,
    id: Option<String>,
}

impl Kept {
    /// The job with this id.
    pub(super) fn by(host: &Arc<Inner>, id: &str) -> Self {
        Self { host: host.clone(), id: Some(id.to_owned()) }
    }

    /// Ends it there.
    pub(super) async fn forget(mut self) {
        if let Some(id) = self.id.take() {
            forget(self.host.clone(), id).await;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(id) = self.id.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let forgetting = runtime.spawn(forget(self.host.clone(), id));
            self.host.ending(forgetting);
        }
    }
}

/// Ends a job on the host and makes it forget it.
async fn forget(host: Arc<Inner>, id: String) {
    let path = format!("/v2/jobs/{id}");
    let forgetting = async {
        // Of one that runs still the first ends it, and the second forgets it.
        for _ in 0..2 {
            let ask = Ask::new(Method::DELETE, path.clone());
            match host.connections.whole(ask).await {
                Ok((status, _)) if status == http::StatusCode::ACCEPTED => {}
                _ => return,
            }
            let _ = host.get::<v2::Job>(&format!("{path}?wait=1")).await;
        }
    };
    // Where the host does not answer, it removes what nobody fetches after a while.
    let _ = tokio::time::timeout(ENDING, forgetting).await;
}
