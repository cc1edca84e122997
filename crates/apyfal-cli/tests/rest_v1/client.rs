//! The calls of the original's client.

use serde_json::{Map, Value, json};

use crate::common::http::{Answer, Connection};
use crate::common::server::Server;
use crate::form::Form;

/// A client on one connection.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    /// What stands before the paths: an accelerator.
    prefix: String,
}

/// What the original's client sends as `parameters` of a start.
pub(crate) fn start_parameters(specific: Value) -> Value {
    json!({
        "app": {
            "reset": false, "reload": true, "enable-sw-comparison": 0,
            "logging": {"format": 1, "verbosity": 2}, "specific": specific,
        },
        "env": {"client_id": "me", "client_secret": "hunter2", "apyfal_version": "1.2.7"},
    })
}

/// What the original's client sends as `parameters` of a process.
pub(crate) fn process_parameters(specific: Value) -> Value {
    json!({"app": {
        "reset": false, "enable-sw-comparison": 0,
        "logging": {"format": 1, "verbosity": 4}, "specific": specific,
    }})
}

/// No parameters of the accelerator's own.
pub(crate) fn none() -> Value {
    Value::Object(Map::new())
}

/// The text of a member.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no text '{name}' in {value}"))
}

/// The part of a start's or process's answer that says how it ended.
pub(crate) fn app(told: &Value) -> &Value {
    let app = &told["parametersresult"]["app"];
    assert!(app["status"].is_i64(), "no status: {told}");
    app
}

impl Client {
    pub(crate) fn new(server: &Server) -> Self {
        Self { connection: server.connect(), prefix: String::new() }
    }

    /// A client of one of several accelerators.
    pub(crate) fn of(server: &Server, accelerator: &str) -> Self {
        Self { connection: server.connect(), prefix: format!("/{accelerator}") }
    }

    /// Names the host otherwise than by its address.
    pub(crate) fn called(mut self, host: &str) -> Self {
        self.connection = self.connection.called(host);
        self
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}/v1.0/{rest}", self.prefix)
    }

    /// The path of a URL that was given out, which must be the client's own way to the host.
    pub(crate) fn path_of(&self, url: &str) -> String {
        let begin = format!("http://{}", self.connection.host());
        let path = url.strip_prefix(&begin).unwrap_or_else(|| panic!("{url} is not at {begin}"));
        assert!(path.starts_with(&format!("{}/v1.0/", self.prefix)), "{url}");
        path.to_owned()
    }

    pub(crate) fn get(&mut self, rest: &str) -> Answer {
        self.connection.get(&self.path(rest))
    }

    pub(crate) fn post(&mut self, rest: &str, form: &Form) -> Answer {
        self.connection.post(&self.path(rest), &form.kind(), &form.body())
    }

    /// A start, which must be answered however it ends.
    pub(crate) fn try_start(&mut self, specific: Value, data: Option<&[u8]>) -> Value {
        let mut form = Form::new().parameters(&start_parameters(specific));
        if let Some(data) = data {
            form = form.data(data);
        }
        self.post("configuration/", &form).well()
    }

    /// A start that goes well, as the original's client does it; returns the configuration.
    pub(crate) fn start(&mut self, specific: Value, data: Option<&[u8]>) -> Value {
        let started = self.try_start(specific, data);
        assert_eq!(app(&started)["status"], 0, "{started}");
        let configuration = self.get(&format!("configuration/{}", started["id"])).well();
        self.path_of(text(&configuration, "url"));
        configuration
    }

    /// Sends a process; returns what is told of it at once.
    pub(crate) fn submit(&mut self, url: &str, specific: Value, data: Option<&[u8]>) -> Value {
        let form = Form::new().parameters(&process_parameters(specific)).text("configuration", url);
        let form = match data {
            Some(data) => form.data(data),
            None => form,
        };
        self.post("process/", &form).well()
    }

    /// Asks until the process has ended.
    pub(crate) fn ended(&mut self, process: &Value) -> Value {
        self.ended_with_count(process).0
    }

    /// The same, with the number of times that it asked.
    pub(crate) fn ended_with_count(&mut self, process: &Value) -> (Value, usize) {
        for count in 1..100_000 {
            let told = self.get(&format!("process/{}", process["id"])).well();
            if told["processed"] == true {
                return (told, count);
            }
        }
        panic!("it does not end: {process}");
    }

    /// The bytes of a result.
    pub(crate) fn result(&mut self, process: &Value) -> Vec<u8> {
        let path = self.path_of(text(process, "datafileresult"));
        let answer = self.connection.get(&path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-encoding"), None);
        // What says which newer protocol a host speaks would only cost these clients time.
        assert_eq!(answer.header("apyfal-protocol"), None);
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        answer.body
    }

    pub(crate) fn delete(&mut self, process: &Value) {
        let path = self.path(&format!("process/{}", process["id"]));
        let answer = self.connection.delete(&path);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    }

    /// A whole process that goes well: its `app` and the bytes of its result.
    pub(crate) fn process(&mut self, url: &str, specific: Value, data: &[u8]) -> (Value, Vec<u8>) {
        let sent = self.submit(url, specific, Some(data));
        let told = self.ended(&sent);
        assert_eq!(app(&told)["status"], 0, "{told}");
        let result = self.result(&told);
        self.delete(&told);
        (app(&told).clone(), result)
    }

    /// A process that fails; returns its message.
    pub(crate) fn fails(&mut self, url: &str, specific: Value, data: Option<&[u8]>) -> String {
        let sent = self.submit(url, specific, data);
        let told = self.ended(&sent);
        assert_ne!(app(&told)["status"], 0, "{told}");
        let message = text(app(&told), "msg").to_owned();
        self.delete(&told);
        message
    }
}
