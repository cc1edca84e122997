//! A host far away: the [`Client`] of REST v2.

mod address;
mod asking;
mod body;
mod connection;
mod contact;
mod deadline;
mod failure;
mod first_contact;
mod job;
mod kept;
mod logs;
mod options;
mod pulse;
mod replay;
mod request;
mod result;
mod sink;
mod source;
mod tokens;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v2;
use apyfal_core::{
    AcceleratorInfo, Client, Error, ErrorKind, Job, JobIo, Report, Result, Session, Start,
};
use async_trait::async_trait;
use http::Method;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

pub use address::Address;
use asking::{ANSWER, in_path, random_id};
use connection::{Ask, Connections, common_headers};
pub(crate) use contact::Trouble;
pub(crate) use deadline::{ended_there_too, within};
use failure::{Failure, Patience};
use job::RemoteJob;
use kept::ENDING;
use options::KEPT;
pub use options::RemoteOptions;
pub(crate) use options::Shared;
pub(crate) use pulse::Following;
use pulse::Pulse;
pub(crate) use sink::Sink;
pub(crate) use source::Source;

/// Why a job did not end well on a host.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) error: Error,
    /// How the host lost it, where it had it: the job itself may be the reason.
    pub(crate) lost: Option<Error>,
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self { error, lost: None }
    }
}

/// A host far away. Clones are the same host and share its connections.
#[derive(Clone, Debug)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    connections: Connections,
    patience: Duration,
    pulse: Pulse,
    /// The accelerators that were asked about.
    accelerators: Mutex<HashMap<String, AcceleratorInfo>>,
    /// Whether jobs of a session may be run again.
    sessions: Mutex<HashMap<String, bool>>,
    /// Jobs that are being ended.
    ending: Mutex<Vec<JoinHandle<()>>>,
}

impl Remote {
    /// A host. It is not contacted yet.
    ///
    /// # Errors
    /// The address is none, or a certificate cannot be used.
    pub fn new(options: RemoteOptions) -> Result<Self> {
        Self::sharing(options, &mut Shared::keeping(KEPT))
    }

    /// One of several hosts.
    pub(crate) fn sharing(options: RemoteOptions, shared: &mut Shared) -> Result<Self> {
        let RemoteOptions { url, token, trust, plain, is_known, patience, hangs_after, advice } =
            options;
        let address = Address::of(&url, token.is_some(), trust.is_some(), plain)?;
        if address.tls && plain {
            return Err(Error::new(ErrorKind::Usage, "it is https, but encryption is turned off")
                .operation(format!("use the host '{address}'"))
                .hint("remove ssl_cert_crt = False, or write http://"));
        }
        if !address.tls && token.is_some() && !plain && !address.is_loopback() {
            return Err(Error::new(
                ErrorKind::Security,
                "http would show the token to everyone in between",
            )
            .operation(format!("use the host '{address}'"))
            .hint(format!("write https://{}", address.place()))
            .hint("or set ssl_cert_crt = False in section [host] if the network is safe"));
        }
        let tls = match address.tls {
            false => None,
            true => {
                let config = shared.tls(trust.as_ref())?;
                let name = ServerName::try_from(address.name().to_owned()).map_err(|error| {
                    Error::new(ErrorKind::Usage, error.to_string())
                        .operation(format!("use the host '{address}'"))
                })?;
                Some((TlsConnector::from(config), name))
            }
        };
        let headers = common_headers(&address, token.as_ref())?;
        Ok(Self(Arc::new(Inner {
            connections: Connections::new(address, tls, headers, is_known, advice, shared.kept),
            patience,
            pulse: Pulse::new(hangs_after),
            accelerators: Mutex::default(),
            sessions: Mutex::default(),
            ending: Mutex::default(),
        })))
    }

    /// Its address: `https://host:port`.
    pub fn url(&self) -> String {
        self.0.connections.address.to_string()
    }

