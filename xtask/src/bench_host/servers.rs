//! The servers that are measured, each a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// A process that ends with this.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Has it end as one that is stopped does, and waits for that.
    fn end(mut self) -> Result<()> {
        let id = self.0.id().to_string();
        Command::new("kill").arg(id).status().context("cannot run kill")?;
        self.0.wait()?;
        Ok(())
    }
}

/// Starts a server that says where it listens on its standard error.
fn start(command: &mut Command) -> Result<(Running, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let mut log = BufReader::new(child.stderr.take().context("no log")?);
    let running = Running(child);
    let mut said = String::new();
    loop {
        let before = said.len();
        if log.read_line(&mut said)? == 0 {
            bail!("the server did not start: {said}");
        }
        if let Some((_, address)) = said[before..].split_once("://") {
            let address = address.trim().to_owned();
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Ok((running, address));
        }
    }
}

/// `apyfal serve`.
pub(super) struct Host {
    running: Running,
    pub(super) address: String,
    home: TempDir,
}

impl Host {
    pub(super) fn start(apyfal: &Path, configuration: &str, words: &[&str]) -> Result<Self> {
        let home = tempfile::tempdir()?;
        std::fs::write(home.path().join("accelerator.conf"), configuration)?;
        let mut command = Command::new(apyfal);
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(words);
        command.env("HOME", home.path()).current_dir(home.path());
        let (running, address) = start(&mut command)?;
        Ok(Self { running, address, home })
    }

    /// Opens a session; returns its id.
    pub(super) fn session(&self, accelerator: &str) -> Result<String> {
        let body = format!(r#"{{"accelerator": "{accelerator}"}}"#);
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "POST /v2/sessions HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let session: Value = serde_json::from_str(body).context("no session")?;
        Ok(session["id"].as_str().with_context(|| body.to_owned())?.to_owned())
    }

    /// The most memory that it ever had, in bytes.
    pub(super) fn peak_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("no VmHWM")? << 10)
    }
}

/// A server of this program's own that a host is compared with.
pub(super) struct Peer {
    running: Running,
    pub(super) address: String,
}

impl Peer {
    pub(super) fn start(peers: &Path, name: &str) -> Result<Self> {
        let (running, address) = start(Command::new(peers).args(["peer", name]))?;
        Ok(Self { running, address })
    }
}

/// What a host is compared with: it sends the data of a job back.
pub(super) struct Other {
    pub(super) name: &'static str,
    pub(super) address: String,
    /// Where it takes jobs.
    pub(super) path: String,
    running: Running,
    _home: Option<TempDir>,
}

/// The name of a peer that is apyfal too.
pub(super) const ANOTHER_BUILD: &str = "the other build";

impl Other {
    pub(super) fn echo(echo: Peer) -> Self {
        let Peer { running, address } = echo;
        Self { name: "hyper echo", address, path: "/".to_owned(), running, _home: None }
    }

    pub(super) fn host(apyfal: &Path) -> Result<Self> {
        let host = Host::start(apyfal, "", &[])?;
        let path = format!("/v2/sessions/{}/jobs", host.session("null")?);
        let Host { running, address, home } = host;
        Ok(Self { name: ANOTHER_BUILD, address, path, running, _home: Some(home) })
    }

    /// Stops it, and waits until it ended.
    pub(super) fn end(self) -> Result<()> {
        self.running.end()
    }
}

/// nginx, serving one directory over TLS.
pub(super) struct Nginx {
    _running: Running,
    pub(super) address: String,
}

impl Nginx {
    pub(super) fn start(folder: &Path, certificate: &Path, key: &Path) -> Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let (folder, root) = (folder.display(), folder.display());
        let (certificate, key) = (certificate.display(), key.display());
        let configuration = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; sendfile on;
                 client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
                 fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
                 server {{
                     listen {address} ssl; root {root};
                     ssl_certificate {certificate}; ssl_certificate_key {key};
                     ssl_protocols TLSv1.3;
                 }}
             }}"
        );
        let file = std::path::PathBuf::from(format!("{folder}/nginx.conf"));
        std::fs::write(&file, configuration)?;
        let child = Command::new("nginx")
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("missing: apt-get install nginx-light")?;
        let running = Running(child);
        for _ in 0..500 {
            if TcpStream::connect(&address).is_ok() {
                return Ok(Self { _running: running, address });
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        bail!("nginx did not start")
    }
}
