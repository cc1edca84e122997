//! Transactions, which stay on the host that they were opened on: the first of the session.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use apyfal_core::{EngineInfo, JobParameters};
use serde_json::Value;

/// The sessions that were started here, and whether a transaction is open in them. Of sessions that
/// were taken up that is not known.
#[derive(Debug, Default)]
pub(super) struct Transactions(Mutex<HashMap<String, bool>>);

impl Transactions {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session was started.
    pub(super) fn started(&self, session: &str) {
        self.sessions().insert(session.to_owned(), false);
    }

    /// A session was stopped.
    pub(super) fn stopped(&self, session: &str) {
        self.sessions().remove(session);
    }

    /// Whether a job is, or may be, part of a transaction.
    pub(super) fn has(&self, session: &str, info: &EngineInfo, job: &JobParameters) -> bool {
        if !has_transactions(info) {
            return false;
        }
        let is_open = self.sessions().get(session).copied().unwrap_or(true);
        is_open || is_set(job, "startOfTx") != is_set(job, "endOfTx") || is_set(job, "again")
    }

    /// A job was done.
    pub(super) fn done(&self, session: &str, job: &JobParameters) {
        let (begins, ends) = (is_set(job, "startOfTx"), is_set(job, "endOfTx"));
        if begins != ends
            && let Some(is_open) = self.sessions().get_mut(session)
        {
            *is_open = begins;
        }
    }
}

/// Whether an accelerator has transactions at all. Any other job of such a one may run again.
pub(super) fn has_transactions(info: &EngineInfo) -> bool {
    info.params.iter().any(|spec| spec.name == "startOfTx")
}

fn is_set(job: &JobParameters, name: &str) -> bool {
    match job.specific.get(name) {
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => {
            matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use apyfal_engines::Registry;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_open_transaction_is_known() {
        let job = |specific: Value| JobParameters::specific(specific.as_object().unwrap().clone());
        let registry = Registry::default();
        let info = &registry.find("targz").unwrap().info().clone();
        let transactions = Transactions::default();
        let has = |specific: Value| transactions.has("s", info, &job(specific));
        // Of a session that was taken up nothing is known.
        assert!(has(json!({})));
        transactions.started("s");
        assert!(!has(json!({})) && !has(json!({"startOfTx": 1, "endOfTx": true})));
        assert!(has(json!({"startOfTx": 1})) && has(json!({"again": true})));
        transactions.done("s", &job(json!({"startOfTx": 1})));
        assert!(has(json!({})) && has(json!({"endOfTx": 1})));
        transactions.done("s", &job(json!({"endOfTx": true})));
        assert!(!has(json!({})));
        let gzip = registry.find("gzip").unwrap();
        assert!(!transactions.has("other", gzip.info(), &job(json!({}))));
    }
}
