//! Tokens beside the host's own: each has a name, which says whose a job is, and can be revoked.

use std::sync::Arc;

use apyfal_tls::token::TokenHash;
use parking_lot::RwLock;

use crate::journal::TokenRecord;

/// The tokens as the journal has them.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: RwLock<Vec<(Arc<str>, TokenHash)>>,
    changing: tokio::sync::Mutex<()>,
}

impl Tokens {
    /// The name of the token with this hash.
    pub(super) fn find(&self, given: &TokenHash) -> Option<Arc<str>> {
        let tokens = self.known.read();
        tokens.iter().find(|(_, hash)| hash.is(given)).map(|(name, _)| name.clone())
    }

    /// Waits until nobody else changes what the journal and this have.
    pub(crate) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Knows a token from now on, instead of one of the same name.
    pub(crate) fn add(&self, token: &TokenRecord) {
        let mut tokens = self.known.write();
        tokens.retain(|(name, _)| **name != *token.name);
        tokens.push((token.name.as_str().into(), token.hash));
    }

    /// Knows it no more.
    pub(crate) fn remove(&self, name: &str) {
        let mut tokens = self.known.write();
        tokens.retain(|(other, _)| **other != *name);
    }

    /// Whether there are any, so that there are several owners.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.read().is_empty()
    }
}
