//! REST v1.0, which the original's clients speak.
//!
//! | method and path | does |
//! | --- | --- |
//! | `GET /` | answers, so that a client knows that the host is there |
//! | `POST /v1.0/configuration/` | starts: opens a session, which this protocol calls configuration |
//! | `GET /v1.0/configuration/`, `/v1.0/configuration/{id}` | lists configurations, tells of one |
//! | `POST /v1.0/process/` | runs a job, which this protocol calls process |
//! | `GET /v1.0/process/`, `GET`, `DELETE /v1.0/process/{id}` | lists, tells of (once it ended, or a short time has passed), cancels and forgets processes |
//! | `GET /v1.0/process/{id}/datafileresult` | the result; understands `Range` |
//! | `GET /v1.0/stop/` | answers; it ends nothing, since others may use the host |
//! | `GET /v1.0/schema/` | [`DESCRIPTION`] |
//!
//! Every path is served with and without its last slash, and below `/<accelerator>` too.
//!
//! A start or a job that fails is told as such: its `parametersresult` has a status other than 0.
//! `inerror` is for requests that were refused before they became either.

mod configuration;
mod date;
mod form;
mod list;
mod process;
mod result;

pub use configuration::Configuration;
pub use date::date;
pub use form::{CONFIGURATION, DATA, PARAMETERS, take_destination, take_source};
pub use list::{List, PAGE, no_page, page, pages};
pub use process::Process;
pub use result::{Answer, failure, message, success};

/// Where its paths begin; each is served below `/<accelerator>` too.
pub const ROOT: &str = "/v1.0";

/// What is served, as an OpenAPI 2.0 document.
pub const DESCRIPTION: &str = include_str!("../../../../openapi/v1.json");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn description() -> Value {
        serde_json::from_str(DESCRIPTION).unwrap()
    }

    /// The names that an object has, sorted.
    fn names(object: &Value) -> Vec<&str> {
        let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_described_is_what_is_sent() {
        let of = |name: &str| description()["definitions"][name]["properties"].clone();
        let configuration = json!({
            "id": 1, "url": "u", "parameters": {}, "datafile": null, "used": true, "created": "d",
            "processed": true, "processed_date": null, "inerror": false, "errorcode": 0,
            "parametersresult": {},
        });
        let read: Configuration = serde_json::from_value(configuration).unwrap();
        let sent = serde_json::to_value(&read).unwrap();
        assert_eq!(names(&sent), names(&of("Configuration")));

        let process = json!({
            "id": 1, "url": "u", "configuration": "c", "parameters": {}, "datafile": null,
            "datafileresult": null, "processed": false, "processed_date": null, "inerror": false,
            "errorcode": 0, "parametersresult": {},
        });
        let read: Process = serde_json::from_value(process).unwrap();
        assert_eq!(names(&serde_json::to_value(&read).unwrap()), names(&of("Process")));

        let page = serde_json::to_value(List::new("u", 1, 1, vec![read])).unwrap();
        assert_eq!(names(&page), names(&of("ProcessPage")));
        assert_eq!(names(&page), names(&of("ConfigurationPage")));
        let stopped = serde_json::to_value(Answer::stopped()).unwrap();
        assert_eq!(names(&stopped), names(&of("Answer")));
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        fn visit(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| match value {
                    Value::String(target) if key == "$ref" => found.push(target.clone()),
                    _ => visit(value, found),
                }),
                Value::Array(values) => values.iter().for_each(|value| visit(value, found)),
                _ => {}
            }
        }
        let description = description();
        let mut found = Vec::new();
        visit(&description, &mut found);
        assert!(found.len() > 20);
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{target}");
        }
    }
}
