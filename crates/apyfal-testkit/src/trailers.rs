//! A proxy that drops trailers, as many do.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Passes requests on as they are, `TE: trailers` included, and answers without their trailers.
#[derive(Debug)]
pub struct TrailerDropper {
    address: String,
    dropped: Arc<AtomicUsize>,
}

impl TrailerDropper {
    /// Starts it before a server at an address. Its threads end with the process.
    ///
    /// # Errors
    /// No port can be had.
    pub fn before(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (server, dropped) = (server.to_owned(), Arc::<AtomicUsize>::default());
        let count = dropped.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, count) = (server.clone(), count.clone());
                // A client or server that goes away is part of the test.
                std::thread::spawn(move || pass_on(client, &server, &count));
            }
        });
        Ok(Self { address, dropped })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many trailers it dropped so far.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

fn pass_on(client: TcpStream, server: &str, dropped: &AtomicUsize) -> Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let mut answers = BufReader::new(&server);
    let passed = loop {
        match pass_answer(&mut answers, &mut &client, dropped) {
            Ok(true) => {}
            ended => break ended,
        }
    };
    for stream in [&client, &server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
    passed.map(drop)
}

/// Passes one answer on. False where there is none, or none may follow.
fn pass_answer(
    from: &mut impl BufRead,
    to: &mut impl Write,
    dropped: &AtomicUsize,
) -> Result<bool> {
    let (mut length, mut is_chunked) = (None, false);
    let first = line(from)?;
    if first.is_empty() {
        return Ok(false);
    }
    to.write_all(first.as_bytes())?;
    loop {
        let header = line(from)?;
        let lower = header.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse::<u64>().ok();
        }
        is_chunked |= lower.starts_with("transfer-encoding:") && lower.contains("chunked");
        if !lower.starts_with("trailer:") {
            to.write_all(header.as_bytes())?;
        }
        if header.trim_end().is_empty() {
            break;
        }
    }
    let status = first.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('1') || status == "204" {
        return Ok(true);
    }
    match length {
        _ if is_chunked => {}
        Some(length) => return pass_bytes(from, to, length).map(|()| true),
        None => return copy(from, to).map(|_| false),
    }
    loop {
        let size = line(from)?;
        let length = u64::from_str_radix(size.trim_end(), 16).map_err(Error::other)?;
        to.write_all(size.as_bytes())?;
        if length == 0 {
            break;
        }
        // Its end of line comes with it.
        pass_bytes(from, to, length + 2)?;
    }
    while !line(from)?.trim_end().is_empty() {
        dropped.fetch_add(1, Ordering::SeqCst);
    }
    to.write_all(b"\r\n")?;
    Ok(true)
}

fn pass_bytes(from: &mut impl Read, to: &mut impl Write, length: u64) -> Result<()> {
    match copy(&mut from.take(length), to)? == length {
        true => Ok(()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// A line with its end; an empty one where there is none.
fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line)
}
