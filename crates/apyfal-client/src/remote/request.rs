//! What is sent to run a job or to open a session.

use apyfal_api::v2::{self, HEADER_LIMIT, header_json};
use apyfal_core::{Error, ErrorKind, JobParameters};
use http::{HeaderValue, Method, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::body::SendBody;
use super::connection::{Ask, Connections};
use super::failure::Failure;
use super::random_id;
use super::source::Source;

/// The request that runs a job or opens a session, in the form that its length asks for.
pub(super) async fn ask<T: Serialize>(
    connections: &Connections,
    path: String,
    request: &T,
    source: &Source,
) -> Result<Ask, Failure> {
    let text = header_json(request).map_err(|error| {
        Error::new(ErrorKind::Internal, error.to_string()).operation("write the request")
    })?;
    let mut ask = Ask::new(Method::POST, path);
    if source.is_stream() {
        // Nothing of it is read before there is somebody to send it to.
        connections.open_for(&mut ask).await?;
    }
    let body = source.body()?;
    let content_type = if text.len() <= HEADER_LIMIT {
        let text = HeaderValue::try_from(text).map_err(|error| {
            Error::new(ErrorKind::Internal, error.to_string()).operation("write the request")
        })?;
        ask.headers.insert(v2::REQUEST, text);
        if body.is_empty() {
            // Without it, hosts would have to read on to know that nothing comes.
            ask.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        }
        ask.body = body;
        "application/octet-stream".to_owned()
    } else if body.is_there() {
        let boundary = random_id();
        ask.body = body.between(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{text}\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n"
            ),
            format!("\r\n--{boundary}--\r\n"),
        );
        format!("multipart/form-data; boundary={boundary}")
    } else {
        ask.body = SendBody::whole(text);
        "application/json".to_owned()
    };
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        ask.headers.insert(header::CONTENT_TYPE, content_type);
    }
    Ok(ask)
}

/// Parameters in the shape of the original, without what was not set.
pub(super) fn parameters(parameters: &JobParameters) -> Value {
    let JobParameters { specific, engine, compare, reset, reload, logging, env, unread: _ } =
        parameters;
    let mut app = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            app.insert(key.to_owned(), value);
        }
    };
    set("specific", (!specific.is_empty()).then(|| specific.clone().into()));
    set("engine", engine.clone().map(Value::from));
    set("enable-sw-comparison", compare.then(|| 1.into()));
    set("reset", reset.map(Value::from));
    set("reload", reload.map(Value::from));
    set("logging", logging.clone());
    let mut root = Map::new();
    if !app.is_empty() {
        root.insert("app".to_owned(), app.into());
    }
    if !env.is_empty() {
        root.insert("env".to_owned(), json!(env));
    }
    if root.is_empty() { Value::Null } else { root.into() }
}
