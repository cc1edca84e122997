//! A host that is made when it is first needed, and given back once its accelerator is stopped.

mod agent;
mod differences;
mod ending;
mod existing;
mod fetched;
mod providers;
mod settings;
mod unended;
mod wanted;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apyfal_client::Remote;
use apyfal_core::{
    AcceleratorInfo, Cancel, Client, Error, ErrorKind, Job, JobIo, Report, Result, Session, Start,
};
use apyfal_hosts::{HostRecord, HostState, Lifecycle, StopMode, Usage};
use apyfal_machine::lock::Lock;
use apyfal_providers::{InstanceId, Login};
use async_trait::async_trait;
use parking_lot::Mutex;

use settings::Settings;
use unended::{GivenUp, Held};
use wanted::New;

pub(crate) use providers::{is_of_provider, lifecycle, makes, of_provider};

use crate::builder::AcceleratorBuilder;
use crate::known_hosts::{KnownHosts, Pairing};

/// The host of one accelerator. Clones are the same one; the last of them that goes gives it back, unless
/// that was done.
#[derive(Clone, Debug)]
pub(crate) struct MadeHost(Arc<Held>);

/// What there is of it, and what was asked for.
#[derive(Debug)]
pub(crate) struct Host {
    /// What is known of the accelerator before there is a host; none where only that can say.
    known_as: Option<AcceleratorInfo>,
    lifecycle: Lifecycle,
    which: Which,
    wanted: New,
    known: KnownHosts,
    /// One call at a time makes or ends it.
    changing: tokio::sync::Mutex<()>,
    current: Mutex<Option<Current>>,
    /// Whether it ends by its name, whatever process made it.
    has_name: bool,
    /// Whether there may be something that nobody gave back yet.
    is_owed: AtomicBool,
    notes: Mutex<Vec<String>>,
}

/// Which host it is.
#[derive(Debug)]
enum Which {
    /// The one that is made for this use.
    For(Usage),
    /// One that is there.
    There(InstanceId),
}

/// The host, while it is known to this process.
#[derive(Clone, Debug)]
struct Current {
    host: HostRecord,
    remote: Remote,
    /// What was to become of it where it was there before it was needed here; none where it was made here.
    found: Option<StopMode>,
    /// Where it is for this process alone.
    _lock: Option<Arc<Lock>>,
}

impl MadeHost {
    /// The host of an accelerator, where the configuration names a provider. It is not made yet.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub(crate) fn of(
        asked: &AcceleratorBuilder,
        host_type: &str,
        known_as: Option<&AcceleratorInfo>,
    ) -> Result<Self> {
        let AcceleratorBuilder { configuration, surroundings, name: asked_for, .. } = asked;
        let accelerator = known_as.map_or(asked_for.as_str(), |info| &info.name);
        let mut lifecycle = lifecycle(host_type, None, configuration, surroundings)
            .map_err(|error| of_provider(error, host_type))?;
        if let Some(watch) = asked.watch.clone() {
            lifecycle = lifecycle.watched(watch);
        }
        if let Some(time) = asked.host_timeout {
            lifecycle = lifecycle.patient(time);
        }
        let home = surroundings.home().unwrap_or(Path::new("/"));
        let settings = Settings::of(configuration, home)
            .map_err(|error| of_provider(error, lifecycle.provider().name))?;
        let which = match (&settings.instance, &asked.usage) {
            (Some(id), _) => Which::There(id.clone()),
            (None, Some(name)) => Which::For(Usage::Named(name.clone())),
            (None, None) => {
                let place = (host_type, lifecycle.provider().region.as_deref());
                Which::For(Usage::Unnamed(settings.wish(configuration, place, accelerator)?))
            }
        };
        let stop_mode = Mutex::new(settings.stop_mode);
        let wanted = New {
            accelerator: accelerator.to_owned(),
            configuration: configuration.clone(),
            surroundings: surroundings.clone(),
            settings,
            stop_mode,
            warnings: Mutex::default(),
        };
        let host = Host {
            known_as: known_as.cloned(),
            lifecycle,
            which,
            wanted,
            known: KnownHosts::below(home),
            changing: tokio::sync::Mutex::default(),
            current: Mutex::default(),
            has_name: asked.usage.is_some(),
            is_owed: AtomicBool::new(false),
            notes: Mutex::default(),
        };
        Ok(Self(Arc::new(Held(Arc::new(host)))))
    }

    /// Whether it is a machine that is there.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.which, Which::There(_))
    }

    /// The host, made where it is not there. Where this is given up, what was made by then is given back
    /// all the same.
    ///
    /// # Errors
    /// It cannot be had; the error is [of its provider](is_of_provider).
    pub(crate) async fn up(&self, cancel: &Cancel) -> Result<Remote> {
        let given_up = GivenUp(cancel.child());
        let (host, caller, cancel) = (self.clone(), cancel.clone(), given_up.0.clone());
        let making = tokio::spawn(async move {
            let made = host.brought_up(&cancel).await;
            if made.is_err() && cancel.is_cancelled() && !caller.is_cancelled() {
                // Nobody is told what could not be undone, as where the runtime ends meanwhile.
                host.is_owed.store(true, Ordering::SeqCst);
            }
            made
        });
        let made = making.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, error.to_string()).operation("make a host"))
        });
        made.map_err(|error| self.of_provider(error))
    }
}

