//! What is sent to an accelerator and what comes back, in the shape of the original's JSON.

use serde_json::{Map, Value, json};

use crate::{Error, ErrorKind, Result, truth};

mod profiling;
mod unread;

pub use profiling::{Comparison, Profiling};
pub use unread::Unread;

/// The parameters of one `start` or `process`.
///
/// As JSON this is `{"app": {"specific": {…}, …}, "env": {…}}`, the shape of the original.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobParameters {
    /// The accelerator's own parameters.
    pub specific: Map<String, Value>,
    /// The engine that is to run it, and no other (`engine`).
    pub engine: Option<String>,
    /// Run plain software too and compare (`enable-sw-comparison`).
    pub compare: bool,
    /// Reset the device first.
    pub reset: Option<bool>,
    /// Load the device's image again, at start.
    pub reload: Option<bool>,
    /// What the original's executable should log: `{"format": 1, "verbosity": 4}`.
    pub logging: Option<Value>,
    /// Environment of the host; `start` only, single values may be overridden by `process`.
    pub env: Map<String, Value>,
    /// What was read and means nothing. It is not sent.
    pub unread: Unread,
}

impl JobParameters {
    /// Parameters that are the accelerator's own alone.
    pub fn specific(specific: Map<String, Value>) -> Self {
        Self { specific, ..Self::default() }
    }

    /// Reads the original's JSON shape. Unknown members are ignored, as they were there, and [noted](Unread).
    ///
    /// # Errors
    /// A member is of another type.
    pub fn from_json(value: &Value) -> Result<Self> {
        // Which value it is stays untold: it may hold a secret.
        let wrong = |name: &str, wanted: &str, value: &Value| {
            let is = type_of(value);
            let why = format!("{name} of the parameters must be {wanted}, not {is}");
            Error::new(ErrorKind::Usage, why)
        };
        let object = |value: Option<&Value>, name: &str| match value {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(other) => Err(wrong(name, "an object", other)
                .hint(r#"the shape is {"app": {"specific": {"name": "value"}}}"#)),
        };
        let root = object(Some(value), "the root")?;
        let app = object(root.get("app"), "'app'")?;
        let engine = match app.get("engine") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(other) => return Err(wrong("'app.engine'", "a name", other)),
        };
        let truth = |key: &str| match app.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => truth(value).map(Some).ok_or_else(|| {
                wrong(&format!("'app.{key}'"), "true or false", value)
                    .hint("it takes true, false, 1 and 0")
            }),
        };
        let logging = match app.get("logging") {
            None | Some(Value::Null) => None,
            Some(Value::Object(logging)) => Some(logging.clone().into()),
            Some(other) => return Err(wrong("'app.logging'", "an object", other)),
        };
        Ok(Self {
            specific: object(app.get("specific"), "'app.specific'")?,
            engine,
            compare: truth("enable-sw-comparison")?.unwrap_or(false),
            reset: truth("reset")?,
            reload: truth("reload")?,
            logging,
            env: object(root.get("env"), "'env'")?,
            unread: Unread::of(&root, &app),
        })
    }

    /// The JSON that a `start` sends.
    pub fn to_start_json(&self) -> Value {
        self.with_engine(json!({
            "app": {
                "reset": self.reset.unwrap_or(false),
                "reload": self.reload.unwrap_or(true),
                "enable-sw-comparison": u8::from(self.compare),
                "logging": self.logging.clone().unwrap_or_else(|| json!({"format": 1, "verbosity": 2})),
                "specific": self.specific,
            },
            "env": self.env,
        }))
    }

    /// The JSON that a `process` sends.
    pub fn to_process_json(&self) -> Value {
        self.with_engine(json!({
            "app": {
                "reset": self.reset.unwrap_or(false),
                "enable-sw-comparison": u8::from(self.compare),
                "logging": self.logging.clone().unwrap_or_else(|| json!({"format": 1, "verbosity": 4})),
                "specific": self.specific,
            },
        }))
    }

    /// With the engine that is asked for, if any is: programs of before know no such member.
    fn with_engine(&self, mut sent: Value) -> Value {
        if let Some(engine) = &self.engine {
            sent["app"]["engine"] = engine.as_str().into();
        }
        sent
    }

