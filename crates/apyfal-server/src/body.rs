//! Requests that carry data: what is the request, and what is the data.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use apyfal_api::v2;
use apyfal_core::{Error, ErrorKind, Input, Result, one_line, shorten};
use axum::body::{Body, BodyDataStream};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use crate::coding;
use crate::digest::{Digest, Digesting, check_told};
use crate::multipart::Form;
use crate::sending::Sending;
use crate::settings::{JSON_DEPTH, REQUEST_LIMIT};

/// How much of a body is read and thrown away once nobody wants it, so that clients that read
/// nothing before they have sent everything see the answer.
const DRAIN: usize = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The data of a request. Where it is dropped before its end, the rest is read and thrown away.
pub(crate) struct Data {
    coming: Coming,
    /// Its length in bytes, where the client told it.
    pub(crate) len: Option<u64>,
}

/// Data as it comes in.
struct Coming {
    pieces: Pieces,
    len: Option<u64>,
    /// How much of it was taken, in bytes.
    taken: u64,
    has_ended: bool,
    digesting: Option<Box<Digesting>>,
    /// What its client told of it.
    told: Option<Digest>,
    complete: Option<Complete>,
    /// The client, where it must not be too slow.
    sending: Option<Sending>,
}

/// The pieces of data as they come in.
enum Pieces {
    /// All that is sent.
    Body(BodyDataStream),
    /// What is found within.
    Part(BoxStream<'static, Result<Bytes>>),
}

impl Pieces {
    fn none() -> Self {
        Self::Part(futures::stream::empty().boxed())
    }
}

/// Whether all that comes of the data has come in, and the digest of the whole where that is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complete(Arc<(OnceLock<Option<Digest>>, tokio::sync::Notify)>);

impl Complete {
    /// Of data that is in.
    pub(crate) fn with(digest: Digest) -> Self {
        let complete = Self::default();
        complete.set(Some(digest));
        complete
    }

    fn set(&self, digest: Option<Digest>) {
        if self.0.0.set(digest).is_ok() {
            self.0.1.notify_waiters();
        }
    }

    /// The digest, once it is there.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.0.0.get().copied().flatten()
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) -> Option<Digest> {
        let notified = self.0.1.notified();
        let mut notified = std::pin::pin!(notified);
        notified.as_mut().enable();
        if self.0.0.get().is_none() {
            notified.await;
        }
        self.digest()
    }
}

impl Data {
    fn new(pieces: Pieces, len: Option<u64>) -> Self {
        Self { coming: Coming::new(pieces, len), len }
    }

    /// No data at all.
    pub(crate) fn none() -> Self {
        Self::new(Pieces::none(), Some(0))
    }

    /// The body of a request.
    pub(crate) fn of_body(headers: &HeaderMap, body: Body) -> Self {
        let len = headers.get(header::CONTENT_LENGTH);
        let len = len.and_then(|len| len.to_str().ok()?.parse().ok());
        Self::new(Pieces::Body(body.into_data_stream()), len)
    }