    /// The name or IP address of the host alone.
    pub fn ip(&self) -> &str {
        &self.address().host
    }

    /// Why it cannot be used any more, where that is so: it does not answer, or is not what it was
    /// taken for.
    pub fn lost(&self) -> Option<Error> {
        self.trouble().map(Trouble::into_error)
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0.connections.address
    }

    /// What the host is.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn host(&self) -> Result<v2::Host> {
        self.0.get_patiently("/v2/host").await
    }

    /// Lets the host live for so long from now, at least. A lease is never made shorter.
    ///
    /// # Errors
    /// It has no lease, is ending, does not answer, or refuses.
    pub async fn extend_lease(&self, time: Duration) -> Result<v2::Lease> {
        let path = format!("/v2/lease?seconds={}", time.as_secs_f64());
        self.0.ask_patiently(&Method::POST, &path, ANSWER).await
    }

    /// Its accelerators.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn accelerators(&self) -> Result<Vec<AcceleratorInfo>> {
        let all: Vec<v2::Accelerator> = self.0.get_patiently("/v2/accelerators").await?;
        Ok(all.into_iter().map(AcceleratorInfo::from).collect())
    }

    /// One of its accelerators, by its name or one of the original's. It is asked for once.
    ///
    /// # Errors
    /// The host has none of this name, does not answer, or refuses.
    pub async fn accelerator(&self, name: &str) -> Result<AcceleratorInfo> {
        self.0.accelerator(name).await
    }

    /// Runs a job whose source and destination may be used for another try elsewhere.
    pub(crate) async fn run(
        &self,
        job: Job,
        source: &Source,
        sink: &Sink,
        patience: Duration,
    ) -> Result<Report, Unfinished> {
        self.0.run(job, source, sink, patience).await
    }

    /// Opens a session with a source that may be used for another host too.
    pub(crate) async fn start_with(&self, request: Start, source: &Source) -> Result<Session> {
        self.0.start(request, source).await
    }

    /// Whether it is there, asked once.
    pub(crate) async fn look(&self) -> Result<()> {
        let asked = self.0.answer::<v2::Host>(&Method::GET, "/v2/host", ANSWER).await;
        asked.map(drop).map_err(Failure::into_error)
    }

    /// Why it cannot be used at present, as far as that is known.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.0.connections.contact.trouble()
    }

    /// Ends a session that nobody will use, while others go on; [`ended`](Self::ended) waits for that.
    pub(crate) fn stop_beside(&self, session: String) {
        let Ok(runtime) = Handle::try_current() else { return };
        let remote = self.clone();
        let stopping = runtime.spawn(async move {
            // A host that does not answer keeps nobody waiting.
            let _ = tokio::time::timeout(ENDING, remote.stop(&session)).await;
        });
        self.0.ending(stopping);
    }

    /// Waits until what was cancelled has ended on the host.
    pub(crate) async fn ended(&self) {
        self.0.ended().await;
    }
}

impl Inner {
    /// Remembers what is still under way after a call.
    fn ending(&self, task: JoinHandle<()>) {
        let mut ending = self.ending.lock();
        ending.retain(|task| !task.is_finished());
        ending.push(task);
    }

    /// Waits for that.
    async fn ended(&self) {
        let ending = std::mem::take(&mut *self.ending.lock());
        for task in ending {
            let _ = task.await;
        }
    }

