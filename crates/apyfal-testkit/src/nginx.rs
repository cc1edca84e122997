//! An nginx server: of static files, or before another server.

use std::io::{Error, Result};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::until::answer;
use crate::{missing, own_loopback};

/// A running nginx. Closing its standard input ends it, as the end of the test does.
#[derive(Debug)]
pub struct Nginx {
    server: Child,
    address: String,
    _state: TempDir,
}

impl Nginx {
    /// Starts a server of the files below `root`.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn start(root: &Path) -> Result<Self> {
        let state = TempDir::new()?;
        let users = state.path().join("users");
        std::fs::write(&users, "user:{PLAIN}password\n")?;
        let (root, users) = (root.display(), users.display());
        let within = format!(
            "root \"{root}\";
             location /private/ {{ auth_basic private; auth_basic_user_file \"{users}\"; }}"
        );
        Self::serving(state, |address| server(address, &within))
    }

    /// Starts a proxy that is no more than this `location` of a server. What is not in it is as
    /// nginx has it by default.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn proxy(location: &str) -> Result<Self> {
        Self::of(|address| server(address, location))
    }

    /// Starts what these blocks say, which are made for its address.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn of(blocks: impl FnOnce(&str) -> String) -> Result<Self> {
        Self::serving(TempDir::new()?, blocks)
    }

    fn serving(state: TempDir, blocks: impl FnOnce(&str) -> String) -> Result<Self> {
        let address = TcpListener::bind((own_loopback(), 0))?.local_addr()?.to_string();
        let blocks = blocks(&address);
        let directory = state.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid \"{directory}/pid\"; error_log \"{directory}/log\";
             events {{ worker_connections 512; }}
             http {{
                 access_log off;
                 client_body_temp_path \"{directory}/a\"; proxy_temp_path \"{directory}/b\";
                 fastcgi_temp_path \"{directory}/c\"; uwsgi_temp_path \"{directory}/d\";
                 scgi_temp_path \"{directory}/e\";
                 {blocks}
             }}"
        );
        let file = state.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let mut server = Command::new("sh")
            .args(["-c", "PATH=$PATH:/usr/sbin; nginx -c \"$0\" & read _; kill $!; wait"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| missing("nginx", "install nginx-light", error))?;
        // It writes its process id once it listens.
        let pid = state.path().join("pid");
        if answer(|| pid.exists().then_some(())).is_none() {
            drop(server.stdin.take());
            let _ = server.wait();
            return Err(Error::other("nginx (package nginx-light) did not start"));
        }
        Ok(Self { server, address, _state: state })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a file: `http://127.0.0.1:8000/name`.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// The URL of a file below `private/`, with the credentials that it needs.
    pub fn url_with_credentials(&self, name: &str) -> String {
        format!("http://user:password@{}/{name}", self.address)
    }
}

/// The block of a server.
fn server(address: &str, within: &str) -> String {
    format!("server {{ listen {address}; {within} }}")
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}
