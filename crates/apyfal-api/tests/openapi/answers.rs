//! What is answered.

use std::collections::BTreeMap;

use apyfal_api::status;
use apyfal_core::ErrorKind;
use serde_json::{Map, Value, json};

/// A schema of the types on the wire.
pub(crate) fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An answer with JSON of a type.
pub(crate) fn of_type(description: &str, name: &str) -> Value {
    json!({
        "description": description,
        "headers": protocol(),
        "content": {"application/json": {"schema": schema(name)}},
    })
}

/// An answer with text.
pub(crate) fn of_text(description: &str, kind: &str) -> Value {
    json!({
        "description": description,
        "headers": protocol(),
        "content": {kind: {"schema": {"type": "string"}}},
    })
}

/// The header of every answer.
pub(crate) fn protocol() -> Value {
    json!({"apyfal-protocol": {
        "description": "The version of the protocol.",
        "required": true,
        "schema": {"type": "integer", "const": apyfal_api::v2::VERSION},
    }})
}

/// The answers of an operation: its own, and errors of these statuses beside the general ones.
pub(crate) fn answers(own: &[(u16, Value)], errors: &[u16]) -> Value {
    let mut all = Map::new();
    for (status, answer) in own {
        all.insert(status.to_string(), answer.clone());
    }
    // A query or path that cannot be read, who asks, and what every request may meet.
    for status in [400, 401, 403, 500, 503].iter().chain(errors) {
        let target = format!("#/components/responses/{status}");
        all.insert(status.to_string(), json!({"$ref": target}));
    }
    all.into()
}

/// The same where nobody is asked for a token.
pub(crate) fn open_answers(own: &[(u16, Value)]) -> Value {
    own.iter()
        .map(|(status, answer)| (status.to_string(), answer.clone()))
        .collect::<Map<_, _>>()
        .into()
}

/// Errors that running a job may meet.
pub(crate) const OF_JOBS: [u16; 11] = [404, 408, 409, 415, 422, 424, 429, 499, 502, 503, 507];

/// Every error, by its status.
pub(crate) fn errors() -> BTreeMap<String, Value> {
    let mut kinds = BTreeMap::<u16, Vec<&str>>::new();
    for kind in ErrorKind::ALL {
        kinds.entry(status(kind)).or_default().push(kind.as_str());
    }
    // A body that is coded, or a form where it is to be the data.
    kinds.insert(415, vec![ErrorKind::Usage.as_str()]);
    let answer = |(status, kinds): (u16, Vec<&str>)| {
        let mut headers = protocol();
        if status == 429 {
            headers["retry-after"] = json!({
                "description": "Seconds after which it is worth to come again.",
                "required": true,
                "schema": {"type": "integer", "minimum": 1},
            });
        }
        if status == 415 {
            headers["accept-encoding"] =
                json!({"required": true, "schema": {"type": "string", "const": "identity"}});
        }
        if status == 401 {
            headers["www-authenticate"] =
                json!({"required": true, "schema": {"type": "string", "const": "Bearer"}});
        }
        let answer = json!({
            "description": format!("An error of the kind {}.", kinds.join(" or ")),
            "headers": headers,
            "content": {"application/json": {"schema": schema("ErrorBody")}},
        });
        (status.to_string(), answer)
    };
    kinds.into_iter().map(answer).collect()
}