    async fn start(&self, request: Start, source: &Source) -> Result<Session> {
        let wire = v2::StartRequest {
            accelerator: Some(request.accelerator),
            parameters: request::parameters(&request.parameters),
            src: request.src,
            input_name: source.name(),
        };
        let mut patience = self.patience();
        let starting = async {
            loop {
                let opened = async {
                    let connections = &self.connections;
                    let path = "/v2/sessions".to_owned();
                    connections.whole(request::ask(connections, path, &wire, source).await?).await
                };
                let failure = match opened.await {
                    Ok((_, body)) => return job::read::<v2::Session>(&body),
                    Err(failure) => failure,
                };
                if let Some(failure) = source.take_failure() {
                    return Err(failure);
                }
                if !source.is_whole() {
                    return Err(job::cannot_repeat(failure));
                }
                patience.wait(failure).await?;
            }
        };
        let started = self.while_there(starting).await?;
        let report = started.report.ok_or_else(|| job::unreadable("it has no report"))?;
        Ok(Session { id: started.id, report: report.into() })
    }

    async fn process(self: &Arc<Self>, job: Job, io: JobIo) -> Result<Report> {
        let JobIo { src, dst, cancel, progress, .. } = io;
        let source = Source::of(src, &cancel, &progress).await?;
        let sink = Sink::of(dst, &cancel, &progress);
        progress.begin();
        // Where the host hangs, nobody else could run the job: it may go on any time.
        let holds = async { self.follow().await.holds().await };
        tokio::select! {
            biased;
            ran = self.run(job, &source, &sink, self.patience) => ran.map_err(|why| why.error),
            never = holds => match never {},
        }
    }

    /// Runs a job whose source and destination may be used for another try.
    async fn run(
        self: &Arc<Self>,
        job: Job,
        source: &Source,
        sink: &Sink,
        patience: Duration,
    ) -> Result<Report, Unfinished> {
        let request = v2::JobRequest {
            parameters: request::parameters(&job.parameters),
            src: job.src,
            dst: job.dst,
            input: Some(source.is_there()),
            output: Some(sink.is_there()),
            input_name: source.name(),
            output_name: sink.name(),
            ..v2::JobRequest::default()
        };
        let is_safe = self.is_rerun_safe(&job.session).await?;
        let session = in_path(&job.session);
        let patience = Patience::new(patience, self.connections.contact.is_known());
        let host = self;
        let mut job =
            RemoteJob { host, session: &session, request, source, sink, patience, lost: None };
        let ran = match is_safe {
            true => Box::pin(job.run_plain()).await,
            false => Box::pin(job.run_recorded()).await,
        };
        ran.map_err(|error| Unfinished { error, lost: job.lost })
    }

    /// What takes a while on the host and leaves nothing behind, unless that hangs.
    async fn while_there<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let hangs = async { self.follow().await.hangs().await };
        tokio::select! {
            biased;
            done = work => done,
            (_, why) = hangs => Err(why),
        }
    }
}

#[async_trait]
impl Client for Remote {
    async fn start(&self, request: Start, io: JobIo) -> Result<Session> {
        let JobIo { src, cancel, progress, deadline, .. } = io;
        let work = async {
            let source = Source::of(src, &cancel, &progress).await?;
            self.0.start(request, &source).await
        };
        within(deadline, cancel.or_cancelled(work)).await
    }

    async fn process(&self, job: Job, io: JobIo) -> Result<Report> {
        let (cancel, deadline) = (io.cancel.clone(), io.deadline);
        ended_there_too(deadline, cancel, self.0.process(job, io), self.0.ended()).await
    }

    async fn stop(&self, session: &str) -> Result<Report> {
        let path = format!("/v2/sessions/{}", in_path(session));
        let mut patience = self.0.patience();
        let stopping = async {
            loop {
                let ask = Ask::new(Method::DELETE, path.clone());
                match self.0.connections.whole(ask).await {
                    Ok((_, body)) => return job::read::<v2::Report>(&body),
                    // It is gone, with all that the host knew of it.
                    Err(Failure::Final(error)) if error.kind() == ErrorKind::NotFound => {
                        return Ok(v2::Report::default());
                    }
                    Err(failure) => patience.wait(failure).await?,
                }
            }
        };
        let report = self.0.while_there(stopping).await?;
        self.0.sessions.lock().remove(session);
        Ok(report.into())
    }
}
