//! Questions to a host: asked once, or until it answers.

use std::time::{Duration, Instant};

use apyfal_api::v2;
use apyfal_core::{AcceleratorInfo, Result};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::connection::Ask;
use super::failure::{Failure, Patience, silent};
use super::{Inner, job};

/// How long a host may take to answer what needs no work.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.patience, self.connections.contact.is_known())
    }

    /// Asks the host once.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(&Method::GET, path).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: &Method, path: &str) -> Result<T, Failure> {
        let ask = Ask::new(method.clone(), path.to_owned());
        let (_, body) = self.connections.whole(ask).await?;
        Ok(job::read(&body)?)
    }

    /// Asks the host once, which is to answer in time.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        limit: Duration,
    ) -> Result<T, Failure> {
        let begin = Instant::now();
        let asked = tokio::time::timeout(limit, self.ask(method, path)).await;
        asked.unwrap_or_else(|_| {
            Err(silent(&self.connections.address, &self.connections.contact, begin))
        })
    }

    /// Asks the host until it answers.
    pub(super) async fn get_patiently<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask_patiently(&Method::GET, path, ANSWER).await
    }

    /// The same for what may be asked for again, and is to be answered in time.
    pub(super) async fn ask_patiently<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        limit: Duration,
    ) -> Result<T> {
        let mut patience = self.patience();
        loop {
            match self.answer(method, path, limit).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => patience.wait(failure).await?,
            }
        }
    }

    pub(super) async fn accelerator(&self, name: &str) -> Result<AcceleratorInfo> {
        if let Some(known) = self.accelerators.lock().get(name) {
            return Ok(known.clone());
        }
        let path = format!("/v2/accelerators/{}", in_path(name));
        let info = AcceleratorInfo::from(self.get_patiently::<v2::Accelerator>(&path).await?);
        self.accelerators.lock().insert(name.to_owned(), info.clone());
        Ok(info)
    }

    pub(super) async fn is_rerun_safe(&self, session: &str) -> Result<bool> {
        if let Some(known) = self.sessions.lock().get(session) {
            return Ok(*known);
        }
        let path = format!("/v2/sessions/{}", in_path(session));
        let about: v2::Session = self.get_patiently(&path).await?;
        let is_safe = self.accelerator(&about.accelerator).await?.rerun_safe;
        self.sessions.lock().insert(session.to_owned(), is_safe);
        Ok(is_safe)
    }
}

/// A name as a part of a path or query.
pub(super) fn in_path(name: &str) -> String {
    const ENCODED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(name, ENCODED).to_string()
}

/// An id that no other job has.
pub(super) fn random_id() -> String {
    Uuid::new_v4().simple().to_string()
}
