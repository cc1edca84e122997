//! Short-lived tokens, kept in memory: a restart ends them, and clients ask for new ones.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use apyfal_core::{Result, Secret};
use apyfal_tls::token::{TokenHash, generate};
use parking_lot::{Mutex, MutexGuard};

use super::Account;

/// So many are remembered; beyond, the oldest end early.
const MOST: usize = 100_000;

#[derive(Debug)]
pub(super) struct Tokens {
    ttl: Duration,
    given: Mutex<HashMap<TokenHash, (Account, Instant)>>,
}

impl Tokens {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, given: Mutex::default() }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A new token for an account.
    pub(super) fn give(&self, account: Account) -> Result<Secret> {
        let token = generate()?;
        let mut given = self.given();
        given.retain(|_, (_, when)| when.elapsed() < self.ttl);
        if given.len() >= MOST {
            let oldest = given.iter().min_by_key(|(_, (_, when))| *when).map(|(hash, _)| *hash);
            oldest.map(|hash| given.remove(&hash));
        }
        given.insert(TokenHash::of(&token), (account, Instant::now()));
        Ok(token)
    }

    /// The account that a token was given to, as it was then, while the token is good. Looked up by its hash, so that the
    /// time it takes tells nothing of tokens that exist.
    pub(super) fn owner(&self, token: &str) -> Option<Account> {
        let given = self.given();
        let (owner, when) = given.get(&TokenHash::of(&Secret::new(token)))?;
        (when.elapsed() < self.ttl).then(|| owner.clone())
    }

    fn given(&self) -> MutexGuard<'_, HashMap<TokenHash, (Account, Instant)>> {
        self.given.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end() {
        let line = "a pbkdf2-sha256$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 5";
        let accounts = super::super::Accounts::parse(line, "accounts").unwrap();
        let account = accounts.iter().next().unwrap();
        let tokens = Tokens::new(Duration::from_secs(60));
        let token = tokens.give(account.clone()).unwrap();
        assert_eq!(tokens.owner(token.expose()).as_ref(), Some(account));
        assert_eq!(tokens.owner("apyfal_other"), None);
        let ended = Tokens::new(Duration::ZERO);
        let token = ended.give(account.clone()).unwrap();
        assert_eq!(ended.owner(token.expose()), None);
    }
}
