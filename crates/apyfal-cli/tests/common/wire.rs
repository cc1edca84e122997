//! A request whose answer may never come, or not whole: that of a host which is killed, say.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::http::Answer;
use super::server::PATIENCE;

/// One request, on a connection of its own.
#[derive(Debug)]
pub struct Ask<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Whole lines.
    pub headers: &'a str,
    pub body: &'a [u8],
    /// How long the client waits where nothing comes.
    pub patience: Duration,
    /// After how much of the body the client goes away.
    pub leaves_after: Option<usize>,
}

impl<'a> Ask<'a> {
    pub fn new(method: &'a str, path: &'a str) -> Self {
        let (headers, body) = ("", &[][..]);
        Self { method, path, headers, body, patience: PATIENCE, leaves_after: None }
    }
}

/// Asks. What is returned is whole.
///
/// # Errors
/// No answer came, or only a part of one.
pub fn ask(address: &str, ask: &Ask<'_>) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ask.patience))?;
    stream.set_write_timeout(Some(ask.patience))?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n",
        ask.method,
        ask.path,
        ask.headers,
        ask.body.len()
    )?;
    if let Some(part) = ask.leaves_after {
        stream.write_all(&ask.body[..part.min(ask.body.len())])?;
        return Err(ErrorKind::ConnectionAborted.into());
    }
    // Who refuses a request need not read it to its end.
    let written = stream.write_all(ask.body);
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    let why = || written.err().or(read.err()).unwrap_or_else(|| ErrorKind::UnexpectedEof.into());
    whole(&received).ok_or_else(why)
}

/// An answer, where all of it is there.
fn whole(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    });
    let mut answer = Answer { status, headers: headers.collect::<Option<_>>()?, body: Vec::new() };
    let body = &received[end + 4..];
    answer.body = match (answer.header("transfer-encoding"), answer.header("content-length")) {
        (Some(_), _) => unchunked(body)?,
        (None, Some(length)) => (length.parse() == Ok(body.len())).then(|| body.to_vec())?,
        (None, None) => (status == 204).then(Vec::new)?,
    };
    Some(answer)
}

/// A chunked body, or nothing where its end is missing.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?, 16).ok()?;
        body = &body[line + 2..];
        if size == 0 {
            return body.ends_with(b"\r\n").then_some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}
