//! The server's life: bound, serving, draining, ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apyfal_agent::{Agent, AgentOptions, Room, Root};
use apyfal_api::v2::LogLine;
use apyfal_core::{Error, ErrorKind, Result};
use apyfal_net::Accepting;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::access::Access;
use crate::draining::Draining;
use crate::history::History;
use crate::host::Host;
use crate::jobs::Jobs;
use crate::journal::Journal;
use crate::live::Live;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::overview::Shown;
use crate::recent::Recent;
use crate::routes::{Listener, Routes, v1};
use crate::scratch::Scratch;
use crate::sessions::Sessions;
use crate::settings::{Listen, Settings};
use crate::throughput::Throughput;
use crate::uses::Uses;

/// Why a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to.
    Asked,
    /// Its lease ran out: the machine should end too.
    LeaseEnded,
}

/// A host that listens.
#[derive(Debug)]
pub struct Server {
    host: Arc<Host>,
    listeners: Vec<(TcpListener, Listen)>,
    tls: Option<Arc<ServerConfig>>,
}

impl Server {
    /// Opens what the host remembers and listens. `show` is given each line of the log, on a thread of
    /// its own.
    ///
    /// # Errors
    /// An address is taken, or the directory cannot be used.
    pub async fn bind(
        settings: Settings,
        show: impl FnMut(&LogLine) + Send + 'static,
    ) -> Result<Self> {
        let Settings { listen, data_dir, registry, storage, limits, .. } = settings;
        let scratch = Scratch::open(&data_dir.join("scratch"), limits.scratch)?;
        let (journal, recovered) = Journal::open(&data_dir.join("journal.db"))?;
        let cores = settings.threads.or_else(|| std::thread::available_parallelism().ok());
        for Listen { address, tls, token } in &listen {
            if !(address.ip().is_loopback() || *tls && *token) {
                return Err(Error::new(
                    ErrorKind::Security,
                    "off loopback a host needs a certificate and a token",
                )
                .operation(format!("listen on {address}")));
            }
        }
        let tls = match &settings.identity {
            Some(identity) => Some(apyfal_tls::server_config(identity, &[b"h2", b"http/1.1"])?),
            None => None,
        };
        let only = {
            let mut engines = registry.iter();
            engines.next().filter(|_| engines.next().is_none())
        };
        let default_accelerator = match settings.default_accelerator {
            Some(name) => Some(registry.find(&name)?.info().name.to_string()),
            None => only.map(|engine| engine.info().name.to_string()),
        };
        let room = {
            let scratch = scratch.clone();
            Room::new(move |bytes| scratch.check_disk(bytes))
        };
        let agent = Agent::new(AgentOptions {
            // The journal there is of one process alone.
            root: Root::Kept { path: data_dir.join("sessions"), is_shared: false, room },
            registry,
            // Who has a job read from a slow server keeps it waiting as a slow client does.
            storage: storage.within(limits.client_timeout),
            threads: cores,
            max_waiting: Some(limits.waiting),
        });
        let agent = Arc::new(agent.with_engines_on(tokio::runtime::Handle::current()));
        agent.sweep();
        let mut listeners = Vec::new();
        for listen in listen {
            listeners.push((apyfal_net::bind(listen.address).await?, listen));
        }
        let (live, lease) = (Arc::<Live>::default(), Arc::new(settings.lease));
        let (logs, metrics) = (Arc::new(Logs::new()), Arc::<Metrics>::default());
        let access = Arc::new(Access::new(
            settings.token.as_ref(),
            settings.rest_v1,
            &settings.names,
            settings.local_users,
        ));
        journal.tokens().await?.iter().for_each(|token| access.tokens.add(token));
        let host = Arc::new(Host {
            sessions: Sessions {
                agent: agent.clone(),
                journal: journal.clone(),
                scratch: scratch.clone(),
                limits,
                default_accelerator,
            },
            jobs: Jobs {
                agent: agent.clone(),
                journal: journal.clone(),
                scratch: scratch.clone(),
                logs: logs.clone(),
                metrics: metrics.clone(),
                limits,
            },
            history: History {
                agent: agent.clone(),
                journal: journal.clone(),
                live: live.clone(),
                scratch: scratch.clone(),
                logs: logs.clone(),
                access: access.clone(),
                limits,
            },
            agent,
            v1: Default::default(),
            journal,
            uses: Uses::new(live.clone(), lease.clone()),
            live,
            recent: Arc::new(Recent::new(&scratch)),
            scratch,
            access,
            logs,
            metrics,
            shown: Shown::default(),
            throughput: Throughput::default(),
            limits,
            lease,
            cores: cores.map_or(1, std::num::NonZeroUsize::get),
            began: Instant::now(),
            draining: Draining::default(),
        });
        host.logs.show(show)?;
        host.history.take_up(recovered).await?;
        Ok(Self { host, listeners, tls })
    }

    /// The addresses that it listens on.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|(listener, _)| Ok(listener.local_addr()?)).collect()
    }

    /// Serves until `shutdown` is ready or the lease ran out, then lets the running jobs end.
    ///
    /// # Errors
    /// What is remembered could not be written to its end.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<Ending> {
        let Self { host, listeners, tls } = self;
        let routes = Routes::new(host.clone());
        // An answer that is given up says why, so that goes first.
        let untaken = host.limits.take_timeout.saturating_mul(3);
        let mut accepting =
            Accepting::new(host.limits.connections).taken_within(untaken).on_threads(host.cores)?;
        for (listener, listen) in listeners {
            let service = Listener { routes: routes.clone(), needs_token: listen.token };
            accepting.add(listener, tls.clone().filter(|_| listen.tls), service);
        }
        let mut tending = JoinSet::new();
        let tended = host.clone();
        tending.spawn(async move { tended.history.expire_results(&tended.recent).await });
        let tended = host.clone();
        tending.spawn(async move { v1::expire_sessions(&tended).await });
        let tended = host.clone();
        tending.spawn(async move { tended.throughput.keep(&tended.live, &tended.metrics).await });
        let is_in_use = || host.uses.is_in_use();
        let lease_ended = || host.lease.ended(is_in_use, &host.draining, &host.logs);
        let mut ending = tokio::select! {
            () = shutdown => Ending::Asked,
            () = lease_ended() => Ending::LeaseEnded,
        };
        if ending == Ending::Asked {
            host.logs.host("ending: no new jobs are taken, the running ones go on");
            host.draining.set(true);
            let drained = async {
                while is_in_use() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            // The lease goes on meanwhile.
            ending = tokio::select! {
                biased;
                () = drained => Ending::Asked,
                () = lease_ended() => Ending::LeaseEnded,
            };
        }
        tending.abort_all();
        accepting.end().await;
        let closed = match (ending, host.journal.close().await) {
            // That the machine is to end is to be told whatever became of the journal.
            (Ending::LeaseEnded, closed) => {
                let _ = closed.inspect_err(|error| host.logs.host(&error.to_string()));
                Ok(())
            }
            (Ending::Asked, closed) => {
                host.lease.rest();
                closed
            }
        };
        host.logs.all_shown().await;
        closed.map(|()| ending)
    }
}
