//! What one `start` or `process` is given.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use apyfal_core::{
    Cancel, Error, ErrorKind, Input, JobParameters, Output, Progress, Result, Sink, Source, type_of,
};
use apyfal_storage::{Location, Storage};
use serde_json::{Map, Value};

/// A JSON file of parameters is refused beyond this many bytes.
const PARAMETERS_LIMIT: usize = 16 << 20;

/// The source, destination and parameters of one `start` or `process`.
///
/// ```
/// use apyfal::Call;
/// let call = Call::new().src("in.txt").dst("s3://bucket/out.gz").set("level", "best");
/// ```
#[derive(Debug, Default)]
pub struct Call {
    pub(crate) src: Option<End<Input>>,
    pub(crate) dst: Option<End<Output>>,
    /// What [`Accelerator::check`](crate::Accelerator::check) read, instead of the configuration.
    checked: Option<JobParameters>,
    parameters: Option<Value>,
    keywords: Map<String, Value>,
    engine: Option<String>,
    compare: bool,
    reset: Option<bool>,
    reload: Option<bool>,
    pub(crate) cancel: Cancel,
    pub(crate) progress: Arc<Progress>,
}

/// One end of the data: a storage URL, a file of the caller's, or a stream of the caller's own.
#[derive(Debug)]
pub(crate) enum End<Stream> {
    Url(String),
    File(PathBuf),
    Stream(Stream),
}

/// Who opens one end, and what.
pub(crate) enum Opened<Stream> {
    /// The caller, a file of its own.
    Here(Location),
    /// Nobody: it is open.
    Already(Stream),
    /// The host.
    There(String),
}

impl<Stream> End<Stream> {
    /// Who opens it.
    ///
    /// # Errors
    /// It is no URL.
    pub(crate) fn opened(self) -> Result<Opened<Stream>> {
        Ok(match self {
            Self::Stream(stream) => Opened::Already(stream),
            Self::File(path) => Opened::Here(Location::File(path)),
            Self::Url(url) => match Location::parse(&url)? {
                location if location.is_local() => Opened::Here(location),
                _ => Opened::There(url),
            },
        })
    }

    /// Where it is, where it is no stream.
    pub(crate) fn unopened(&self) -> Option<End<Infallible>> {
        match self {
            Self::Url(url) => Some(End::Url(url.clone())),
            Self::File(path) => Some(End::File(path.clone())),
            Self::Stream(_) => None,
        }
    }

    /// What it is called, where it is no stream.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Url(url) => Some(Location::parse(url).ok()?.to_string()),
            Self::File(path) => Some(path.display().to_string()),
            Self::Stream(_) => None,
        }
    }
}

impl Call {
    /// A call without source, destination or parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads from a storage URL: a path, `-`, `http(s)://`, `s3://` and so on.
    #[must_use]
    pub fn src(mut self, url: impl Into<String>) -> Self {
        self.src = Some(End::Url(url.into()));
        self
    }

    /// Writes to a storage URL. What is there before stays until the job has ended well.
    #[must_use]
    pub fn dst(mut self, url: impl Into<String>) -> Self {
        self.dst = Some(End::Url(url.into()));
        self
    }

