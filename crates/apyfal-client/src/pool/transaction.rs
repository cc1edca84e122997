//! Transactions, which stay on the host that they were opened on: the first of the session.

use parking_lot::Mutex;

use apyfal_core::{AcceleratorInfo, JobParameters, truth};

/// Whether a transaction is open in a session. Of one that was taken up that is not known.
#[derive(Debug)]
pub(super) struct Transaction(Mutex<Option<bool>>);

impl Transaction {
    /// That of a session that was just started.
    pub(super) fn none() -> Self {
        Self(Mutex::new(Some(false)))
    }

    /// That of a session that was taken up.
    pub(super) fn unknown() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether a job is, or may be, part of a transaction.
    pub(super) fn has(&self, info: &AcceleratorInfo, job: &JobParameters) -> bool {
        if !has_transactions(info) {
            return false;
        }
        let is_open = self.0.lock().unwrap_or(true);
        is_open || is_set(job, "startOfTx") != is_set(job, "endOfTx") || is_set(job, "again")
    }

    /// A job was done.
    pub(super) fn done(&self, job: &JobParameters) {
        let (begins, ends) = (is_set(job, "startOfTx"), is_set(job, "endOfTx"));
        if begins != ends
            && let Some(is_open) = &mut *self.0.lock()
        {
            *is_open = begins;
        }
    }
}

/// Whether an accelerator has transactions at all. Any other job of such a one may run again.
pub(super) fn has_transactions(info: &AcceleratorInfo) -> bool {
    info.params.iter().any(|spec| spec.name == "startOfTx")
}

fn is_set(job: &JobParameters, name: &str) -> bool {
    job.specific.get(name).and_then(truth).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use apyfal_core::{ParamKind, ParamSpec};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_open_transaction_is_known() {
        let job = |specific: Value| JobParameters::specific(specific.as_object().unwrap().clone());
        let mut info = AcceleratorInfo::new("targz", "");
        let transaction = Transaction::none();
        let has = |info: &AcceleratorInfo, specific: Value| transaction.has(info, &job(specific));
        assert!(!has(&info, json!({"startOfTx": 1})), "it has none at all");
        info.params.push(ParamSpec::new("startOfTx", ParamKind::Bool, ""));
        assert!(Transaction::unknown().has(&info, &job(json!({}))));
        assert!(!has(&info, json!({})) && !has(&info, json!({"startOfTx": 1, "endOfTx": true})));
        assert!(has(&info, json!({"startOfTx": 1})) && has(&info, json!({"again": true})));
        transaction.done(&job(json!({"startOfTx": 1})));
        assert!(has(&info, json!({})) && has(&info, json!({"endOfTx": 1})));
        transaction.done(&job(json!({"endOfTx": true})));
        assert!(!has(&info, json!({})));
    }
}
