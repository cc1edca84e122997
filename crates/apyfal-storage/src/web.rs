//! Web servers, read only.
//!
//! The first request asks for the first part. A server that answers with a part, as
//! [RFC 9110, section 14](https://www.rfc-editor.org/rfc/rfc9110#name-range-requests) describes,
//! gives the rest in parallel parts, each of which is taken up where it broke off. Every part must be
//! of the version of the first: it is asked for on that condition, and since not every server looks at
//! conditions, what the answer tells of itself is compared too. One that answers with everything is
//! read from start to end.

use std::time::{Duration, Instant};

use apyfal_core::{Error, ErrorKind, Input, Patience, Result, causes, root_cause};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use opendal::Buffer;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url};

use crate::bridge::StreamReader;
use crate::error::CHANGED;
use crate::guard::refusal_in;
use crate::location::Location;
use crate::object::{FIRST_PAUSE, PARALLEL, PART, RETRIES};
use crate::transport::Transport;
use crate::version::Version;

/// Opens what a URL names.
pub(crate) async fn open(transport: &Transport, url: &Url) -> Result<Input> {
    let server = Server { transport: transport.clone(), url: url.clone(), version: None };
    let (first, begun) = server.begin().await?;
    let (len, stream): (_, Box<dyn Stream<Item = Result<Buffer>> + Send + Unpin>) = match begun {
        Begun::Parts(version) => {
            let total = version.len;
            let server = Server { version: Some(version), ..server };
            (Some(total), Box::new(Box::pin(server.parts(first, total))))
        }
        Begun::Whole(len) => (len, Box::new(Box::pin(server.whole(first)))),
    };
    let input = Input::stream(StreamReader::new(stream));
    Ok(match len {
        Some(len) => input.with_len(len),
        None => input,
    })
}

/// The length and version of what a URL names, where the server tells them; an error if there is
/// nothing.
pub(crate) async fn stat(
    transport: &Transport,
    url: &Url,
) -> Result<(Option<u64>, Option<String>)> {
    let server = Server { transport: transport.clone(), url: url.clone(), version: None };
    let (first, begun) = server.begin().await?;
    let (len, version) = match begun {
        Begun::Parts(version) => (Some(version.len), version),
        Begun::Whole(len) => (len, version(first.headers(), len.unwrap_or_default())),
    };
    Ok((len, version.text()))
}

/// How a file comes, of which the first answer is there.
enum Begun {
    /// In parts of this version.
    Parts(Version),
    /// As a whole, of this length.
    Whole(Option<u64>),
}

enum Ranged {
    Part { start: u64, version: Version },
    Whole { len: Option<u64> },
    NotSatisfiable,
    Refused,
}

impl Ranged {
    fn of(response: &Response) -> Self {
        match response.status() {
            StatusCode::PARTIAL_CONTENT => match content_range(response.headers()) {
                Some((start, len)) => {
                    Self::Part { start, version: version(response.headers(), len) }
                }
                // Without a total there is nothing to plan with.
                None => Self::NotSatisfiable,
            },
            StatusCode::OK => Self::Whole { len: response.content_length() },
            StatusCode::RANGE_NOT_SATISFIABLE => Self::NotSatisfiable,
            _ => Self::Refused,
        }
    }
}

/// `bytes 0-9/100` as its start and total.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()?))
}

fn version(headers: &HeaderMap, len: u64) -> Version {
    let text = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Version { etag: text(header::ETAG), modified: text(header::LAST_MODIFIED), len }
}

struct Server {
    transport: Transport,
    url: Url,
    /// The version that every part must be of.
    version: Option<Version>,
}

impl Server {
    /// Asks for the first part, and tells how the rest comes.
    async fn begin(&self) -> Result<(Response, Begun)> {
        let first = self.request_patiently(Some((0, PART as u64))).await?;
        match Ranged::of(&first) {
            Ranged::Part { start: 0, version } => Ok((first, Begun::Parts(version))),
            Ranged::Part { .. } => {
                let why = "it answered with another part than it was asked for";
                Err(self.error(ErrorKind::Storage, why))
            }
            Ranged::Whole { len } => Ok((first, Begun::Whole(len))),
            Ranged::NotSatisfiable => {
                // An empty file has no first byte. Servers say so, but not all mean it.
                let whole = self.request_patiently(None).await?;
                match Ranged::of(&whole) {
                    Ranged::Whole { len } => Ok((whole, Begun::Whole(len))),
                    _ => Err(self.refused(&whole)),
                }
            }
            Ranged::Refused => Err(self.refused(&first)),
        }
    }