    /// Reads a file, whatever characters its path has.
    #[must_use]
    pub fn src_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.src = Some(End::File(path.into()));
        self
    }

    /// Writes to a file, whatever characters its path has, as [`dst`](Self::dst) does.
    #[must_use]
    pub fn dst_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.dst = Some(End::File(path.into()));
        self
    }

    /// Reads a stream of the caller's own.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.src = Some(End::Stream(input));
        self
    }

    /// Writes to a stream of the caller's own, which may hold part of a result where the job fails.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.dst = Some(End::Stream(output));
        self
    }

    /// Full parameters: an object `{"app": {"specific": {…}}}`, or a text that is such JSON, or the
    /// path or URL of a file with it.
    #[must_use]
    pub fn parameters(mut self, parameters: impl Into<Value>) -> Self {
        self.parameters = Some(parameters.into());
        self
    }

    /// Parameters that were read and checked before, for many calls that are alike.
    #[must_use]
    pub fn checked(mut self, parameters: JobParameters) -> Self {
        self.checked = Some(parameters);
        self
    }

    /// Sets one parameter of the accelerator; it wins over [`parameters`](Self::parameters).
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.keywords.insert(name.into(), value.into());
        self
    }

    /// Sets several parameters at once.
    #[must_use]
    pub fn set_all(mut self, values: Map<String, Value>) -> Self {
        self.keywords.extend(values);
        self
    }

    /// Runs it on this engine of the accelerator, and on no other. What `start` asks for is for all
    /// jobs of its session.
    #[must_use]
    pub fn engine(mut self, name: impl Into<String>) -> Self {
        self.engine = Some(name.into());
        self
    }

    /// Also does the job with plain single-threaded software and compares.
    #[must_use]
    pub fn compare(mut self, compare: bool) -> Self {
        self.compare = compare;
        self
    }

    /// Has `start` reset the accelerator's logic.
    #[must_use]
    pub fn reset(mut self, reset: bool) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Has `start` load the image of a device anew, where it is there already.
    #[must_use]
    pub fn reload(mut self, reload: bool) -> Self {
        self.reload = Some(reload);
        self
    }

    /// A switch that ends the call early.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Where the call says how far it is.
    #[must_use]
    pub fn progress(mut self, progress: Arc<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Whether its data is in files of this machine, which need no memory or connection while the
    /// job waits.
    pub(crate) fn is_on_files(&self) -> bool {
        let is_file = |url: &str| matches!(Location::parse(url), Ok(Location::File(_)));
        let src = match &self.src {
            None => false,
            Some(End::Url(url)) => is_file(url),
            Some(End::File(_)) => true,
            Some(End::Stream(input)) => matches!(input.source(), Source::File { .. }),
        };
        let dst = match &self.dst {
            None => true,
            Some(End::Url(url)) => is_file(url),
            Some(End::File(_)) => true,
            Some(End::Stream(output)) => matches!(output.sink(), Sink::File { .. }),
        };
        src && dst
    }

    /// Whether its data is in memory, and nowhere else.
    pub(crate) fn is_in_memory(&self) -> bool {
        let src = match &self.src {
            None => true,
            Some(End::Stream(input)) => input.is_in_memory(),
            Some(End::Url(_) | End::File(_)) => false,
        };
        let dst = match &self.dst {
            None => true,
            Some(End::Stream(output)) => output.is_in_memory(),
            Some(End::Url(_) | End::File(_)) => false,
        };
        src && dst
    }

    /// The parameters to send: `defaults` of the configuration, then the call's own.
    ///
    /// The original's names for source and destination, `names`, are taken out of them.
    pub(crate) async fn resolve(
        &mut self,
        defaults: JobParameters,
        storage: &Storage,
        src_name: &str,
        dst_name: Option<&str>,
    ) -> Result<JobParameters> {
        let mut parameters = self.checked.take().unwrap_or(defaults);
        if let Some(given) = self.parameters.take() {
            // Few calls have them, and all would carry the room for reading them.
            parameters.merge(Box::pin(read_parameters(given, storage)).await?);
        }
        parameters.specific.extend(std::mem::take(&mut self.keywords));
        parameters.engine = self.engine.take().or(parameters.engine);
        parameters.compare |= self.compare;
        parameters.reset = self.reset.or(parameters.reset);
        parameters.reload = self.reload.or(parameters.reload);
        if let Some(url) = take_url(&mut parameters.specific, src_name)? {
            self.src.get_or_insert(End::Url(url));
        }
        if let Some(name) = dst_name
            && let Some(url) = take_url(&mut parameters.specific, name)?
        {
            self.dst.get_or_insert(End::Url(url));
        }
        Ok(parameters)
    }
}

/// Takes an old name of a source or destination out of the parameters.
fn take_url(specific: &mut Map<String, Value>, name: &str) -> Result<Option<String>> {
    match specific.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(url)) => Ok(Some(url).filter(|url| !url.is_empty())),
        Some(other) => Err(Error::new(
            ErrorKind::Usage,
            format!("'{name}' must be a path or URL, not {}", type_of(&other)),
        )),
    }
}

/// Full parameters as [`Call::parameters`] takes them, for several calls: a file or stream that may be
/// read only once is read now.
///
/// # Errors
/// They cannot be read, or are no JSON.
pub async fn full_parameters(given: impl Into<Value>, storage: &Storage) -> Result<Value> {
    let full = read_full(given.into(), storage).await?;
    JobParameters::from_json(&full).map(|_| full)
}

/// Full parameters from an object, JSON text, a path or a URL.
pub(crate) async fn read_parameters(given: Value, storage: &Storage) -> Result<JobParameters> {
    JobParameters::from_json(&read_full(given, storage).await?)
}

async fn read_full(given: Value, storage: &Storage) -> Result<Value> {
    let Value::String(text) = given else { return Ok(given) };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("they are not valid JSON: {error}"))
                .operation("read the parameters")
        });
    }
    let location =
        Location::parse(&text).map_err(|error| error.operation("read the parameters"))?;
    let reading = |error: Error| error.operation(format!("read the parameters in '{location}'"));
    let bytes = storage.read(&location, PARAMETERS_LIMIT).await.map_err(reading)?;
    // Editors of Windows put a mark before the text.
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| {
        reading(Error::new(ErrorKind::Usage, format!("it is not valid JSON: {error}")))
    })
}
