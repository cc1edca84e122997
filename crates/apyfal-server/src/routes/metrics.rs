//! `/metrics`: figures for Prometheus. They need the token where REST v2 does.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use apyfal_agent::AcceleratorLoad;
use apyfal_api::v2;
use axum::extract::State;
use axum::http::{HeaderName, header};

use crate::host::Host;
use crate::metrics::{Counters, Exposition, count, resident};

pub(super) async fn read(
    State(host): State<Arc<Host>>,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut text = Exposition::default();
    about(&host, &mut text);
    jobs(&host, &mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.into_text())
}

/// The process itself, its clients and its disk space.
fn about(host: &Host, text: &mut Exposition) {
    let protocol = v2::VERSION.to_string();
    let build = [("version", env!("CARGO_PKG_VERSION")), ("protocol", &protocol)];
    text.metric("apyfal_build_info", "gauge", "The version of apyfal and of its protocol.");
    text.value("apyfal_build_info", &build, 1.0);
    let mut one = |name: &str, kind: &str, help: &str, value: f64| {
        text.metric(name, kind, help);
        text.value(name, &[], value);
    };
    let uptime = host.began.elapsed().as_secs_f64();
    one("apyfal_uptime_seconds", "gauge", "Seconds since the agent started.", uptime);
    let draining = f64::from(u8::from(host.draining.is_set()));
    one("apyfal_draining", "gauge", "1 while the agent is ending and takes no jobs.", draining);
    let connections = count(&host.metrics.connections) as f64;
    one("apyfal_connections", "gauge", "Open connections of clients.", connections);
    let requests = count(&host.metrics.requests) as f64;
    one("apyfal_requests_total", "counter", "Requests of clients.", requests);
    let (used, quota) = (host.scratch.used() as f64, host.scratch.quota() as f64);
    one("apyfal_scratch_bytes", "gauge", "Bytes of disk space that results take.", used);
    one("apyfal_scratch_quota_bytes", "gauge", "Bytes that they may take.", quota);
    let failing = f64::from(u8::from(host.journal.failure().is_some()));
    one("apyfal_journal_failing", "gauge", "1 while the journal cannot be written.", failing);
    if let Some(bytes) = resident() {
        let help = "Memory of the process that is not swapped out.";
        one("process_resident_memory_bytes", "gauge", help, bytes as f64);
    }
    text.metric("apyfal_refusals_total", "counter", "Requests answered with an error, by kind.");
    for (kind, number) in host.metrics.refusals.all() {
        text.value("apyfal_refusals_total", &[("kind", kind)], number as f64);
    }
}

/// What was done, runs and waits, by accelerator.
fn jobs(host: &Host, text: &mut Exposition) {
    let load = host.agent.load();
    let name = "apyfal_jobs_total";
    text.metric(name, "counter", "Jobs that ended, by accelerator and outcome.");
    for engine in &load.accelerators {
        let counters = host.metrics.of(&engine.name);
        for (outcome, number) in [
            (v2::JobState::Done, &counters.done),
            (v2::JobState::Failed, &counters.failed),
            (v2::JobState::Cancelled, &counters.cancelled),
        ] {
            let labels = [("accelerator", &*engine.name), ("outcome", outcome.as_str())];
            text.value(name, &labels, count(number) as f64);
        }
    }
    type Bytes = fn(&Counters) -> &AtomicU64;
    let read: Bytes = |counters| &counters.read;
    let written: Bytes = |counters| &counters.written;
    for (name, help, bytes) in [
        ("apyfal_read_bytes_total", "Bytes that jobs read which ended.", read),
        ("apyfal_written_bytes_total", "Bytes that jobs wrote which ended.", written),
    ] {
        text.metric(name, "counter", help);
        for engine in &load.accelerators {
            let counters = host.metrics.of(&engine.name);
            let bytes = count(bytes(&counters)) as f64;
            text.value(name, &[("accelerator", &engine.name)], bytes);
        }
    }
    type Figure = fn(&AcceleratorLoad) -> usize;
    let slots: Figure = |engine| engine.slots;
    let running: Figure = |engine| engine.running;
    let waiting: Figure = |engine| engine.waiting;
    for (name, help, figure) in [
        ("apyfal_slots", "Jobs of an accelerator that may run at once.", slots),
        ("apyfal_jobs_running", "Jobs that hold a slot.", running),
        ("apyfal_jobs_waiting", "Jobs that wait for a slot.", waiting),
    ] {
        text.metric(name, "gauge", help);
        for engine in &load.accelerators {
            text.value(name, &[("accelerator", &engine.name)], figure(engine) as f64);
        }
    }
    text.metric("apyfal_failures_total", "counter", "Jobs that failed, by the kind of error.");
    for (kind, number) in host.metrics.failures.all() {
        text.value("apyfal_failures_total", &[("kind", kind)], number as f64);
    }
}
