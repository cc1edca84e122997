//! A host of its own for a test, and a client for it that is no part of Apyfal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Home;

/// A running `apyfal serve`, which ends with this.
pub struct Serve {
    pub child: Child,
    pub address: SocketAddr,
}

impl Serve {
    /// Starts one on a free port, with more words than those that say where.
    pub fn start(home: &Home, words: &[&str]) -> Self {
        Self::spawn(home, "127.0.0.1:0", words, &[])
    }

    /// The same on this address, and with variables of the environment.
    pub fn spawn(home: &Home, listen: &str, words: &[&str], environment: &[(&str, &str)]) -> Self {
        let data = home.path("host");
        let mut all = vec!["serve", "--listen", listen, "--data-dir"];
        all.push(data.to_str().expect("a path that is text"));
        all.extend(words);
        let mut child = home
            .apyfal(&all)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("apyfal starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                // Nobody listens any more once the address is known.
                let _ = sender.send(line);
            }
        });
        let address = loop {
            let line = receiver.recv_timeout(Duration::from_secs(30)).expect("it listens");
            if let Some((_, address)) = line.split_once("listening on http://") {
                break address.parse().expect("an address");
            }
        };
        Self { child, address }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request and reads the answer to its end.
    pub fn send(&self, request: Request<'_>) -> Answer {
        request.send(self.address)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Request { path, ..Request::default() })
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send(Request { method: "POST", path, body, ..Request::default() })
    }

    /// The host's answer, which must be a good one and JSON.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { method: "GET", path: "/", headers: &[], body: b"" }
    }
}

impl Request<'_> {
    pub fn send(self, address: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", self.method, self.path);
        head += "Connection: close\r\n";
        for (name, value) in self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("a sent head");
        stream.write_all(self.body).expect("a sent body");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        Answer::read(&answer)
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = super::text(&bytes[..end]);
        let mut lines = head.lines();
        let status = lines.next().expect("a status line")[9..12].parse().expect("a status");
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body);
        }
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        super::text(&self.body)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {} {}", self.status, self.text());
        })
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's size");
        let size = std::str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// Waits for something, for about 30 seconds.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
