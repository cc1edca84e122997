//! An object store in memory that speaks as much of the API of S3 as copying tools do. It takes
//! any credentials, so that what a run takes is the tools' own time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use crate::peer_server::{self, Pieces, pieces_of};

const SOME_TIME: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
/// The parts of an upload, by their numbers.
type Parts = BTreeMap<u32, Vec<Bytes>>;

#[derive(Default)]
struct Store {
    objects: HashMap<String, Vec<Bytes>>,
    uploads: HashMap<String, Parts>,
    count: u64,
}

/// Serves until the process ends; says where on standard error.
pub(crate) fn run() -> Result<()> {
    let store = Arc::new(Mutex::new(Store::default()));
    peer_server::run(move |request| answer(store.clone(), request))
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(store: Arc<Mutex<Store>>, request: Request<Incoming>) -> Result<Response<Pieces>> {
    let (parts, body) = request.into_parts();
    let key = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default();
    let asked = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let encoding = parts.headers.get("x-amz-content-sha256");
    let is_plain = encoding.is_none_or(|encoding| !encoding.as_bytes().starts_with(b"STREAMING"));
    ensure!(is_plain, "pieces that are signed each are not understood");
    let data = pieces_of(body).await?;
    let mut store = lock(&store);
    match (parts.method, asked("uploadId"), asked("partNumber")) {
        (Method::PUT, Some(upload), Some(number)) => {
            let upload = store.uploads.get_mut(&upload).context("no such upload")?;
            upload.insert(number.parse()?, data);
            Ok(tagged(Response::new(Pieces::default())))
        }
        (Method::POST, Some(upload), _) => {
            let parts = store.uploads.remove(&upload).context("no such upload")?;
            store.objects.insert(key, parts.into_values().flatten().collect());
            Ok(xml("<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>".into()))
        }
        (Method::POST, None, _) => {
            store.count += 1;
            let id = store.count;
            store.uploads.insert(id.to_string(), Parts::new());
            Ok(xml(format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            )))
        }
        (Method::DELETE, upload, _) => {
            match upload {
                Some(upload) => drop(store.uploads.remove(&upload)),
                None => drop(store.objects.remove(&key)),
            }
            let mut response = Response::new(Pieces::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        (Method::PUT, ..) => {
            store.objects.insert(key, data);
            Ok(tagged(Response::new(Pieces::default())))
        }
        (method, ..) => match store.objects.get(&key) {
            Some(object) => object_answer(object, &parts.headers, method == Method::HEAD),
            None => {
                let mut response = Response::new(Pieces::default());
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
        },
    }
}

/// An object, or the range of it that is asked for.
fn object_answer(object: &[Bytes], headers: &HeaderMap, head: bool) -> Result<Response<Pieces>> {
    let len: usize = object.iter().map(Bytes::len).sum();
    let range = headers.get(RANGE).map(|range| range.to_str()).transpose()?;
    let (start, end) = match range.and_then(|range| range.strip_prefix("bytes=")) {
        Some(range) => {
            let (start, end) = range.split_once('-').context("a range without an end")?;
            (start.parse()?, end.parse().map_or(len, |last: usize| len.min(last + 1)))
        }
        None => (0, len),
    };
    ensure!(start <= end, "a range that is none");
    let answer = if head { Pieces::default() } else { Pieces::new(cut(object, start, end)) };
    let mut response = tagged(Response::new(answer));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, (end - start).into());
    headers.insert(ACCEPT_RANGES, "bytes".parse()?);
    headers.insert(LAST_MODIFIED, SOME_TIME.parse()?);
    if range.is_some() {
        headers.insert(CONTENT_RANGE, format!("bytes {start}-{}/{len}", end - 1).parse()?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// What lies between two places, without copying it.
fn cut(object: &[Bytes], start: usize, end: usize) -> Vec<Bytes> {
    let mut at = 0;
    let pieces = object.iter().map(|piece| {
        let begin = start.clamp(at, at + piece.len()) - at;
        let stop = end.clamp(at, at + piece.len()) - at;
        at += piece.len();
        piece.slice(begin..stop)
    });
    pieces.collect()
}

fn tagged(mut response: Response<Pieces>) -> Response<Pieces> {
    response.headers_mut().insert(ETAG, hyper::header::HeaderValue::from_static("\"tag\""));
    response
}

fn xml(text: String) -> Response<Pieces> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}");
    Response::new(Pieces::new(vec![text.into()]))
}
