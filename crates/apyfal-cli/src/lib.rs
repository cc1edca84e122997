//! The command line, as a library with a thin `main`, so that other packages can carry it.
//!
//! Everything that reads the environment or prints is in this crate.

mod arguments;
mod commands;
mod exit;
mod here;
mod listen;
mod paths;
mod printer;
mod progress;
mod quantity;
mod signals;
mod table;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use apyfal::Result;
use arguments::Command;
use printer::Printer;

/// How long what still runs at the end of a command may take to end.
const TIDYING: Duration = Duration::from_secs(3);

/// Runs the command line; `arguments` begin with the program's name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    // Scripts ask for it often, and it is known without the grammar of all commands.
    if let [_, word] = &arguments[..]
        && (word == "--version" || word == "-V")
    {
        let printer = Printer::new(false, false);
        let version = concat!("apyfal ", env!("CARGO_PKG_VERSION"));
        return ended(printer.result(version).map(|()| 0), &printer);
    }
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let parsed = match arguments::parse(arguments) {
        Ok(parsed) => parsed,
        Err(arguments::Refused::Clap(error)) => {
            // Help and version come this way too, and go to standard output.
            let printer = Printer::new(false, wants_json);
            if !error.use_stderr() {
                return ended(printer.help(&error).map(|()| 0), &printer);
            }
            printer.usage(&error);
            return ExitCode::from(exit::USAGE);
        }
        Err(arguments::Refused::Ours(error)) => {
            Printer::new(false, wants_json).error(&error);
            return ExitCode::from(exit::code(error.kind()));
        }
    };
    let printer = Printer::new(parsed.options.quiet, parsed.options.json);
    ended(run(parsed, &printer), &printer)
}

/// Tells what went wrong, if anything; the exit status.
fn ended(outcome: Result<u8>, printer: &Printer) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        // A reader that closed the pipe has had enough; that is no failure worth a message.
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::from(exit::BROKEN_PIPE),
        Err(error) => {
            printer.error(&error);
            ExitCode::from(exit::code(error.kind()))
        }
    }
}

fn run(parsed: arguments::Parsed, printer: &Printer) -> Result<u8> {
    let runtime = threads_of(&parsed.command)
        .enable_all()
        .build()
        .map_err(|error| apyfal::Error::from(error).operation("start the runtime"))?;
    let outcome = runtime.block_on(commands::run(parsed, printer));
    // What was cancelled tidies up, unless it reads from what never answers.
    runtime.shutdown_timeout(TIDYING);
    outcome
}

/// The threads that a command is worth beside those for blocking work.
fn threads_of(command: &Command) -> tokio::runtime::Builder {
    use tokio::runtime::Builder;
    let mut many = Builder::new_multi_thread();
    match command {
        // Many small jobs may be started within the time that a thread takes to be made.
        Command::Run(_) | Command::Process(_) => return Builder::new_current_thread(),
        // It does many things at once. A host has threads of its own for its connections.
        Command::Map(_) => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            many.worker_threads(cores);
        }
        // What a command does by itself must not keep it from hearing that it is to end.
        _ => {
            many.worker_threads(1);
        }
    }
    many
}