    /// Adds what `over` sets; its values win.
    pub fn merge(&mut self, over: JobParameters) {
        self.specific.extend(over.specific);
        self.engine = over.engine.or_else(|| self.engine.take());
        self.compare |= over.compare;
        self.reset = over.reset.or(self.reset);
        self.reload = over.reload.or(self.reload);
        self.logging = over.logging.or_else(|| self.logging.take());
        self.env.extend(over.env);
        self.unread.extend(over.unread);
    }
}

/// The type of a value, in words, for who must not see the value itself.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A request to open a session.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The accelerator.
    pub accelerator: String,
    /// Its parameters.
    pub parameters: JobParameters,
    /// A source that the host itself reads; the client's own file travels in the body instead.
    pub src: Option<String>,
}

/// A request to run a job in a session.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// The session's id.
    pub session: String,
    /// Its parameters.
    pub parameters: JobParameters,
    /// A source that the host itself reads.
    pub src: Option<String>,
    /// A destination that the host itself writes.
    pub dst: Option<String>,
}

/// An open session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Its id, unique on its host.
    pub id: String,
    /// What opening it told.
    pub report: Report,
}

/// What a job tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The job's or session's id; empty for a job that has none.
    pub id: String,
    /// The accelerator.
    pub accelerator: String,
    /// The engine that did it.
    pub engine: String,
    /// The accelerator's own result.
    pub specific: Map<String, Value>,
    /// Times and amounts.
    pub profiling: Profiling,
    /// The comparison, where one was asked for and could be made.
    pub comparison: Option<Comparison>,
    /// More of the response's `app` part.
    pub app: Map<String, Value>,
}

impl Report {
    /// What of the parameters nobody read, in `app`.
    const PARAMETERS_NOTE: &str = "parameters-note";

    /// Adds what is to be said about the way to the destination, if anything.
    pub fn tell_of_destination(&mut self, note: Option<String>) {
        if let Some(note) = note {
            self.app.insert("destination-note".to_owned(), note.into());
        }
    }

    /// Says that another engine than the one of the session did it, and why.
    pub fn tell_of_engine(&mut self, note: String) {
        self.app.insert("engine-note".to_owned(), note.into());
    }

    /// Why another engine than the one of the session did it, where that is so.
    pub fn engine_note(&self) -> Option<&str> {
        self.app.get("engine-note")?.as_str()
    }

    /// What is to be said about the way to the destination.
    pub fn destination_note(&self) -> Option<&str> {
        self.app.get("destination-note")?.as_str()
    }

    /// What is to be said about parameters that nobody read.
    pub fn parameters_note(&self) -> Option<&str> {
        self.app.get(Self::PARAMETERS_NOTE)?.as_str()
    }

