//! Sessions: opened, recorded, ended.

use std::sync::Arc;

use apyfal_agent::Agent;
use apyfal_core::{
    Client, Error, ErrorKind, JobIo, Owner, Report, Result, Session, Start, shorten, unix_time,
};
use apyfal_storage::Location;

use crate::data::Data;
use crate::journal::{Journal, Protocol, SessionRecord};
use crate::scratch::Scratch;
use crate::settings::Limits;

/// What opens sessions and ends them.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) agent: Arc<Agent>,
    pub(crate) journal: Journal,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) limits: Limits,
    /// What a request means that names no accelerator.
    pub(crate) default_accelerator: Option<String>,
}

impl Sessions {
    /// The accelerator that a request means.
    ///
    /// # Errors
    /// It names none, and there are several.
    pub(crate) fn accelerator(&self, named: Option<String>) -> Result<String> {
        named.or_else(|| self.default_accelerator.clone()).ok_or_else(|| {
            let registry = self.agent.registry();
            let names: Vec<_> = registry.iter().map(|engine| engine.info().name.clone()).collect();
            Error::new(
                ErrorKind::Usage,
                "the host has several accelerators, and the request names none",
            )
            .hint(format!("name one of {}", names.join(", ")))
            .hint("or give the host a default one: apyfal serve --accelerator NAME")
        })
    }

    /// What a start reads, and how long it waits for it.
    pub(crate) fn io(&self, data: Data, name: Option<&str>, owner: &Owner) -> JobIo {
        JobIo {
            src: data.is_there().then(|| data.into_input(name)),
            owner: owner.clone(),
            stall: Some(self.limits.client_timeout),
            deadline: self.limits.job_timeout,
            ..JobIo::default()
        }
    }

    /// Opens a session and records it.
    ///
    /// # Errors
    /// It does not start, or cannot be recorded.
    pub(crate) async fn start(
        &self,
        start: Start,
        io: JobIo,
        protocol: Protocol,
    ) -> Result<(Session, SessionRecord)> {
        self.scratch.check_room()?;
        let parameters = start.parameters.to_start_json();
        // Shown without the credentials that it may hold.
        let shown = |src: &String| Some(Location::parse(src).ok()?.to_string());
        let sent = || io.src.as_ref().and_then(|src| src.name().map(str::to_owned));
        let source = start.src.as_ref().and_then(shown).or_else(sent);
        let owner = io.owner.clone();
        let session = self.agent.start(start, io).await?;
        let stored = self.agent.sync_session(&session.id).await;
        let record = SessionRecord {
            id: session.id.clone(),
            number: self.journal.next_number()?,
            accelerator: session.report.accelerator.clone(),
            owner,
            protocol,
            parameters,
            source,
            created: unix_time().as_secs_f64(),
            report: Some(session.report.clone().into()),
            ended: None,
            used: false,
        };
        let recorded = match stored {
            Ok(()) => self.journal.record_session(record.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            // Nobody will know of it, so it must not stay.
            let _ = self.agent.stop(&session.id).await;
            return Err(error.operation("record the session"));
        }
        Ok((session, record))
    }

    /// Ends a session, after its running jobs, and records that. One that ended before is no error.
    ///
    /// # Errors
    /// There never was such a session, or its program or device could not be stopped in order.
    pub(crate) async fn stop(&self, id: &str) -> Result<Report> {
        let Some(session) = self.journal.session(id).await? else {
            let why = format!("there is no session '{}'", shorten(id));
            return Err(Error::new(ErrorKind::NotFound, why)
                .operation("end the session")
                .hint("GET /v2/sessions lists the open ones"));
        };
        let stopped = self.agent.stop(id).await;
        if session.ended.is_none() {
            self.journal.end_session(id, unix_time().as_secs_f64()).await?;
        }
        stopped
    }
}
