//! AWS as strict as it is: moto behind `cloud/`, which checks what moto takes as it comes, and fails
//! as a test says.

mod fault;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::missing;
use crate::python::{ADVICE, python};

pub use fault::{Fault, Kill};

/// A running cloud. Its account is 123456789012, and its owner may do everything.
#[derive(Debug)]
pub struct Cloud {
    server: Child,
    url: String,
    /// Where tests ask it: in the file system, since it may be in another network.
    directory: tempfile::TempDir,
}

/// A call that it got, in the order of their coming.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// `ec2`.
    pub service: String,
    /// `RunInstances`.
    pub action: String,
    /// The region that it was signed for.
    pub region: String,
    /// What was asked for, by the names of the wire, without what is secret.
    pub parameters: BTreeMap<String, Value>,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// The code of the error; of one that moto made, the answer.
    pub error: Option<String>,
}

/// An instance, as only its cloud sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct CloudInstance {
    /// `i-…`.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// Where in the region.
    pub zone: String,
    /// `running`.
    pub state: String,
    /// How often it was started.
    pub starts: u32,
    /// Its address in its network.
    pub private_address: Option<String>,
    /// That by which others reach it.
    pub public_address: Option<String>,
    /// What its system does first.
    pub user_data: String,
    /// `stop` or `terminate`.
    pub at_shutdown: String,
    /// What its security groups let in.
    pub rules: Vec<Rule>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The name of its profile.
    pub profile: Option<String>,
    /// By which it was asked for.
    pub client_token: Option<String>,
    /// `ami-…`.
    pub image: String,
    /// `t3.micro`.
    pub instance_type: String,
    /// The name of its key pair.
    pub key_name: Option<String>,
    /// `sir-…`.
    pub spot_request: Option<String>,
}

/// What a security group lets in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Rule {
    /// `tcp`, or `-1` for all.
    pub protocol: String,
    /// The first port; none for all.
    pub first: Option<i32>,
    /// The last one.
    pub last: Option<i32>,
    /// From where: `10.0.0.0/8`.
    pub source: Option<String>,
}

impl Call {
    /// In one line: `ec2 RunInstances 500 InsufficientInstanceCapacity`.
    pub fn shown(&self) -> String {
        let Self { service, action, status, error, .. } = self;
        let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let error = error.as_deref().unwrap_or_default();
        format!("{service} {action} {status} {error}").trim_end().to_owned()
    }
}

impl Cloud {
    /// Starts one on the loopback interface. moto is had as in [`Moto::start`](crate::Moto::start).
    ///
    /// # Errors
    /// Python or a package cannot be had, or the server does not start.
    pub fn start() -> Result<Self> {
        Self::start_by(Command::new(python()?), &["--address", "127.0.0.1"])
    }

    /// Starts one at an address of another network, to which `enter` leads, and the metadata service
    /// of its instances there.
    ///
    /// # Errors
    /// As in [`Cloud::start`].
    pub fn start_in(mut enter: Command, address: &str) -> Result<Self> {
        enter.arg(python()?);
        Self::start_by(enter, &["--address", address, "--metadata", "169.254.169.254"])
    }

    fn start_by(mut python: Command, words: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let log = std::fs::File::create(directory.path().join("log"))?;
        let mut server = python
            .args(["-B", "-u", "-m", "cloud"])
            .args(words)
            .arg("--control")
            .arg(directory.path().join("control"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| missing("moto", ADVICE, error))?;
        let said = server.stdout.take().ok_or_else(|| Error::other("no output"))?;
        let mut url = String::new();
        BufReader::new(said).read_line(&mut url)?;
        let cloud = Self { server, url: url.trim().to_owned(), directory };
        if cloud.url.is_empty() {
            return Err(Error::other(format!("the cloud did not start: {}", cloud.log())));
        }
        Ok(cloud)
    }

    /// Its URL, which is that of all services: `http://127.0.0.1:4000`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What leads the tools of AWS to it, as its owner.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// Has calls fail from now on.
    pub fn fail(&self, fault: &Fault) {
        let _: Value = self.ask("fail", &json!(fault));
    }

    /// Has a process end at one of the calls that come from now on.
    pub fn kill(&self, kill: &Kill) {
        let _: Value = self.ask("kill", &json!(kill));
    }

    /// Sets how long things take, as `cloud/settings.py` names it: `{"unseen": 2.0}`.
    pub fn set(&self, settings: &Value) {
        let _: Value = self.ask("settings", settings);
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.ask("calls", &Value::Null)
    }

    /// How many calls of an action there were so far.
    pub fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action).count()
    }

    /// All instances that ever were, those included that nobody else may see yet.
    pub fn instances(&self) -> Vec<CloudInstance> {
        self.ask("instances", &Value::Null)
    }

    /// What was made and not deleted, by what it is: `instances`, `security_groups`, `key_pairs`.
    pub fn left(&self) -> BTreeMap<String, Vec<String>> {
        self.ask("left", &Value::Null)
    }

    /// Tells that the system of an instance shut itself down.
    pub fn shut_down(&self, instance: &str) {
        let _: Value = self.ask("shut-down", &json!({ "instance": instance }));
    }

    /// Sets what an instance said on its console.
    pub fn set_console(&self, instance: &str, text: &str) {
        let _: Value = self.ask("console", &json!({ "instance": instance, "text": text }));
    }

    /// Has an image in all regions, a stock Linux for x86_64.
    pub fn add_image(&self, id: &str) {
        let _: Value = self.ask("image", &json!({ "id": id }));
    }

    /// Has the name of a bucket be that of another account.
    pub fn take_bucket(&self, bucket: &str) {
        let _: Value = self.ask("bucket-of-another", &json!({ "bucket": bucket }));
    }

    fn ask<T: DeserializeOwned>(&self, what: &str, with: &Value) -> T {
        let answer = self.try_ask(what, with).expect("the cloud answers");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.contains(" 200 "), "{what}: {answer}: {}", self.log());
        serde_json::from_str(body).expect("an answer in JSON")
    }

    fn try_ask(&self, what: &str, with: &Value) -> Result<String> {
        let mut stream = UnixStream::connect(self.directory.path().join("control"))?;
        let body = with.to_string();
        write!(
            stream,
            "POST /_cloud/{what} HTTP/1.0\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
