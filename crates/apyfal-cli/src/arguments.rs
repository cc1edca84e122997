//! The command line's grammar, and the parameters that it cannot know beforehand.
//!
//! Every `--key value` that a command does not declare is a parameter of the accelerator (or, with
//! `create`, of the host). They are split off before clap sees the line, since clap has no notion
//! of unknown options.

mod parameters;

use std::ffi::OsString;

use apyfal::files::file_url;
use apyfal::{Error, ParamKind, Registry, Result};
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use parameters::Word;

pub(crate) use parameters::{Parameters, Set};

use crate::commands::{
    accelerators, catalog, clear, completions, copy, create, device_helper, devices, host, init,
    install, list, logs, map, pack, process, requirements, run, serve, ssh, start, stop, uninstall,
    user_data,
};

/// Run accelerated functions: compress, hash, encode, find and replace, make random numbers, or
/// run a program of your own, on the hardware that does it best.
#[derive(Debug, Parser)]
#[command(name = "apyfal", version, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  apyfal run gzip notes.txt notes.txt.gz
  apyfal run gzip notes.txt notes.txt.gz --level best
  tar -c photos | apyfal run gzip - - > photos.tar.gz
  apyfal run sha3 disk.img --type sha3-512
  apyfal run trng random.bin --nbBytes 1MB
  apyfal map gzip photos packed
  apyfal run hyperfire --start-src words.csv in.txt out.txt
  apyfal accelerators gzip";

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Print the full report, or the error, as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

// The order here is the order of the help: what most people want comes first. What a command takes is put
// together when it is asked for.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    Run(run::Arguments),
    Map(map::Arguments),
    Accelerators(accelerators::Arguments),
    Create(create::Arguments),
    Start(start::Arguments),
    Process(process::Arguments),
    Stop(stop::Arguments),
    List(list::Arguments),
    Ssh(ssh::Arguments),
    Serve(serve::Arguments),
    Logs(logs::Arguments),
    Host(host::Arguments),
    UserData(user_data::Arguments),
    Devices(devices::Arguments),
    #[command(hide = true)]
    DeviceHelper(device_helper::Arguments),
    Requirements(requirements::Arguments),
    Catalog(catalog::Arguments),
    Copy(copy::Arguments),
    Init(init::Arguments),
    Pack(pack::Arguments),
    Install(install::Arguments),
    Uninstall(uninstall::Arguments),
    Clear(clear::Arguments),
    Completions(completions::Arguments),
}

/// A parsed command line.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) options: Options,
    pub(crate) command: Command,
    /// What the command does not declare.
    pub(crate) parameters: Parameters,
}

/// The engine that is asked for.
#[derive(Args, Clone, Debug)]
pub(crate) struct OnEngine {
    /// Run it on this engine and no other; 'apyfal accelerators NAME' tells which there are.
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
}

/// Why a command line could not be parsed, or need not be.
#[derive(Debug)]
pub(crate) enum Refused {
    Clap(clap::Error),
    Ours(Error),
}

/// The grammar, for completions and the reference.
pub(crate) fn grammar() -> clap::Command {
    CommandLine::command()
}

/// Parses a command line that begins with the program's name.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Parsed, Refused> {
    let mut grammar = grammar();
    let arguments: Vec<_> = arguments.into_iter().map(as_text).collect();
    // What tells of all commands needs all of them; most lines name theirs first.
    let is_of_all = |word: &OsString| {
        word != "--version" && word != "-V" && grammar.find_subcommand(word).is_none()
    };
    if arguments.get(1).is_none_or(is_of_all) {
        grammar.build();
    }
    let (declared, parameters) = split(arguments).map_err(Refused::Ours)?;
    let matches = grammar.try_get_matches_from_mut(declared).map_err(|error| {
        as_value(&error, &parameters).map_or(Refused::Clap(error), Refused::Ours)
    })?;
    let CommandLine { options, command } =
        CommandLine::from_arg_matches(&matches).map_err(Refused::Clap)?;
    Ok(Parsed { options, command, parameters })
}

/// How a word that begins with `-` is given as the value of a parameter, where one has none and it seems to be that.
fn as_value(error: &clap::Error, parameters: &Parameters) -> Option<Error> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let key = parameters.without_value()?;
    let is_meant = word.starts_with('-') && !word.starts_with("--");
    is_meant.then(|| {
        Error::new(apyfal::ErrorKind::Usage, format!("'{word}' is no option"))
            .hint(format!("where it is the value of --{key}: --{key}={word}"))
    })
}

