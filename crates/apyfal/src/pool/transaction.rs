//! Transactions, which stay on the host that they were opened on.

use std::sync::{Mutex, PoisonError};

use apyfal_core::JobParameters;
use serde_json::Value;

/// Where the transaction of a session is.
#[derive(Debug, Default)]
pub(super) struct Transaction(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    host: Option<usize>,
    is_open: bool,
}

impl Transaction {
    /// The host that a job must go to, where it is not free to choose.
    pub(super) fn host_of(&self, job: &JobParameters) -> Option<usize> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = is_set(job, "startOfTx");
        let follows = is_set(job, "endOfTx") || is_set(job, "again");
        state.host.filter(|_| state.is_open || follows && !begins)
    }

    /// A job was done on a host.
    pub(super) fn done(&self, job: &JobParameters, host: usize) {
        let (begins, ends) = (is_set(job, "startOfTx"), is_set(job, "endOfTx"));
        if begins || ends {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *state = State { host: Some(host), is_open: !ends };
        }
    }
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
    use serde_json::json;

    use super::*;

    #[test]
    fn an_open_transaction_has_a_host() {
        let job = |specific: Value| JobParameters::specific(specific.as_object().unwrap().clone());
        let transaction = Transaction::default();
        assert_eq!(transaction.host_of(&job(json!({}))), None);
        transaction.done(&job(json!({})), 1);
        assert_eq!(transaction.host_of(&job(json!({}))), None);
        transaction.done(&job(json!({"startOfTx": 1})), 2);
        assert_eq!(transaction.host_of(&job(json!({}))), Some(2));
        transaction.done(&job(json!({"endOfTx": true})), 2);
        assert_eq!(transaction.host_of(&job(json!({}))), None);
        assert_eq!(transaction.host_of(&job(json!({"again": true}))), Some(2));
        assert_eq!(transaction.host_of(&job(json!({"startOfTx": true}))), None);
    }
}
