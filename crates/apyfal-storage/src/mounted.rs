//! A store that is mounted, with the connections that it has.

use std::collections::HashMap;
use std::sync::Arc;

use apyfal_core::{Environment, Result};
use parking_lot::Mutex;

use crate::account::Account;
use crate::bucket::Bucket;
use crate::keystone::Token;
use crate::mount::{MountOptions, StorageType};
use crate::transport::Transport;

/// So many buckets are kept: their names come from whoever has a host run jobs, and nobody has to
/// have a bucket to name it.
const KEPT: usize = 64;

/// A mounted store and its connections, which end with it.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) options: MountOptions,
    buckets: Mutex<HashMap<String, Bucket>>,
    token: tokio::sync::Mutex<Option<Token>>,
    /// What the tools of AWS know, for S3 without keys of its own.
    account: tokio::sync::OnceCell<Account>,
}

impl Mount {
    pub(crate) fn new(options: MountOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            buckets: Mutex::default(),
            token: tokio::sync::Mutex::default(),
            account: tokio::sync::OnceCell::new(),
        })
    }

    pub(crate) async fn bucket(
        &self,
        container: &str,
        transport: &Transport,
        environment: &Environment,
    ) -> Result<Bucket> {
        let connect =
            |account, token| Bucket::connect(&self.options, container, account, token, transport);
        if self.options.storage_type == StorageType::Swift {
            // A token lives for a while only, so each use connects with the present one.
            return connect(None, Some(&self.token(transport).await?));
        }
        if let Some(bucket) = self.buckets.lock().get(container) {
            return Ok(bucket.clone());
        }
        let account = match self.options.storage_type {
            StorageType::S3 if self.options.client_id.is_none() => Some(
                self.account
                    .get_or_try_init(|| Account::open(&self.options, environment, transport))
                    .await?,
            ),
            _ => None,
        };
        let bucket = connect(account, None)?;
        let mut buckets = self.buckets.lock();
        // What is forgotten is made again when it is asked for, without a word to the store.
        if buckets.len() >= KEPT {
            buckets.clear();
        }
        buckets.insert(container.to_owned(), bucket.clone());
        Ok(bucket)
    }

    async fn token(&self, transport: &Transport) -> Result<Token> {
        let mut token = self.token.lock().await;
        match &*token {
            Some(token) if !token.is_stale() => Ok(token.clone()),
            _ => Ok(token.insert(Token::fetch(&self.options, transport).await?).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use apyfal_core::Secret;

    use super::*;

    #[tokio::test]
    async fn buckets_that_are_only_named_take_no_memory() {
        let mut options = MountOptions::new(StorageType::S3);
        options.client_id = Some("AKID".into());
        options.secret_id = Some(Secret::new("hunter2"));
        let (mount, environment) = (Mount::new(options), Environment::default());
        let transport = Transport::new(&environment).unwrap();
        for number in 0..KEPT * 2 {
            let name = format!("bucket-{number}");
            mount.bucket(&name, &transport, &environment).await.unwrap();
            let kept = mount.buckets.lock();
            assert!(kept.contains_key(&name) && kept.len() <= KEPT);
        }
    }
}
