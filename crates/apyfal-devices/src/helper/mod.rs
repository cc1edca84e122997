//! A small privileged helper for users who may not touch a device themselves.
//!
//! It is asked one thing and answers it, a line of JSON each, on its standard streams:
//!
//! ```json
//! {"verb": "load", "device": "aws-f2", "slot": "0", "image": {"agfi": "agfi-0123456789abcdef0"}}
//! {"done": true}
//! ```
//!
//! systemd starts it for each connection to a socket that only the members of a group may connect
//! to (`deploy/apyfal-device.socket`), or `sudo -n` does. It knows the verbs of
//! [`Device`](crate::Device) and nothing else, checks every argument, and starts no shell. When who
//! asked goes away, it ends the tool that it runs.

mod client;
mod open;
mod serve;

use std::path::{Path, PathBuf};

use apyfal_core::{Details, Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::{Kind, Loaded};
pub(crate) use client::Helped;
pub use serve::Helper;

/// Where systemd listens for it.
pub const SOCKET: &str = "/run/apyfal-device.sock";
/// The subcommand that is the helper.
pub const COMMAND: &str = "device-helper";
/// A line that is longer is neither a question nor an answer.
const LINE: usize = 64 << 10;

/// How the devices of this machine can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// With their tools.
    Direct,
    /// Through a helper that is started for each connection to this socket.
    Socket(PathBuf),
    /// Through the helper of this program, run with `sudo -n`.
    Sudo(PathBuf),
}

impl Access {
    /// The socket where there is one, else the tools where this is root, else `sudo`.
    pub fn choose(socket: &Path, is_root: bool, program: PathBuf) -> Self {
        if socket.exists() {
            Self::Socket(socket.to_owned())
        } else if is_root {
            Self::Direct
        } else {
            Self::Sudo(program)
        }
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Slots,
    Describe,
    Load,
    Clear,
    Prefetch,
}

/// A question.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    verb: Verb,
    device: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<Named>,
}

/// An image as it is named in a question.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Agfi(String),
    File(PathBuf),
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Slots(Vec<String>),
    Loaded(Loaded),
    /// Whether the device has such a thing.
    Done(bool),
    Error(ErrorReply),
}

/// An error on its way.
#[derive(Debug, Serialize, Deserialize)]
struct ErrorReply {
    kind: String,
    message: String,
    facts: Vec<(String, String)>,
    hints: Vec<String>,
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    details: Details,
}

impl From<&Error> for ErrorReply {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
            facts: error
                .facts()
                .iter()
                .map(|(key, value)| (key.to_string(), value.clone()))
                .collect(),
            hints: error.hints().to_vec(),
            details: error.details().clone(),
        }
    }
}

impl From<ErrorReply> for Error {
    fn from(reply: ErrorReply) -> Self {
        let kind = ErrorKind::from_word(&reply.kind).unwrap_or(ErrorKind::Engine);
        let error = Self::new(kind, reply.message);
        let error =
            reply.facts.into_iter().fold(error, |error, (key, value)| error.context(key, value));
        reply.hints.into_iter().fold(error, Self::hint).with_details(reply.details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_line_is_a_question_and_an_answer_or_none() {
        bolero::check!().with_iterations(2_000).with_max_len(512).for_each(|bytes: &[u8]| {
            if let Ok(Request { device, slot: Some(slot), .. }) = serde_json::from_slice(bytes)
                && device.check_slot(&slot).is_ok()
            {
                assert!(!slot.starts_with('-') && !slot.contains(['/', '\0']), "{slot}");
            }
            if let Ok(Reply::Error(reply)) = serde_json::from_slice(bytes) {
                let error = Error::from(reply);
                let again = Error::from(ErrorReply::from(&error));
                assert_eq!(again.to_string(), error.to_string());
                assert_eq!(again.details(), error.details());
            }
        });
    }
}
