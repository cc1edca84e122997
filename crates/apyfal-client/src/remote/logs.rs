//! What a host and its jobs said.

use std::time::Duration;

use apyfal_api::v2;
use apyfal_core::Result;
use http::Method;

use super::{ANSWER, Remote, in_path};

impl Remote {
    /// What the host and its jobs said, behind an earlier answer where there was one; only that of
    /// `job` where one is named. Where there is nothing yet, the host waits up to so long.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn logs(
        &self,
        behind: Option<&v2::Logs>,
        job: Option<&str>,
        wait: Duration,
    ) -> Result<v2::Logs> {
        let mut path = format!("/v2/logs?wait={}", wait.as_secs_f64());
        if let Some(v2::Logs { last, began, .. }) = behind {
            path += &format!("&after={last}&began={began}");
        }
        if let Some(job) = job {
            path += &format!("&job={}", in_path(job));
        }
        self.0.ask_patiently(&Method::GET, &path, wait + ANSWER).await
    }

    /// How far a job is, or how it ended.
    ///
    /// # Errors
    /// The host has no such job, does not answer, or refuses.
    pub async fn job(&self, id: &str) -> Result<v2::Job> {
        self.0.get_patiently(&format!("/v2/jobs/{}", in_path(id))).await
    }
}
