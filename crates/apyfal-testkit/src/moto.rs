//! A moto server: the API of AWS, kept in memory.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::missing;
use crate::python::{ADVICE, python};

/// Ends with its standard input, which the system closes when the test ends in whatever way.
const PROGRAM: &str = "
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', '0'])
";

/// A running moto server. It takes any credentials; [`Cloud`](crate::Cloud) is as strict as AWS.
#[derive(Debug)]
pub struct Moto {
    server: Child,
    address: String,
}

impl Moto {
    /// Starts a server. Where the Python on the search path has no moto, as that of `cargo xtask test`
    /// has, it is installed first, under `APYFAL_TESTKIT_DIR` or `target/testkit`: that takes a minute.
    ///
    /// # Errors
    /// Python or the package cannot be had, or the server does not start.
    pub fn start() -> Result<Self> {
        let mut server = Command::new(python()?)
            .args(["-u", "-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| missing("moto", ADVICE, error))?;
        let mut log = BufReader::new(server.stderr.take().ok_or_else(|| Error::other("no log"))?);
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            if log.read_line(&mut said)? == 0 {
                return Err(Error::other(format!("moto did not start: {said}")));
            }
            if let Some((_, rest)) = said[start..].split_once("Running on http://") {
                break rest.trim().to_owned();
            }
        };
        // Its log is read to the end, or it would block once the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { server, address })
    }

    /// Its URL: `http://127.0.0.1:4000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// The server refuses.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.call("PUT", &format!("/{bucket}")).map(drop)
    }

    /// The keys of all objects in a bucket.
    ///
    /// # Errors
    /// The server refuses.
    pub fn keys(&self, bucket: &str) -> Result<Vec<String>> {
        Ok(elements(&self.call("GET", &format!("/{bucket}?list-type=2"))?, "Key"))
    }

    /// The keys of all uploads in a bucket that were begun and neither finished nor aborted.
    ///
    /// # Errors
    /// The server refuses.
    pub fn unfinished_uploads(&self, bucket: &str) -> Result<Vec<String>> {
        Ok(elements(&self.call("GET", &format!("/{bucket}?uploads"))?, "Key"))
    }

    fn call(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request\r\n\r\n",
            self.address
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            return Err(Error::other(format!("moto answered {method} {path} with: {answer}")));
        }
        Ok(answer)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned()))
        .collect()
}
