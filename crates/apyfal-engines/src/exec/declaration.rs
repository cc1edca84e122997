//! What the configuration says of a user's own program.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use apyfal_core::{
    EngineInfo, Error, ErrorKind, Need, ParamKind, ParamSpec, Params, Result, Slots, Stage,
    is_secret_key, nearest,
};
use serde_json::{Map, Value};

use super::process::Invocation;
use super::template::Template;

const KEYS: [&str; 11] = [
    "command",
    "executable",
    "worker",
    "sudo",
    "parameters",
    "slots",
    "summary",
    "description",
    "env",
    "rerun_safe",
    "aliases",
];
const PARAMETER_KEYS: [&str; 7] = ["type", "default", "min", "max", "choices", "help", "stage"];
/// Placeholders that are no parameters.
const PLACES: [&str; 3] = ["src", "dst", "scratch"];

/// A checked declaration of an accelerator that is a program of the user's own.
#[derive(Clone)]
pub struct Declaration {
    info: EngineInfo,
    program: Program,
    sudo: bool,
    env: BTreeMap<String, Template>,
}

/// How the program is called.
#[derive(Clone, Debug)]
pub(super) enum Program {
    /// Once per job.
    Command(Vec<Template>),
    /// By the original's convention.
    Executable(String),
    /// Once per slot, then a line per job.
    Worker(Vec<Template>),
}

impl Declaration {
    /// Reads the section of the accelerator `name`. Values are what the section's literals mean:
    /// lists, dictionaries, numbers, text.
    ///
    /// | key | value | default |
    /// | --- | --- | --- |
    /// | `command` | list, or text split as a shell would, run without a shell | |
    /// | `executable` | path of a program with the original's `-m -i -o -j -p` | |
    /// | `worker` | list or text, as `command` | |
    /// | `parameters` | `{name: default}` or `{name: {type, default, min, max, choices, help, stage}}` | none; any for `executable` |
    /// | `env` | `{variable: text}`, added to the environment | none |
    /// | `sudo` | run it through `sudo -n` | `False` |
    /// | `slots` | jobs at once | cores for `command`, else 1 |
    /// | `rerun_safe` | an interrupted job may run again | `False` |
    /// | `aliases` | list of other names, or text | none |
    /// | `summary`, `description` | text for help | the program |
    ///
    /// Exactly one of the first three is needed. A `{parameter}` inside an argument or a variable
    /// stands for its value; one that is unset leaves the whole argument or variable out. A
    /// `command` has also `{src}`, `{dst}` and `{scratch}` (a directory for temporary files).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the key and what would be right.
    pub fn new(name: &str, section: &Map<String, Value>) -> Result<Self> {
        Self::read(name, section)
            .map_err(|error| error.context("section", format!("accelerator.{name}")))
    }

    fn read(name: &str, section: &Map<String, Value>) -> Result<Self> {
        refuse_unknown("", section, &KEYS)?;
        let program = read_program(section)?;
        let params = read_params(section.get("parameters"), &program)?;
        let env = read_env(section.get("env"))?;
        let slots = match section.get("slots") {
            None | Some(Value::Null) if matches!(program, Program::Command(_)) => Slots::Cores,
            None | Some(Value::Null) => Slots::Fixed(1),
            Some(value) => match value.as_u64() {
                Some(count @ 1..=1024) => Slots::Fixed(count as usize),
                _ => return Err(wrong("slots", value, "a whole number from 1 to 1024")),
            },
        };
        if let (Program::Executable(_), Slots::Fixed(2..)) = (&program, slots) {
            return Err(wrong(
                "slots",
                &section["slots"],
                "1: an executable is exclusive per machine",
            ));
        }
        let (start_src, src, dst) = needs(&program);
        let program_name = program.name();
        let info = EngineInfo {
            name: name.to_owned().into(),
            aliases: words(section, "aliases")?
                .unwrap_or_default()
                .into_iter()
                .map(Cow::from)
                .collect(),
            engine: program_name.clone().into(),
            summary: text(section, "summary")?.unwrap_or(format!("Run {program_name}")).into(),
            description: text(section, "description")?.unwrap_or_default().into(),
            params,
            start_src,
            src,
            dst,
            slots,
            rerun_safe: flag(section, "rerun_safe")?,
        };
        let declaration = Self { info, program, sudo: flag(section, "sudo")?, env };
        declaration.check_placeholders()?;
        Ok(declaration)
    }

