//! The parts of a form that starts or runs something.

use serde_json::{Map, Value};

/// The part with the parameters as JSON.
pub const PARAMETERS: &str = "parameters";
/// The part with the URL of the configuration that a process is to run in.
pub const CONFIGURATION: &str = "configuration";
/// The part with data.
pub const DATA: &str = "datafile";

/// What the original's client calls a source that the host reads by itself. It sends the URL under
/// each of the names that are for a start or a process.
const SOURCES: [&str; 3] = ["src", "datafile", "file_in"];
/// What it calls a destination that the host writes by itself.
const DESTINATIONS: [&str; 2] = ["dst", "file_out"];

/// Takes the URL of the source out of the accelerator's own parameters.
pub fn take_source(specific: &mut Map<String, Value>) -> Option<String> {
    take(specific, &SOURCES)
}

/// Takes the URL of the destination out of the accelerator's own parameters.
pub fn take_destination(specific: &mut Map<String, Value>) -> Option<String> {
    take(specific, &DESTINATIONS)
}

/// Takes all of these names out; the first one with a text is what was meant.
fn take(specific: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    let mut found = None;
    for name in names {
        match specific.get(*name) {
            Some(Value::String(url)) => {
                found.get_or_insert_with(|| url.clone());
            }
            Some(Value::Null) => {}
            // What is no text is no URL: the accelerator says whether it knows such a parameter.
            _ => continue,
        }
        specific.shift_remove(*name);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn urls_are_taken_under_every_name() {
        let given = json!({"src": "host://a", "file_in": "host://a", "n": 1, "file_out": "host://b",
                           "dst": null, "datafile": 7});
        let Value::Object(mut specific) = given else { unreachable!() };
        assert_eq!(take_source(&mut specific).as_deref(), Some("host://a"));
        assert_eq!(take_destination(&mut specific).as_deref(), Some("host://b"));
        assert_eq!(Value::Object(specific), json!({"n": 1, "datafile": 7}));
    }
}
