//! The secrets of a web address, which are not shown.

use apyfal_core::is_secret_key;
use reqwest::Url;

/// The URL without what it says of its user, and without the query values that grant access by
/// themselves, such as the signature of a presigned URL.
pub(crate) fn masked(url: &Url) -> Url {
    let mut masked = url.clone();
    if has_user(url) {
        // Many a token stands where the name is, with some word as its password or with none. Both
        // fail only for URLs that cannot have a user.
        let _ = masked.set_password(None);
        let _ = masked.set_username("***");
    }
    if url.query().is_some() {
        let pairs: Vec<_> = url.query_pairs().collect();
        if pairs.iter().any(|(key, _)| grants_access(key)) {
            masked.query_pairs_mut().clear().extend_pairs(
                pairs
                    .iter()
                    .map(|(key, value)| (key, if grants_access(key) { "***" } else { value })),
            );
        }
    }
    masked
}

pub(crate) fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn grants_access(key: &str) -> bool {
    is_secret_key(key) || is_signature(key) || key.to_ascii_lowercase().contains("token")
}

pub(crate) fn is_signature(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("signature") || key == "sig"
}
