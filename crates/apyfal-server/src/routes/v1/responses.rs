//! Sessions and jobs as this protocol tells of them.

use apyfal_api::v1;
use apyfal_api::v2::{self, JobState};
use apyfal_core::{Error, ErrorKind, mask, unix_time};
use serde_json::{Value, json};

use super::route::Route;
use super::state::Sent;
use crate::history::wire_job;
use crate::journal::{JobRecord, SessionRecord};

/// An open or ended session.
pub(super) fn configuration(route: &Route, record: SessionRecord) -> v1::Configuration {
    let SessionRecord { number, mut parameters, source, created, report, ended, .. } = record;
    mask(&mut parameters);
    v1::Configuration {
        id: number,
        url: route.configuration(number),
        parameters,
        datafile: source,
        used: ended.is_none(),
        created: v1::date(created),
        processed: true,
        processed_date: Some(v1::date(created)),
        inerror: false,
        errorcode: 0,
        parametersresult: v1::success(&report.unwrap_or_default().into()),
    }
}

/// A start that failed.
pub(super) fn failed_start(
    route: &Route,
    number: u64,
    parameters: Option<Value>,
    datafile: Option<String>,
    created: f64,
    error: &Error,
) -> v1::Configuration {
    v1::Configuration {
        id: number,
        url: route.configuration(number),
        parameters: shown(parameters),
        datafile,
        used: false,
        created: v1::date(created),
        processed: true,
        processed_date: Some(v1::date(unix_time().as_secs_f64())),
        inerror: false,
        errorcode: apyfal_api::status(error.kind()),
        parametersresult: v1::failure(error),
    }
}

/// Parameters as they are shown: an object without secrets, whatever was sent.
pub(super) fn shown(parameters: Option<Value>) -> Value {
    let mut parameters = parameters.filter(Value::is_object).unwrap_or_else(|| json!({}));
    mask(&mut parameters);
    parameters
}

/// A job, from what it was sent with and how far it is.
pub(super) fn process(route: &Route, number: u64, sent: Sent, job: v2::Job) -> v1::Process {
    let Sent { configuration, parameters, datafile } = sent;
    let (errorcode, parametersresult) = match job.state {
        JobState::Waiting | JobState::Running => (0, json!({})),
        JobState::Done => (0, v1::success(&job.report.unwrap_or_default().into())),
        state => {
            let error = job.error.map_or_else(|| ended_early(state), Error::from);
            (apyfal_api::status(error.kind()), v1::failure(&error))
        }
    };
    v1::Process {
        id: number,
        url: route.process(number),
        configuration: route.configuration(configuration),
        parameters,
        datafile,
        datafileresult: job.result.map(|_| route.result(number)),
        processed: job.state.is_final(),
        processed_date: job.ended.map(v1::date),
        inerror: false,
        errorcode,
        parametersresult,
    }
}

/// A job that only the journal knows.
pub(super) fn recorded(route: &Route, mut record: JobRecord) -> v1::Process {
    let number = record.number;
    let sent = serde_json::from_value(record.request.take()).unwrap_or_default();
    process(route, number, sent, wire_job(record))
}

fn ended_early(state: JobState) -> Error {
    match state {
        JobState::Interrupted => {
            Error::new(ErrorKind::Unavailable, "the host's agent ended while it waited or ran")
                .hint("run it again")
        }
        _ => Error::cancelled(),
    }
}