impl Deref for MadeHost {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0.0
    }
}

impl Host {
    async fn brought_up(&self, cancel: &Cancel) -> Result<Remote> {
        let _alone = self.changing.lock().await;
        let current = self.current.lock().clone();
        if let Some(current) = current {
            if !self.lifecycle.is_gone(&current.host).await.unwrap_or(false) {
                return Ok(current.remote);
            }
            // Its lease ran out.
            *self.current.lock() = None;
            drop(current);
        }
        if let Which::There(id) = &self.which
            && self.is_existing(id)?
        {
            let remote = self.taken_up(id, cancel).await?;
            self.compare(&remote, cancel).await;
            return Ok(remote);
        }
        let (wanted, mode) = (&self.wanted, self.stop_mode());
        self.is_owed.store(true, Ordering::SeqCst);
        let ready = match &self.which {
            Which::For(usage) => {
                self.lifecycle.start(usage, &wanted.accelerator, mode, wanted, cancel).await
            }
            Which::There(id) => self.lifecycle.resume(id, mode, cancel).await,
        };
        // What was made by then is undone, or the error says where it is.
        let ready = ready.inspect_err(|_| self.is_owed.store(false, Ordering::SeqCst))?;
        let warnings = std::mem::take(&mut *wanted.warnings.lock());
        self.notes.lock().extend(warnings.into_iter().chain(ready.notes));
        let remote = Remote::new(ready.options)?;
        let lock = (!self.is_shared()).then(|| Arc::new(ready.lock));
        // From here on it is given back, whatever fails.
        let host = ready.host.clone();
        *self.current.lock() =
            Some(Current { host, remote: remote.clone(), found: ready.found, _lock: lock });
        if let (Some((token, fingerprint)), Some(url)) = (ready.host.proofs(), &ready.host.url) {
            let pairing = Pairing {
                token: Some(token),
                fingerprint: Some(fingerprint),
                ..Pairing::new(url.as_str())
            };
            if let Err(error) = self.known.remember(pairing, cancel) {
                self.notes.lock().push(format!("the host is not known by its address: {error}"));
            }
        }
        self.compare(&remote, cancel).await;
        Ok(remote)
    }

    /// Notes how the accelerator there differs from what is known of it here. Where it has none of this
    /// name, or does not answer, whoever uses it is told.
    async fn compare(&self, remote: &Remote, cancel: &Cancel) {
        if let Some(here) = &self.known_as
            && let Ok(there) = cancel.or_cancelled(remote.accelerator(&here.name)).await
        {
            self.notes.lock().extend(differences::between(here, &there));
        }
    }

    /// Whether it gets what the catalog has for its accelerator, and not what this machine has.
    pub(crate) fn is_cataloged(&self) -> bool {
        self.lifecycle.provider().runs_scripts
    }

