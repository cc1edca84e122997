//! Requests over and over: the same bytes on connections that stay open.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How many digits the number of a job has that is part of its id.
const DIGITS: usize = 12;

/// A connection that asks the same each time.
pub(super) struct Asking {
    stream: TcpStream,
    request: Vec<u8>,
    /// Where a number stands in the request that is another one each time.
    number: Option<Range<usize>>,
    asked: u64,
    answer: Vec<u8>,
}

impl Asking {
    pub(super) fn new(address: &str, path: &str, body: &[u8]) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(Self { stream, request, number: None, asked: 0, answer: vec![0; 256 << 10] })
    }

    /// Gives each job an id of its own, which begins with `name`.
    pub(super) fn with_ids(mut self, name: &str) -> Self {
        let header = format!("apyfal-request: {{\"id\": \"{name}-{:0DIGITS$}\"}}\r\n", 0);
        let line = self.request.windows(2).position(|window| window == b"\r\n").unwrap_or(0) + 2;
        self.request.splice(line..line, header.bytes());
        let end = line + header.len() - "\"}\r\n".len();
        self.number = Some(end - DIGITS..end);
        self
    }

    /// Asks once; the answer must be whole and well.
    pub(super) fn ask(&mut self) -> Result<()> {
        if let Some(place) = self.number.clone() {
            self.asked += 1;
            let number = format!("{:0DIGITS$}", self.asked);
            self.request[place].copy_from_slice(number.as_bytes());
        }
        self.stream.write_all(&self.request)?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.answer[filled..])?;
            ensure!(count > 0, "the server closed the connection");
            filled += count;
            let answer = &self.answer[..filled];
            let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&answer[..end])?;
            if !head.starts_with("HTTP/1.1 200") {
                bail!("{}", String::from_utf8_lossy(answer));
            }
            let length = |line: &str| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                value.trim().parse::<usize>().ok().filter(|_| is_length)
            };
            let length = head.lines().find_map(length).context("an answer without its length")?;
            if filled == end + 4 + length {
                return Ok(());
            }
        }
    }
}

/// How long each request took, one after the other for some time, sorted.
pub(super) fn latencies(mut asking: Asking, time: Duration) -> Result<Vec<Duration>> {
    for _ in 0..500 {
        asking.ask()?;
    }
    let begin = Instant::now();
    let mut taken = Vec::new();
    while begin.elapsed() < time {
        let start = Instant::now();
        asking.ask()?;
        taken.push(start.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}

/// The value that this share of a sorted list is below.
pub(super) fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() - 1) as f64 * share) as usize;
    sorted[index].as_secs_f64()
}