    /// What the engine says of itself.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// What is run for these arguments: `sudo` before them and the environment beside them.
    pub(super) fn invocation(&self, argv: Vec<OsString>, params: &Params) -> Invocation {
        let env: BTreeMap<_, _> = self
            .env
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.fill(|name| param(params, name))?)))
            .collect();
        let secret_params = params
            .as_map()
            .keys()
            .filter(|name| is_secret_key(name))
            .filter_map(|name| param(params, name));
        let secret_variables = env
            .iter()
            .filter(|(key, _)| is_secret_key(key))
            .map(|(_, value)| value.to_string_lossy().into_owned());
        let secrets =
            secret_params.chain(secret_variables).filter(|secret| !secret.is_empty()).collect();
        let argv = if self.sudo { with_sudo(argv, env.keys()) } else { argv };
        Invocation { argv, env, secrets, sudo: self.sudo }
    }

    /// Refuses a placeholder that nothing stands behind, which would silently drop its argument.
    fn check_placeholders(&self) -> Result<()> {
        let params: Vec<_> = self.info.params.iter().map(|spec| spec.name.as_ref()).collect();
        let (arguments, places): (&[Template], &[&str]) = match &self.program {
            Program::Command(arguments) => (arguments, &PLACES),
            Program::Worker(arguments) => (arguments, &[]),
            Program::Executable(_) => (&[], &[]),
        };
        let used =
            arguments.iter().flat_map(|argument| argument.names().map(|name| (name, places)));
        let variables =
            self.env.values().flat_map(|value| value.names().map(|name| (name, &[][..])));
        for (name, places) in used.chain(variables) {
            if !places.contains(&name) && !params.contains(&name) {
                let error = Error::new(
                    ErrorKind::Configuration,
                    format!("'{{{name}}}' is neither a parameter nor a place"),
                );
                return Err(match nearest(name, places.iter().chain(&params).copied()) {
                    Some(near) => error.hint(format!("did you mean '{{{near}}}'?")),
                    None => error.hint(format!(
                        "declare '{name}' in 'parameters', or write {{{{{name}}}}} for the text itself"
                    )),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Declaration {
    /// Without the environment, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration")
            .field("name", &self.info.name)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// What it is called in reports.
    fn name(&self) -> String {
        match self {
            Self::Command(arguments) | Self::Worker(arguments) => arguments
                .first()
                .and_then(|program| program.fill(|_| None::<String>))
                .map(|program| program.to_string_lossy().into_owned())
                .unwrap_or_default(),
            Self::Executable(path) => path.clone(),
        }
    }
}

/// The value of a parameter as text: itself, or as JSON writes it.
pub(super) fn param(params: &Params, name: &str) -> Option<String> {
    params.get(name).map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// `sudo -n`: a password cannot be asked for, and waiting for one would hang.
fn with_sudo<'a>(argv: Vec<OsString>, env: impl Iterator<Item = &'a String>) -> Vec<OsString> {
    let variables: Vec<_> = env.map(String::as_str).collect();
    let mut whole: Vec<OsString> = vec!["sudo".into(), "-n".into()];
    if !variables.is_empty() {
        whole.push(format!("--preserve-env={}", variables.join(",")).into());
    }
    whole.push("--".into());
    whole.extend(argv);
    whole
}

fn needs(program: &Program) -> (Need, Need, Need) {
    let Program::Command(arguments) = program else {
        let start =
            if matches!(program, Program::Executable(_)) { Need::Optional } else { Need::None };
        return (start, Need::Optional, Need::Optional);
    };
    let need = |place| {
        if arguments.iter().any(|argument| argument.names().any(|name| name == place)) {
            Need::Required
        } else {
            Need::Optional
        }
    };
    (Need::None, need("src"), need("dst"))
}

fn read_program(section: &Map<String, Value>) -> Result<Program> {
    let templates = |key| -> Result<_> {
        Ok(words(section, key)?
            .map(|words| words.iter().map(|word| Template::parse(word)).collect()))
    };
    let mut found: Vec<Program> = Vec::new();
    found.extend(templates("command")?.map(Program::Command));
    found.extend(text(section, "executable")?.map(Program::Executable));
    found.extend(templates("worker")?.map(Program::Worker));
    match (found.pop(), found.is_empty()) {
        (Some(program), true) if program.name().is_empty() => Err(Error::new(
            ErrorKind::Configuration,
            "the program's name is empty or has a placeholder",
        )),
        (Some(program), true) => Ok(program),
        _ => Err(Error::new(
            ErrorKind::Configuration,
            "exactly one of 'command', 'executable' and 'worker' must be given",
        )),
    }
}

fn read_env(value: Option<&Value>) -> Result<BTreeMap<String, Template>> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(BTreeMap::new()) };
    let Some(map) = value.as_object() else { return Err(wrong("env", value, "a dictionary")) };
    map.iter()
        .map(|(key, value)| match value {
            _ if key.is_empty() || key.contains(['=', '\0']) => {
                Err(wrong("env", &key.as_str().into(), "names of variables"))
            }
            Value::String(text) => Ok((key.clone(), Template::parse(text))),
            Value::Number(number) => Ok((key.clone(), Template::parse(&number.to_string()))),
            // The value may be a secret.
            _ => {
                Err(Error::new(ErrorKind::Configuration, format!("'{key}' in 'env' must be text")))
            }
        })
        .collect()
}

fn read_params(value: Option<&Value>, program: &Program) -> Result<Vec<ParamSpec>> {
    let map = match value {
        None | Some(Value::Null) if matches!(program, Program::Executable(_)) => {
            return Ok(vec![ParamSpec::any_other("Passed on to the program, which checks it.")]);
        }
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(wrong("parameters", other, "a dictionary")),
    };
    map.iter()
        .map(|(name, value)| {
            read_param(name, value).map_err(|error| error.context("parameter", name))
        })
        .collect()
}

fn read_param(name: &str, value: &Value) -> Result<ParamSpec> {
    if PLACES.contains(&name) {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("'{name}' has a meaning already"),
        ));
    }
    let short = Map::from_iter([("default".to_owned(), value.clone())]);
    let map = match value {
        Value::Object(map) => map,
        _ => &short,
    };
    refuse_unknown("a parameter's ", map, &PARAMETER_KEYS)?;
    let default = map.get("default").filter(|value| !value.is_null());
    let mut spec = ParamSpec::new(
        name.to_owned(),
        read_kind(map, default)?,
        text(map, "help")?.unwrap_or_default(),
    );
    spec.stage = match text(map, "stage")?.as_deref() {
        None | Some("process") => Stage::Process,
        Some("start") => Stage::Start,
        Some(other) => return Err(wrong("stage", &other.into(), "'start' or 'process'")),
    };
    if let Some(default) = default {
        let given = Map::from_iter([(name.to_owned(), default.clone())]);
        let checked = Params::check("the default", std::slice::from_ref(&spec), None, &given)
            .map_err(|error| {
                Error::new(ErrorKind::Configuration, "the default is not a value of its type")
                    .source(error)
            })?;
        spec.default = checked.get(name).cloned();
    }
    Ok(spec)
}

/// The declared type, else that of the choices, the default or the bounds.
fn read_kind(map: &Map<String, Value>, default: Option<&Value>) -> Result<ParamKind> {
    let choices = words(map, "choices")?;
    let bound = |key: &str| map.get(key).filter(|value| !value.is_null());
    let kind = match text(map, "type")? {
        Some(kind) => kind,
        None if choices.is_some() => "choice".to_owned(),
        None => match default.or(bound("min")).or(bound("max")) {
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(number)) if number.is_f64() => "float",
            Some(Value::Number(_)) => "integer",
            Some(Value::Array(_) | Value::Object(_)) => "any",
            _ => "text",
        }
        .to_owned(),
    };
    let integer = |key, open| match bound(key) {
        None => Ok(open),
        Some(value) => value.as_i64().ok_or_else(|| wrong(key, value, "a whole number")),
    };
    let float = |key, open| match bound(key) {
        None => Ok(open),
        Some(value) => value.as_f64().ok_or_else(|| wrong(key, value, "a number")),
    };
    Ok(match (kind.as_str(), choices) {
        ("bool", _) => ParamKind::Bool,
        ("integer" | "int", _) => {
            ParamKind::Integer(integer("min", i64::MIN)?..=integer("max", i64::MAX)?)
        }
        ("float" | "number", _) => {
            ParamKind::Float(float("min", f64::NEG_INFINITY)?..=float("max", f64::INFINITY)?)
        }
        ("text" | "str" | "string", _) => ParamKind::Text,
        ("any", _) => ParamKind::Any,
        ("choice", Some(choices)) => {
            ParamKind::Choice(choices.into_iter().map(Cow::from).collect())
        }
        ("choice", None) => {
            return Err(Error::new(ErrorKind::Configuration, "a choice needs 'choices'"));
        }
        (other, _) => {
            return Err(wrong("type", &other.into(), "bool, integer, float, text, choice or any"));
        }
    })
}

