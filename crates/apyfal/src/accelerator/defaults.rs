//! What the configuration says of parameters.

use apyfal_core::{JobParameters, Result};
use tokio::sync::OnceCell;

use super::{Accelerator, Inner};
use crate::configuration;

impl Accelerator {
    /// What the configuration says of the parameters of `start`, and of those of jobs.
    pub(crate) async fn configured(&self) -> Result<[JobParameters; 2]> {
        let start = self.defaults(&self.0.start_defaults, "configuration").await?;
        Ok([start, self.defaults(&self.0.process_defaults, "process").await?])
    }

    /// What the configuration says of the parameters of `start` or `process`.
    ///
    /// Read once, since a full set of them may be in a file far away.
    pub(super) async fn defaults(
        &self,
        read: &OnceCell<JobParameters>,
        section: &str,
    ) -> Result<JobParameters> {
        let Inner { configuration, storage, .. } = &*self.0;
        let info = self.info().await?;
        let read = read
            .get_or_try_init(|| configuration::parameters(configuration, section, info, storage));
        read.await.cloned()
    }
}
