//! Requests that carry data: what is the request, and what is the data.

use std::time::Duration;

use apyfal_api::v2;
use apyfal_core::{Error, ErrorKind, Result, one_line, shorten};
use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;
use bytes::BytesMut;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use crate::coding;
use crate::data::Data;
use crate::multipart::Form;
use crate::settings::{JSON_DEPTH, REQUEST_LIMIT};

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
        let text = Box::pin(collect(data)).await?;
        return Ok((read_json(&text)?, Data::none()));
    }
    let is_form = coding::is_form(&parts.headers);
    if in_header.is_none() && is_form {
        return Box::pin(split_multipart(content_type, data)).await;
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
    // A list would be read as the members of an object in their order.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(wrong("it is a list, and no object".to_owned()));
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
            Ok((request, Data::of_part(stream.boxed())))
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
    use bytes::Bytes;
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
                    let received = async {
                        let (_, data) =
                            split::<JobRequest>(&parts, body, Duration::MAX).await.ok()?;
                        data.try_collect::<Vec<_>>().await.ok().map(|pieces| pieces.concat())
                    };
                    let received = received.await;
                    // What reads the rest of a request ends as well.
                    while runtime.metrics().num_alive_tasks() > 0 {
                        tokio::task::yield_now().await;
                    }
                    received
                });
                if let Some(received) = received {
                    assert!(sent.contains(std::str::from_utf8(&received).unwrap()));
                }
            },
        );
    }
}