/// A word that is no text can only be a path: as a URL it is text.
fn as_text(word: OsString) -> OsString {
    if word.to_str().is_some() {
        return word;
    }
    let path = std::path::absolute(&word).unwrap_or_else(|_| word.into());
    file_url(&path).into()
}

/// Splits off what the command does not declare.
fn split(arguments: Vec<OsString>) -> Result<(Vec<OsString>, Parameters)> {
    let mut parameters = Parameters::default();
    // Most lines have none, and what a command declares takes long to be put together.
    if !arguments.iter().any(|word| word.as_encoded_bytes().starts_with(b"--")) {
        return Ok((arguments, parameters));
    }
    let named = arguments.iter().skip(1).find(|text| !text.as_encoded_bytes().starts_with(b"-"));
    let Some(command) = named.and_then(|name| with_parameters(name.to_str()?)) else {
        return Ok((arguments, parameters));
    };
    let has_positionals = command.get_positionals().next().is_some();
    let mut declared = Vec::new();
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        let option = argument.to_str().and_then(|text| text.strip_prefix("--"));
        let Some(option) = option.filter(|option| !option.is_empty()) else {
            let is_end = argument == "--";
            declared.push(argument);
            if is_end {
                declared.extend(rest.by_ref());
            }
            continue;
        };
        let (key, given) = match option.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (option.to_owned(), None),
        };
        if let Some(known) = find_option(&command, &key) {
            declared.push(argument);
            if given.is_none() && takes_value(known) {
                declared.extend(rest.next());
            }
            continue;
        }
        let value = match given {
            Some(value) => Word::Text(value),
            None if has_positionals => one_value(&key, &mut rest),
            None => all_values(&mut rest),
        };
        parameters.add(key, value)?;
    }
    Ok((declared, parameters))
}

/// The options of a command, where it takes parameters beside them.
fn with_parameters(command: &str) -> Option<clap::Command> {
    let options = match command {
        "run" => run::Arguments::augment_args,
        "map" => map::Arguments::augment_args,
        "create" => create::Arguments::augment_args,
        "start" => start::Arguments::augment_args,
        "process" => process::Arguments::augment_args,
        _ => return None,
    };
    let help = clap::Arg::new("help").long("help").action(ArgAction::Help);
    Some(Options::augment_args(options(clap::Command::new("apyfal").arg(help))))
}

fn find_option<'a>(command: &'a clap::Command, key: &str) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|known| {
        known.get_long() == Some(key)
            || known.get_all_aliases().is_some_and(|aliases| aliases.contains(&key))
    })
}

fn takes_value(known: &clap::Arg) -> bool {
    matches!(known.get_action(), ArgAction::Set | ArgAction::Append)
}

type Rest = std::iter::Peekable<std::vec::IntoIter<OsString>>;

/// Where words may follow that are no values, a parameter has one value, or none where it is a
/// switch.
fn one_value(key: &str, rest: &mut Rest) -> Word {
    let is_value = rest.peek().is_some_and(|next| {
        let next = next.to_string_lossy();
        if is_switch(key) { is_truth(&next) } else { !is_option(&next) }
    });
    match rest.next_if(|_| is_value) {
        Some(value) => Word::Text(value.to_string_lossy().into_owned()),
        None => Word::Switch,
    }
}

/// Where only options may follow, all words up to the next one are the value.
fn all_values(rest: &mut Rest) -> Word {
    let mut words = Vec::new();
    while let Some(word) = rest.next_if(|next| !is_option(&next.to_string_lossy())) {
        words.push(word.to_string_lossy().into_owned());
    }
    if words.is_empty() { Word::Switch } else { Word::Text(words.join(" ")) }
}

/// Whether a word is an option, and not a negative number or the sign for standard input.
fn is_option(word: &str) -> bool {
    word.strip_prefix('-')
        .and_then(|rest| rest.chars().next())
        .is_some_and(|first| !first.is_ascii_digit() && first != '.')
}

fn is_truth(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "0" | "1" | "true" | "false" | "yes" | "no")
}

/// Whether a built-in accelerator has a switch of this name.
fn is_switch(key: &str) -> bool {
    Registry::default().iter().any(|engine| {
        engine.info().params.iter().any(|spec| spec.name == key && spec.kind == ParamKind::Bool)
    })
}

