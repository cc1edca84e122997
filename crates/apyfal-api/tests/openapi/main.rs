//! The description of REST v2, `openapi/v2.json`: made of the types on the wire and of the paths
//! here.
//!
//! `APYFAL_UPDATE_DOCS=1 cargo test -p apyfal-api --test openapi` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod paths;

use std::collections::BTreeMap;
use std::path::Path;

use apyfal_api::{ErrorBody, v2};
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

fn description() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Apyfal REST v2",
            "version": format!("{}", v2::VERSION),
            "description": "Runs jobs of accelerators on a host. An answer that is an error has an \
                `ErrorBody`, whose `kind` says what the caller can do about it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        // On loopback nobody is asked; elsewhere everybody.
        "security": [{}, {"token": []}],
        "paths": paths::all(),
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The host's token, which `apyfal serve` prints. On loopback \
                        none is asked for, unless the host was given one.",
                },
            },
            "responses": answers::errors(),
            "schemas": schemas(),
        },
    })
}

/// The types on the wire.
fn schemas() -> BTreeMap<String, Value> {
    fn add<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
        all.push((T::name().into_owned(), T::schema()));
        T::schemas(all);
    }
    let mut all = Vec::new();
    add::<ErrorBody>(&mut all);
    add::<v2::Accelerator>(&mut all);
    add::<v2::Host>(&mut all);
    add::<v2::StartRequest>(&mut all);
    add::<v2::Session>(&mut all);
    add::<v2::Sessions>(&mut all);
    add::<v2::JobRequest>(&mut all);
    add::<v2::Job>(&mut all);
    add::<v2::Jobs>(&mut all);
    add::<v2::Report>(&mut all);
    add::<v2::Logs>(&mut all);
    add::<v2::NewToken>(&mut all);
    add::<v2::Tokens>(&mut all);
    add::<v2::Overview>(&mut all);
    let all = all.into_iter();
    all.map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect()
}

/// All references in a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value {
            Value::String(target) if key == "$ref" => found.push(target),
            _ => references(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn what_is_checked_in_is_what_the_types_say() {
    let made = description();
    if std::env::var_os("APYFAL_UPDATE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/v2.json");
        std::fs::write(path, format!("{made:#}\n")).unwrap();
        return;
    }
    let stored: Value = serde_json::from_str(v2::DESCRIPTION).unwrap();
    assert!(
        stored == made,
        "openapi/v2.json is not what the types say; APYFAL_UPDATE_DOCS=1 writes it anew"
    );
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_referred_to() {
    let made = description();
    let mut found = Vec::new();
    references(&made, &mut found);
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(made.pointer(pointer).is_some(), "{target}");
    }
    for kind in ["schemas", "responses"] {
        for name in made["components"][kind].as_object().unwrap().keys() {
            let target = format!("#/components/{kind}/{name}");
            assert!(found.contains(&target.as_str()), "{target} is not used");
        }
    }
}

#[test]
fn every_operation_can_be_named() {
    let made = description();
    let mut names = Vec::new();
    for (path, item) in made["paths"].as_object().unwrap() {
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
        {
            let name = operation["operationId"].as_str().unwrap();
            assert!(!names.contains(&name), "{name}");
            names.push(name);
            assert!(
                operation["summary"].as_str().is_some_and(|text| text.len() > 5),
                "{method} {path}"
            );
            assert!(
                operation["tags"].as_array().is_some_and(|tags| tags.len() == 1),
                "{method} {path}"
            );
        }
    }
}