    /// The report in the shape of the original's response, `{"app": {…}}`, with `id`,
    /// `accelerator` and `engine` beside it.
    pub fn to_json(&self) -> Value {
        let mut app = Map::new();
        app.insert("status".to_owned(), 0.into());
        app.insert("msg".to_owned(), "".into());
        app.insert("specific".to_owned(), Value::Object(self.specific.clone()));
        app.insert("profiling".to_owned(), json!(self.profiling));
        if let Some(comparison) = &self.comparison {
            app.insert("result-sw-comparison".to_owned(), json!(comparison));
        }
        for (key, value) in &self.app {
            match (app.get_mut(key), value) {
                (Some(Value::Object(ours)), Value::Object(theirs)) => ours.extend(theirs.clone()),
                _ => {
                    app.insert(key.clone(), value.clone());
                }
            }
        }
        let mut report = Map::new();
        if !self.id.is_empty() {
            report.insert("id".to_owned(), self.id.clone().into());
        }
        report.insert("accelerator".to_owned(), self.accelerator.clone().into());
        report.insert("engine".to_owned(), self.engine.clone().into());
        report.insert("app".to_owned(), Value::Object(app));
        Value::Object(report)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn parameters_read_back_equal() {
        let text = json!({
            "app": {"enable-sw-comparison": 1, "reset": 0, "engine": "cpu", "specific": {"a": [1]}},
            "env": {"x": "y"},
        });
        let parameters = JobParameters::from_json(&text).unwrap();
        assert!(parameters.compare);
        assert_eq!(parameters.reset, Some(false));
        let back = JobParameters::from_json(&parameters.to_start_json()).unwrap();
        assert_eq!(back.engine.as_deref(), Some("cpu"));
        assert_eq!((back.specific, back.env), (parameters.specific, parameters.env));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        for text in [
            json!([]),
            json!({"app": 1}),
            json!({"app": {"specific": "x"}}),
            json!({"app": {"engine": 1}}),
        ] {
            assert_eq!(JobParameters::from_json(&text).unwrap_err().kind(), ErrorKind::Usage);
        }
        for (member, wrong) in [
            ("reset", json!("hush-hush")),
            ("reload", json!(2)),
            ("enable-sw-comparison", json!(["hush-hush"])),
            ("logging", json!("hush-hush")),
            ("specific", json!("hush-hush")),
            ("engine", json!({"a": "hush-hush"})),
        ] {
            let error = JobParameters::from_json(&json!({"app": {member: wrong}})).unwrap_err();
            let told = error.to_string();
            assert!(
                told.starts_with(&format!("'app.{member}' of the parameters must be")),
                "{told}"
            );
            assert!(told.ends_with(type_of(&wrong)) && !told.contains("hush"), "{told}");
        }
    }

    #[test]
    fn what_nobody_reads_is_noted() {
        let read = |text: Value| JobParameters::from_json(&text).unwrap();
        let all = JobParameters { engine: Some("cpu".into()), ..JobParameters::default() };
        for whole in [all.to_start_json(), all.to_process_json(), json!({}), Value::Null] {
            assert_eq!(read(whole).unread.note(), None);
        }
        let mut parameters = read(json!({"app": {"type": 1, "reset": null}, "x": 2}));
        parameters.merge(read(json!({"app": {"type": 1}})));
        let note = parameters.unread.note().unwrap();
        assert!(note.starts_with("'x' and 'app.type' of the parameters are ignored"), "{note}");
        let mut report = Report::default();
        parameters.unread.tell(&mut report);
        assert_eq!(report.parameters_note(), Some(&*note));
        let error = parameters.unread.hint(Error::new(ErrorKind::Usage, "it misses 'type'"));
        assert_eq!(error.hints(), [note]);
        assert_eq!(read(parameters.to_start_json()).unread, Unread::default(), "it is not sent");
    }

    #[test]
    fn a_device_adds_to_the_profiling() {
        let mut report =
            Report { profiling: Profiling::new(Duration::from_secs(2), 8, 4), ..Report::default() };
        report.app.insert("profiling".into(), json!({"fpga-elapsed-time": 1.5}));
        let app = &report.to_json()["app"];
        assert_eq!(app["profiling"]["fpga-elapsed-time"], 1.5);
        assert_eq!(app["profiling"]["input-bandwidth"], 4.0);
    }

    #[test]
    fn whatever_json_is_parameters_reads_back_equal() {
        const FRAGMENTS: [&str; 24] = [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"app\"",
            "\"env\"",
            "\"specific\"",
            "\"reset\"",
            "\"reload\"",
            "\"logging\"",
            "\"enable-sw-comparison\"",
            "{\"app\": {\"specific\": {",
            "}}}",
            "\"a\": ",
            "null",
            "true",
            "0",
            "-1.5e300",
            "18446744073709551615",
            "\"\\ud800\"",
            "\"\u{e9}\"",
            " ",
        ];
        bolero::check!().with_iterations(20_000).with_type::<Vec<u8>>().for_each(|bytes| {
            let pieces = bytes.iter().map(|byte| FRAGMENTS[usize::from(*byte) % FRAGMENTS.len()]);
            let text: String = pieces.collect();
            let Ok(value) = serde_json::from_str(&text) else { return };
            let Ok(read) = JobParameters::from_json(&value) else { return };
            let again = JobParameters::from_json(&read.to_start_json()).unwrap();
            assert_eq!((&again.specific, &again.env), (&read.specific, &read.env));
        });
    }
}
