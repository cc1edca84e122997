//! A web server that fails in the way a test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The path with its query, as it was sent.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// How many requests came before this one.
    pub number: usize,
}

impl Request {
    /// The first and last byte of a `Range` header.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().unwrap_or(usize::MAX)))
    }
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body {
    /// With its length.
    Whole,
    /// In chunks, without its length.
    Chunked,
    /// With its length, but no more than so many bytes of it.
    CutAfter(usize),
    /// With its length, and a pause before each 64 KiB.
    Slow(Duration),
    /// Not at all: the connection is closed without an answer.
    Nothing,
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    data: Vec<u8>,
    body: Body,
}

impl Answer {
    /// An answer with a status and data.
    pub fn new(status: u16, data: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), data: data.into(), body: Body::Whole }
    }

    /// The part of the data that the request asks for, or all of it.
    pub fn part_of(data: &[u8], request: &Request) -> Self {
        match request.range() {
            Some((first, _)) if first >= data.len() => {
                Self::new(416, "").header("Content-Range", format!("bytes */{}", data.len()))
            }
            Some((first, last)) => {
                let last = last.min(data.len() - 1);
                let range = format!("bytes {first}-{last}/{}", data.len());
                Self::new(206, &data[first..=last]).header("Content-Range", range)
            }
            None => Self::new(200, data),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets how the body is sent.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    fn send(&self, stream: &mut TcpStream) -> Result<()> {
        if self.body == Body::Nothing {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &match self.body {
            Body::Chunked => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
            _ => format!("Content-Length: {}\r\n\r\n", self.data.len()),
        };
        stream.write_all(head.as_bytes())?;
        match self.body {
            Body::Whole | Body::Nothing => stream.write_all(&self.data),
            Body::CutAfter(len) => stream.write_all(&self.data[..len.min(self.data.len())]),
            Body::Chunked => {
                for chunk in self.data.chunks(10_007) {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")?;
                }
                stream.write_all(b"0\r\n\r\n")
            }
            Body::Slow(pause) => self.data.chunks(64 << 10).try_for_each(|chunk| {
                std::thread::sleep(pause);
                stream.write_all(chunk)
            }),
        }
    }
}

/// A server that answers by a function. Each connection carries one request.
#[derive(Debug)]
pub struct FaultServer {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FaultServer {
    /// Starts it. Its thread ends with the process.
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Result<Self> {
        Self::start_at("127.0.0.1:0", answer)
    }

    /// Starts it at an address of the loopback interface, such as `127.0.0.2:0`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start_at(
        address: &str,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?.to_string();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (seen.clone(), answer.clone());
                // A client that goes away is part of the test.
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Ok(Self { address, requests })
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request) -> Answer,
) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    let request = {
        let mut seen = seen.lock();
        let request = Request { method, path, headers, body, number: seen.len() };
        seen.push(request.clone());
        request
    };
    answer(&request).send(&mut stream)
}
