//! A host of REST v1.0 that does nothing, to compare a host with: its answers are made beforehand,
//! and the result of a job is the data that came with it, as it lies in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::peer_server::{self, Pieces, pieces_of};

/// What stands at the end of the headers of the data.
const DATA: &[u8] = b"name=\"datafile\"";
const END: &[u8] = b"\r\n\r\n";

#[derive(Default)]
struct Host {
    next: AtomicU64,
    data: Mutex<HashMap<u64, Vec<Bytes>>>,
}

/// Serves until the process ends; says where on standard error.
pub(crate) fn run() -> Result<()> {
    let host = Arc::new(Host::default());
    peer_server::run(move |request| {
        let host = host.clone();
        async move { host.answer(request).await }
    })
}

impl Host {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Pieces>> {
        let at = request.headers().get(HOST).context("no host")?.to_str()?;
        let root = format!("http://{at}/v1.0");
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let words: Vec<_> = path.trim_start_matches("/v1.0").split('/').skip(1).collect();
        let id = words.get(1).and_then(|id| id.parse().ok());
        let data = || self.data.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method(), words.as_slice()) {
            (&Method::POST, ["process"]) => {
                let id = self.next.fetch_add(1, Ordering::Relaxed);
                let kept = data_of(request).await?;
                data().insert(id, kept);
                Ok(process(&root, id))
            }
            (&Method::GET, ["process", _]) => Ok(process(&root, id.context("no id")?)),
            (&Method::GET, ["process", _, "datafileresult"]) => {
                let kept = data().get(&id.context("no id")?).cloned();
                Ok(typed("application/octet-stream", kept.context("no such process")?))
            }
            (&Method::DELETE, ["process", _]) => {
                data().remove(&id.context("no id")?);
                let mut response = Response::new(Pieces::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            (method, _) => {
                if method == Method::POST {
                    pieces_of(request.into_body()).await?;
                }
                Ok(configuration(&root))
            }
        }
    }
}

/// The bytes of a form's last part, which is the data, without copying them.
async fn data_of(request: Request<Incoming>) -> Result<Vec<Bytes>> {
    let kind = request.headers().get(CONTENT_TYPE).context("no type")?.to_str()?;
    let (_, boundary) = kind.split_once("boundary=").context("no boundary")?;
    let end = boundary.len() + "\r\n----\r\n".len();
    let len = request.body().size_hint().exact().context("no length")? as usize;
    let mut pieces = pieces_of(request.into_body()).await?;
    let (mut head, mut count) = (Vec::new(), 0);
    let start = loop {
        if let Some(start) = start_of_data(&head) {
            break start;
        }
        head.extend_from_slice(pieces.get(count).context("no data in the form")?);
        count += 1;
    };
    let mut left = len.checked_sub(start + end).context("a form that is cut off")?;
    let begun = Bytes::from(head.split_off(start));
    pieces.splice(..count, [begun]);
    for piece in &mut pieces {
        piece.truncate(left);
        left -= piece.len();
    }
    Ok(pieces)
}

fn start_of_data(head: &[u8]) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        let at = head[from..].windows(what.len()).position(|window| window == what)?;
        Some(from + at + what.len())
    };
    find(find(0, DATA)?, END)
}

fn configuration(root: &str) -> Response<Pieces> {
    json(format!(
        r#"{{"id":1,"url":"{root}/configuration/1","inerror":false,"processed":true,"used":true,"errorcode":0,"parametersresult":{{"app":{{"status":0,"msg":"","specific":{{}}}}}}}}"#
    ))
}

fn process(root: &str, id: u64) -> Response<Pieces> {
    json(format!(
        r#"{{"id":{id},"url":"{root}/process/{id}","inerror":false,"processed":true,"errorcode":0,"datafileresult":"{root}/process/{id}/datafileresult","parametersresult":{{"app":{{"status":0,"msg":"","specific":{{}}}}}}}}"#
    ))
}

fn json(text: String) -> Response<Pieces> {
    typed("application/json", vec![text.into()])
}

fn typed(kind: &'static str, pieces: Vec<Bytes>) -> Response<Pieces> {
    let mut response = Response::new(Pieces::new(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
