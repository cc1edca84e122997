//! Sessions: opened by the best engine that can, and opened again by the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use apyfal_core::{
    Engine, Error, ErrorKind, JobContext, JobIo, Need, Profiling, Report, Result, Session, Start,
};
use apyfal_engines::Registered;
use tokio::sync::OnceCell;

use super::Agent;
use super::fallback;
use super::opened::{OpenSession, checked, open, starting};
use super::quick;
use crate::job::{self, CallContext, Caller};
use crate::session::{Record, SessionDir};
use crate::slots::Asking;

impl Agent {
    /// [`Client::start`](apyfal_core::Client::start) without a time limit. One that is to be `kept` can be
    /// opened again.
    pub(super) async fn start_now(
        &self,
        mut request: Start,
        io: JobIo,
        kept: bool,
    ) -> Result<Session> {
        let unread = std::mem::take(&mut request.parameters.unread);
        match self.begin(request, io, kept).await {
            Ok(mut session) => {
                unread.tell(&mut session.report);
                Ok(session)
            }
            Err(error) => Err(unread.hint(error)),
        }
    }

    async fn begin(&self, request: Start, mut io: JobIo, kept: bool) -> Result<Session> {
        let begin = Instant::now();
        let accelerator = self.registry.find(&request.accelerator)?;
        let info = accelerator.info();
        let asked = request.parameters.engine.as_deref();
        let asked = asked.map(|name| info.engine(name)).transpose()?;
        let mut engines: VecDeque<_> = match asked {
            Some(place) => accelerator.engines().skip(place).take(1).cloned().collect(),
            None => accelerator.engines().cloned().collect(),
        };
        if let Some(url) = &request.src {
            io.src = Some(self.source(url, &io.cancel).await?);
        }
        job::check_ends(
            info,
            "start",
            [("source", info.start_src, io.src.is_some()), ("destination", Need::None, false)],
        )?;
        if let Some(first) = engines.front() {
            checked(&**first, None, &request.parameters.specific)?;
        }

        self.sweep();
        let dir = Arc::new(SessionDir::create(&self.root)?);
        let of_the_client = request.src.is_none();
        let has_src = io.src.is_some();
        let (mut src, mut note) = (io.src.take(), None);
        let own = loop {
            let Some(engine) = engines.pop_front() else {
                return Err(Error::new(ErrorKind::Internal, "an accelerator without an engine"));
            };
            let mut call = CallContext::new(&io, request.parameters.clone());
            call.of_the_client(of_the_client, true);
            let (opening, own, src) = (dir.clone(), engine.clone(), src.take());
            let name = engine.info().name.to_string();
            let record = Record {
                accelerator: request.accelerator.clone(),
                engine: (info.engines.len() > 1).then_some(name),
                parameters: request.parameters.clone(),
            };
            let work = move |ctx: &JobContext| {
                if let Some(src) = src {
                    opening.keep_source(src, ctx)?;
                }
                let opened = open(&opening, own, &record.parameters.specific, ctx)?;
                if kept {
                    opening.write_record(&record)?;
                }
                Ok(opened)
            };
            let asking = starting(&info.name, engine.info(), &io.owner);
            let opened = match !has_src && self.is_begun_at_once(engine.info()) {
                true => quick::within(call, dir.scratch(), work),
                false => self.in_slot(asking, dir.scratch(), call, work).await,
            };
            match (opened, engines.front()) {
                (Err(error), Some(next)) if fallback::is_fault(&error) => {
                    note = Some(fallback::note(engine.info(), &error, next.info()));
                    dir.clear_state()?;
                }
                (opened, _) => break opened?,
            }
        };
        let mut report = Report {
            id: dir.id().to_owned(),
            accelerator: info.name.to_string(),
            engine: own.1.engine.info().name.to_string(),
            profiling: Profiling::new(begin.elapsed(), io.progress.read(), 0),
            app: own.1.session.started(),
            ..Report::default()
        };
        if let Some(note) = note {
            io.log.line(&note);
            report.tell_of_engine(note);
        }
        let opened = OpenSession::new(dir, accelerator, own, request.parameters);
        let (id, opened) = (report.id.clone(), Arc::new(opened));
        self.open_sessions().insert(id.clone(), Arc::new(OnceCell::from(opened)));
        Ok(Session { id, report })
    }

    pub(super) async fn open_again(
        &self,
        id: &str,
        caller: Caller<'_>,
    ) -> Result<Arc<OpenSession>> {
        let Caller { cancel, owner, always } = caller;
        let dir = Arc::new(SessionDir::find(&self.root, id)?);
        let record = dir.read_record()?;
        let accelerator = self.registry.find(&record.accelerator)?;
        let engine = opened_by(&accelerator, &record).clone();
        let (scratch, sent) = (dir.scratch(), record.parameters);
        // What opening reads is no progress of the job that it is opened for.
        let call =
            CallContext { cancel: cancel.clone(), sent: sent.clone(), ..CallContext::default() };
        let asked = engine.clone();
        let asking = Asking {
            session: id,
            always,
            ..starting(&accelerator.info().name, asked.info(), owner)
        };
        let (opening, specific) = (dir.clone(), sent.specific.clone());
        let own =
            self.in_slot(asking, scratch, call, move |ctx| open(&opening, engine, &specific, ctx));
        let own = own.await?;
        Ok(Arc::new(OpenSession::new(dir, accelerator, own, sent)))
    }
}

/// The engine whose state a session has. Those that versions before opened name none: then their
/// accelerator had one engine, before which any others came since.
fn opened_by<'a>(accelerator: &'a Registered, record: &Record) -> &'a Arc<dyn Engine> {
    let named = record.engine.as_deref();
    let named = named.and_then(|name| accelerator.info().engine(name).ok());
    let named = named.and_then(|place| accelerator.engines().nth(place));
    named.or_else(|| accelerator.engines().last()).unwrap_or(accelerator.best())
}