    /// What the accelerator is called, as the catalog says.
    ///
    /// # Errors
    /// It does not know it, or cannot be read.
    pub(crate) async fn called(&self, cancel: &Cancel) -> Result<String> {
        self.wanted.called(cancel).await
    }

    /// The host, where it is there.
    ///
    /// # Errors
    /// It is not made yet, or has ended.
    pub(crate) async fn reached(&self) -> Result<Remote> {
        Ok(self.there().await?.remote)
    }

    /// The host that was made before, by this process or another.
    async fn there(&self) -> Result<Current> {
        if let Some(current) = &*self.current.lock() {
            return Ok(current.clone());
        }
        let ledger = self.lifecycle.ledger();
        let mut hosts = match &self.which {
            Which::For(usage @ Usage::Named(_)) => ledger.of(usage)?,
            Which::For(Usage::Unnamed(_)) => Vec::new(),
            Which::There(id) => match ledger.with_instance(id)? {
                Some(host) => vec![host],
                None => return self.found(id).await,
            },
        };
        hosts.retain(|host| host.state == HostState::Ready);
        let (Some(host), true) = (hosts.pop(), hosts.is_empty()) else { return Err(self.gone()) };
        let options = host.options().ok_or_else(|| self.gone())?;
        let found = Some(host.stop_mode);
        let current = Current { host, remote: Remote::new(options)?, found, _lock: None };
        Ok(self.current.lock().insert(current).clone())
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::Conflict, "its host has ended")
            .operation(format!("use {}", self.wanted.accelerator))
            .hint("start it again: another host is made for it")
    }

    /// Says of a host that does not answer whether it has ended.
    async fn explained(&self, error: Error, current: &Current) -> Error {
        if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) {
            return error;
        }
        let name = &current.host.name;
        match self.lifecycle.instance(&current.host).await {
            Ok(Some(instance)) if instance.url.is_some() => error,
            Ok(None) => error.context("host", format!("{name} has ended")),
            Ok(Some(instance)) => error.context("host", format!("{name} is {}", instance.state)),
            Err(_) => error,
        }
        .hint("its lease may have run out; start it again: another host is made where it has ended")
    }

    /// How people log in to its machine, where that is known by now.
    pub(crate) fn login(&self) -> Option<Login> {
        self.current.lock().as_ref()?.host.login.clone()
    }

    /// What is odd about how it is configured.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.lifecycle.provider().warnings
    }

    /// Whether the host goes on once its accelerator is stopped.
    pub(crate) fn outlives(&self) -> bool {
        self.stop_mode() != StopMode::Term
    }

    /// What is to become of it.
    pub(crate) fn stop_mode(&self) -> StopMode {
        *self.wanted.stop_mode.lock()
    }

    pub(crate) fn set_stop_mode(&self, mode: StopMode) {
        *self.wanted.stop_mode.lock() = mode;
    }

    /// Whether other processes use it too, each for as long as a call takes.
    fn is_shared(&self) -> bool {
        matches!(self.which, Which::For(Usage::Named(_)))
    }

    fn of_provider(&self, error: Error) -> Error {
        of_provider(error, self.lifecycle.provider().name)
    }

    /// What is to be told of it.
    pub(crate) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock())
    }

    /// What is remembered of it, where this process knows it by now.
    pub(crate) fn record(&self) -> Option<HostRecord> {
        self.current.lock().as_ref().map(|current| current.host.clone())
    }

    /// The host, where this process knows it by now.
    pub(crate) fn remote(&self) -> Option<Remote> {
        self.current.lock().as_ref().map(|current| current.remote.clone())
    }
}

#[async_trait]
impl Client for MadeHost {
    async fn start(&self, request: Start, io: JobIo) -> Result<Session> {
        self.up(&io.cancel).await?.start(request, io).await
    }

    async fn process(&self, job: Job, io: JobIo) -> Result<Report> {
        let current = self.there().await?;
        match current.remote.process(job, io).await {
            Err(error) => Err(self.explained(error, &current).await),
            done => done,
        }
    }

    async fn stop(&self, session: &str) -> Result<Report> {
        self.there().await?.remote.stop(session).await
    }
}
