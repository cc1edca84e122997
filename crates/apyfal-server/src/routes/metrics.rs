//! `/metrics`: figures for Prometheus. They need the token where REST v2 does.

use std::fmt;
use std::sync::Arc;

use apyfal_agent::AcceleratorLoad;
use apyfal_api::v2;
use axum::extract::State;
use axum::http::{HeaderName, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::host::Host;
use crate::metrics::{Counters, count, resident};

pub(super) async fn read(
    State(host): State<Arc<Host>>,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures(host)));
    let mut text = String::new();
    // There is always room in a string.
    let _ = prometheus_text::encode(&mut text, &registry);
    ([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text)
}

/// What a host counts, and what can be seen of it now.
#[derive(Debug)]
struct Figures(Arc<Host>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        about(&self.0, &mut encoder)?;
        jobs(&self.0, &mut encoder)
    }
}

/// The process itself, its clients and its disk space.
fn about(host: &Host, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let protocol = v2::VERSION.to_string();
    let build = [("version", env!("CARGO_PKG_VERSION")), ("protocol", &protocol)];
    let help = "The version of apyfal and of its protocol.";
    let mut info = encoder.encode_descriptor("apyfal_build_info", help, None, MetricType::Gauge)?;
    ConstGauge::new(1_u32).encode(info.encode_family(&build)?)?;
    let uptime = host.began.elapsed().as_secs_f64();
    gauge(encoder, "apyfal_uptime_seconds", "Seconds since the agent started.", uptime)?;
    let draining = u32::from(host.draining.is_set());
    let help = "1 while the agent is ending and takes no jobs.";
    gauge(encoder, "apyfal_draining", help, draining)?;
    let connections = count(&host.metrics.connections);
    gauge(encoder, "apyfal_connections", "Open connections of clients.", connections)?;
    let help = "Requests of clients.";
    let requests = encoder.encode_descriptor("apyfal_requests", help, None, MetricType::Counter)?;
    ConstCounter::new(count(&host.metrics.requests)).encode(requests)?;
    let (used, quota) = (host.scratch.used(), host.scratch.quota());
    gauge(encoder, "apyfal_scratch_bytes", "Bytes of disk space that results take.", used)?;
    gauge(encoder, "apyfal_scratch_quota_bytes", "Bytes that they may take.", quota)?;
    let failing = u32::from(host.journal.failure().is_some());
    let help = "1 while the journal cannot be written.";
    gauge(encoder, "apyfal_journal_failing", help, failing)?;
    if let Some(bytes) = resident() {
        let help = "Memory of the process that is not swapped out.";
        gauge(encoder, "process_resident_memory_bytes", help, bytes)?;
    }
    let help = "Requests answered with an error, by kind.";
    let mut family =
        encoder.encode_descriptor("apyfal_refusals", help, None, MetricType::Counter)?;
    for (kind, number) in host.metrics.refusals.all() {
        ConstCounter::new(number).encode(family.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
}

/// A figure of the whole host, as it is now.
fn gauge<N>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: N) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// What was done, runs and waits, by accelerator.
fn jobs(host: &Host, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let load = host.agent.load();
    let counted: Vec<_> = load
        .accelerators
        .iter()
        .map(|engine| (&*engine.name, host.metrics.of(&engine.name)))
        .collect();
    let help = "Jobs that ended, by accelerator and outcome.";
    let mut family = encoder.encode_descriptor("apyfal_jobs", help, None, MetricType::Counter)?;
    for (accelerator, counters) in &counted {
        for (outcome, number) in [
            (v2::JobState::Done, &counters.done),
            (v2::JobState::Failed, &counters.failed),
            (v2::JobState::Cancelled, &counters.cancelled),
        ] {
            let labels = [("accelerator", *accelerator), ("outcome", outcome.as_str())];
            ConstCounter::new(count(number)).encode(family.encode_family(&labels)?)?;
        }
    }
    type Figure<Of> = fn(&Of, MetricEncoder<'_>) -> fmt::Result;
    let counters: [(&str, &str, MetricType, Figure<Counters>); 4] = [
        (
            "apyfal_read_bytes",
            "Bytes that jobs read which ended.",
            MetricType::Counter,
            |counters, encoder| ConstCounter::new(count(&counters.read)).encode(encoder),
        ),
        (
            "apyfal_written_bytes",
            "Bytes that jobs wrote which ended.",
            MetricType::Counter,
            |counters, encoder| ConstCounter::new(count(&counters.written)).encode(encoder),
        ),
        (
            "apyfal_job_wait_seconds",
            "Seconds from the arrival of a job that ended until it began.",
            MetricType::Histogram,
            |counters, encoder| counters.wait.encode(encoder),
        ),
        (
            "apyfal_job_duration_seconds",
            "Seconds from the arrival of a job until it ended.",
            MetricType::Histogram,
            |counters, encoder| counters.duration.encode(encoder),
        ),
    ];
    for (name, help, kind, figure) in counters {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (accelerator, counters) in &counted {
            figure(counters, family.encode_family(&[("accelerator", *accelerator)])?)?;
        }
    }
    type Now = fn(&AcceleratorLoad) -> usize;
    let loads: [(&str, &str, Now); 3] = [
        ("apyfal_slots", "Jobs of an accelerator that may run at once.", |engine| engine.slots),
        ("apyfal_jobs_running", "Jobs that hold a slot.", |engine| engine.running),
        ("apyfal_jobs_waiting", "Jobs that wait for a slot, or for data without one.", |engine| {
            engine.waiting
        }),
    ];
    for (name, help, figure) in loads {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for engine in &load.accelerators {
            let value = ConstGauge::new(figure(engine));
            value.encode(family.encode_family(&[("accelerator", &*engine.name)])?)?;
        }
    }
    let help = "Jobs that failed, by the kind of error.";
    let mut family =
        encoder.encode_descriptor("apyfal_failures", help, None, MetricType::Counter)?;
    for (kind, number) in host.metrics.failures.all() {
        ConstCounter::new(number).encode(family.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
}