    /// The same of a client that may keep us waiting for so long.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.coming.sending = Some(Sending::within(patience));
        self
    }

    /// Whether there may be any.
    pub(crate) fn is_there(&self) -> bool {
        self.len != Some(0)
    }

    /// Whether it is all that the request has as its body.
    pub(crate) fn is_body(&self) -> bool {
        matches!(self.coming.pieces, Pieces::Body(_))
    }

    /// To be waited for.
    pub(crate) fn complete(&mut self) -> Complete {
        self.coming.complete()
    }

    /// To be waited for with its digest.
    pub(crate) fn digested(&mut self) -> Complete {
        self.coming.digesting = Some(Box::default());
        self.coming.complete()
    }

    /// Its end is not let through where its digest is another one.
    pub(crate) fn expect(&mut self, told: Digest) {
        self.coming.told = Some(told);
    }

    /// Reads and throws away all of it.
    ///
    /// # Errors
    /// It does not come to its end.
    pub(crate) async fn pass(mut self) -> Result<()> {
        while let Some(piece) = self.next().await {
            piece?;
        }
        Ok(())
    }

    /// All of it, where that is no more than `limit` bytes; else itself again.
    pub(crate) async fn in_memory(
        mut self,
        limit: usize,
    ) -> Result<std::result::Result<Bytes, Self>> {
        if self.len.is_none_or(|len| len > limit as u64) {
            return Ok(Err(self));
        }
        let mut whole = Bytes::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if whole.is_empty() {
                // Mostly there is just one piece.
                whole = piece;
            } else {
                let mut joined = BytesMut::with_capacity(whole.len() + piece.len());
                joined.extend_from_slice(&whole);
                joined.extend_from_slice(&piece);
                whole = joined.freeze();
            }
        }
        Ok(Ok(whole))
    }

    /// The data as the input of a job, with the name that the client gave it.
    pub(crate) fn into_input(self, name: Option<&str>) -> Input {
        let len = self.len;
        let input = named(Input::stream(apyfal_storage::reader(self)), name);
        match len {
            Some(len) => input.with_len(len),
            None => input,
        }
    }

    /// Reads and throws away what is left, within bounds, as dropping it does.
    pub(crate) fn drain(self) {}
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.coming.has_ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut rest = std::mem::replace(&mut self.coming, Coming::new(Pieces::none(), Some(0)));
        runtime.spawn(tokio::time::timeout(DRAIN_TIME, async move {
            let mut left = DRAIN;
            while let Some(Ok(piece)) = rest.next().await {
                match left.checked_sub(piece.len()) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        }));
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Self::Body(body) => {
                let polled = body.poll_next_unpin(context);
                polled.map(|piece| piece.map(|piece| piece.map_err(|error| broken(&error))))
            }
            Self::Part(part) => part.poll_next_unpin(context),
        }
    }
}

impl Coming {
    fn new(pieces: Pieces, len: Option<u64>) -> Self {
        let (digesting, told, complete) = (None, None, None);
        let has_ended = len == Some(0);
        Self { pieces, len, taken: 0, has_ended, digesting, told, complete, sending: None }
    }

    fn complete(&mut self) -> Complete {
        let complete = self.complete.get_or_insert_default().clone();
        if self.has_ended {
            complete.set(self.digesting.take().map(|digesting| digesting.digest()));
        }
        complete
    }

    /// Tells that it is at its end; that is not to be let through where the data is not what was
    /// told.
    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        let digest = self.digesting.take().map(|digesting| digesting.digest());
        if let Some(complete) = &self.complete {
            complete.set(digest);
        }
        self.told.take().map_or(Ok(()), |told| check_told(told, digest))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(complete) = &self.complete {
            complete.set(None);
        }
    }
}