    /// The parts of a file in order, beginning with one that is already being answered.
    fn parts(self, first: Response, total: u64) -> impl Stream<Item = Result<Buffer>> + Send {
        let server = std::sync::Arc::new(self);
        let mut first = Some(first);
        let starts = (0..total).step_by(PART);
        stream::iter(starts)
            .map(move |start| {
                let server = server.clone();
                let answer = first.take();
                let end = total.min(start + PART as u64);
                async move { server.part(start, end, answer).await.map(Buffer::from) }
            })
            .buffered(PARALLEL)
    }

    /// One part, taken up where it broke off for as long as each try brings some of it.
    async fn part(&self, start: u64, end: u64, mut answer: Option<Response>) -> Result<Vec<u8>> {
        let len = (end - start) as usize;
        let mut data = Vec::with_capacity(len);
        let mut pauses = pauses();
        // Of all tries together: one that brings a byte would begin anew.
        let mut patience = self.patience();
        loop {
            let before = data.len();
            let from = start + before as u64;
            let taken = answer.take();
            let outcome = async {
                let response = match taken {
                    Some(response) => response,
                    None => {
                        let asked = self.request(Some((from, end)));
                        self.awaited(&mut patience, asked, |_| 0).await??
                    }
                };
                match Ranged::of(&response) {
                    Ranged::Part { version, .. }
                        if self.version.as_ref().is_some_and(|first| !first.is(&version)) =>
                    {
                        return Err(self.changed());
                    }
                    Ranged::Part { start, .. } if start == from => {}
                    // What was longer is shorter now.
                    Ranged::NotSatisfiable
                        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE =>
                    {
                        return Err(self.changed());
                    }
                    Ranged::Part { .. } | Ranged::Whole { .. } => {
                        return Err(self.error(
                            ErrorKind::Storage,
                            "the server answered with another part than it was asked for",
                        ));
                    }
                    _ => return Err(self.refused(&response)),
                }
                let mut body = response.bytes_stream();
                while let Some(chunk) = self.awaited(&mut patience, body.next(), piece).await? {
                    let chunk = chunk.map_err(|error| {
                        let error = self.broken(error);
                        // One that fell silent after it sent something is asked once more.
                        if data.len() > before { error.retryable() } else { error }
                    })?;
                    let room = len - data.len();
                    data.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                match data.len() == len {
                    true => Ok(()),
                    false => {
                        Err(self.error(ErrorKind::Storage, "the answer ended early").retryable())
                    }
                }
            }
            .await;
            match outcome {
                Ok(()) => return Ok(data),
                Err(error) if error.is_retryable() => {
                    if data.len() > before {
                        pauses = self::pauses();
                    }
                    let Some(pause) = pauses.next() else { return Err(error) };
                    self.awaited(&mut patience, tokio::time::sleep(pause), |()| 0).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A whole file from start to end. Where it breaks off there is no way to take it up again.
    fn whole(self, response: Response) -> impl Stream<Item = Result<Buffer>> + Send {
        let (body, patience) = (response.bytes_stream(), self.patience());
        stream::unfold((self, body, patience), |(server, mut body, mut patience)| async move {
            let chunk = match server.awaited(&mut patience, body.next(), piece).await {
                Ok(chunk) => chunk?.map(Buffer::from).map_err(|error| {
                    server
                        .broken(error)
                        .hint("the server gives no parts, so the transfer must start again")
                }),
                Err(error) => Err(error),
            };
            Some((chunk, (server, body, patience)))
        })
    }

    fn patience(&self) -> Option<Patience> {
        self.transport.patience().map(Patience::reading)
    }

    /// What the server has us wait for, of so many bytes.
    ///
    /// # Errors
    /// It took too long for too little.
    async fn awaited<T>(
        &self,
        patience: &mut Option<Patience>,
        coming: impl Future<Output = T>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Result<T> {
        let Some(patience) = patience else { return Ok(coming.await) };
        let (begin, left) = (Instant::now(), patience.left());
        let Ok(came) = tokio::time::timeout(left, coming).await else {
            let why = format!("the server {}", patience.shortfall());
            return Err(self
                .error(ErrorKind::Storage, &why)
                .hint("a job must not wait for its data: copy it to a server that is quicker")
                .hint("or raise client_timeout of the host"));
        };
        // What nobody looked at for longer may have been there all the time.
        let waited = Some(begin.elapsed()).filter(|waited| *waited < left).unwrap_or_default();
        patience.waited(waited, bytes(&came) as u64)?;
        Ok(came)
    }

    async fn request_patiently(&self, range: Option<(u64, u64)>) -> Result<Response> {
        let mut pauses = pauses();
        loop {
            let outcome = match self.request(range).await {
                Ok(response) if is_transient(response.status()) => Err(self.refused(&response)),
                outcome => outcome,
            };
            match outcome {
                Err(error) if error.is_retryable() => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
                outcome => return outcome,
            }
        }
    }

    async fn request(&self, range: Option<(u64, u64)>) -> Result<Response> {
        let request = self.transport.get(self.url.clone());
        let mut request = request.map_err(|error| error.operation(self.operation()))?;
        // The length and the parts of a file are those of its own bytes, not of a compressed form.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if let Some((start, end)) = range {
            request = request.header(header::RANGE, format!("bytes={start}-{}", end - 1));
        }
        if let Some(version) = &self.version {
            // A tag without quotes is none; servers that send one are compared alone.
            let quoted = version.strong_tag().filter(|tag| tag.starts_with('"'));
            request = match (quoted, &version.modified) {
                (Some(tag), _) => request.header(header::IF_MATCH, tag),
                (None, Some(date)) => request.header(header::IF_UNMODIFIED_SINCE, date),
                (None, None) => request,
            };
        }
        request.send().await.map_err(|error| self.broken(error))
    }

    fn refused(&self, response: &Response) -> Error {
        let status = response.status();
        let said = format!("the server answered {status}").to_lowercase();
        match status.as_u16() {
            404 | 410 => self.error(ErrorKind::StorageNotFound, "it does not exist"),
            407 => self
                .transport
                .explain(self.error(ErrorKind::StorageAuthentication, &said), &self.url)
                .hint("name the proxy with its password: http://user:password@proxy.example:3128"),
            401 | 403 => self
                .error(ErrorKind::StorageAuthentication, &said)
                .hint("give credentials in the URL: https://user:password@server/path"),
            412 => self.changed(),
            _ if is_transient(status) => {
                let error = self.error(ErrorKind::Storage, &said).retryable();
                self.transport.explain(error, &self.url)
            }
            _ => self.error(ErrorKind::Storage, &said),
        }
    }

    fn changed(&self) -> Error {
        self.error(ErrorKind::Storage, CHANGED).hint("begin again when nobody writes to it")
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        if let Some(refusal) = refusal_in(&error) {
            return refusal.operation(self.operation());
        }
        if let Some(mismatch) = apyfal_tls::mismatch_from(&error) {
            return mismatch
                .without_operation()
                .without_hints()
                .operation(self.operation())
                .hint("if it was so, somebody may be in between: look at the server itself first");
        }
        let silence = self.transport.silence();
        // A server that does not listen at all is another thing, and refuses quickly.
        let is_silent = error.is_timeout() && !error.is_connect();
        let reason = match is_silent {
            true => format!("the server sent nothing for {} s", silence.as_secs_f64()),
            false => root_cause(&error),
        };
        // To wait as long again, and again, would seem to be for ever.
        let permanent = is_silent || error.is_builder() || error.is_redirect() || distrusts(&error);
        let mapped = self.error(ErrorKind::Storage, &reason).source(error);
        let mapped = self.transport.explain(mapped, &self.url);
        if permanent { mapped } else { mapped.retryable() }
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).operation(self.operation())
    }

    fn operation(&self) -> String {
        format!("read '{}'", Location::Http(self.url.clone()))
    }
}

/// How long a piece of an answer is.
fn piece(piece: &Option<reqwest::Result<Bytes>>) -> usize {
    piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, Bytes::len)
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(RETRIES)
        .with_jitter()
        .build()
}

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Whether the server's certificate was refused, which asking again does not change.
fn distrusts(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

#[cfg(test)]
mod tests;
