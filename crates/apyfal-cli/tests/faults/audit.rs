//! What a client finds once nothing is wrong any more.

use std::time::Instant;

use super::client::{Client, Manner};
use super::model::{Broken, Held, Job, Known};
use crate::common::server::PATIENCE;
use crate::common::wire::Ask;

impl Client<'_> {
    /// All that was promised is there, and can be deleted.
    pub(crate) fn audit(&mut self) -> Held {
        self.step += 1;
        for mut job in std::mem::take(&mut self.jobs) {
            let audited = self.audit_job(&mut job);
            audited.map_err(|broken| {
                self.during(&Broken::new(format!("in the end, job '{}': {broken}", job.id)))
            })?;
        }
        let rest = || {
            for id in &self.gone {
                let plea = self.plea(Manner::Patient);
                let asked = self.ask(Ask::new("GET", &format!("/v2/jobs/{id}")), Manner::Patient);
                self.is_not_found(&asked, &plea)?;
            }
            let own = [&self.null, &self.said, &self.once];
            for session in self.sessions.iter().chain(own) {
                self.is_open(session)?;
                self.close(session)?;
            }
            Ok(())
        };
        rest().map_err(|broken: Broken| self.during(&broken))
    }

    fn audit_job(&self, job: &mut Job) -> Held {
        let path = format!("/v2/jobs/{}?wait=30", job.id);
        let begin = Instant::now();
        let state = loop {
            let plea = self.plea(Manner::Patient);
            let state = job.told(&self.ask(Ask::new("GET", &path), Manner::Patient), &plea)?;
            match state.as_deref() {
                Some("waiting" | "running") if begin.elapsed() < PATIENCE => {}
                Some(state @ ("waiting" | "running")) => {
                    return Err(Broken::new(format!("it is {state} for ever")));
                }
                _ => break state,
            }
        };
        let ended_well = match state.as_deref() {
            Some("done") => true,
            // It may run anew, and nothing is in its way.
            Some("interrupted") => job.once.is_none(),
            _ => false,
        };
        let plea = self.plea(Manner::Patient);
        if job.is_ours() && state.is_some() && (job.is_whole || ended_well) {
            let data = std::mem::take(&mut job.data);
            job.sent(&self.post(job, "run", &data, Manner::Patient), &plea)?;
            if ended_well && job.known != Known::Done && !job.is_pending {
                return Err(Broken::new("it does not run anew"));
            }
        }
        if job.known == Known::Done {
            let path = format!("/v2/jobs/{}/result", job.id);
            job.fetched(&self.ask(Ask::new("GET", &path), Manner::Patient), None, &plea)?;
        }
        if !self.delete(job, Manner::Patient)? {
            return Err(Broken::new("it cannot be deleted"));
        }
        if job.is_pending {
            return Ok(());
        }
        let path = format!("/v2/jobs/{}", job.id);
        let asked = self.ask(Ask::new("GET", &path), Manner::Patient);
        self.is_not_found(&asked, &plea)
    }
}
