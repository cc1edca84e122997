//! A session that is open: the engine that opened it, and others that may have to help.

use std::sync::Arc;

use apyfal_core::{
    Engine, EngineInfo, EngineSession, JobContext, JobParameters, Owner, Params, Report, Result,
};
use apyfal_engines::Registered;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::Agent;
use crate::batch;
use crate::job::{CallContext, Caller};
use crate::session::SessionDir;
use crate::slots::Asking;

/// A session that this process has open.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) dir: Arc<SessionDir>,
    pub(super) accelerator: Arc<Registered>,
    pub(super) params: Params,
    /// The engine that opened it, which runs its jobs.
    pub(super) own: Arc<Opened>,
    /// The other engines, the best first. Each opens a state of its own from the same start.
    pub(super) others: Vec<Other>,
    /// What the start sent.
    sent: JobParameters,
}

/// An engine with its part of a session.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) session: Box<dyn EngineSession>,
    /// The jobs that wait to run together, where the engine gains from that.
    pub(super) waiting: batch::Queue,
}

/// An engine that may have to help. It is opened when it does.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) engine: Arc<dyn Engine>,
    opened: OnceCell<Arc<Opened>>,
}

impl OpenSession {
    /// One that `own` has opened.
    pub(super) fn new(
        dir: Arc<SessionDir>,
        accelerator: Arc<Registered>,
        (params, own): (Params, Opened),
        sent: JobParameters,
    ) -> Self {
        let others = accelerator.engines().filter(|engine| !Arc::ptr_eq(engine, &own.engine));
        let others = others
            .map(|engine| Other { engine: engine.clone(), opened: OnceCell::new() })
            .collect();
        Self { dir, accelerator, params, own: Arc::new(own), others, sent }
    }

    /// The jobs of a session take turns with those of others.
    pub(super) fn asking<'a>(&'a self, engine: &'a EngineInfo, caller: Caller<'a>) -> Asking<'a> {
        let Caller { owner, always, .. } = caller;
        Asking { session: self.dir.id(), always, ..starting(self.name(), engine, owner) }
    }

    /// The report of a job, with who did it.
    pub(super) fn signed(&self, mut report: Report, by: &Opened) -> Report {
        report.accelerator = self.name().to_owned();
        report.engine = by.engine.info().name.to_string();
        report
    }

    fn name(&self) -> &str {
        &self.accelerator.info().name
    }

    /// The engines that a job may run on, the first one first: the one that it asks for alone, or
    /// the one that the start asked for, or all that there are.
    pub(super) fn engines(&self, asked: Option<&str>) -> Result<Vec<Candidate<'_>>> {
        let others = || self.others.iter().map(Candidate::Other);
        let Some(name) = asked.or(self.sent.engine.as_deref()) else {
            let may_help = self.accelerator.info().rerun_safe;
            let others = others().filter(|_| may_help);
            return Ok(std::iter::once(Candidate::Own(&self.own)).chain(others).collect());
        };
        self.accelerator.info().engine(name)?;
        let is_meant = |candidate: &Candidate<'_>| candidate.info().name.eq_ignore_ascii_case(name);
        let all = std::iter::once(Candidate::Own(&self.own)).chain(others());
        Ok(all.filter(is_meant).take(1).collect())
    }
}

/// An engine that a job may run on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Candidate<'a> {
    Own(&'a Arc<Opened>),
    Other(&'a Other),
}

impl Candidate<'_> {
    pub(super) fn info(&self) -> &EngineInfo {
        match self {
            Self::Own(own) => own.engine.info(),
            Self::Other(other) => other.engine.info(),
        }
    }
}

/// What a start asks for. All starts of an owner take turns as one session.
pub(super) fn starting<'a>(
    accelerator: &'a str,
    engine: &'a EngineInfo,
    owner: &'a Owner,
) -> Asking<'a> {
    let (engine, slots) = (&*engine.name, engine.slots);
    Asking { accelerator, engine, slots, owner, session: "", always: false }
}

/// The parameters of a session, or of a job of one whose own are `start`.
pub(super) fn checked(
    engine: &dyn Engine,
    start: Option<&Params>,
    raw: &Map<String, Value>,
) -> Result<Params> {
    let info = engine.accelerator();
    let params = Params::check(&info.name, &info.params, start, raw)?;
    engine.check(&params)?;
    Ok(params)
}

/// Opens the engine that a session is of.
pub(super) fn open(
    dir: &SessionDir,
    engine: Arc<dyn Engine>,
    specific: &Map<String, Value>,
    ctx: &JobContext,
) -> Result<(Params, Opened)> {
    let params = checked(&*engine, None, specific)?;
    let session = engine
        .open(dir.source()?, &params, &dir.state(), ctx)
        .map_err(|error| error.operation(format!("start {}", engine.accelerator().name)))?;
    Ok((params, Opened { engine, session, waiting: batch::Queue::default() }))
}

impl Agent {
    /// An engine of a session, opened where it is needed for the first time.
    pub(super) async fn engine_of(
        &self,
        session: &Arc<OpenSession>,
        candidate: Candidate<'_>,
        caller: Caller<'_>,
    ) -> Result<Arc<Opened>> {
        let other = match candidate {
            Candidate::Own(own) => return Ok(own.clone()),
            Candidate::Other(other) => other,
        };
        let opening = other.opened.get_or_try_init(|| {
            let (session, engine) = (session.clone(), other.engine.clone());
            let scratch = session.dir.scratch();
            let call = CallContext {
                cancel: caller.cancel.clone(),
                sent: session.sent.clone(),
                ..CallContext::default()
            };
            async move {
                let (opening, asked) = (session.clone(), engine.clone());
                let asking = session.asking(asked.info(), caller);
                let opened = self.in_slot(asking, scratch, call, move |ctx| {
                    let _lock = opening.dir.lock_for_job(ctx)?;
                    let state = opening.dir.state_of(&engine.info().name)?;
                    engine.check(&opening.params)?;
                    let opened =
                        engine.open(opening.dir.source()?, &opening.params, &state, ctx)?;
                    Ok(Opened { engine, session: opened, waiting: batch::Queue::default() })
                });
                opened.await.map(Arc::new)
            }
        });
        caller.cancel.or_cancelled(opening).await.cloned()
    }

    /// The other engines that have a part in a session, of this process or another.
    pub(super) async fn helpers(
        &self,
        session: &Arc<OpenSession>,
        caller: Caller<'_>,
    ) -> Vec<Arc<Opened>> {
        let mut helpers = Vec::new();
        for other in &session.others {
            if !other.opened.initialized() && !session.dir.has_state_of(&other.engine.info().name) {
                continue;
            }
            // One that cannot be opened has nothing that could be stopped.
            helpers.extend(self.engine_of(session, Candidate::Other(other), caller).await.ok());
        }
        helpers
    }
}