#[cfg(test)]
mod tests {
    use apyfal::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn parameters(line: &str) -> Value {
        let words = line.split(' ').map(OsString::from).collect();
        match parse(words) {
            Ok(parsed) => Value::Object(parsed.parameters.literal(|_| false)),
            Err(Refused::Ours(error)) => panic!("{error}"),
            Err(Refused::Clap(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn the_grammar_is_sound() {
        grammar().debug_assert();
    }

    #[test]
    fn a_value_that_looks_like_an_option_is_told_how_to_be_given() {
        let parse = |line: &str| parse(line.split(' ').map(OsString::from).collect());
        let Err(Refused::Ours(error)) = parse("apyfal run upper a b --from -x") else {
            panic!("it is taken");
        };
        assert_eq!(error.hints(), ["where it is the value of --from: --from=-x"]);
        assert!(matches!(parse("apyfal run upper a b -x"), Err(Refused::Clap(_))));
        assert_eq!(parameters("apyfal run upper a b --from=-x"), json!({"from": "-x"}));
    }

    #[test]
    fn unknown_options_are_parameters() {
        assert_eq!(
            parameters("apyfal process -n x --type=shake-256 --length 512 -i a --n -5"),
            json!({"type": "shake-256", "length": 512, "n": -5})
        );
        assert_eq!(parameters("apyfal start --a x y --b"), json!({"a": "x y", "b": true}));
        assert_eq!(parameters("apyfal create -a gzip --k=7 --z 0"), json!({"k": 7, "z": 0}));
        assert_eq!(
            parameters("apyfal create -a gzip --kwargs={'a':[1,None]}"),
            json!({"kwargs": {"a": [1, null]}})
        );
    }

    #[test]
    fn run_knows_parameters_from_its_words() {
        for line in [
            "apyfal run gzip --level 9 a b --json",
            "apyfal run --level 9 gzip a b",
            "apyfal --json run gzip a --level=9 b",
        ] {
            let parsed = parse(line.split(' ').map(OsString::from).collect()).unwrap();
            assert_eq!(
                Value::Object(parsed.parameters.literal(|_| false)),
                json!({"level": 9}),
                "{line}"
            );
            assert!(matches!(
                parsed.command,
                Command::Run(run) if run.accelerator == "gzip" && run.dst.as_deref() == Some("b")
            ));
        }
    }

    #[test]
    fn text_stays_as_it_was_written() {
        let words = "apyfal run gzip --name 1_000 --level 9 --mtime 1_0 a b".split(' ');
        let parsed = parse(words.map(OsString::from).collect()).unwrap();
        let registry = Registry::default();
        let values = parsed.parameters.of(registry.find("gzip").unwrap().info()).unwrap();
        assert_eq!(Value::Object(values), json!({"name": "1_000", "level": "9", "mtime": 10}));
    }

    #[test]
    fn what_json_cannot_say_is_refused_by_name() {
        let registry = Registry::default();
        for (value, what) in [
            ("b'hush'", "bytes"),
            ("[{1}]", "a set"),
            ("2j", "a complex number"),
            ("1e999", "a number that is not finite"),
            ("18446744073709551616", "an integer of more than 64 bits"),
        ] {
            let words = ["apyfal", "run", "gzip", "--mtime", value].map(OsString::from).into();
            let parsed = parse(words).unwrap().parameters;
            let error = parsed.of(registry.find("gzip").unwrap().info()).unwrap_err();
            let told =
                format!("cannot use the value of 'mtime': it has {what}, which JSON cannot say");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Usage, told));
        }
        let words = ["apyfal", "run", "gzip", "--mtime", "(1, 2)"].map(OsString::from).into();
        let values = parse(words).unwrap().parameters.of(registry.find("gzip").unwrap().info());
        assert_eq!(Value::Object(values.unwrap()), json!({"mtime": [1, 2]}));
    }

    #[test]
    fn settings_of_hosts_stay_text_too() {
        let words = "apyfal create -a gzip --token 0123 --k 0123".split(' ');
        let parsed = parse(words.map(OsString::from).collect()).unwrap();
        let values = Value::Object(parsed.parameters.literal(|key| key == "token"));
        assert_eq!(values, json!({"token": "0123", "k": "0123"}));
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        let words = "apyfal process --k 1 --k 2".split(' ').map(OsString::from).collect();
        assert!(matches!(parse(words), Err(Refused::Ours(_))));
    }
}
