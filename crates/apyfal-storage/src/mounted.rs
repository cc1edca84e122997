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
        self.buckets.lock().insert(container.to_owned(), bucket.clone());
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
