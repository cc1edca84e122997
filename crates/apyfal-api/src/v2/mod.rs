//! REST v2.
//!
//! | method and path | does |
//! | --- | --- |
//! | `GET /v2/host` | what the host is: versions, accelerators, limits |
//! | `GET /v2/lease`, `POST /v2/lease?seconds=S` | how long the host lives on; lets it live longer |
//! | `GET /v2/accelerators`, `/v2/accelerators/{name}` | what it runs, and which parameters that takes |
//! | `POST /v2/sessions` | opens a session |
//! | `GET /v2/sessions`, `GET`, `DELETE /v2/sessions/{id}` | lists, tells of, ends sessions |
//! | `POST /v2/sessions/{id}/jobs` | runs or submits a job |
//! | `POST /v2/run/{accelerator}` | opens a session, runs one job, ends the session |
//! | `GET /v2/jobs`, `GET`, `DELETE /v2/jobs/{id}` | lists, tells of (with `?wait=SECONDS`: once it ended), cancels and forgets jobs |
//! | `GET /v2/jobs/{id}/result` | the result of a job that was kept; understands `Range` |
//! | `GET /v2/jobs/{id}/events` | progress as server-sent events |
//! | `GET /v2/logs` | what the agent and the jobs said |
//! | `GET /v2/tokens`, `POST /v2/tokens?name=NAME`, `DELETE /v2/tokens/{name}` | lists, makes and revokes tokens beside the host's own |
//! | `POST /v2/first-contact` | gives a new host what is its own; it serves nothing else until then |
//! | `GET /v2/openapi.json` | [`DESCRIPTION`] |
//!
//! A request that opens a session or runs a job has two parts: the request itself, a
//! [`StartRequest`] or [`JobRequest`], and data. They come in one of three forms:
//!
//! * a body of type `application/json` is the request, and there is no data;
//! * in a body of type `multipart/form-data` the part `request` is the request, and the part `data`,
//!   the last one, the data;
//! * any other body is the data, and the header [`REQUEST`] has the request.

mod accelerator;
mod first_contact;
mod host;
mod job;
mod lease;
mod log;
mod overview;
mod report;
mod session;
mod token;

pub use accelerator::{Accelerator, Engine, Parameter, ParameterType};
pub use first_contact::FirstContact;
pub use host::{Host, VERSION};
pub use job::{Job, JobRequest, JobState, Jobs, Mode, Progress};
pub use lease::{Lease, LeaseExtension};
pub use log::{LogLine, Logs};
pub use overview::{AcceleratorLoad, History, HistoryPoint, LiveJob, Overview};
pub use report::Report;
pub use session::{Session, Sessions, StartRequest};
pub use token::{NewToken, Token, TokenRequest, Tokens};

/// What is served, as an OpenAPI 3.1 document.
pub const DESCRIPTION: &str = include_str!("../../../../openapi/v2.json");

/// The header with a [`StartRequest`] or [`JobRequest`] as JSON. Characters outside of ASCII are
/// escaped (`\u00e9`).
pub const REQUEST: &str = "apyfal-request";
/// The header of an answer with the id of its job.
pub const JOB: &str = "apyfal-job";
/// The header or trailer with the [`Report`] of a job whose result is the body. A report that is
/// too long for it is left out, as trailers may be on the way: it is to be asked for as
/// `GET /v2/jobs/{id}`.
pub const REPORT: &str = "apyfal-report";
/// The trailer with the [`WireError`](crate::WireError) of a job that failed after its result had
/// begun. It is sent to clients that take trailers (`TE: trailers`); for others the connection
/// breaks off.
pub const ERROR: &str = "apyfal-error";
/// The header with the version of the protocol, in requests and answers.
pub const PROTOCOL: &str = "apyfal-protocol";
/// The longest JSON that is put into a header or trailer, in bytes. Proxies have 4 KiB for all
/// headers of an answer, if nobody gave them more.
pub const HEADER_LIMIT: usize = 3 << 10;

/// JSON as the value of a header: ASCII alone.
pub fn header_json<T: serde::Serialize>(value: &T) -> Result<String, serde_json::Error> {
    // As long as most are.
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, value)?;
    let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
    if text.is_ascii() {
        return Ok(text);
    }
    let mut ascii = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            // Outside of ASCII JSON has nothing but text, where such escapes are allowed.
            for unit in c.encode_utf16(&mut units) {
                ascii += &format!("\\u{unit:04x}");
            }
        }
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_ascii_and_read_back_equal() {
        let value = serde_json::json!({"name": "é😀\n\"", "n": 1});
        let text = header_json(&value).unwrap();
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
