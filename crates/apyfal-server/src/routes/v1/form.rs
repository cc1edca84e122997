//! Forms: what is to be done, and the data for it.

use std::sync::Arc;
use std::time::Duration;

use apyfal_api::v1::{CONFIGURATION, DATA, PARAMETERS};
use apyfal_core::{Error, ErrorKind, Input, Result, one_line, shorten};
use apyfal_net::Connection;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::Value;
use tokio::sync::watch;

use super::refusal::{Refusal, Routed};

use super::owner;
use super::upload::{Pieces, Upload};
use crate::body;
use crate::multipart;
use crate::scratch::{Holder, Scratch};
use crate::settings::{JSON_DEPTH, REQUEST_LIMIT};
use crate::stored::Stored;

/// How many parts a form may have.
const PARTS: usize = 100;
/// The longest URL of a configuration, in bytes.
const URL_LIMIT: usize = 16 << 10;
/// Data of no more than so many bytes is taken in before its job begins, so that a slow client
/// holds no slot.
const SMALL: usize = 64 << 10;

/// What a form asks for.
pub(super) struct Request {
    /// The parameters as they were sent, or what is wrong with them.
    pub(super) parameters: Result<Value>,
    /// How long the text of the parameters is, in bytes.
    pub(super) size: usize,
    /// The URL of the configuration; empty where none is needed.
    pub(super) configuration: String,
    /// The name of the data.
    pub(super) datafile: Option<String>,
    pub(super) data: Option<Data>,
    /// How the form ended, where it goes on behind what was read here.
    pub(super) end: End,
}

