//! Errors of stores and servers in our own words.

use std::error::Error as StdError;

use apyfal_core::{Error, ErrorKind, causes, root_cause};

use crate::guard::refusal_in;
use crate::location::ObjectLocation;

/// Why parts that were read do not belong together.
pub(crate) const CHANGED: &str = "it changed while it was being read";

/// The longest text of a server that is worth showing.
const SHOWN: usize = 300;

/// What an error of OpenDAL means.
pub(crate) fn object_error(error: opendal::Error, verb: &str, location: &ObjectLocation) -> Error {
    use opendal::ErrorKind as Kind;
    if let Some(refusal) = refusal_in(&error) {
        return refusal.operation(format!("{verb} '{location}'"));
    }
    let section = format!("[storage.{}]", location.scheme);
    let kind = match error.kind() {
        Kind::NotFound => ErrorKind::StorageNotFound,
        Kind::PermissionDenied => ErrorKind::StorageAuthentication,
        Kind::ConfigInvalid | Kind::Unsupported => ErrorKind::StorageConfiguration,
        _ if lacks_credentials(&error) => ErrorKind::StorageAuthentication,
        _ => ErrorKind::Storage,
    };
    let said = server_words(error.message());
    let message = match (error.kind(), said.as_str()) {
        (Kind::NotFound, "") => "it does not exist".to_owned(),
        (Kind::PermissionDenied, "") => "access was denied".to_owned(),
        (Kind::ConditionNotMatch, _) => CHANGED.to_owned(),
        _ if kind == ErrorKind::StorageAuthentication && lacks_credentials(&error) => {
            "no usable credentials were found".to_owned()
        }
        _ => {
            let beneath = error.source().map(|source| shorten(&root_cause(source)));
            let reasons: Vec<_> =
                [Some(said), beneath].into_iter().flatten().filter(|s| !s.is_empty()).collect();
            match reasons.is_empty() {
                true => "the server failed and gave no reason".to_owned(),
                false => reasons.join(": "),
            }
        }
    };
    let mut mapped = Error::new(kind, message).operation(format!("{verb} '{location}'"));
    if kind == ErrorKind::StorageAuthentication {
        mapped = mapped.hint(format!("check client_id, secret_id and region in section {section}"));
    }
    if error.kind() == Kind::RateLimited {
        mapped = mapped.retryable();
    }
    mapped
}

/// The credential chain answers with an error of its own, before any request was sent.
fn lacks_credentials(error: &opendal::Error) -> bool {
    causes(error).any(|cause| cause.is::<reqsign_core::Error>())
}

/// What the server said for people, out of the structure in which it said it.
fn server_words(message: &str) -> String {
    let inner = message
        .split_once("message: \"")
        .and_then(|(_, rest)| rest.split_once("\", "))
        .map(|(words, _)| words);
    // A page of HTML tells nothing that the status does not.
    let words = inner.unwrap_or(if message.trim_start().starts_with('<') { "" } else { message });
    shorten(words)
}

fn shorten(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end_matches('.');
    line.chars().take(SHOWN).collect()
}
