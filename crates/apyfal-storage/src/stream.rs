//! Streams of others as inputs of jobs.

use std::io::Read;

use apyfal_core::Result;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use opendal::Buffer;

use crate::bridge::StreamReader;

/// Reads a stream of pieces, such as the body of a request, from a thread that may block.
///
/// A task reads one piece ahead. The reader waits at most 50 ms before it answers
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock). Dropping it ends the stream. To be called inside
/// a Tokio runtime.
pub fn reader(
    stream: impl Stream<Item = Result<Bytes>> + Send + 'static,
) -> impl Read + Send + std::fmt::Debug + 'static {
    StreamReader::new(stream.map(|piece| piece.map(Buffer::from)))
}