/// The data of a form.
pub(super) enum Data {
    Whole(Bytes),
    /// It came before it was known what it is for.
    Stored(Stored),
    /// It comes in while it is used.
    Coming(BoxStream<'static, Result<Bytes>>),
}

impl Data {
    /// As the input of a job.
    pub(super) fn into_input(self, name: Option<&str>) -> Input {
        let input = match self {
            Self::Whole(bytes) => Input::bytes(bytes),
            Self::Stored(stored) => stored.into_input(),
            Self::Coming(stream) => Input::stream(apyfal_storage::reader(stream)),
        };
        match name {
            Some(name) => input.with_name(name),
            None => input,
        }
    }
}

/// How a form ended, and whether it did.
#[derive(Debug)]
pub(super) struct End(watch::Receiver<Option<Routed<()>>>);

impl End {
    /// Waits until all of it is in, or nobody reads it any more.
    pub(super) async fn wait(&mut self) {
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// What was wrong with it, as far as it was read.
    pub(super) fn check(&self) -> Routed<()> {
        match &*self.0.borrow() {
            Some(Err(refusal)) => Err(refusal.duplicate()),
            _ => Ok(()),
        }
    }
}

/// A form under way.
struct Form {
    parser: multipart::Form<Pieces>,
    upload: Upload,
    /// How many parts it had so far.
    parts: usize,
    needs_configuration: bool,
    parameters: Option<(Result<Value>, usize)>,
    configuration: Option<String>,
    datafile: Option<String>,
    has_data: bool,
}

/// Reads a form: all of it, or up to data that can be used while it comes in. Its client may be
/// silent for as long as `patience`.
///
/// # Errors
/// It is no such form, or it is beyond a bound.
pub(super) async fn read(
    parts: &Parts,
    body: Body,
    scratch: &Arc<Scratch>,
    patience: Duration,
    needs_configuration: bool,
) -> Routed<Request> {
    let holder = parts
        .extensions
        .get::<Connection>()
        .map(|connection| Holder { owner: owner(parts), connection: connection.number() });
    let mut form = Form::new(parts, body, patience, needs_configuration)?;
    let (end, ended) = watch::channel(None);
    let mut data = None;
    while let Some(name) = form.next().await? {
        if name != DATA {
            form.take(&name).await?;
            continue;
        }
        let mut held = Vec::new();
        let mut len = 0;
        while len <= SMALL
            && let Some(piece) = form.chunk().await?
        {
            len += piece.len();
            held.push(piece);
        }
        if len <= SMALL {
            data = Some(Data::Whole(joined(held)));
        } else if form.is_complete() {
            let request = form.request(None, End(ended))?;
            let coming = stream::iter(held.into_iter().map(Ok)).chain(coming(form, end));
            return Ok(Request { data: Some(Data::Coming(coming.boxed())), ..request });
        } else {
            data = Some(Data::Stored(store(held, &mut form, scratch, holder.clone()).await?));
        }
    }
    end.send_replace(Some(Ok(())));
    form.request(data, End(ended))
}

impl Form {
    fn new(
        parts: &Parts,
        body: Body,
        patience: Duration,
        needs_configuration: bool,
    ) -> Routed<Self> {
        let (upload, pieces) = Upload::of(&parts.headers, body, patience);
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let media_type = kind.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("multipart/form-data") {
            let why = format!("its body is of type '{}'", shorten(media_type));
            let error = Error::new(ErrorKind::Usage, why)
                .operation("read the request")
                .hint("send multipart/form-data; /v1.0/schema/ describes its parts");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        Ok(Self {
            parser: multipart::Form::new(kind, pieces).map_err(wrong)?,
            upload,
            parts: 0,
            needs_configuration,
            parameters: None,
            configuration: None,
            datafile: None,
            has_data: false,
        })
    }

    /// The name of the next part.
    async fn next(&mut self) -> Routed<Option<String>> {
        self.parts += 1;
        if self.parts > PARTS {
            return Err(misshapen(&format!("it has more than {PARTS} parts")));
        }
        let Some(multipart::Part { name, filename }) = self.parser.next().await.map_err(wrong)?
        else {
            self.upload.finish().await;
            return Ok(None);
        };
        let name = name.ok_or_else(|| misshapen("one of its parts has no name"))?;
        let is_new = match &*name {
            PARAMETERS => self.parameters.is_none(),
            CONFIGURATION if self.needs_configuration => self.configuration.is_none(),
            DATA => !std::mem::replace(&mut self.has_data, true),
            _ => {
                return Err(misshapen(&format!(
                    "it has a part '{}', which is not known",
                    shorten(name)
                )));
            }
        };
        if !is_new {
            return Err(misshapen(&format!("it has more than one part '{name}'")));
        }
        if name == DATA {
            self.datafile = filename.filter(|name| !name.is_empty());
        }
        Ok(Some(name))
    }

    /// The next bytes of the part.
    async fn chunk(&mut self) -> Routed<Option<Bytes>> {
        self.parser.chunk().await.map_err(wrong)
    }

    /// Takes in a part that is no data.
    async fn take(&mut self, name: &str) -> Routed<()> {
        if name == PARAMETERS {
            let text = self.text(name, REQUEST_LIMIT).await?;
            let shape = text.trim_ascii();
            if !(shape.starts_with(b"{") && shape.ends_with(b"}")) {
                return Err(misshapen(&format!("its part '{PARAMETERS}' is no JSON object")));
            }
            self.parameters = Some((parameters(&text), text.len()));
        } else {
            let text = self.text(name, URL_LIMIT).await?;
            self.configuration = Some(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(())
    }

    /// All of a part that has to be short.
    async fn text(&mut self, name: &str, limit: usize) -> Routed<Bytes> {
        let (mut held, mut len) = (Vec::new(), 0);
        while let Some(piece) = self.chunk().await? {
            len += piece.len();
            if len > limit {
                let why = format!("its part '{name}' has more than {limit} bytes");
                let error = Error::new(ErrorKind::Usage, why).operation("read the request");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error));
            }
            held.push(piece);
        }
        Ok(joined(held))
    }

    /// Whether all is known that the data is for.
    fn is_complete(&self) -> bool {
        self.parameters.is_some() && (self.configuration.is_some() || !self.needs_configuration)
    }

    /// Reads what stands behind the data.
    async fn rest(&mut self) -> Routed<()> {
        while let Some(name) = self.next().await? {
            self.take(&name).await?;
        }
        Ok(())
    }

    fn request(&mut self, data: Option<Data>, end: End) -> Routed<Request> {
        let lacks = |name: &str| misshapen(&format!("it has no part '{name}'"));
        let (parameters, size) = self.parameters.take().ok_or_else(|| lacks(PARAMETERS))?;
        let configuration = match self.configuration.take() {
            None if self.needs_configuration => return Err(lacks(CONFIGURATION)),
            configuration => configuration.unwrap_or_default(),
        };
        // They count as seen, whatever comes behind the data.
        self.parameters = Some((Ok(Value::Null), 0));
        self.configuration = Some(String::new());
        let datafile = self.datafile.take();
        Ok(Request { parameters, size, configuration, datafile, data, end })
    }
}

/// The rest of the data, behind which the form has to end well.
fn coming(
    form: Form,
    end: watch::Sender<Option<Routed<()>>>,
) -> impl futures::Stream<Item = Result<Bytes>> {
    stream::unfold(Some((form, end)), |state| async {
        let (mut form, end) = state?;
        let ended = match form.chunk().await {
            Ok(Some(piece)) => return Some((Ok(piece), Some((form, end)))),
            Ok(None) => form.rest().await,
            Err(refusal) => Err(refusal),
        };
        let error = ended.as_ref().err().map(|refusal| refusal.error.duplicate());
        end.send_replace(Some(ended));
        error.map(|error| (Err(error), None))
    })
}

/// Puts data on disk.
async fn store(
    held: Vec<Bytes>,
    form: &mut Form,
    scratch: &Arc<Scratch>,
    holder: Option<Holder>,
) -> Routed<Stored> {
    let mut stored = Stored::new(scratch, holder)?;
    for piece in held {
        stored = stored.add(piece).await?;
    }
    while let Some(piece) = form.chunk().await? {
        stored = stored.add(piece).await?;
    }
    Ok(stored.written().await?)
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    // Mostly there is just one.
    if pieces.len() > 1 { pieces.concat().into() } else { pieces.pop().unwrap_or_default() }
}

/// Reads the parameters, of a bounded depth.
fn parameters(text: &[u8]) -> Result<Value> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Usage, why)
            .operation(format!("read the part '{PARAMETERS}' of the request"))
            .hint(r#"it is JSON: {"app": {"specific": {"name": "value"}}}"#)
    };
    if body::depth(text) > JSON_DEPTH {
        return Err(wrong(format!("it is nested deeper than {JSON_DEPTH} levels")));
    }
    serde_json::from_slice(text).map_err(|error| wrong(one_line(error, body::SHOWN)))
}

fn misshapen(why: &str) -> Refusal {
    wrong(Error::new(ErrorKind::Usage, why).operation("read the request"))
}

fn wrong(error: Error) -> Refusal {
    match error.kind() {
        ErrorKind::Usage => error.hint("/v1.0/schema/ describes the parts of its form").into(),
        _ => error.into(),
    }
}
