//! Objects in stores: S3, OSS and Swift through OpenDAL.

use std::collections::VecDeque;
use std::time::Duration;

use apyfal_core::{Cancel, Error, ErrorKind, Input, Output, Progress, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use opendal::layers::RetryLayer;
use opendal::services::{Oss, S3, Swift};
use opendal::{Buffer, OperationContext, Operator, Writer};
use tokio::sync::watch;
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
/// The region of S3 unless another is set.
const REGION: &str = "us-east-1";
/// How often a request is sent again, with pauses from 0.2 s that double each time.
pub(crate) const RETRIES: usize = 4;
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long the last request of what was given up may take, and then as long again its removal.
const CLEAN_UP: Duration = Duration::from_secs(1);

/// Connects to one bucket. `token` is there for Swift only.
pub(crate) fn operator(
    options: &MountOptions,
    container: &str,
    token: Option<&Token>,
    context: OperationContext,
) -> Result<Operator> {
    match (&options.client_id, &options.secret_id) {
        (Some(_), None) => return Err(missing("secret_id", options)),
        (None, Some(_)) => return Err(missing("client_id", options)),
        _ => {}
    }
    let operator = match options.storage_type {
        // With credentials from the environment goes its region, where it names one.
        StorageType::S3 if options.client_id.is_none() && options.region.is_none() => {
            let fallback = s3(options, container, Some(REGION))?;
            Operator::new(s3(options, container, None)?).or_else(|_| Operator::new(fallback))
        }
        StorageType::S3 => {
            let region = options.region.as_deref().unwrap_or(REGION);
            Operator::new(s3(options, container, Some(region))?)
        }
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

fn s3(options: &MountOptions, bucket: &str, region: Option<&str>) -> Result<S3> {
    let mut s3 = S3::default().bucket(bucket);
    if let Some(region) = region {
        s3 = s3.region(region);
    }
    // Without an endpoint the client library takes the region's own, or without credentials the one
    // that the environment names for tools of AWS.
    if options.endpoint.is_some() || options.unsecure {
        let default = format!("s3.{}.amazonaws.com", region.unwrap_or(REGION));
        s3 = s3.endpoint(&options.server(&default)?);
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
    let metadata = metadata(operator, location).await?;
    let etag = metadata.etag().filter(|etag| etag.starts_with('"')).map(str::to_owned);
    Ok((metadata.content_length(), etag))
}

/// What the store tells of an object.
pub(crate) async fn metadata(
    operator: &Operator,
    location: &ObjectLocation,
) -> Result<opendal::Metadata> {
    operator.stat(&location.key).await.map_err(|error| object_error(error, "read", location))
}

/// What changes with the content of an object, where the store tells.
pub(crate) fn version(metadata: &opendal::Metadata) -> Option<String> {
    let etag = metadata.etag().map(|etag| etag.trim_matches('"').to_owned());
    etag.or_else(|| metadata.last_modified().map(|time| time.to_string()))
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
///
/// Parts of it stay in the store where that does not answer in time to remove them; the bucket's
/// lifecycle rules clear them.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Whether to commit; dropped, the object is given up.
    commit: watch::Sender<bool>,
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
        let (output, mut blocks) = block_channel();
        let failure = blocks.failure();
        let (commit, decision) = watch::channel(false);
        let location = location.clone();
        let operation = format!("write '{location}'");
        let reason = failure.clone();
        let task = tokio::spawn(async move {
            let mut parts = Parts { writer, waiting: VecDeque::new(), size: 0, sent: 0 };
            let upload = parts.upload(&mut blocks, decision.clone());
            match soon_after(given_up(decision), upload).await {
                Some(Ok(true)) => return true,
                Some(Err(error)) => reason.set(object_error(error, "write", &location)),
                Some(Ok(false)) | None => {}
            }
            drop(blocks);
            // Nothing more can be done where this fails.
            let _ = tokio::time::timeout(CLEAN_UP, parts.writer.abort()).await;
            false
        });
        Ok((Self { commit, task, failure, operation }, Output::stream(output)))
    }

    /// Makes the object appear, after all that was written has arrived.
    pub(crate) async fn commit(mut self, cancel: &Cancel) -> Result<()> {
        // A task that failed no longer listens, and has left its reason.
        let _ = self.commit.send(true);
        let finished = tokio::select! {
            finished = &mut self.task => finished,
            () = cancel.cancelled() => {
                drop(self.commit);
                return match self.task.await {
                    // It was too late to give up.
                    Ok(true) => Ok(()),
                    _ => Err(Error::cancelled()),
                };
            }
        };
        match finished {
            Ok(true) => Ok(()),
            _ => Err(self.failure.take(&self.operation)),
        }
    }

    /// Removes what was sent, and returns when that is done or takes too long.
    pub(crate) async fn abort(self) {
        drop(self.commit);
        let _ = self.task.await;
    }
}

/// Ready once nobody can commit any more.
async fn given_up(mut decision: watch::Receiver<bool>) {
    while decision.changed().await.is_ok() {}
}

/// The result of `work`, unless it takes [`CLEAN_UP`] longer than it is wanted: only a request that
/// is answered tells what has to be removed.
async fn soon_after<T>(
    unwanted: impl Future<Output = ()>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        result = work => Some(result),
        () = async { unwanted.await; tokio::time::sleep(CLEAN_UP).await } => None,
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
        blocks: &mut BlockReceiver,
        mut decision: watch::Receiver<bool>,
    ) -> opendal::Result<bool> {
        loop {
            let block = tokio::select! {
                biased;
                () = given_up(decision.clone()) => return Ok(false),
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
        if decision.wait_for(|commit| *commit).await.is_err() {
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
    let (len, _) = cancel.or_cancelled(stat(operator, from)).await?;
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
            Ok(()) => match soon_after(cancel.cancelled(), copier.next()).await {
                Some(step) => step.map_err(failed),
                None => Err(Error::cancelled()),
            },
            Err(cancelled) => Err(cancelled),
        };
        let count = match step {
            // Not every store tells how much one step did, but all is done after the last.
            Ok(None) => len - done,
            Ok(Some(count)) => (count as u64).min(len - done),
            Err(error) => {
                let _ = tokio::time::timeout(CLEAN_UP, copier.abort()).await;
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

#[cfg(test)]
mod tests {
    use apyfal_core::Secret;

    use super::*;

    fn options(kind: StorageType) -> MountOptions {
        let mut options = MountOptions::new(kind);
        options.client_id = Some("AKID".into());
        options.secret_id = Some(Secret::new("hunter2"));
        options
    }

    /// Where a request for `a b` in `bucket` would go.
    async fn url(options: &MountOptions) -> String {
        let operator = operator(options, "bucket", None, OperationContext::new()).unwrap();
        let request = operator.presign_read("a b", Duration::from_secs(60)).await.unwrap();
        let url = request.uri().to_string();
        assert!(url.contains("AKID") && !url.contains("hunter2"), "{url}");
        url.split('?').next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn options_decide_where_requests_go() {
        let mut s3 = options(StorageType::S3);
        assert_eq!(url(&s3).await, "https://s3.us-east-1.amazonaws.com/bucket/a%20b");
        s3.region = Some("eu-west-1".into());
        assert_eq!(url(&s3).await, "https://s3.eu-west-1.amazonaws.com/bucket/a%20b");
        s3.unsecure = true;
        assert_eq!(url(&s3).await, "http://s3.eu-west-1.amazonaws.com/bucket/a%20b");
        s3.endpoint = Some("minio.example:9000".into());
        assert_eq!(url(&s3).await, "http://minio.example:9000/bucket/a%20b");

        let mut oss = options(StorageType::Oss);
        oss.region = Some("cn-hangzhou".into());
        assert_eq!(url(&oss).await, "https://bucket.oss-cn-hangzhou.aliyuncs.com/a%20b");
        oss.endpoint = Some("https://oss-cn-hangzhou-internal.aliyuncs.com".into());
        assert_eq!(url(&oss).await, "https://bucket.oss-cn-hangzhou-internal.aliyuncs.com/a%20b");
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |clear: fn(&mut MountOptions), kind| {
            let mut options = options(kind);
            clear(&mut options);
            let error = operator(&options, "bucket", None, OperationContext::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageConfiguration);
            error.to_string()
        };
        assert!(without(|o| o.secret_id = None, StorageType::S3).contains("'secret_id'"));
        assert!(without(|o| o.client_id = None, StorageType::S3).contains("'client_id'"));
        assert!(without(|o| o.region = None, StorageType::Oss).contains("'region'"));
        assert!(without(|_| (), StorageType::Swift).contains("'auth_url'"));
    }

    /// The limits of S3: 10,000 parts of at most 5 GiB.
    #[test]
    fn parts_grow_in_time_for_the_largest_objects() {
        let sizes = (0..10_000).map(|part| (PART as u64) << (part / PARTS_PER_SIZE));
        assert!(sizes.clone().max() <= Some(5 << 30));
        assert!(sizes.sum::<u64>() > 5 << 40);
    }
}
