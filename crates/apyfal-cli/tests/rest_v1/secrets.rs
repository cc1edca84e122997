//! Secrets that a client sends.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Client, none, process_parameters, text};
use crate::common::server::Server;
use crate::form::Form;

/// Every file below a directory that has these bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_with(&path, needle));
        } else if let Ok(content) = std::fs::read(&path)
            && content.windows(needle.len()).any(|window| window == needle)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_secret_is_neither_told_nor_kept() {
    const SECRET: &str = "hunter2-0123456789";
    let server = Server::start();
    let mut client = Client::new(&server);
    let parameters = json!({
        "app": {"specific": {}, "reload": true},
        "env": {"client_id": "me", "client_secret": SECRET, "apyfal_version": "1.2.7"},
    });
    let started = client.post("configuration/", &Form::new().parameters(&parameters)).well();
    assert_eq!(started["parameters"]["env"]["client_secret"], "***");
    assert_eq!(started["parameters"]["env"]["client_id"], "me");

    let mut with_secret = process_parameters(json!({"password": SECRET}));
    with_secret["env"] = json!({"token": SECRET});
    let form = Form::new().parameters(&with_secret).text("configuration", text(&started, "url"));
    let sent = client.post("process/", &form.data(b"x")).well();
    let told = client.ended(&sent);
    let mut answers = vec![started.to_string(), sent.to_string(), told.to_string()];
    for rest in ["configuration/", "process/"] {
        answers.push(client.get(rest).well().to_string());
    }
    for path in [format!("configuration/{}", started["id"]), "stop/".to_owned()] {
        answers.push(client.get(&path).well().to_string());
    }
    answers.push(server.log());
    for answer in answers {
        assert!(!answer.contains(SECRET), "{answer}");
    }
    // A failed start as well.
    let mut wrong = parameters;
    wrong["app"]["specific"] = json!({"unknown": SECRET, "secret_key": SECRET});
    let failed = client.post("configuration/", &Form::new().parameters(&wrong)).well();
    assert_eq!(failed["parameters"]["app"]["specific"]["secret_key"], "***");
    assert_eq!(failed["parameters"]["env"]["client_secret"], "***");
    let kept: Vec<_> = files_with(server.home().folder(), b"\"client_secret\":\"hunter2")
        .into_iter()
        .chain(files_with(server.home().folder(), SECRET.as_bytes()))
        .collect();
    assert_eq!(kept, Vec::<String>::new());
    assert_eq!(client.start(none(), None)["inerror"], Value::Bool(false));
}