fn refuse_unknown(whose: &str, map: &Map<String, Value>, known: &[&str]) -> Result<()> {
    let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let error = Error::new(ErrorKind::Configuration, format!("there is no key '{key}'"))
        .context("key", key);
    Err(match nearest(key, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint(format!("{whose}keys are {}", known.join(", ")).trim_start().to_owned()),
    })
}

fn wrong(key: &'static str, value: &Value, right: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("'{key}' cannot be {value}"))
        .hint(format!("it takes {right}"))
}

fn text(map: &Map<String, Value>, key: &'static str) -> Result<Option<String>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(key, other, "text")),
    }
}

/// A list of texts, or a text split into words as a shell would.
fn words(map: &Map<String, Value>, key: &'static str) -> Result<Option<Vec<String>>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match shlex::split(text) {
            Some(words) => Ok(Some(words)),
            None => Err(wrong(key, &text.as_str().into(), "text whose quotes are closed")),
        },
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                other => Err(wrong(key, other, "a list of texts")),
            })
            .collect::<Result<_>>()
            .map(Some),
        Some(other) => Err(wrong(key, other, "a list of texts, or text")),
    }
}

fn flag(map: &Map<String, Value>, key: &'static str) -> Result<bool> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong(key, value, "True or False")),
    }
}
