//! HTTP/1.1 by hand, so that nothing is sent or taken that a test did not mean.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::common::server::PATIENCE;

/// One connection, which stays open from request to request.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        let is_json = self.header("content-type").is_some_and(|kind| kind.contains("json"));
        assert!(is_json, "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer that is one of this protocol's: it tells whether there was an error.
    pub fn told(&self) -> Value {
        let told = self.json();
        assert!(told["inerror"].is_boolean(), "no inerror: {told}");
        assert_eq!(self.header("content-encoding"), None);
        told
    }

    /// The same for a request that went well.
    pub fn well(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        let told = self.told();
        assert_eq!(told["inerror"], false, "{told}");
        told
    }

    /// The message of a request that was refused with this status.
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let told = self.told();
        assert_eq!(told["inerror"], true, "{told}");
        assert_ne!(told["parametersresult"]["app"]["status"], 0, "{told}");
        let message = told["parametersresult"]["app"]["msg"].as_str().unwrap();
        assert!(!message.is_empty());
        message.to_owned()
    }
}

impl Connection {
    pub fn open(address: &str) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"), address)
    }

    /// A connection that is there already.
    pub fn over(stream: TcpStream, address: &str) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), host: address.to_owned() }
    }

    /// Names the host otherwise than by its address.
    pub fn called(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// The name that it calls the host by.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Like [`write`](Self::write) where the server may have enough before the end.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// The head of a request, without the empty line at its end.
    pub fn head(&self, method: &str, path: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: python-requests/2.21.0\r\n\
             Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n",
            self.host
        )
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.bare("GET", path, "")
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.bare("DELETE", path, "Content-Length: 0\r\n")
    }

    /// A request without a body; `more` has whole lines.
    pub fn bare(&mut self, method: &str, path: &str, more: &str) -> Answer {
        let head = self.head(method, path);
        self.write(format!("{head}{more}\r\n").as_bytes());
        self.answer()
    }

    /// A request with a body of this type.
    pub fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Answer {
        let head = self.head("POST", path);
        let head = format!("{head}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        self.write(head.as_bytes());
        // A body that is refused need not be read to its end.
        self.try_write(body);
        self.answer()
    }

    /// Reads one answer whole.
    pub fn answer(&mut self) -> Answer {
        loop {
            let mut answer = self.answer_head();
            // Others of the 1xx kind announce nothing that a client must know.
            if answer.status >= 200 {
                let (body, trailers) = self.body(&answer);
                answer.body = body;
                answer.headers.extend(trailers);
                return answer;
            }
        }
    }

    /// Reads an answer up to its body.
    pub fn answer_head(&mut self) -> Answer {
        let first = self.line();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer but '{first}'"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Answer { status, headers, body: Vec::new() };
            }
            let (name, value) = line.split_once(':').expect("a header");
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads the body of an answer whose head was read.
    pub fn rest_of(&mut self, head: &Answer) -> Vec<u8> {
        self.body(head).0
    }

    /// The body, and the trailers behind it.
    fn body(&mut self, head: &Answer) -> (Vec<u8>, Vec<(String, String)>) {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        if head.status == 204 {
            return (body, trailers);
        }
        if let Some(length) = head.header("content-length") {
            body.resize(length.parse().expect("a length"), 0);
            self.stream.read_exact(&mut body).expect("the whole body");
            return (body, trailers);
        }
        assert_eq!(head.header("transfer-encoding"), Some("chunked"), "{head:?}");
        loop {
            let size = self.line();
            let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..]).expect("the whole chunk");
            assert_eq!(self.line(), "");
        }
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { return (body, trailers) };
            trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Whether anything of an answer is there.
    pub fn has_come(&mut self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let is_there = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).unwrap();
        is_there || !self.stream.buffer().is_empty()
    }

    /// Whether the other end closed it, what came before aside.
    pub fn is_closed(&mut self) -> bool {
        self.stream.get_ref().set_nonblocking(true).unwrap();
        let mut waiting = [0; 4096];
        let ended = loop {
            match self.stream.get_mut().read(&mut waiting) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        self.stream.get_ref().set_nonblocking(false).unwrap();
        ended
    }

    /// What comes next of a body.
    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        line.trim_end_matches(['\r', '\n']).to_owned()
    }
}
