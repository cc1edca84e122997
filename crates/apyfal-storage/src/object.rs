//! Objects in stores: S3, OSS and Swift through OpenDAL.

use std::collections::VecDeque;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Input, Output, Progress, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use opendal::layers::RetryLayer;
use opendal::services::{Oss, S3, Swift};
use opendal::{Buffer, OperationContext, Operator, Writer};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bridge::{BlockReceiver, Failure, StreamReader, block_channel};
use crate::error::object_error;
use crate::keystone::Token;
use crate::location::ObjectLocation;
use crate::mount::{MountOptions, StorageType};

/// The size of the parts in which objects are read, and of the first ones that are written.
pub(crate) const PART: usize = 8 << 20;
/// How many parts are on their way at once.
pub(crate) const PARALLEL: usize = 4;
/// The size of the parts that a store copies by itself: one answers within a few seconds.
const COPY_PART: usize = 256 << 20;
/// After so many parts their size doubles, so that the 10,000 that S3 allows hold 8 TiB although
/// the length is not known when the first is sent.
const PARTS_PER_SIZE: usize = 1_000;
/// How often a request is sent again, with pauses from 0.2 s that double each time.
pub(crate) const RETRIES: usize = 5;
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Connects to one bucket. `token` is there for Swift only.
pub(crate) fn operator(
    options: &MountOptions,
    container: &str,
    token: Option<&Token>,
    context: OperationContext,
) -> Result<Operator> {
    let operator = match options.storage_type {
        StorageType::S3 => Operator::new(s3(options, container)?),
        StorageType::Oss => Operator::new(oss(options, container)?),
        StorageType::Swift => Operator::new(swift(options, container, token)?),
    };
    let operator = operator.map_err(|error| {
        Error::new(ErrorKind::StorageConfiguration, error.message().to_owned())
            .operation(format!("connect to '{}://{container}'", options.storage_type))
    })?;
    let retry = RetryLayer::new().with_min_delay(FIRST_PAUSE).with_max_times(RETRIES).with_jitter();
    Ok(operator
        .with_context(context)
        .layer(retry.with_notify(|_: opendal::layers::RetryEvent<'_>| {})))
}

fn s3(options: &MountOptions, bucket: &str) -> Result<S3> {
    let region = options.region.as_deref().unwrap_or("us-east-1");
    let mut s3 = S3::default().bucket(bucket).region(region);
    // Without an endpoint the client library finds the region's own, or the one that the
    // environment names for tools of AWS.
    if options.endpoint.is_some() || options.unsecure || options.client_id.is_some() {
        s3 = s3.endpoint(&options.server(&format!("s3.{region}.amazonaws.com"))?);
    }
    if options.endpoint.is_none() && !bucket.contains('.') {
        s3 = s3.enable_virtual_host_style();
    }
    if let (Some(id), Some(secret)) = (&options.client_id, &options.secret_id) {
        s3 = s3.access_key_id(id).secret_access_key(secret.expose());
        if let Some(token) = &options.session_token {
            s3 = s3.session_token(token.expose());
        }
        s3 = s3.disable_config_load().disable_ec2_metadata();
    }
    Ok(if options.anonymous { s3.skip_signature() } else { s3 })
}

fn oss(options: &MountOptions, bucket: &str) -> Result<Oss> {
    let default = match (&options.endpoint, &options.region) {
        (None, None) => return Err(missing("region", options)),
        (_, region) => format!("oss-{}.aliyuncs.com", region.as_deref().unwrap_or_default()),
    };
    let mut oss = Oss::default().bucket(bucket).endpoint(&options.server(&default)?);
    if let (Some(id), Some(secret)) = (&options.client_id, &options.secret_id) {
        oss = oss.access_key_id(id).access_key_secret(secret.expose());
        if let Some(token) = &options.session_token {
            oss = oss.security_token(token.expose());
        }
    }
    Ok(if options.anonymous { oss.skip_signature() } else { oss })
}

fn swift(options: &MountOptions, container: &str, token: Option<&Token>) -> Result<Swift> {
    let token = token.ok_or_else(|| missing("auth_url", options))?;
    Ok(Swift::default().endpoint(&token.endpoint).container(container).token(token.secret.expose()))
}

/// The error for an option that this kind of store cannot do without.
pub(crate) fn missing(key: &str, options: &MountOptions) -> Error {
    let kind = options.storage_type;
    Error::new(ErrorKind::StorageConfiguration, format!("'{key}' is not set"))
        .operation(format!("connect to {kind}://"))
        .hint(format!("set it in section [storage.{}] of the configuration", kind.host_type()))
}

/// The length of an object in bytes and, where it has one that can be relied on, its entity tag.
pub(crate) async fn stat(
    operator: &Operator,
    location: &ObjectLocation,
) -> Result<(u64, Option<String>)> {
    let metadata = operator
        .stat(&location.key)
        .await
        .map_err(|error| object_error(error, "read", location))?;
    let etag = metadata.etag().filter(|etag| etag.starts_with('"')).map(str::to_owned);
    Ok((metadata.content_length(), etag))
}

/// Opens an object: parts are fetched in parallel and read in order.
pub(crate) async fn open(operator: &Operator, location: &ObjectLocation) -> Result<Input> {
    let (len, etag) = stat(operator, location).await?;
    if len == 0 {
        return Ok(Input::bytes([]));
    }
    let mut reader = operator.reader_with(&location.key).chunk(PART).concurrent(PARALLEL);
    if let Some(etag) = etag {
        // Parts of two versions of an object must never be mixed.
        reader = reader.if_match(&etag);
    }
    let failed = {
        let location = location.clone();
        move |error| object_error(error, "read", &location)
    };
    let stream = reader.await.map_err(&failed)?.into_stream(0..len).await.map_err(&failed)?;
    Ok(Input::stream(StreamReader::new(stream.map_err(failed))).with_len(len))
}

/// An object that is being written. It appears when it is committed; dropped, it never does.
#[derive(Debug)]
pub(crate) struct Upload {
    commit: oneshot::Sender<()>,
    task: JoinHandle<bool>,
    failure: Failure,
    operation: String,
}

impl Upload {
    /// Begins an object.
    pub(crate) async fn create(
        operator: &Operator,
        location: &ObjectLocation,
    ) -> Result<(Self, Output)> {
        let writer = operator
            .writer_with(&location.key)
            .concurrent(PARALLEL)
            .await
            .map_err(|error| object_error(error, "write", location))?;
        let (output, blocks) = block_channel();
        let failure = blocks.failure();
        let (commit, decision) = oneshot::channel();
        let location = location.clone();
        let operation = format!("write '{location}'");
        let reason = failure.clone();
        let task = tokio::spawn(async move {
            let mut parts = Parts { writer, waiting: VecDeque::new(), size: 0, sent: 0 };
            match parts.upload(blocks, decision).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => reason.set(object_error(error, "write", &location)),
            }
            // Nothing more can be done where this fails; the bucket's lifecycle rules clear it.
            let _ = parts.writer.abort().await;
            false
        });
        Ok((Self { commit, task, failure, operation }, Output::stream(output)))
    }

    /// Makes the object appear, after all that was written has arrived.
    pub(crate) async fn commit(self) -> Result<()> {
        // A task that failed no longer listens, and has left its reason.
        let _ = self.commit.send(());
        match self.task.await {
            Ok(true) => Ok(()),
            _ => Err(self.failure.take(&self.operation)),
        }
    }

    /// Removes what was sent, and returns when that is done.
    pub(crate) async fn abort(self) {
        drop(self.commit);
        let _ = self.task.await;
    }
}

struct Parts {
    writer: Writer,
    waiting: VecDeque<Bytes>,
    size: usize,
    sent: usize,
}

impl Parts {
    /// Sends all blocks and finishes the object. False if the owner gave up.
    async fn upload(
        &mut self,
        mut blocks: BlockReceiver,
        mut decision: oneshot::Receiver<()>,
    ) -> opendal::Result<bool> {
        let mut decided = false;
        loop {
            let block = tokio::select! {
                biased;
                commit = &mut decision, if !decided => match commit {
                    Ok(()) => { decided = true; continue }
                    Err(_) => return Ok(false),
                },
                block = blocks.next() => block,
            };
            let Some(block) = block else { break };
            self.size += block.len();
            self.waiting.push_back(block);
            if self.size >= PART << (self.sent / PARTS_PER_SIZE) {
                self.send().await?;
                self.sent += 1;
            }
        }
        if !decided && decision.await.is_err() {
            return Ok(false);
        }
        self.send().await?;
        self.writer.close().await?;
        Ok(true)
    }

    async fn send(&mut self) -> opendal::Result<()> {
        self.size = 0;
        let part: Buffer = std::mem::take(&mut self.waiting).into();
        if part.is_empty() { Ok(()) } else { self.writer.write(part).await }
    }
}

/// Copies within one bucket, without the data passing through here.
pub(crate) async fn copy(
    operator: &Operator,
    from: &ObjectLocation,
    to: &ObjectLocation,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<()> {
    let failed = |error| object_error(error, "copy", from);
    let (len, _) = stat(operator, from).await?;
    progress.set_total(len);
    let mut copier = operator
        .copier_with(&from.key, &to.key)
        .chunk(COPY_PART)
        .concurrent(PARALLEL)
        .await
        .map_err(failed)?;
    let mut done = 0;
    loop {
        let step = match cancel.check() {
            Ok(()) => copier.next().await.map_err(failed),
            Err(cancelled) => Err(cancelled),
        };
        let count = match step {
            // Not every store tells how much one step did, but all is done after the last.
            Ok(None) => len - done,
            Ok(Some(count)) => (count as u64).min(len - done),
            Err(error) => {
                let _ = copier.abort().await;
                return Err(error);
            }
        };
        done += count;
        progress.add_read(count);
        progress.add_written(count);
        if matches!(step, Ok(None)) {
            return Ok(());
        }
    }
}