impl Stream for Coming {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.pieces.poll_next_unpin(context);
        if let Some(sending) = &mut self.sending {
            match &polled {
                Poll::Ready(Some(Ok(piece))) => sending.came(piece.len()),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    let late = sending.is_awaited(context);
                    polled = late.map(|error| Some(Err(error)));
                }
            }
        }
        match &polled {
            Poll::Ready(Some(Ok(piece))) => {
                self.taken += piece.len() as u64;
                if let Some(digesting) = &mut self.digesting {
                    digesting.update(piece);
                }
                // Of a known length nobody need ask for the end.
                if self.len == Some(self.taken)
                    && let Err(error) = self.end()
                {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Poll::Ready(None) if !self.has_ended => {
                if let Err(error) = self.end() {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Poll::Ready(Some(Err(_))) => {
                self.digesting = None;
                // What is wrong is told already.
                let _ = self.end();
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

impl Stream for Data {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.coming.poll_next_unpin(context)
    }
}

/// An input with the name that a client gave it: that of a file, and no way to one.
pub(crate) fn named(input: Input, name: Option<&str>) -> Input {
    match name.and_then(file_name) {
        Some(name) => input.with_name(name),
        None => input,
    }
}

/// What of a client's name can name a file.
pub(crate) fn file_name(name: &str) -> Option<&str> {
    let is_one = |name: &&str| name.len() <= 255 && !name.contains('\0');
    Path::new(name).file_name()?.to_str().filter(is_one)
}

/// A body that ended before its end.
pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    Error::new(ErrorKind::Cancelled, format!("the client broke off: {deepest}"))
        .operation("read the request")
}

/// Splits a request into what it asks for and its data, for which its client may keep us waiting for
/// so long at a time. See [`v2`] for the three forms.
///
/// # Errors
/// The request is not of the form. The body is drained then.
pub(crate) async fn split<Request: DeserializeOwned + Default>(
    parts: &Parts,
    body: Body,
    patience: Duration,
) -> Result<(Request, Data)> {
    let data = Data::of_body(&parts.headers, body).within(patience);
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let in_header = parts.headers.get(v2::REQUEST);
    if in_header.is_none() && media_type.eq_ignore_ascii_case("application/json") {
        let text = collect(data).await?;
        return Ok((read_json(&text)?, Data::none()));
    }
    let is_form = coding::is_form(&parts.headers);
    if in_header.is_none() && is_form {
        return split_multipart(content_type, data).await;
    }
    if is_form {
        data.drain();
        let why = format!("its body is a form, which cannot be with the header '{}'", v2::REQUEST);
        return Err(Error::new(ErrorKind::Usage, why)
            .operation("read the request")
            .hint("put the request into the form, as its part 'request' before the part 'data'")
            .hint("or send the data alone as the body"));
    }
    match in_header.map(|text| read_json(text.as_bytes())) {
        None => Ok((Request::default(), data)),
        Some(Ok(request)) => Ok((request, data)),
        Some(Err(error)) => {
            data.drain();
            Err(error)
        }
    }
}

/// A small body as a whole.
async fn collect(mut data: Data) -> Result<BytesMut> {
    let mut text = BytesMut::new();
    while let Some(piece) = data.next().await {
        let piece = piece?;
        if text.len() + piece.len() > REQUEST_LIMIT {
            data.drain();
            return Err(too_long());
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

fn too_long() -> Error {
    Error::new(ErrorKind::Usage, format!("it has more than {REQUEST_LIMIT} bytes"))
        .operation("read the request")
}

/// How much is shown of what is wrong with a request, in bytes: names in it may be of any length.
pub(crate) const SHOWN: usize = 1000;

/// Reads the JSON of a request, of a bounded depth.
pub(crate) fn read_json<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Usage, why)
            .operation("read the request")
            .hint("/v2/openapi.json describes what it may have")
    };
    if depth(text) > JSON_DEPTH {
        return Err(wrong(format!("its JSON is nested deeper than {JSON_DEPTH} levels")));
    }
    serde_json::from_slice(text).map_err(|error| wrong(one_line(error, SHOWN)))
}

/// How deep brackets are nested outside of texts.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

async fn split_multipart<Request: DeserializeOwned + Default>(
    content_type: &str,
    data: Data,
) -> Result<(Request, Data)> {
    let mut form = Form::new(content_type, data)?;
    match request_of(&mut form).await {
        Ok((request, true)) => {
            let stream = futures::stream::unfold(form, |mut form| async {
                match form.chunk().await {
                    Ok(Some(piece)) => Some((Ok(piece), form)),
                    Ok(None) => {
                        // What stands behind it must be in too before the answer begins.
                        while let Ok(Some(_)) = form.next().await {}
                        None
                    }
                    Err(error) => Some((Err(error), form)),
                }
            });
            Ok((request, Data::new(Pieces::Part(stream.boxed()), None)))
        }
        Ok((request, false)) => Ok((request, Data::none())),
        Err(error) => {
            form.into_rest().drain();
            Err(error)
        }
    }
}

/// What a form asks for, and whether its data follows.
async fn request_of<Request: DeserializeOwned + Default>(
    form: &mut Form<Data>,
) -> Result<(Request, bool)> {
    let mut request = None;
    while let Some(part) = form.next().await? {
        match part.name.as_deref() {
            Some("request") if request.is_none() => {
                let mut text = BytesMut::new();
                while let Some(piece) = form.chunk().await? {
                    if text.len() + piece.len() > REQUEST_LIMIT {
                        return Err(too_long());
                    }
                    text.extend_from_slice(&piece);
                }
                request = Some(read_json(&text)?);
            }
            Some("data") => return Ok((request.unwrap_or_default(), true)),
            name => {
                let name = name.unwrap_or_default();
                let why = format!("'{}' is not a part of it", shorten(name));
                return Err(Error::new(ErrorKind::Usage, why)
                    .operation("read the request")
                    .hint("it has the part 'request' and, after it, the part 'data'"));
            }
        }
    }
    Ok((request.unwrap_or_default(), false))
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth(br#"{"a": ["[[[", "\"[", {}]}"#), 3);
        assert_eq!(depth(b"]]]["), 1);
        let deep = "[".repeat(100_000);
        assert!(read_json::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[tokio::test]
    async fn the_three_forms_mean_the_same() {
        use apyfal_api::v2::JobRequest;
        use axum::http::Request;
        let split = |request: Request<Body>| async {
            let (parts, body) = request.into_parts();
            let (request, data) =
                super::split::<JobRequest>(&parts, body, Duration::MAX).await.unwrap();
            let data: Vec<Bytes> = data.try_collect().await.unwrap();
            (request.id, data.concat())
        };
        let json = r#"{"id": "x"}"#;
        let request = Request::builder().header("content-type", "application/json");
        assert_eq!(
            split(request.body(Body::from(json)).unwrap()).await,
            (Some("x".into()), vec![])
        );
        let request = Request::builder().header(v2::REQUEST, json);
        let request = request.body(Body::from("data")).unwrap();
        assert_eq!(split(request).await, (Some("x".into()), b"data".to_vec()));
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{json}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"data\"; filename=\"f\"\r\n\r\nda\r\nta\r\n--b--\r\n"
        );
        let request = Request::builder().header("content-type", "multipart/form-data; boundary=b");
        let request = request.body(Body::from(form)).unwrap();
        assert_eq!(split(request).await, (Some("x".into()), b"da\r\nta".to_vec()));
    }

    #[test]
    fn whatever_comes_in_is_refused_or_was_sent() {
        use apyfal_api::v2::JobRequest;
        const FRAGMENTS: [&str; 18] = [
            "--b\r\n",
            "\r\n--b\r\n",
            "\r\n--b--\r\n",
            "\r\n",
            "Content-Disposition: form-data; name=\"request\"\r\n\r\n",
            "Content-Disposition: form-data; name=\"data\"\r\n\r\n",
            "Content-Disposition: form-data; name=",
            "{\"parameters\": {\"app\": ",
            "{\"id\": \"x\", \"mode\": \"submit\"}",
            "{}",
            "}",
            "[[",
            "\"src\": \"s3://a/b\", ",
            "\"",
            "\\",
            "\0",
            "-1e999",
            "data",
        ];
        const TYPES: [&str; 3] =
            ["application/json", "multipart/form-data; boundary=b", "application/octet-stream"];
        let runtime = std::sync::LazyLock::new(|| {
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
        });
        let runtime = std::panic::AssertUnwindSafe(runtime);
        bolero::check!().with_iterations(5_000).with_type::<(u8, Vec<u8>)>().for_each(
            |(kind, bytes)| {
                let content_type = TYPES[usize::from(*kind) % TYPES.len()];
                let pieces =
                    bytes.iter().map(|byte| FRAGMENTS[usize::from(*byte) % FRAGMENTS.len()]);
                let sent: String = pieces.clone().collect();
                let pieces = pieces.map(|piece| Ok::<_, Error>(Bytes::from(piece)));
                let body = Body::from_stream(futures::stream::iter(pieces.collect::<Vec<_>>()));
                let request = axum::http::Request::builder().header("content-type", content_type);
                let (parts, body) = request.body(body).unwrap().into_parts();
                let received = runtime.block_on(async {
                    let (_, data) = split::<JobRequest>(&parts, body, Duration::MAX).await.ok()?;
                    data.try_collect::<Vec<_>>().await.ok().map(|pieces| pieces.concat())
                });
                if let Some(received) = received {
                    assert!(sent.contains(std::str::from_utf8(&received).unwrap()));
                }
            },
        );
    }
}
