//! How starts, processes and stops ended.

use apyfal_core::{Error, Report};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::status;

/// The `parametersresult` of what ended well: `{"app": {"status": 0, "msg": "", …}}`.
pub fn success(report: &Report) -> Value {
    json!({"app": report.to_json()["app"].take()})
}

/// The `parametersresult` of what failed: its status is that of HTTP for the kind of error, its
/// message the error with its hints.
pub fn failure(error: &Error) -> Value {
    json!({"app": {"status": status(error.kind()), "msg": message(error)}})
}

/// An error as one text: the error, then a line for each of its hints.
pub fn message(error: &Error) -> String {
    let mut text = error.to_string();
    for hint in error.hints() {
        text += "\nhint: ";
        text += hint;
    }
    text
}

/// What answers a stop, and a request that was refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// Whether the request was refused.
    pub inerror: bool,
    /// 0, or why it was refused, as a status of HTTP.
    pub errorcode: u16,
    /// Status and message, where other answers have them.
    pub parametersresult: Value,
    /// The same once more, where clients look for it after a stop.
    pub app: Value,
}

impl Answer {
    /// The answer to a stop.
    pub fn stopped() -> Self {
        Self::new(false, 0, json!({"app": {"status": 0, "msg": ""}}))
    }

    fn new(inerror: bool, errorcode: u16, parametersresult: Value) -> Self {
        Self { inerror, errorcode, app: parametersresult["app"].clone(), parametersresult }
    }
}

impl From<&Error> for Answer {
    fn from(error: &Error) -> Self {
        Self::new(true, status(error.kind()), failure(error))
    }
}

#[cfg(test)]
mod tests {
    use apyfal_core::ErrorKind;

    use super::*;

    #[test]
    fn a_failure_has_text_and_hints_in_its_message() {
        let error = Error::new(ErrorKind::InvalidData, "bad magic")
            .operation("decompress 'a'")
            .hint("get it again")
            .hint("whole");
        assert_eq!(
            failure(&error),
            json!({"app": {
                "status": 422,
                "msg": "cannot decompress 'a': bad magic\nhint: get it again\nhint: whole",
            }})
        );
        let answer = serde_json::to_value(Answer::from(&error)).unwrap();
        assert_eq!((&answer["inerror"], &answer["errorcode"]), (&json!(true), &json!(422)));
        assert_eq!(answer["app"], failure(&error)["app"]);
    }

    #[test]
    fn every_failure_has_a_status_other_than_0() {
        for kind in ErrorKind::ALL {
            assert_ne!(failure(&Error::new(kind, "x"))["app"]["status"], 0, "{kind}");
        }
    }

    #[test]
    fn a_success_has_the_report_in_the_shape_of_the_original() {
        let mut report = Report { accelerator: "sha3".into(), ..Report::default() };
        report.specific.insert("digest".into(), "ab".into());
        let result = success(&report);
        assert_eq!(result["app"]["status"], 0);
        assert_eq!(result["app"]["msg"], "");
        assert_eq!(result["app"]["specific"], json!({"digest": "ab"}));
        assert_eq!(result["app"]["profiling"]["total-bytes-read"], 0);
        assert!(result.as_object().is_some_and(|members| members.len() == 1), "{result}");
    }
}
