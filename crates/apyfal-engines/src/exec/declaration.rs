//! What the configuration says of a user's own program.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use apyfal_core::{
    AcceleratorInfo, EngineInfo, Error, ErrorKind, Need, Params, Result, Slots, is_secret_key,
    nearest,
};
use serde_json::{Map, Value};

use super::invocation::Invocation;
use super::parameters::{PLACES, read_leading_dash, read_params};
use super::section::{flag, refuse_unknown, text, words, wrong};
use super::template::Template;
use super::values::{check_arguments, check_text};

/// A checked declaration of an accelerator that is a program of the user's own.
#[derive(Clone)]
pub struct Declaration {
    accelerator: AcceleratorInfo,
    info: EngineInfo,
    program: Program,
    sudo: bool,
    env: BTreeMap<String, Template>,
    leading_dash: BTreeSet<String>,
    lock_directory: Option<PathBuf>,
    exclusive_as: Option<String>,
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
    /// The keys of the section.
    pub const KEYS: [&'static str; 12] = [
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
        "lock_directory",
    ];

    /// Reads the section of the accelerator `name`. Values are what the section's literals mean:
    /// lists, dictionaries, numbers, text.
    ///
    /// | key | value | default |
    /// | --- | --- | --- |
    /// | `command` | list, or text split as a shell would, run without a shell | |
    /// | `executable` | path of a program with the original's `-m -i -o -j -p` | |
    /// | `worker` | list or text, as `command` | |
    /// | `parameters` | `{name: default}` or `{name: {type, default, min, max, choices, help, stage, leading_dash}}` | none; any for `executable` |
    /// | `env` | `{variable: text}`, added to the environment | none |
    /// | `sudo` | run it through `sudo -n` | `False` |
    /// | `slots` | jobs at once | cores for `command`, else 1 |
    /// | `rerun_safe` | an interrupted job may run again | `False` |
    /// | `aliases` | list of other names, or text | none |
    /// | `lock_directory` | where an `executable` keeps the lock that makes it exclusive | the caller's |
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
        refuse_unknown("", section, &Self::KEYS)?;
        let program = read_program(section)?;
        let params = read_params(section.get("parameters"), &program)?;
        let leading_dash = read_leading_dash(section.get("parameters"))?;
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
        let info =
            EngineInfo { name: program_name.clone().into(), slots, needs: "".into(), quick: 0 };
        let accelerator = AcceleratorInfo {
            name: name.to_owned().into(),
            aliases: words(section, "aliases")?
                .unwrap_or_default()
                .into_iter()
                .map(Cow::from)
                .collect(),
            summary: text(section, "summary")?.unwrap_or(format!("Run {program_name}")).into(),
            description: text(section, "description")?.unwrap_or_default().into(),
            params,
            start_src,
            src,
            dst,
            rerun_safe: flag(section, "rerun_safe")?,
            engines: Vec::new(),
        };
        let lock_directory = text(section, "lock_directory")?.map(PathBuf::from);
        let sudo = flag(section, "sudo")?;
        let exclusive_as = None;
        let declaration = Self {
            accelerator,
            info,
            program,
            sudo,
            env,
            leading_dash,
            lock_directory,
            exclusive_as,
        };
        declaration.check_placeholders()?;
        Ok(declaration)
    }

    /// Makes an `executable` exclusive by a name instead of its path, where several paths are
    /// programs for one device.
    #[must_use]
    pub fn exclusive_as(self, name: impl Into<String>) -> Self {
        Self { exclusive_as: Some(name.into()), ..self }
    }

    /// What it declares.
    pub fn accelerator(&self) -> &AcceleratorInfo {
        &self.accelerator
    }

    /// What runs it.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Whether its program stays alive between jobs, with whatever it has open.
    pub fn stays_alive(&self) -> bool {
        matches!(self.program, Program::Worker(_))
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// Where the lock of an executable is, if that is declared.
    pub(super) fn lock_directory(&self) -> Option<&Path> {
        self.lock_directory.as_deref()
    }

    /// What an executable is exclusive by, if not by its path.
    pub(super) fn exclusive(&self) -> Option<&str> {
        self.exclusive_as.as_deref()
    }

    /// Refuses values of parameters that the program would not get as values.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] names the parameter.
    pub(super) fn check(&self, params: &Params) -> Result<()> {
        for variable in self.env.values() {
            check_text(&self.accelerator, variable, params)?;
        }
        let (Program::Command(arguments) | Program::Worker(arguments)) = &self.program else {
            return Ok(());
        };
        let arguments = arguments.get(1..).unwrap_or_default();
        check_arguments(&self.accelerator, arguments, &self.leading_dash, params)
    }

    /// What is run for these arguments: `sudo` before them and the environment beside them.
    pub(super) fn invocation(
        &self,
        argv: Vec<OsString>,
        params: &Params,
        variables: &[(&'static str, String)],
    ) -> Invocation {
        let given = variables.iter().map(|(key, value)| ((*key).to_owned(), value.into()));
        let env: BTreeMap<_, _> = self
            .env
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.fill(|name| param(params, name))?)))
            .chain(given)
            .collect();
        let mut secrets = Vec::new();
        params.as_map().iter().for_each(|(name, value)| collect_secrets(name, value, &mut secrets));
        for (key, value) in env.iter().filter(|(key, _)| is_secret_key(key)) {
            collect_secrets(key, &value.to_string_lossy().into(), &mut secrets);
        }
        // A secret may be part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let argv = if self.sudo { with_sudo(argv, env.keys()) } else { argv };
        Invocation { argv, env, secrets }
    }

    /// Refuses a placeholder that nothing stands behind, which would silently drop its argument.
    fn check_placeholders(&self) -> Result<()> {
        let params: Vec<_> =
            self.accelerator.params.iter().map(|spec| spec.name.as_ref()).collect();
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
            .field("name", &self.accelerator.name)
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

/// Adds every text under a key that names a secret, as it is and as JSON writes it.
fn collect_secrets(key: &str, value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (inner, value) in map {
                collect_secrets(if is_secret_key(key) { key } else { inner }, value, secrets);
            }
        }
        Value::Array(values) => {
            values.iter().for_each(|value| collect_secrets(key, value, secrets))
        }
        Value::String(text) if is_secret_key(key) && !text.is_empty() => {
            secrets.push(text.clone());
            let quoted = value.to_string();
            secrets.push(quoted[1..quoted.len() - 1].to_owned());
        }
        Value::Number(number) if is_secret_key(key) => secrets.push(number.to_string()),
        _ => {}
    }
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
