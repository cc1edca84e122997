//! What is recorded of a host.

use std::str::FromStr;

use apyfal_client::RemoteOptions;
use apyfal_core::{Error, ErrorKind, Secret};
use apyfal_providers::{
    Artifact, AtShutdown, Instance, InstanceId, Login, ProviderInfo, Request, Token,
};
use apyfal_tls::Fingerprint;

use crate::FirstContact;

/// A host that was asked for.
#[derive(Clone, Debug)]
pub struct HostRecord {
    /// What the ledger calls it.
    pub id: String,
    /// For whom it was asked.
    pub usage: Usage,
    /// What it is called at the provider.
    pub name: String,
    /// Its accelerator.
    pub accelerator: String,
    /// Who makes it, and where.
    pub provider: String,
    /// The region of the provider.
    pub region: Option<String>,
    /// How far it is.
    pub state: HostState,
    /// What is to become of it once it is stopped.
    pub stop_mode: StopMode,
    /// Since when it is asked for, in seconds since 1970.
    pub asked: f64,
    /// What the provider calls its machine, once that is known.
    pub instance: Option<InstanceId>,
    /// Where it is, once it was contacted.
    pub url: Option<String>,
    /// How people log in to its machine, where they can.
    pub login: Option<Login>,
    /// What its machine waits for until it is sent by ssh.
    pub(crate) pushed: Vec<Artifact>,
    /// Until when its request may be sent, where what is in it does not last.
    pub(crate) good_until: Option<f64>,
    /// When its request was last sent.
    pub(crate) sent: Option<f64>,
    /// What it needs of what the machines of its provider share.
    pub(crate) holds: Vec<String>,
    /// The account at its provider, where that tells.
    pub(crate) account: Option<String>,
    pub(crate) token: Token,
    /// None once it has ended.
    pub(crate) request: Option<Request>,
    pub(crate) contact: Option<FirstContact>,
}

impl HostRecord {
    /// A machine that is there, and that nobody here asked for: it is in no ledger.
    pub(crate) fn of_existing(
        instance: Instance,
        provider: &ProviderInfo,
        accelerator: &str,
        stop_mode: StopMode,
    ) -> Self {
        let Instance { id, name, token, created, .. } = instance;
        Self {
            id: String::new(),
            usage: Usage::Unnamed(format!("{accelerator} on {id}")),
            name: if name.is_empty() { id.0.clone() } else { name },
            accelerator: accelerator.to_owned(),
            provider: provider.name.to_owned(),
            region: provider.region.clone(),
            state: HostState::Ready,
            stop_mode,
            asked: created,
            instance: Some(id),
            url: None,
            login: None,
            pushed: Vec::new(),
            holds: Vec::new(),
            good_until: None,
            sent: None,
            account: None,
            token,
            request: None,
            contact: None,
        }
    }

    /// Whether it was asked for here.
    pub(crate) fn is_made(&self) -> bool {
        self.request.is_some()
    }

    /// How to use it, once it was contacted.
    pub fn options(&self) -> Option<RemoteOptions> {
        let url = self.url.as_deref()?;
        Some(self.contact.as_ref()?.host(url))
    }

    /// Whether it was asked for by a token.
    pub fn asked_by(&self, token: &Token) -> bool {
        self.token == *token
    }

    /// What its clients know it by.
    pub fn proofs(&self) -> Option<(Secret, Fingerprint)> {
        let contact = self.contact.as_ref()?;
        Some((contact.token().clone(), contact.fingerprint()))
    }
}

/// For whom a host is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Usage {
    /// For the accelerator of this name, and for no other.
    Named(String),
    /// For a process, which asks for what this text says. Where it died, another one that asks for
    /// the same takes its host.
    Unnamed(String),
}

impl Usage {
    /// Whether it is for the accelerator of a name.
    pub fn is_of(&self, name: &str) -> bool {
        matches!(self, Self::Named(used_by) if used_by == name)
    }
}

/// How far a host is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostState {
    /// It is asked for; whether the provider knows of it is not known.
    Requested,
    /// Its machine is made.
    Made,
    /// It was contacted, and serves.
    Ready,
    /// Its machine is stopped.
    Stopped,
    /// It is to end.
    Ending,
    /// It has ended.
    Ended,
}

/// What becomes of a host once it is stopped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StopMode {
    /// It is deleted.
    #[default]
    Term,
    /// Its machine is stopped, and started again where it is needed again.
    Stop,
    /// It goes on.
    Keep,
}

/// Words for states: the same in the database and in what people read.
macro_rules! words {
    ($type:ty, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What the word says.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    HostState,
    Requested = "requested",
    Made = "made",
    Ready = "ready",
    Stopped = "stopped",
    Ending = "ending",
    Ended = "ended"
);
words!(StopMode, Term = "term", Stop = "stop", Keep = "keep");

/// As users write it: the word, however it is capitalised, or the number of the original.
impl FromStr for StopMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mode = match text.trim() {
            "0" => Some(Self::Term),
            "1" => Some(Self::Stop),
            "2" => Some(Self::Keep),
            word => Self::from_word(&word.to_ascii_lowercase()),
        };
        mode.ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("a stop mode cannot be '{text}'"))
                .hint("it is term (0), stop (1) or keep (2)")
        })
    }
}

impl StopMode {
    /// What becomes of a machine that shuts itself down. One that is kept is to be deleted then: nobody
    /// asked for it to be there for ever.
    pub fn at_shutdown(self) -> AtShutdown {
        match self {
            Self::Term | Self::Keep => AtShutdown::Terminate,
            Self::Stop => AtShutdown::Stop,
        }
    }
}

impl Usage {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Named(name) => format!("named {name}"),
            Self::Unnamed(what) => format!("unnamed {what}"),
        }
    }

    pub(super) fn of(text: &str) -> Self {
        match text.strip_prefix("named ") {
            Some(name) => Self::Named(name.to_owned()),
            None => Self::Unnamed(text.strip_prefix("unnamed ").unwrap_or(text).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_mode_is_a_word_or_the_number_of_the_original() {
        for (number, mode) in [StopMode::Term, StopMode::Stop, StopMode::Keep].iter().enumerate() {
            for text in [number.to_string(), mode.as_str().to_owned(), mode.as_str().to_uppercase()]
            {
                assert_eq!(text.parse::<StopMode>().unwrap(), *mode, "{text}");
            }
        }
        for wrong in ["", "3", "terminate"] {
            let error = wrong.parse::<StopMode>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{wrong}");
        }
    }
}
